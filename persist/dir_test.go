package persist

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func openOn(dir string) (*Keeper, error) {
	o := DefaultOptions()
	o.Dir, o.Log = dir, zerolog.Nop()
	return Open(o)
}

// The directory is made for its owner alone, and one that might hold what others
// have put there is refused in one line.
func TestDirectoryIsChecked(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "made", "for", "it")
	k, err := openOn(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("%v, %v", info, err)
	}
	if _, err := openOn(dir); !errors.Is(err, ErrInUse) {
		t.Fatalf("a second owner: %v", err)
	}
	k.abandonForTest(t)
	if k, err = openOn(dir + "/"); err != nil {
		t.Fatal(err)
	}
	k.abandonForTest(t)

	file := filepath.Join(base, "file")
	link := filepath.Join(base, "link")
	open := filepath.Join(base, "open")
	for _, err := range []error{
		os.WriteFile(file, nil, 0o600), os.Symlink(dir, link), os.Mkdir(open, 0o700), os.Chmod(open, 0o777),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]string{file: "not a directory", link: "a link", link + "/": "a link", open: "anybody may write"}
	if os.Geteuid() == 0 && runtime.GOOS == "linux" {
		foreign := filepath.Join(base, "foreign")
		if err := errors.Join(os.Mkdir(foreign, 0o700), os.Chown(foreign, 12345, 12345)); err != nil {
			t.Fatal(err)
		}
		cases[foreign] = "belongs to user 12345"
	}
	for dir, text := range cases {
		if _, err := openOn(dir); err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", filepath.Base(dir), err, text)
		}
	}
}

func (k *Keeper) abandonForTest(t *testing.T) {
	t.Helper()
	if err := k.d.Close(); err != nil {
		t.Error(err)
	}
}

// What an earlier process has left half done is removed, what is not the
// keeper's is not, and evidence is bounded.
func TestDirectoryIsTidied(t *testing.T) {
	fs := newMemFS(1)
	fs.put("d/snap-0000000000000001.hfs.tmp", []byte("x"))
	fs.put("d/journal-0000000000000001.hfj.tmp", []byte("x"))
	fs.put("d/notes.tmp", []byte("x"))
	fs.put("d/notes", []byte("x"))
	for i := range uint64(12) {
		fs.put("d/"+snapshotName(i+2), []byte("rubbish that was a snapshot"))
	}
	l := testLife(t, fs, newHandClock(), nil)
	got := names(t, fs)
	bad := 0
	for _, name := range got {
		if strings.HasSuffix(name, badSuffix) {
			bad++
		}
	}
	text := strings.Join(got, " ")
	// A snapshot of this life may be on its way under a name of its own.
	if bad != badMax || strings.Contains(text, "01.hfs.tmp") || strings.Contains(text, "01.hfj.tmp") || !strings.Contains(text, "notes notes.tmp") {
		t.Fatalf("%v", got)
	}
	l.set("a", "1", 0)
	l.close()
	testLife(t, fs, newHandClock(), nil).want("a", "1")
}

// A server whose directory was moved away leaves the one that another server has
// in its place alone, and says why it keeps nothing.
func TestDirectoryOfAnotherServerIsLeftAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	there := func(o *Options) { o.Dir, o.Journal = dir, PolicyOS }
	first := testLife(t, OS, newHandClock(), there)
	first.set("a", "1", 0)
	if err := first.snapshot(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	second := testLife(t, OS, newHandClock(), there)
	second.set("b", "2", 0)
	if err := second.snapshot(); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	if err := first.snapshot(); !errors.Is(err, ErrInUse) {
		t.Fatalf("a snapshot into the directory of another: %v", err)
	}
	if err := first.k.d.Probe(); !errors.Is(err, ErrInUse) {
		t.Fatalf("a probe: %v", err)
	}
	if err := first.k.d.(*dirDriver).journal.rotate(1000); !errors.Is(err, ErrInUse) {
		t.Fatalf("a segment: %v", err)
	}
	if after := files(t, dir); !slices.Equal(after, before) {
		t.Errorf("there were %v, now %v", before, after)
	}
	if why := first.k.Degraded(); !strings.Contains(why, "in use by another process") {
		t.Errorf("degraded: %q", why)
	}
	second.close()
	// Now nobody has it: it is taken, and what is in it is not written over.
	eventually(t, "it takes the directory", func() bool { return first.k.Degraded() == "" })
	first.close()
	testLife(t, OS, newHandClock(), there).want("a", "1")
}

// A directory that has gone is made anew without anybody's help, also where no
// snapshot is due by the clock.
func TestDirectoryThatVanishesIsMadeAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	there := func(o *Options) { o.Dir, o.Journal, o.SnapshotInterval = dir, PolicyOS, 0 }
	l := testLife(t, OS, newHandClock(), there)
	l.set("a", "1", 0)
	eventually(t, "a segment", func() bool { return l.stats()["journal_segments"] == "1" })
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	n := 0
	until := func(what string, ok func() bool) {
		eventually(t, what, func() bool {
			n++
			l.set("b", strconv.Itoa(n), 0) // the journal looks when there is something to write
			return ok()
		})
	}
	until("it notices", func() bool { return l.k.Degraded() != "" })
	until("it works again", func() bool { return l.k.Degraded() == "" })
	l.close()
	testLife(t, OS, newHandClock(), there).want("a", "1", "b", strconv.Itoa(n))
}

// files are the names in a directory of the system's.
func files(t *testing.T, dir string) []string {
	t.Helper()
	all, err := OS.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
