package persist

import (
	"io"
	"os"
	"path/filepath"
	"slices"
)

// FS is the file system that files are kept in. OS is the real one; tests have
// others that fail on cue and forget what was not synced.
type FS interface {
	// MkdirAll makes a directory, for its owner only, unless it is there.
	MkdirAll(dir string) error
	// List returns the names of a directory's files in ascending order.
	List(dir string) ([]string, error)
	// Create makes an empty file to write to, for its owner only, in place of
	// one that is there.
	Create(name string) (File, error)
	// Open opens a file to read.
	Open(name string) (File, error)
	// Rename renames a file, in place of one that is there. It is durable after SyncDir.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(name string) error
	// SyncDir makes durable what was created, renamed and removed in a directory.
	SyncDir(dir string) error
}

// File is an open file. It is used by one goroutine at a time, but for ReadAt.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Closer
	// Size returns the length of the file in bytes.
	Size() (int64, error)
	// Reserve gives the file room for its first n bytes, so that writing them
	// later fails for no lack of space and syncing them is cheap. The bytes read
	// as zero. A file system that cannot do that does nothing.
	Reserve(n int64) error
	// Truncate cuts the file to n bytes.
	Truncate(n int64) error
	// Sync makes durable what was written. After an error the file's contents
	// are unknown: calling it again must not be taken for a success.
	Sync() error
}

// OS is the system's own file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func (osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC|openNoFollow, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Open(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|openNoFollow, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }

func (osFS) SyncDir(dir string) error {
	f, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	err = f.Sync()
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// osFile is a File of the system's. Reserve and Sync are in fs_linux.go and
// fs_other.go.
type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
