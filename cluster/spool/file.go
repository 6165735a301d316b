package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync"
	"time"
)

const (
	// slack is how many bytes of what is not in the journal any more a file may have,
	// beside as many as of what is.
	slack = 64 << 10
	// retryAfter is how long a file that failed is left alone.
	retryAfter = 5 * time.Second
)

// file is what a File needs of an open file.
type file interface {
	WriteAt(p []byte, at int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// A File is the spool of one backend: see health.Spool, whose methods it has. One
// goroutine may use it at a time, beside its Dir.
type File struct {
	dir        *Dir
	path, name string
	head       int64 // bytes of the header
	buf        []byte

	mu struct {
		sync.Mutex
		f       file  // nil: there is none, or it was closed
		size    int64 // bytes written
		live    int64 // bytes of records that the last Rewrite wrote
		lost    bool  // its state says that keys are missing
		dirty   bool  // there is something to sync
		broken  bool  // it has less than it should, and says so if it can
		closed  bool
		retryAt time.Time // when Rewrite may be tried again, if broken
	}
}

// Add implements health.Spool.
func (f *File) Add(key string, isBinary bool) {
	m := &f.mu
	m.Lock()
	defer m.Unlock()
	if m.broken || m.f == nil {
		return
	}
	if len(key) == 0 || len(key) > keyMax {
		f.failLocked(fmt.Errorf("a key of %d bytes", len(key)))
		return
	}
	f.buf = appendRecord(f.buf[:0], key, isBinary)
	if err := f.writeLocked(f.buf, m.size); err != nil {
		f.failLocked(err)
		return
	}
	m.size += int64(len(f.buf))
	f.dir.counts.appends.Add(1)
	f.soilLocked()
}

// writeLocked writes p, all of it. The caller holds mu.
func (f *File) writeLocked(p []byte, at int64) error {
	n, err := f.mu.f.WriteAt(p, at)
	if err == nil && n < len(p) {
		err = fmt.Errorf("%d of %d bytes written", n, len(p))
	}
	return err
}

// Full implements health.Spool.
func (f *File) Full() bool {
	m := &f.mu
	m.Lock()
	defer m.Unlock()
	if m.closed {
		return false
	}
	if m.broken {
		return !time.Now().Before(m.retryAt)
	}
	return m.size-f.head > 2*m.live+slack
}

// Rewrite implements health.Spool.
func (f *File) Rewrite(lost bool, keys iter.Seq2[string, bool]) {
	m := &f.mu
	m.Lock()
	defer m.Unlock()
	if m.closed {
		return
	}
	state := stateComplete
	if lost {
		state = stateLost
	}
	f.buf = appendHeader(f.buf[:0], state, f.name)
	bad := false
	for key, isBinary := range keys {
		if bad = bad || len(key) == 0 || len(key) > keyMax; !bad {
			f.buf = appendRecord(f.buf, key, isBinary)
		}
	}
	err := errors.New("a key that cannot be one")
	switch {
	case bad:
	case m.f != nil && !m.broken && int64(len(f.buf)) == f.head:
		err = f.cutLocked(state)
	default:
		err = f.replaceLocked()
	}
	if err != nil {
		f.failLocked(err)
		return
	}
	if m.broken {
		f.dir.log.Info().Str("file", f.path).Msg("the journal of a backend is kept again")
	}
	m.size, m.live, m.lost, m.broken = int64(len(f.buf)), int64(len(f.buf))-f.head, lost, false
	if cap(f.buf) > slack {
		f.buf = nil
	}
	f.dir.counts.rewrites.Add(1)
	f.soilLocked()
}

// cutLocked leaves the header only. It says that keys are missing before it has none, and
// that none are when they are gone. The caller holds mu.
func (f *File) cutLocked(state byte) error {
	steps := []func() error{
		func() error { return f.writeLocked([]byte{state, ^state}, int64(stateAt)) },
		func() error { return f.mu.f.Truncate(f.head) },
	}
	if state == stateComplete {
		steps[0], steps[1] = steps[1], steps[0]
	}
	if err := steps[0](); err != nil {
		return err
	}
	return steps[1]()
}

// replaceLocked puts a file with what is in buf in the place of the one there is, if
// there is one. The caller holds mu.
func (f *File) replaceLocked() error {
	g, err := f.dir.create(f.path + ".new")
	if err != nil {
		return err
	}
	n, err := g.WriteAt(f.buf, 0)
	if err == nil && n < len(f.buf) {
		err = fmt.Errorf("%d of %d bytes written", n, len(f.buf))
	}
	if err == nil {
		err = os.Rename(f.path+".new", f.path)
	}
	if err != nil {
		return errors.Join(err, g.Close())
	}
	if f.mu.f != nil {
		_ = f.mu.f.Close() // nobody reads it any more
	}
	f.mu.f = g
	return nil
}

// failLocked makes the file one that keys are missing in (S2), and says so once. The
// caller holds mu.
func (f *File) failLocked(err error) {
	m := &f.mu
	f.dir.counts.errors.Add(1)
	marked := m.lost && m.broken
	if !marked && m.f != nil {
		marked = f.writeLocked([]byte{stateLost, ^stateLost}, int64(stateAt)) == nil
	}
	if !marked {
		cut := os.Truncate(f.path, 0)
		marked = cut == nil || errors.Is(cut, fs.ErrNotExist) && m.f == nil && f.dir.note(f.path) == nil
	}
	if !m.broken {
		line := f.dir.log.Error().Err(err).Str("file", f.path)
		if marked {
			line.Msg("the journal of a backend cannot be kept; if the proxy is killed before it can, it flushes that backend")
		} else {
			line.Msg("the journal of a backend cannot be kept, nor can that be noted; if the proxy is killed before it can, flush that backend")
		}
	}
	m.broken, m.lost = true, marked
	m.retryAt = time.Now().Add(retryAfter)
	f.soilLocked()
}

// soilLocked has the file synced soon. The caller holds mu.
func (f *File) soilLocked() {
	if !f.mu.dirty {
		f.mu.dirty = true
		select {
		case f.dir.wake <- struct{}{}:
		default:
		}
	}
}

// sync syncs what was written, if anything was.
func (f *File) sync() {
	f.mu.Lock()
	g, dirty := f.mu.f, f.mu.dirty
	f.mu.dirty = false
	f.mu.Unlock()
	if g == nil || !dirty {
		return
	}
	err := g.Sync()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && f.mu.f == g { // else a newer file has taken its place
		f.failLocked(err)
		f.mu.dirty = false
	}
}

// Close lets the file go, and removes it if forget says that there is nothing in it that
// another process has to know. Nothing is kept afterwards.
func (f *File) Close(forget bool) {
	f.sync()
	f.dir.leave(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.closed {
		return
	}
	f.mu.closed = true
	if f.mu.f != nil {
		_ = f.mu.f.Close()
		f.mu.f = nil
	}
	if forget && !f.mu.broken {
		_ = os.Remove(f.path)
	}
}
