package persist

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/holdfast-cache/holdfast/slab"
	"golang.org/x/sys/unix"
)

var errNoSpace error = unix.ENOSPC

// memoryFile is a file mapped into memory, all of it and for all to see.
type memoryFile struct {
	path string
	f    *os.File
	mem  []byte
	unit int64 // the file's length is a multiple
	// volatile says that the file is gone when the machine is; huge, that it is
	// of large pages by nature.
	volatile, huge bool
}

// openMemoryFile opens the file, or makes it, and locks it.
func openMemoryFile(path string) (*memoryFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("%s is a link; name the file itself", path)
	case err != nil:
		return nil, err
	}
	m := &memoryFile{path: path, f: f, unit: int64(os.Getpagesize())}
	if err := m.admit(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}

// admit checks that the file may be used and finds out what it is on.
func (m *memoryFile) admit() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(m.f.Fd()), &st); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%s is not a regular file", m.path)
	case os.Geteuid() != 0 && int(st.Uid) != os.Geteuid(): // root may have made it for the user of -u
		return fmt.Errorf("%s belongs to another user (uid %d)", m.path, st.Uid)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%s is open to other users (mode %o); chmod 600 it", m.path, st.Mode&0o777)
	}
	if err := unix.Flock(int(m.f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%s: %w", m.path, ErrInUse)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(m.f.Fd()), &fs); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	switch fs.Type {
	case unix.HUGETLBFS_MAGIC:
		m.volatile, m.huge, m.unit = true, true, fs.Bsize
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		m.volatile = true
	}
	return nil
}

// onDisk says that the file is neither on a memory file system nor on memory
// that keeps what it holds (DAX): its pages are written to a disk.
func (m *memoryFile) onDisk() bool {
	if m.volatile {
		return false
	}
	var st unix.Statx_t
	err := unix.Statx(int(m.f.Fd()), "", unix.AT_EMPTY_PATH, 0, &st)
	return err != nil || st.Attributes&unix.STATX_ATTR_DAX == 0
}

func (m *memoryFile) size() (int64, error) {
	st, err := m.f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// resize gives the file at least n bytes, reserves them and maps them: a page that
// cannot be had must be an error here, since it would be a signal later.
func (m *memoryFile) resize(n int64) error {
	n = (n + m.unit - 1) / m.unit * m.unit
	size, err := m.size()
	if err != nil {
		return err
	}
	if n > size || m.holes() {
		n = max(n, size)
		if err := unix.Fallocate(int(m.f.Fd()), 0, 0, n); err != nil {
			return errors.Join(m.noRoom(n, err), m.f.Truncate(size))
		}
	}
	return m.remap(max(n, size))
}

// holes says that the file has fewer pages than its length takes, as a copy may have.
func (m *memoryFile) holes() bool {
	var st unix.Stat_t
	return unix.Fstat(int(m.f.Fd()), &st) == nil && st.Blocks*512 < st.Size
}

// clear makes the file an empty one.
func (m *memoryFile) clear() error { return errors.Join(m.unmap(), m.f.Truncate(0)) }

// remap maps the first n bytes of the file, which it has.
func (m *memoryFile) remap(n int64) error {
	if int64(len(m.mem)) == n {
		return nil
	}
	if err := m.unmap(); err != nil {
		return err
	}
	mem, err := unix.Mmap(int(m.f.Fd()), 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("%s: map %d MB: %w", m.path, n>>20, err)
	}
	m.mem = mem
	// Hints: without them the store is slower, or a core file larger.
	_ = unix.Madvise(mem, unix.MADV_HUGEPAGE)
	_ = unix.Madvise(mem, unix.MADV_DONTDUMP)
	return nil
}

// noRoom explains why the space could not be reserved.
func (m *memoryFile) noRoom(n int64, err error) error {
	var fs unix.Statfs_t
	if errors.Is(err, unix.ENOSPC) && unix.Fstatfs(int(m.f.Fd()), &fs) == nil {
		return fmt.Errorf("%s needs %d MB and its file system has %d MB free: enlarge it (mount -o remount,size=…) or lower -m: %w",
			m.path, n>>20, int64(fs.Bavail)*fs.Bsize>>20, err)
	}
	return fmt.Errorf("%s: reserve %d MB: %w", m.path, n>>20, err)
}

// replace renames the file, in place of what has that name, and begins an empty
// one under the old name.
func (m *memoryFile) replace(name string) error {
	if err := errors.Join(m.unmap(), os.Rename(m.path, name)); err != nil {
		return err
	}
	n, err := openMemoryFile(m.path)
	if err != nil {
		return err
	}
	err = m.f.Close()
	*m = *n
	return err
}

// oldMemory is memory that is only read, and then given up. The zero one is none.
type oldMemory struct {
	mem  []byte
	file *memoryFile // nil: a copy
}

// close gives the memory up, and removes its file.
func (o *oldMemory) close() error {
	switch {
	case o.mem == nil:
		return nil
	case o.file == nil:
		return unix.Munmap(o.mem)
	}
	return errors.Join(os.Remove(o.file.path), o.file.close())
}

// openOldMemory opens a file that detach has renamed, if there is one.
func openOldMemory(path string) (oldMemory, error) {
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return oldMemory{}, nil
	}
	m, err := openMemoryFile(path)
	if err != nil {
		return oldMemory{}, err
	}
	size, err := m.size()
	if err == nil {
		err = m.remap(size)
	}
	if err != nil {
		return oldMemory{}, errors.Join(err, m.close())
	}
	return oldMemory{mem: m.mem, file: m}, nil
}

// detach gives the file another name, so that a new file of n bytes can take its
// place. If there is no room for both, the memory is copied and the file removed.
// The memoryFile is of no use afterwards.
func (m *memoryFile) detach(name string, n int64) (oldMemory, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(m.f.Fd()), &fs); err != nil {
		return oldMemory{}, err
	}
	if int64(fs.Bavail)*fs.Bsize > n {
		if err := os.Rename(m.path, name); err != nil {
			return oldMemory{}, err
		}
		m.path = name
		return oldMemory{mem: m.mem, file: m}, nil
	}
	mem, err := unix.Mmap(-1, 0, len(m.mem), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return oldMemory{}, err
	}
	copyUsed(mem, m.mem)
	old := oldMemory{mem: mem}
	if err := errors.Join(os.Remove(m.path), m.close()); err != nil {
		return oldMemory{}, errors.Join(err, old.close())
	}
	return old, nil
}

// copyUsed copies what is not zero.
func copyUsed(dst, src []byte) {
	const step = 64 << 10
	var zero [step]byte
	for len(src) > 0 {
		n := min(step, len(src))
		if !bytes.Equal(src[:n], zero[:n]) {
			copy(dst, src[:n])
		}
		dst, src = dst[n:], src[n:]
	}
}

// hugePages says whether the system backs the mapping with large pages where it
// can. What shmem_enabled says of other cases concerns no file system that is mounted.
func (m *memoryFile) hugePages() bool {
	if m.huge {
		return true
	}
	text, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
	switch {
	case err == nil && strings.Contains(string(text), "[deny]"):
		return false
	case err == nil && m.volatile && strings.Contains(string(text), "[force]"):
		return true
	}
	how := mountOption(m.path, "huge")
	return how != "" && how != "never"
}

// mountOption returns an option of the file system that a file is on, as
// /proc/self/mountinfo lists it.
func mountOption(path, option string) string {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return ""
	}
	dev := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[2] != dev {
			continue
		}
		for o := range strings.SplitSeq(f[len(f)-1], ",") {
			if v, ok := strings.CutPrefix(o, option+"="); ok {
				return v
			}
		}
	}
	return ""
}

// sync writes the memory to its disk, if it has one.
func (m *memoryFile) sync() error {
	if m.volatile {
		return nil
	}
	return unix.Msync(m.mem, unix.MS_SYNC)
}

func (m *memoryFile) unmap() error {
	if m.mem == nil {
		return nil
	}
	mem := m.mem
	m.mem = nil
	return unix.Munmap(mem)
}

// close unmaps the file and lets others have it.
func (m *memoryFile) close() error { return errors.Join(m.unmap(), m.f.Close()) }

// isArena reports whether a file begins as memory files do.
func isArena(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	var head [8]byte
	_, err = f.ReadAt(head[:], 0)
	return errors.Join(err, f.Close()) == nil && slab.IsMemory(head)
}

// openArenaToRead maps a memory file that no server has. What is written to the
// mapping does not reach the file.
func openArenaToRead(path string) (*memoryFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	m := &memoryFile{path: path, f: f}
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, ErrInUse), f.Close())
	}
	size, err := m.size()
	if err == nil {
		m.mem, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}
