package persist

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
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
