package persist

import (
	"bytes"
	"fmt"
	"io"
	iofs "io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// memFS is a file system in memory that knows what a power cut would leave: the
// directory entries as of SyncDir and the contents as of Sync, and of all that
// came later any part (crash).
type memFS struct {
	mu      sync.Mutex
	rng     *rand.Rand
	dirs    map[string]bool
	names   map[string]*memNode
	synced  map[string]*memNode // the directory entries that are durable
	pending []dirChange         // since, in order
	open    int
}

// dirChange is a change of directory entries: to names node and from nothing.
type dirChange struct {
	from, to string // "" is none
	node     *memNode
}

// memNode is a file.
type memNode struct {
	data    []byte
	synced  []byte
	pending []dataChange
}

// dataChange is a write, or else the setting of a length.
type dataChange struct {
	at    int64
	bytes []byte // nil: the length becomes at
}

func newMemFS(seed uint64) *memFS {
	return &memFS{
		rng:  rand.New(rand.NewPCG(seed, 77)),
		dirs: map[string]bool{".": true, "/": true, "d": true}, names: map[string]*memNode{}, synced: map[string]*memNode{},
	}
}

// put makes a file that is durable.
func (fs *memFS) put(name string, data []byte) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := &memNode{data: bytes.Clone(data), synced: bytes.Clone(data)}
	fs.dirs[filepath.Dir(name)] = true
	fs.names[name], fs.synced[name] = n, n
}

// get returns the contents of a file, nil if there is none.
func (fs *memFS) get(name string) []byte {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if n := fs.names[name]; n != nil {
		return append([]byte{}, n.data...)
	}
	return nil
}

func (fs *memFS) openFiles() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.open
}

// crash returns the file system as a power cut might leave it. share is how much
// of what was not synced is there, in percent: every change by itself, a write in
// sectors of 512 bytes, which keep their length but not their order.
func (fs *memFS) crash(share int) *memFS {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	after := newMemFS(fs.rng.Uint64())
	for d := range fs.dirs {
		after.dirs[d] = true
	}
	lucky := func() bool { return fs.rng.IntN(100) < share }
	entries := map[string]*memNode{}
	for name, n := range fs.synced {
		entries[name] = n
	}
	for _, c := range fs.pending {
		if !lucky() {
			continue
		}
		if c.from != "" && entries[c.from] == c.node {
			delete(entries, c.from)
		}
		if c.to != "" {
			entries[c.to] = c.node
		}
	}
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	slices.Sort(names) // the random numbers must not depend on the map's order
	for _, name := range names {
		data := entries[name].crash(lucky)
		n := &memNode{data: data, synced: bytes.Clone(data)}
		after.names[name], after.synced[name] = n, n
	}
	return after
}

func (n *memNode) crash(lucky func() bool) []byte {
	data := bytes.Clone(n.synced)
	for _, c := range n.pending {
		if c.bytes == nil {
			if lucky() {
				data = resize(data, c.at)
			}
			continue
		}
		for at, p := c.at, c.bytes; len(p) > 0; {
			sector := min(int64(len(p)), 512-at%512)
			if lucky() {
				data = writeAt(data, p[:sector], at)
			}
			at, p = at+sector, p[sector:]
		}
	}
	return data
}

func resize(data []byte, n int64) []byte {
	if int64(len(data)) >= n {
		return data[:n]
	}
	return append(data, make([]byte, n-int64(len(data)))...)
}

func writeAt(data, p []byte, at int64) []byte {
	if end := at + int64(len(p)); end > int64(len(data)) {
		data = resize(data, end)
	}
	copy(data[at:], p)
	return data
}

func (fs *memFS) missing(op, name string) error {
	return &iofs.PathError{Op: op, Path: name, Err: iofs.ErrNotExist}
}

func (fs *memFS) MkdirAll(dir string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.dirs[filepath.Clean(dir)] = true
	return nil
}

func (fs *memFS) List(dir string) ([]string, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if !fs.dirs[filepath.Clean(dir)] {
		return nil, fs.missing("open", dir)
	}
	var names []string
	for name := range fs.names {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (fs *memFS) Create(name string) (File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if !fs.dirs[filepath.Dir(name)] {
		return nil, fs.missing("open", name)
	}
	n := fs.names[name]
	if n == nil {
		n = &memNode{}
		fs.names[name] = n
		fs.pending = append(fs.pending, dirChange{to: name, node: n})
	} else {
		n.data = nil
		n.pending = append(n.pending, dataChange{})
	}
	fs.open++
	return &memFile{fs: fs, n: n, name: name, write: true}, nil
}

func (fs *memFS) Open(name string) (File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := fs.names[name]
	if n == nil {
		return nil, fs.missing("open", name)
	}
	fs.open++
	return &memFile{fs: fs, n: n, name: name}, nil
}

func (fs *memFS) Rename(from, to string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := fs.names[from]
	if n == nil {
		return fs.missing("rename", from)
	}
	delete(fs.names, from)
	fs.names[to] = n
	fs.pending = append(fs.pending, dirChange{from: from, to: to, node: n})
	return nil
}

func (fs *memFS) Remove(name string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := fs.names[name]
	if n == nil {
		return fs.missing("remove", name)
	}
	delete(fs.names, name)
	fs.pending = append(fs.pending, dirChange{from: name, node: n})
	return nil
}

func (fs *memFS) SyncDir(dir string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if !fs.dirs[filepath.Clean(dir)] {
		return fs.missing("open", dir)
	}
	in := func(name string) bool { return name != "" && filepath.Dir(name) == filepath.Clean(dir) }
	var rest []dirChange
	for _, c := range fs.pending {
		if !in(c.from) && !in(c.to) {
			rest = append(rest, c)
			continue
		}
		if c.from != "" && fs.synced[c.from] == c.node {
			delete(fs.synced, c.from)
		}
		if c.to != "" {
			fs.synced[c.to] = c.node
		}
	}
	fs.pending = rest
	return nil
}

// memFile is an open file of a memFS.
type memFile struct {
	fs     *memFS
	n      *memNode
	name   string
	write  bool
	at     int64
	closed bool
}

func (f *memFile) use(op string, writes bool) error {
	if f.closed {
		return &iofs.PathError{Op: op, Path: f.name, Err: iofs.ErrClosed}
	}
	if writes && !f.write {
		return &iofs.PathError{Op: op, Path: f.name, Err: iofs.ErrPermission}
	}
	return nil
}

func (f *memFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.at)
	f.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *memFile) ReadAt(p []byte, at int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.use("read", false); err != nil {
		return 0, err
	}
	if at >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Write(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.use("write", true); err != nil {
		return 0, err
	}
	f.n.pending = append(f.n.pending, dataChange{f.at, append([]byte{}, p...)})
	f.n.data = writeAt(f.n.data, p, f.at)
	f.at += int64(len(p))
	return len(p), nil
}

func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.n.data)), f.use("stat", false)
}

func (f *memFile) Reserve(n int64) error {
	if size, err := f.Size(); err != nil || size >= n {
		return err
	}
	return f.setLen("fallocate", n)
}

func (f *memFile) Truncate(n int64) error { return f.setLen("truncate", n) }

func (f *memFile) setLen(op string, n int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.use(op, true); err != nil {
		return err
	}
	f.n.pending = append(f.n.pending, dataChange{at: n})
	f.n.data = resize(f.n.data, n)
	return nil
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.use("sync", true); err != nil {
		return err
	}
	f.n.synced, f.n.pending = bytes.Clone(f.n.data), nil
	return nil
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.use("close", false); err != nil {
		return err
	}
	f.closed = true
	f.fs.open--
	return nil
}

// memWrite writes a file of a memFS and fails the test if that fails.
func memWrite(t *testing.T, fs FS, name, text string, sync bool) {
	t.Helper()
	f, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if sync {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestMemFSForgetsWhatWasNotSynced(t *testing.T) {
	fs := newMemFS(1)
	fs.put("d/old", []byte("old"))
	memWrite(t, fs, "d/lost", "text", true) // its directory entry is not synced
	if got := fs.crash(0); got.get("d/lost") != nil || string(got.get("d/old")) != "old" {
		t.Errorf("after a crash %q, %q", got.get("d/lost"), got.get("d/old"))
	}
	memWrite(t, fs, "d/empty", "text", false)
	if err := fs.SyncDir("d"); err != nil {
		t.Fatal(err)
	}
	if got := fs.crash(0); string(got.get("d/lost")) != "text" || got.get("d/empty") == nil || len(got.get("d/empty")) != 0 {
		t.Errorf("after a crash %q, %q", got.get("d/lost"), got.get("d/empty"))
	}
	if err := fs.Rename("d/lost", "d/old"); err != nil {
		t.Fatal(err)
	}
	if got := fs.crash(0); string(got.get("d/old")) != "old" || string(got.get("d/lost")) != "text" {
		t.Errorf("a rename that was not synced is there: %q", got.get("d/old"))
	}
	if got := fs.crash(100); string(got.get("d/old")) != "text" || got.get("d/lost") != nil || string(got.get("d/empty")) != "text" {
		t.Errorf("with all that was not synced: %q, %q", got.get("d/old"), got.get("d/empty"))
	}
	if err := fs.Remove("d/old"); err != nil {
		t.Fatal(err)
	}
	if err := fs.SyncDir("d"); err != nil {
		t.Fatal(err)
	}
	if names, err := fs.crash(0).List("d"); err != nil || fmt.Sprint(names) != "[empty]" {
		t.Errorf("%v, %v", names, err)
	}
}

func TestMemFSTearsWrites(t *testing.T) {
	fs := newMemFS(1)
	memWrite(t, fs, "f", "", true)
	if err := fs.SyncDir("."); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Repeat([]byte("x"), 5000)); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for range 50 {
		data := fs.crash(50).get("f")
		kinds[string(data)] = true
		for i := 0; i+512 <= len(data); i += 512 {
			if s := data[i : i+512]; bytes.Count(s, s[:1]) != 512 {
				t.Fatalf("a sector is torn: %q", s)
			}
		}
	}
	if len(kinds) < 40 {
		t.Errorf("only %d outcomes of 50 crashes", len(kinds))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
