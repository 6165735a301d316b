package persist

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
)

var errTest = errors.New("the test's error")

// fsOp is an operation of a file system.
type fsOp string

const (
	opAny      fsOp = ""
	opMkdir    fsOp = "mkdir"
	opList     fsOp = "list"
	opCreate   fsOp = "create"
	opOpen     fsOp = "open"
	opRename   fsOp = "rename"
	opRemove   fsOp = "remove"
	opSyncDir  fsOp = "syncdir"
	opRead     fsOp = "read"
	opWrite    fsOp = "write"
	opSize     fsOp = "size"
	opReserve  fsOp = "reserve"
	opTruncate fsOp = "truncate"
	opSync     fsOp = "sync"
	opClose    fsOp = "close"
)

// errFS is a file system that fails on cue. Rules can be added at any time.
type errFS struct {
	fs FS

	mu    sync.Mutex
	rules []*fsRule
	ops   int
	space int64            // bytes that can still be written; negative: any number
	used  map[string]int64 // bytes by file, for space
	// before, if set, is called before each operation, one at a time.
	before func(op fsOp, name string)
}

// fsRule says which operation fails and how.
type fsRule struct {
	op      fsOp
	name    string // part of the file's
	n       int    // the n-th from now on
	forever bool   // and all after it
	err     error
	short   int           // a write writes so many bytes first
	block   chan struct{} // the operation waits until this is closed
	entered chan struct{} // and says so here
}

func newErrFS(fs FS) *errFS { return &errFS{fs: fs, space: -1, used: map[string]int64{}} }

// failOnce has the n-th operation that matches fail, counted from 1.
func (e *errFS) failOnce(op fsOp, name string, n int, err error) {
	e.rule(&fsRule{op: op, name: name, n: n, err: err})
}

// failFrom has the n-th operation that matches fail, and all after it.
func (e *errFS) failFrom(op fsOp, name string, n int, err error) {
	e.rule(&fsRule{op: op, name: name, n: n, err: err, forever: true})
}

// shortWrite has the n-th write that matches write so many bytes and then fail.
func (e *errFS) shortWrite(name string, n, bytes int, err error) {
	e.rule(&fsRule{op: opWrite, name: name, n: n, short: bytes, err: err})
}

// block has the n-th operation that matches wait until release is called. It is
// waiting when entered is closed.
func (e *errFS) block(op fsOp, name string, n int) (entered <-chan struct{}, release func()) {
	r := &fsRule{op: op, name: name, n: n, block: make(chan struct{}), entered: make(chan struct{})}
	e.rule(r)
	return r.entered, sync.OnceFunc(func() { close(r.block) })
}

// limit lets so many bytes more be written or reserved, then there is no space.
// What is removed gives space back.
func (e *errFS) limit(bytes int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.space = bytes
}

// clear forgets all rules, and the limit.
func (e *errFS) clear() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rules, e.space = nil, -1
}

// count returns how many operations there were.
func (e *errFS) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ops
}

func (e *errFS) rule(r *fsRule) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rules = append(e.rules, r)
}

// enter is called before each operation and returns the rule that it falls
// under, if it shall fail.
func (e *errFS) enter(op fsOp, name string) *fsRule {
	e.mu.Lock()
	e.ops++
	if e.before != nil {
		e.before(op, name)
	}
	var hit *fsRule
	for _, r := range e.rules {
		if r.op != opAny && r.op != op || !strings.Contains(name, r.name) {
			continue
		}
		if r.n--; r.n == 0 || r.n < 0 && r.forever {
			hit = r
		}
	}
	e.mu.Unlock()
	if hit != nil && hit.block != nil {
		close(hit.entered)
		<-hit.block
		return nil
	}
	return hit
}

func (e *errFS) do(op fsOp, name string, f func() error) error {
	if r := e.enter(op, name); r != nil {
		return r.err
	}
	return f()
}

// take charges a file for its first n bytes and returns how many it may have.
func (e *errFS) take(name string, n int64) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	more := max(n-e.used[name], 0)
	if e.space >= 0 {
		more = min(more, e.space)
		e.space -= more
	}
	e.used[name] += more
	return min(e.used[name], n)
}

func (e *errFS) moved(from, to string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.space >= 0 {
		e.space += e.used[to]
	}
	delete(e.used, to)
	if to != "" {
		e.used[to] = e.used[from]
	} else if e.space >= 0 {
		e.space += e.used[from]
	}
	delete(e.used, from)
}

func (e *errFS) MkdirAll(dir string) error {
	return e.do(opMkdir, dir, func() error { return e.fs.MkdirAll(dir) })
}

func (e *errFS) List(dir string) (names []string, err error) {
	err = e.do(opList, dir, func() error { names, err = e.fs.List(dir); return err })
	return names, err
}

func (e *errFS) Create(name string) (File, error) {
	f := &errFile{e: e, name: name}
	err := e.do(opCreate, name, func() (err error) { f.f, err = e.fs.Create(name); return err })
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (e *errFS) Open(name string) (File, error) {
	f := &errFile{e: e, name: name}
	err := e.do(opOpen, name, func() (err error) { f.f, err = e.fs.Open(name); return err })
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (e *errFS) Rename(from, to string) error {
	return e.do(opRename, from, func() error {
		err := e.fs.Rename(from, to)
		if err == nil {
			e.moved(from, to)
		}
		return err
	})
}

func (e *errFS) Remove(name string) error {
	return e.do(opRemove, name, func() error {
		err := e.fs.Remove(name)
		if err == nil {
			e.moved(name, "")
		}
		return err
	})
}

func (e *errFS) SyncDir(dir string) error {
	return e.do(opSyncDir, dir, func() error { return e.fs.SyncDir(dir) })
}

// errFile is an open file of an errFS.
type errFile struct {
	e    *errFS
	f    File
	name string
	at   int64
}

func (f *errFile) Read(p []byte) (n int, err error) {
	err = f.e.do(opRead, f.name, func() error { n, err = f.f.Read(p); return err })
	return n, err
}

func (f *errFile) ReadAt(p []byte, at int64) (n int, err error) {
	err = f.e.do(opRead, f.name, func() error { n, err = f.f.ReadAt(p, at); return err })
	return n, err
}

func (f *errFile) Write(p []byte) (int, error) {
	want, failed := len(p), error(nil)
	if r := f.e.enter(opWrite, f.name); r != nil {
		want, failed = min(r.short, want), r.err
	}
	if room := f.e.take(f.name, f.at+int64(want)) - f.at; room < int64(want) {
		want, failed = int(max(room, 0)), syscall.ENOSPC
	}
	if want == 0 && failed != nil {
		return 0, failed
	}
	n, err := f.f.Write(p[:want])
	f.at += int64(n)
	if err == nil {
		err = failed
	}
	return n, err
}

func (f *errFile) Size() (n int64, err error) {
	err = f.e.do(opSize, f.name, func() error { n, err = f.f.Size(); return err })
	return n, err
}

func (f *errFile) Reserve(n int64) error {
	return f.e.do(opReserve, f.name, func() error {
		if f.e.take(f.name, n) < n {
			return syscall.ENOSPC
		}
		return f.f.Reserve(n)
	})
}

func (f *errFile) Truncate(n int64) error {
	return f.e.do(opTruncate, f.name, func() error { return f.f.Truncate(n) })
}

func (f *errFile) Sync() error { return f.e.do(opSync, f.name, f.f.Sync) }

// Close closes the file even if it is to fail, as systems do.
func (f *errFile) Close() error {
	r := f.e.enter(opClose, f.name)
	err := f.f.Close()
	if r != nil {
		return r.err
	}
	return err
}

func TestErrFSFailsOnCue(t *testing.T) {
	mem := newMemFS(1)
	fs := newErrFS(mem)
	f, err := fs.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	write := func(n int, want error) {
		t.Helper()
		if _, err := f.Write(make([]byte, n)); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	fs.failOnce(opWrite, "f", 2, errTest)
	write(10, nil)
	write(10, errTest)
	write(10, nil)
	fs.shortWrite("f", 1, 3, errTest)
	write(10, errTest)
	if n := len(mem.get("f")); n != 23 {
		t.Errorf("%d bytes, want 23", n)
	}
	fs.failFrom(opSync, "", 1, errTest)
	for range 3 {
		if err := f.Sync(); !errors.Is(err, errTest) {
			t.Error(err)
		}
	}
	fs.clear()
	fs.limit(30)
	write(25, nil)
	write(25, syscall.ENOSPC)
	if n := len(mem.get("f")); n != 53 {
		t.Errorf("%d bytes, want 53", n)
	}
	if err := f.Reserve(54); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if err := fs.Remove("f"); err != nil {
		t.Fatal(err)
	}
	entered, release := fs.block(opCreate, "g", 1)
	done := make(chan error)
	go func() {
		g, err := fs.Create("g")
		if err == nil {
			err = g.Reserve(53)
		}
		done <- err
	}()
	<-entered
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
