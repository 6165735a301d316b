package persist

import (
	"errors"

	"golang.org/x/sys/unix"
)

// openNoFollow keeps a link from leading elsewhere with the server's rights.
const openNoFollow = unix.O_NOFOLLOW

// Reserve allocates the blocks.
func (f osFile) Reserve(n int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, n)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

// Sync is fdatasync: the length counts, the time of the last change does not.
func (f osFile) Sync() error { return unix.Fdatasync(int(f.Fd())) }
