//go:build unix

package persist

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkOwner refuses a directory that belongs to somebody else, or that anybody may write to.
func checkOwner(info os.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d, and the server runs as %d: give it to that user, or name another", st.Uid, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o002 != 0 {
		return fmt.Errorf("anybody may write to it (mode %o), and so into the cache: chmod o-w it", mode)
	}
	return nil
}

// lockDir takes the directory for this process, until it ends or closes the
// lock. It fails with ErrInUse if another process has it.
func lockDir(dir string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|openNoFollow, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, err
	}
	return f, nil
}
