package spool

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// SyncEvery is how long what was added may wait for its sync.
const SyncEvery = time.Second

// fileMax is more than any file can come to have, in bytes.
const fileMax = 256 << 20

// ErrInUse: another proxy has the directory.
var ErrInUse = errors.New("it is in use by another proxy: give each its own")

// A Dir is a directory of spools, one for each backend of a proxy. Its methods may be
// called by any goroutine.
type Dir struct {
	path   string
	log    zerolog.Logger
	lock   *os.File
	create func(path string) (file, error) // a file that is empty

	wake chan struct{}
	stop chan struct{}
	done sync.WaitGroup

	counts struct{ appends, rewrites, errors atomic.Uint64 }

	mu struct {
		sync.Mutex
		files []*File
	}
}

// Contents are what a backend's spool had when it was opened.
type Contents struct {
	Keys []Key // whose writes the backend may have missed
	// Lost says that keys are missing, so that only a flush of the backend helps, and
	// Why what is wrong with the spool, if it is not that the journal was too small.
	Lost bool
	Why  error
}

// Open makes the directory if it is missing, and takes it for this process.
func Open(path string, log zerolog.Logger) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err == nil {
		err = os.MkdirAll(path, 0o700)
	}
	if err != nil {
		return nil, err
	}
	d := &Dir{path: path, log: log, create: create, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	if d.lock, err = os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	if err = syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("%s: %w", path, ErrInUse)
		}
		return nil, errors.Join(err, d.lock.Close())
	}
	d.done.Add(1)
	go d.run()
	return d, nil
}

func create(path string) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
}

// note leaves a file that is empty, which is damage, where there is none.
func (*Dir) note(path string) error { return os.WriteFile(path, nil, 0o600) }

// Backend opens the spool of a backend, and returns what an earlier process has left in
// it. The first Rewrite takes the place of that; nothing is kept before.
func (d *Dir) Backend(pool, slot, address string) (*File, Contents) {
	h := fnv.New64a()
	name := fmt.Sprintf("%s/%s %s", pool, slot, address)
	_, _ = h.Write([]byte(name)) // it has no error
	f := &File{dir: d, path: filepath.Join(d.path, fmt.Sprintf("%016x.spool", h.Sum64())), name: name}
	f.head = int64(len(appendHeader(nil, stateComplete, name)))
	d.mu.Lock()
	d.mu.files = append(d.mu.files, f)
	d.mu.Unlock()
	return f, f.read()
}

// read reads what is there.
func (f *File) read() (c Contents) {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Contents{}
	}
	var data []byte
	switch {
	case err != nil:
	case info.Size() > fileMax:
		err = fmt.Errorf("%w: %d bytes are too many", ErrDamaged, info.Size())
	default:
		data, err = os.ReadFile(f.path)
	}
	if err == nil {
		c.Keys, c.Lost, err = parse(data, f.name)
	}
	if err != nil {
		return Contents{Lost: true, Why: fmt.Errorf("%s: %w", f.path, err)}
	}
	return c
}

// leave forgets f.
func (d *Dir) leave(f *File) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.files = slices.DeleteFunc(d.mu.files, func(g *File) bool { return g == f })
}

// run syncs what was written, until Close.
func (d *Dir) run() {
	defer d.done.Done()
	for {
		select {
		case <-d.stop:
			return
		case <-d.wake:
		}
		wait := time.NewTimer(SyncEvery)
		select {
		case <-d.stop:
			wait.Stop()
			return
		case <-wait.C:
		}
		d.sync()
	}
}

// sync syncs all files, and their names.
func (d *Dir) sync() {
	d.mu.Lock()
	files := slices.Clone(d.mu.files)
	d.mu.Unlock()
	for _, f := range files {
		f.sync()
	}
	if dir, err := os.Open(d.path); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
}

// Stats are what was done with the files so far, and how they are.
type Stats struct {
	Files, Degraded           int // now; degraded are those that keys may be missing in
	Bytes                     int64
	Appends, Rewrites, Errors uint64
}

// Stats returns them.
func (d *Dir) Stats() Stats {
	d.mu.Lock()
	files := slices.Clone(d.mu.files)
	d.mu.Unlock()
	s := Stats{Files: len(files), Appends: d.counts.appends.Load(), Rewrites: d.counts.rewrites.Load(), Errors: d.counts.errors.Load()}
	for _, f := range files {
		f.mu.Lock()
		s.Bytes += f.mu.size
		if f.mu.broken {
			s.Degraded++
		}
		f.mu.Unlock()
	}
	return s
}

// Close syncs the files and lets the directory go. What is in them is for the next
// process. No journal may use them any more.
func (d *Dir) Close() error {
	close(d.stop)
	d.done.Wait()
	d.sync()
	d.mu.Lock()
	files := slices.Clone(d.mu.files)
	d.mu.Unlock()
	for _, f := range files {
		f.Close(false)
	}
	return d.lock.Close()
}
