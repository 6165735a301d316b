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

// writeback asks the system to write n bytes of the file, from an offset on, to
// the disk, so that a later Sync finds little to do, and waits for the n bytes
// before those. It makes nothing durable.
func (f osFile) writeback(at, n int64) error {
	const write = unix.SYNC_FILE_RANGE_WRITE
	const wait = unix.SYNC_FILE_RANGE_WAIT_BEFORE | write | unix.SYNC_FILE_RANGE_WAIT_AFTER
	err := unix.SyncFileRange(int(f.Fd()), at, n, write)
	if err == nil && at >= n {
		err = unix.SyncFileRange(int(f.Fd()), at-n, n, wait)
	}
	return err
}
