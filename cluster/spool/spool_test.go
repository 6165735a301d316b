package spool

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func testDir(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func closed(t *testing.T, d *Dir) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func none(func(string, bool) bool) {}

// all yields keys; those that begin with "b:" are sent in base64.
func all(keys ...string) iter.Seq2[string, bool] {
	return func(yield func(string, bool) bool) {
		for _, k := range keys {
			if !yield(k, strings.HasPrefix(k, "b:")) {
				return
			}
		}
	}
}

// begin opens the only backend of a test, and checks what an earlier process has left.
func begin(t *testing.T, d *Dir, lost bool, keys ...string) *File {
	t.Helper()
	f, found := d.Backend("pool", "slot", "127.0.0.1:11211")
	var got []string
	for _, k := range found.Keys {
		got = append(got, k.Key)
		if k.Binary != strings.HasPrefix(k.Key, "b:") {
			t.Errorf("%+v", k)
		}
	}
	if found.Lost != lost || !slices.Equal(got, keys) {
		t.Errorf("lost %v (%v), keys %v, want %v and %v", found.Lost, found.Why, got, lost, keys)
	}
	f.Rewrite(false, all(keys...))
	return f
}

// What was added is there, whether the process ended well or was killed; what was
// deleted is not, once it is all of it or the file is written anew.
func TestSpool(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "spool")
	d := testDir(t, path)
	f := begin(t, d, false)
	f.Add("a", false)
	f.Add("b:\x00", true)
	f.Add("c", false)
	closed(t, d)
	d = testDir(t, path)
	f = begin(t, d, false, "a", "b:\x00", "c")
	f.Add("d", false)
	f.Rewrite(false, all("b:\x00", "d"))
	f.Add("e", false)
	closed(t, d)
	d = testDir(t, path)
	f = begin(t, d, false, "b:\x00", "d", "e")
	f.Rewrite(false, none)
	if s := d.Stats(); s.Bytes != f.head || s.Files != 1 || s.Degraded != 0 || s.Rewrites != 2 {
		t.Errorf("%+v", s)
	}
	f.Add("f", false)
	closed(t, d)
	d = testDir(t, path)
	f = begin(t, d, false, "f")
	f.Rewrite(true, none)
	f.Add("g", false) // while it is flushed
	closed(t, d)
	d = testDir(t, path)
	f = begin(t, d, true, "g")
	f.Rewrite(true, none)
	f.Rewrite(false, none)
	closed(t, d)
	d = testDir(t, path)
	f = begin(t, d, false)
	other, found := d.Backend("pool", "slot", "127.0.0.1:11212")
	if len(found.Keys) > 0 || found.Lost {
		t.Errorf("another backend has %+v", found)
	}
	other.Rewrite(false, all("h"))
	other.Close(false)
	f.Close(true)
	f.Add("i", false)
	f.Rewrite(false, all("j"))
	if files, _ := filepath.Glob(filepath.Join(path, "*.spool*")); len(files) != 1 || f.Full() {
		t.Errorf("%v: one was to be forgotten", files)
	}
	closed(t, d)
}

// A file does not grow beyond what it holds and some slack.
func TestSpoolIsBounded(t *testing.T) {
	d := testDir(t, t.TempDir())
	defer closed(t, d)
	f := begin(t, d, false)
	held := all("a", "b", "c")
	var largest int64
	for i := range 50_000 {
		f.Add(fmt.Sprint("key", i), false)
		if f.Full() {
			largest = max(largest, d.Stats().Bytes)
			f.Rewrite(false, held)
		}
	}
	if s := d.Stats(); s.Rewrites < 5 || largest > slack+1000 {
		t.Errorf("%d bytes, %+v", largest, s)
	}
}

// One proxy has a directory, as long as it lives.
func TestSpoolOneOwner(t *testing.T) {
	path := t.TempDir()
	d := testDir(t, path)
	if _, err := Open(path, zerolog.Nop()); !errors.Is(err, ErrInUse) {
		t.Errorf("a second one: %v", err)
	}
	closed(t, d)
	closed(t, testDir(t, path))
	if err := os.WriteFile(filepath.Join(path, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(path, "file"), zerolog.Nop()); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file is no directory: %v", err)
	}
}

// A file that has other bytes than were written lacks keys, or is read as it was.
func TestSpoolEveryByteFlipped(t *testing.T) {
	const name = "pool/slot 127.0.0.1:1"
	data := appendHeader(nil, stateComplete, name)
	want := []Key{{"key", false}, {strings.Repeat("k", keyMax), true}, {"k", false}, {"last key", false}}
	for _, k := range want {
		data = appendRecord(data, k.Key, k.Binary)
	}
	if keys, lost, err := parse(data, name); lost || err != nil || !slices.Equal(keys, want) {
		t.Fatalf("%v, %v, %v", keys, lost, err)
	}
	for at := range data {
		for bit := range 8 {
			flipped := bytes.Clone(data)
			flipped[at] ^= 1 << bit
			if keys, lost, err := parse(flipped, name); !lost || !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d, bit %d: %d keys, lost %v, %v", at, bit, len(keys), lost, err)
			}
		}
		for _, value := range []byte{0, 0xff} {
			other := bytes.Clone(data)
			other[at] = value
			if keys, lost, _ := parse(other, name); !lost && !bytes.Equal(other, data) {
				t.Fatalf("byte %d is %d: %d keys, and not lost", at, value, len(keys))
			}
		}
	}
}

// A file that is cut has the keys before the cut; without its header it has lost them.
func TestSpoolEveryLengthCut(t *testing.T) {
	const name = "pool/slot 127.0.0.1:1"
	data := appendHeader(nil, stateComplete, name)
	ends := []int{len(data)}
	for i := range 20 {
		data = appendRecord(data, strings.Repeat("k", 1+i*12), i%2 == 0)
		ends = append(ends, len(data))
	}
	for n := range len(data) + 1 {
		keys, lost, err := parse(data[:n], name)
		if n < ends[0] {
			if !lost || err == nil {
				t.Fatalf("cut at %d, within its header: %v", n, err)
			}
			continue
		}
		whole := 0
		for whole+1 < len(ends) && ends[whole+1] <= n {
			whole++
		}
		if lost || err != nil || len(keys) != whole {
			t.Fatalf("cut at %d: %d keys of %d, lost %v, %v", n, len(keys), whole, lost, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	const name = "p/s a:1"
	data := appendRecord(appendRecord(appendHeader(nil, stateComplete, name), "key", false), "other", true)
	for _, n := range []int{0, 1, nameAt, len(data) - 1, len(data)} {
		f.Add(data[:n])
	}
	f.Add(appendHeader(nil, stateLost, name))
	f.Add(append(bytes.Clone(data), 'k', 9))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, lost, err := parse(data, name)
		if err != nil && !lost {
			t.Fatal("damaged, and nothing is lost")
		}
		if err != nil {
			return
		}
		state := stateComplete
		if lost {
			state = stateLost
		}
		again := appendHeader(nil, state, name)
		for _, k := range keys {
			if len(k.Key) == 0 || len(k.Key) > keyMax {
				t.Fatalf("a key of %d bytes", len(k.Key))
			}
			again = appendRecord(again, k.Key, k.Binary)
		}
		if !bytes.HasPrefix(data, again) || len(data)-len(again) >= headBytes+keyMax+sumBytes {
			t.Fatalf("%d bytes were read as %d", len(data), len(again))
		}
	})
}

// faulty is a file whose operations fail on cue.
type faulty struct {
	file
	calls, failAt int // the failAt-th call fails, and all after it until mended
	short         bool
	mended        *bool
}

func (f *faulty) fails() bool {
	f.calls++
	return !*f.mended && f.calls >= f.failAt
}

func (f *faulty) WriteAt(p []byte, at int64) (int, error) {
	if f.fails() {
		if f.short {
			n, _ := f.file.WriteAt(p[:len(p)/2], at)
			return n, syscall.ENOSPC
		}
		return 0, syscall.EIO
	}
	return f.file.WriteAt(p, at)
}

func (f *faulty) Truncate(n int64) error {
	if f.fails() {
		return syscall.EIO
	}
	return f.file.Truncate(n)
}

func (f *faulty) Sync() error {
	if f.fails() {
		return syscall.EIO
	}
	return f.file.Sync()
}

// Whichever operation of the disk is the first to fail: what the next process reads has
// all keys, or says that some are missing. When the disk works again so does the spool.
func TestSpoolFailingDisk(t *testing.T) {
	for _, short := range []bool{false, true} {
		for failAt := 1; failAt <= 12; failAt++ {
			path, log, mended := t.TempDir(), &bytes.Buffer{}, false
			d, err := Open(path, zerolog.New(log))
			if err != nil {
				t.Fatal(err)
			}
			d.create = func(path string) (file, error) {
				g, err := create(path)
				return &faulty{file: g, failAt: failAt, short: short, mended: &mended}, err
			}
			f, _ := d.Backend("pool", "slot", "127.0.0.1:11211")
			f.Rewrite(false, none)
			held := []string{}
			check := func(step string) {
				t.Helper()
				_, found := d.Backend("pool", "slot", "127.0.0.1:11211") // as another process would
				if found.Lost {
					return
				}
				for _, k := range held {
					if !slices.Contains(found.Keys, Key{k, false}) {
						t.Fatalf("operation %d, short %v, after %s: %s is missing of %v, and not said to be", failAt, short, step, k, found.Keys)
					}
				}
			}
			add := func(k string) {
				held = append(held, k)
				f.Add(k, false)
				check("add " + k)
			}
			add("a")
			add("b")
			f.sync()
			check("sync")
			add("c")
			held = nil
			f.Rewrite(false, none)
			check("cut")
			add("d")
			f.Rewrite(true, none)
			if _, found := d.Backend("pool", "slot", "127.0.0.1:11211"); !found.Lost {
				t.Fatalf("operation %d, short %v: it was to be marked", failAt, short)
			}
			f.Rewrite(false, all("d", "e"))
			held = []string{"d", "e"}
			check("rewrite")
			mended = true
			if s := d.Stats(); s.Degraded > 0 {
				if s.Errors == 0 || !strings.Contains(log.String(), "cannot be kept") {
					t.Errorf("operation %d: %d errors, the log says %s", failAt, s.Errors, log)
				}
				f.mu.retryAt = time.Time{}
				if !f.Full() {
					t.Error("it is not tried again")
				}
			}
			f.Rewrite(false, all(held...))
			if d.Stats().Degraded != 0 {
				t.Errorf("operation %d: still degraded", failAt)
			}
			add("f")
			if _, found := d.Backend("pool", "slot", "127.0.0.1:11211"); found.Lost {
				t.Errorf("operation %d: the disk works, and keys are missing", failAt)
			}
			closed(t, d)
		}
	}
}

// watched calls after when an operation has been carried out.
type watched struct {
	file
	after func()
}

func (w *watched) WriteAt(p []byte, at int64) (int, error) {
	defer w.after()
	return w.file.WriteAt(p, at)
}

func (w *watched) Truncate(n int64) error {
	defer w.after()
	return w.file.Truncate(n)
}

// Wherever the process is killed, within a call too, the file has the keys or says that
// some are missing.
func TestSpoolKilledWithin(t *testing.T) {
	d := testDir(t, t.TempDir())
	defer closed(t, d)
	var must []string
	looks := 0
	var f *File
	look := func() {
		looks++
		data, err := os.ReadFile(f.path)
		if errors.Is(err, os.ErrNotExist) {
			return
		}
		keys, lost, err := parse(data, f.name)
		for _, k := range must {
			if !lost && !slices.Contains(keys, Key{k, false}) {
				t.Errorf("look %d: %s is missing, and not said to be: %v, %v", looks, k, keys, err)
			}
		}
	}
	d.create = func(path string) (file, error) {
		g, err := create(path)
		return &watched{g, look}, err
	}
	f, _ = d.Backend("pool", "slot", "127.0.0.1:11211")
	f.Rewrite(false, none)
	f.Add("a", false)
	must = []string{"a"}
	f.Add("b", false)
	f.Rewrite(false, all("a")) // by another file
	f.Rewrite(true, none)      // in place
	f.Add("b", false)
	must = []string{"b"} // while it is flushed; a is flushed now
	f.Rewrite(false, all("b"))
	must = nil
	f.Rewrite(false, none)
	if looks < 8 {
		t.Errorf("%d looks", looks)
	}
}

// A directory that is read-only, or gone, or a file that cannot be read, loses keys and
// says so, and nothing else.
func TestSpoolUnusable(t *testing.T) {
	path := t.TempDir()
	d := testDir(t, path)
	f := begin(t, d, false)
	f.Add("a", false)
	name := f.path
	closed(t, d)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	d = testDir(t, path)
	f = begin(t, d, true)
	if d.Stats().Degraded != 1 {
		t.Errorf("%+v", d.Stats())
	}
	f.Add("b", false)
	closed(t, d)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, fileMax+1); err != nil { // a hole
		t.Fatal(err)
	}
	d = testDir(t, path)
	begin(t, d, true)
	closed(t, d)
}

// spoolChild is what the program does when it is started by TestSpoolKilled.
const spoolChild = "HOLDFAST_SPOOL_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(spoolChild); path != "" {
		d, err := Open(path, zerolog.Nop())
		if err != nil {
			panic(err)
		}
		f, _ := d.Backend("pool", "slot", "127.0.0.1:11211")
		f.Rewrite(false, none)
		for i := 0; ; i++ {
			f.Add(fmt.Sprint("key", i), false)
			if f.Full() {
				// The last that was said as well: it may be killed before the next word.
				f.Rewrite(false, all(fmt.Sprint("key", i-1), fmt.Sprint("key", i)))
			}
			fmt.Println(i)
		}
	}
	os.Exit(m.Run())
}

// Whatever the process has said that it added is there when it was killed.
func TestSpoolKilled(t *testing.T) {
	for round := range 5 {
		path := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), spoolChild+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(50+30*round)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		var said bytes.Buffer
		_, _ = said.ReadFrom(out)
		_ = cmd.Wait()
		timer.Stop()
		lines := strings.Split(strings.TrimSuffix(said.String(), "\n"), "\n")
		last := lines[len(lines)-1]
		d := testDir(t, path)
		_, found := d.Backend("pool", "slot", "127.0.0.1:11211")
		if found.Lost || last != "" && !slices.Contains(found.Keys, Key{"key" + last, false}) {
			t.Errorf("round %d: lost %v (%v), %d keys, and key%s is not among them", round, found.Lost, found.Why, len(found.Keys), last)
		}
		closed(t, d)
	}
}
