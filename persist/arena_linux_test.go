package persist

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-cache/holdfast/slab"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// fakeClock is a Clock that tests move.
type fakeClock struct{ s Stamp }

func (c *fakeClock) World() Stamp { return c.s }

func newFakeClock() *fakeClock {
	return &fakeClock{Stamp{WallNs: 1_800_000_000e9, BootNs: 1000e9, Boot: [16]byte{1}}}
}

// pass lets so many seconds pass.
func (c *fakeClock) pass(sec int64) {
	c.s.WallNs += sec * 1e9
	c.s.BootNs += sec * 1e9
}

func arenaConfig(mb int64) slab.Config {
	c := slab.DefaultConfig()
	c.LimitBytes = mb << 20
	c.ItemSizeMax = 1 << 20
	c.ChunkMax = 0
	return c
}

// arenaTest opens and closes one arena again and again.
type arenaTest struct {
	*testing.T
	path  string
	clock *fakeClock
	later uint64
	log   bytes.Buffer
}

func newArenaTest(t *testing.T) *arenaTest {
	return &arenaTest{T: t, path: filepath.Join(t.TempDir(), "arena"), clock: newFakeClock()}
}

func (t *arenaTest) open(conf slab.Config) *Arena {
	t.Helper()
	a, err := OpenArena(t.path, conf, t.later, t.clock, zerolog.New(&t.log))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// kill ends an arena as SIGKILL would: the kernel unmaps and unlocks.
func (t *arenaTest) kill(a *Arena) {
	t.Helper()
	if err := a.file.close(); err != nil {
		t.Fatal(err)
	}
}

func (t *arenaTest) close(a *Arena) {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

func (t *arenaTest) fill(a *Arena, from, to int) {
	t.Helper()
	w := a.Store().NewWorker()
	for i := from; i < to; i++ {
		op := slab.SetOp{Flags: uint32(i), Exptime: a.Store().Now() + 100}
		if r := w.Set(a.Store().Key(fmt.Append(nil, "key", i)), &op, fmt.Append(nil, "value", i)); r.Result != slab.Stored {
			t.Fatalf("key%d: %v", i, r)
		}
	}
}

// have checks that the items are there.
func (t *arenaTest) have(a *Arena, from, to int) {
	t.Helper()
	w := a.Store().NewWorker()
	for i := from; i < to; i++ {
		got := "nothing"
		w.Get(a.Store().Key(fmt.Append(nil, "key", i)), nil, func(v *slab.View) { got = fmt.Sprint(v.Flags(), " ", string(v.Value())) })
		if want := fmt.Sprintf("%d value%d", i, i); got != want {
			t.Fatalf("key%d is %s", i, got)
		}
	}
}

func (t *arenaTest) want(a *Arena, source string, items uint64) {
	t.Helper()
	if n := a.Note(); n.Source != source || n.Items != items {
		t.Fatalf("opened %+v, want %s with %d items\n%s", n, source, items, &t.log)
	}
}

func TestArenaKeepsItems(t *testing.T) {
	at := newArenaTest(t)
	a := at.open(arenaConfig(8))
	at.want(a, "empty", 0)
	at.fill(a, 0, 1000)
	at.kill(a)
	at.clock.pass(10)
	a = at.open(arenaConfig(8))
	at.want(a, "scanned", 1000)
	at.have(a, 0, 1000)
	if now := a.Store().Now(); now != 10 {
		t.Errorf("the store's clock is at %d after 10 seconds", now)
	}
	complete := func(a *Arena, want int64) {
		t.Helper()
		if got := a.Note().Complete; got.Unix() != want {
			t.Errorf("complete up to %d, want %d", got.Unix(), want)
		}
	}
	complete(a, 1_800_000_000) // when the store was last told the time
	at.fill(a, 1000, 1500)
	at.clock.pass(20)
	a.Store().Tick(30)
	at.close(a)
	at.clock.pass(75)
	defer func() { complete(a, 1_800_000_030) }()
	a = at.open(arenaConfig(8))
	at.want(a, "sealed", 1500)
	at.have(a, 1000, 1500)
	w := a.Store().NewWorker()
	if w.Get(a.Store().Key([]byte("key1")), nil, nil) != slab.Miss {
		t.Error("an item has outlived its exptime")
	}
	at.close(a)
}

// A wall clock that was set in between neither ages items nor keeps them.
func TestArenaDoesNotTrustTheWallClock(t *testing.T) {
	at := newArenaTest(t)
	a := at.open(arenaConfig(8))
	at.fill(a, 0, 10)
	at.kill(a)
	at.clock.pass(10)
	at.clock.s.WallNs += 10 * 365 * 86400e9
	a = at.open(arenaConfig(8))
	at.have(a, 0, 10)
	at.kill(a)
	at.clock.pass(95)
	at.clock.s.WallNs -= 20 * 365 * 86400e9
	a = at.open(arenaConfig(8))
	if n := a.Note(); n.Items != 0 || n.Expired != 10 {
		t.Errorf("%+v", n)
	}
	at.close(a)
}

func TestArenaOfAnotherSizeOrClasses(t *testing.T) {
	at := newArenaTest(t)
	a := at.open(arenaConfig(8))
	at.fill(a, 0, 1000)
	at.kill(a)
	for _, mb := range []int64{64, 8, 150, 9} {
		a = at.open(arenaConfig(mb))
		if n := a.Note(); n.Items != 1000 {
			t.Fatalf("-m %d: %+v\n%s", mb, n, &at.log)
		}
		at.have(a, 0, 1000)
		at.kill(a)
	}
	conf := arenaConfig(9)
	conf.GrowthFactor = 1.1
	a = at.open(conf)
	at.want(a, "converted", 1000)
	at.have(a, 0, 1000)
	at.close(a)
	if names, err := filepath.Glob(at.path + ".*"); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// A process that was killed while it read memory of other classes is followed by
// one that reads the rest.
func TestArenaConversionCutShort(t *testing.T) {
	at := newArenaTest(t)
	a := at.open(arenaConfig(8))
	at.fill(a, 0, 1000)
	at.kill(a)
	if err := os.Rename(at.path, at.path+".old"); err != nil {
		t.Fatal(err)
	}
	conf := arenaConfig(8)
	conf.GrowthFactor = 1.1
	a, err := OpenArena(at.path+"2", conf, 0, at.clock, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	at.fill(a, 0, 300)
	at.kill(a)
	if err := os.Rename(at.path+"2", at.path); err != nil {
		t.Fatal(err)
	}
	a = at.open(conf)
	at.have(a, 0, 1000)
	at.close(a)
}

func TestArenaSetsAsideWhatItCannotUse(t *testing.T) {
	for name, spoil := range map[string]func(at *arenaTest){
		"foreign": func(at *arenaTest) { at.write([]byte("something else altogether\n")) },
		"damaged": func(at *arenaTest) { at.poke(20, 0xff) },
		"cut": func(at *arenaTest) {
			if err := os.Truncate(at.path, 1<<20); err != nil {
				at.Fatal(err)
			}
		},
		"deadly":     func(at *arenaTest) { at.poke(516, arenaFailures) },
		"superseded": func(at *arenaTest) { at.later = 1 << 40 },
		"power lost": func(at *arenaTest) { at.clock.s.Boot[0]++ },
	} {
		t.Run(name, func(t *testing.T) {
			at := newArenaTest(t)
			a := at.open(arenaConfig(8))
			at.fill(a, 0, 100)
			at.kill(a)
			spoil(at)
			a = at.open(arenaConfig(8))
			at.want(a, "empty", 0)
			if a.Note().SetAside == "" || strings.Count(at.log.String(), "starting empty") != 1 {
				t.Errorf("%+v, log: %s", a.Note(), &at.log)
			}
			if _, err := os.Stat(at.path + ".bad"); err != nil {
				t.Error("the evidence is gone:", err)
			}
			at.close(a)
			at.later = 0
			a = at.open(arenaConfig(8))
			at.want(a, "sealed", 0)
			at.close(a)
		})
	}
}

func (t *arenaTest) write(b []byte) {
	t.Helper()
	if err := os.WriteFile(t.path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (t *arenaTest) poke(at int64, v byte) {
	t.Helper()
	f, err := os.OpenFile(t.path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte{v}, at)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestArenaHasOneOwner(t *testing.T) {
	at := newArenaTest(t)
	a := at.open(arenaConfig(8))
	if _, err := OpenArena(at.path, arenaConfig(8), 0, at.clock, zerolog.Nop()); !errors.Is(err, ErrInUse) {
		t.Errorf("a second owner: %v", err)
	}
	at.close(a)
}

func TestArenaRefusesStrangeFiles(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(path string) error{
		"a link":       func(path string) error { return os.Symlink("/etc/passwd", path) },
		"regular file": func(path string) error { return os.Mkdir(path, 0o700) },
		"chmod 600":    func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"no such file": func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "_"))
			if name == "no such file" {
				path = filepath.Join(dir, "missing", "arena")
			}
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			_, err := OpenArena(path, arenaConfig(8), 0, System, zerolog.Nop())
			if err == nil || !strings.Contains(err.Error(), name) && name != "regular file" {
				t.Errorf("%v", err)
			}
		})
	}
}

// mountTmpfs mounts a memory file system of so many bytes for the test.
func mountTmpfs(t *testing.T, bytes int) string {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("CI") == "" {
		t.Skip("mounting a file system needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", bytes)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A memory file system without room is an error at the start, which says what
// to do, and leaves what is there alone.
func TestArenaOnAFullFileSystem(t *testing.T) {
	at := newArenaTest(t)
	at.path = filepath.Join(mountTmpfs(t, 12<<20), "arena")
	a := at.open(arenaConfig(8))
	at.fill(a, 0, 1000)
	at.kill(a)
	_, err := OpenArena(at.path, arenaConfig(14), 0, at.clock, zerolog.Nop())
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "lower -m") {
		t.Fatalf("%v", err)
	}
	a = at.open(arenaConfig(8))
	at.have(a, 0, 1000)
	at.kill(a)

	conf := arenaConfig(8)
	conf.GrowthFactor = 1.1
	a = at.open(conf) // no room for both, so by way of a copy
	at.want(a, "converted", 1000)
	at.have(a, 0, 1000)
	at.kill(a)

	at.poke(20, 0xff)
	a = at.open(conf) // no room for the evidence
	at.want(a, "empty", 0)
	at.fill(a, 0, 20_000) // every page can be used
	at.close(a)
}

// A copy of a memory file may have holes where there were zeros. They are filled
// at the start: a page that the file system has no room for would be a signal later.
func TestArenaFillsHoles(t *testing.T) {
	at := newArenaTest(t)
	a := at.open(arenaConfig(8))
	at.fill(a, 0, 1000)
	at.close(a)
	at.sparse()
	if size, room := at.room(); room >= size {
		t.Fatalf("%d bytes of %d: there are no holes", room, size)
	}
	a = at.open(arenaConfig(8))
	at.want(a, "sealed", 1000)
	at.have(a, 0, 1000)
	if size, room := at.room(); room < size {
		t.Errorf("%d bytes of %d are reserved", room, size)
	}
	at.close(a)
}

// sparse copies the file over itself, without what is zero.
func (t *arenaTest) sparse() {
	t.Helper()
	data, err := os.ReadFile(t.path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(t.path, os.O_RDWR|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Truncate(int64(len(data)))
	const page = 4096
	for at := 0; err == nil && at < len(data); at += page {
		if p := data[at : at+page]; !bytes.Equal(p, make([]byte, page)) {
			_, err = f.WriteAt(p, int64(at))
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// room returns how long the file is and how much of that its file system has set aside.
func (t *arenaTest) room() (size, room int64) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(t.path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Size, st.Blocks * 512
}

// A process that ends while it fills an arena from elsewhere leaves a part of the
// items, and the arena says so, converted ones too.
func TestArenaWhole(t *testing.T) {
	at := newArenaTest(t)
	whole := func(a *Arena, want bool) {
		t.Helper()
		if a.Note().Whole != want {
			t.Fatalf("whole: %t", !want)
		}
	}
	a := at.open(arenaConfig(8))
	whole(a, false)
	at.fill(a, 0, 100)
	at.kill(a)
	a = at.open(arenaConfig(8))
	whole(a, false)
	at.close(a)
	other := arenaConfig(8)
	other.GrowthFactor = 1.3
	a = at.open(other)
	whole(a, false)
	a.Whole()
	at.kill(a)
	a = at.open(other)
	whole(a, true)
	at.close(a)
	a = at.open(arenaConfig(8))
	whole(a, true)
	at.have(a, 0, 100)
	at.kill(a)
	at.later = 1
	a = at.open(arenaConfig(8))
	whole(a, true)
	at.kill(a)

	// One that was being filled is cleared if there is something to fill it from.
	at.path += "2"
	a = at.open(arenaConfig(8))
	at.fill(a, 0, 100)
	at.kill(a)
	a = at.open(arenaConfig(8))
	whole(a, false)
	if n := a.Note(); n.Source != "empty" || n.Items != 0 {
		t.Fatalf("%+v", n)
	}
	at.close(a)
}

// However often a server starts, and however it ended, its clock keeps up.
func TestArenaClockKeepsUp(t *testing.T) {
	at := newArenaTest(t)
	a := at.open(arenaConfig(8))
	first := a.Store().Now()
	for i := range 40 {
		at.clock.s.WallNs += 700e6
		at.clock.s.BootNs += 700e6
		if i%2 == 0 {
			at.kill(a)
		} else {
			at.close(a)
		}
		a = at.open(arenaConfig(8))
	}
	if now := a.Store().Now(); now < first+27 || now > first+28 {
		t.Errorf("after 28 seconds it is %d seconds later", now-first)
	}
	at.kill(a)
}
