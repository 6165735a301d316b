package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What a node says of the items that it has from an earlier process: a proxy reads
// them, or flushes the node, by that.

// markOf is what the boot mark of a data directory says, without the boot id.
func markOf(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "boot"))
	if err != nil {
		t.Fatal(err)
	}
	_, state, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	return state
}

// identity are restored_at and snapshot_time, after some of the uptime.
func identity(t *testing.T, p *Process) (restored, snapshot int64) {
	t.Helper()
	stats, err := p.Stats("stats identity")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(stats["restored_at"]+" "+stats["snapshot_time"], &restored, &snapshot); err != nil {
		t.Fatalf("%v: %v", stats, err)
	}
	return restored, snapshot
}

func wantWhole(t *testing.T, p *Process, whole bool) (snapshot int64) {
	t.Helper()
	restored, snapshot := identity(t, p)
	if restored == 0 || (snapshot >= restored) != whole {
		t.Errorf("restored at %d, complete up to %d, want all of it: %v", restored, snapshot, whole)
	}
	return snapshot
}

func snapshotNow(s *speaker) { s.t.Helper(); s.want("snapshot\r\n", "OK\r\n") }

func setKey(s *speaker, key, value string) {
	s.t.Helper()
	s.want(fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, len(value), value), "STORED\r\n")
}

// obstruct takes away the journal of a running server and puts directories where it
// would put the next files, so that nothing can be kept though the directory is there.
// The returned function lets it go on.
func obstruct(t *testing.T, dir string) (mend func()) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, "journal-*.hfj"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("%v: %v", segments, err)
	}
	var last uint64
	if _, err := fmt.Sscanf(filepath.Base(segments[len(segments)-1]), "journal-%x.hfj", &last); err != nil {
		t.Fatal(err)
	}
	var made []string
	for n := last + 1; n < last+300; n++ {
		for _, name := range []string{fmt.Sprintf("journal-%016x.hfj", n), fmt.Sprintf("snap-%016x.hfs.tmp", n)} {
			made = append(made, filepath.Join(dir, name))
			if err := os.Mkdir(made[len(made)-1], 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range segments {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		for _, name := range made {
			// What the server has removed it has made a file of since.
			if err := syscall.Rmdir(name); err != nil && err != syscall.ENOENT && err != syscall.ENOTDIR {
				t.Error(err)
			}
		}
	}
}

// withdrawn writes until the server has noticed, and the mark does not say safe any more.
func withdrawn(s *speaker, dir string) {
	s.t.Helper()
	waitFor(s.t, "the mark is withdrawn", func() bool {
		s.ask("set other 0 0 1\r\nx\r\n", 1)
		return strings.HasPrefix(markOf(s.t, dir), "serving")
	})
}

// With --journal=always nothing that is acknowledged is lost, and the mark says so; when
// the disk does not take what it should it says so no more, until a snapshot has all.
func TestMarkDegraded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"--journal=always", "--journal-timeout=50ms", "--snapshot-interval=0"}
	p := startKeeping(t, dir, args...)
	s := speak(t, p)
	setKey(s, "k", "1")
	if got := markOf(t, dir); got != "safe" {
		t.Errorf("the mark says %q", got)
	}
	mend := obstruct(t, dir)
	withdrawn(s, dir)
	s.want("set k 0 0 1\r\n2\r\n", "SERVER_ERROR persistence timeout\r\n")
	s.want("get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n")
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	mend()
	// The items of before are gone with the file; this one is the first to be kept.
	p = startKeeping(t, dir, args...)
	s = speak(t, p)
	setKey(s, "k", "3")
	if got := markOf(t, dir); got != "safe" {
		t.Errorf("the mark says %q", got)
	}
	snapshotNow(s)
	setKey(s, "k", "4")
	mend = obstruct(t, dir)
	withdrawn(s, dir)
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	mend()
	p = startKeeping(t, dir, args...)
	s = speak(t, p)
	s.want("get k\r\n", "VALUE k 0 1\r\n3\r\nEND\r\n")
	lost := wantWhole(t, p, false)
	if got, want := markOf(t, dir), fmt.Sprint("safe ", lost); got != want {
		t.Errorf("the mark says %q, want %q: what was lost before stays lost", got, want)
	}

	// The same, and the disk works again before the end.
	s.want("flush_all\r\n", "OK\r\n")
	setKey(s, "k", "5")
	mend = obstruct(t, dir)
	withdrawn(s, dir)
	mend()
	waitFor(t, "a snapshot has all", func() bool { return markOf(t, dir) == "safe" })
	setKey(s, "k", "6")
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	p = startKeeping(t, dir, args...)
	speak(t, p).want("get k\r\n", "VALUE k 0 1\r\n6\r\nEND\r\n")
	wantWhole(t, p, true)
}

// What one process has lost the next ones are without, however orderly they end,
// until they are flushed.
func TestMarkInherited(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := startKeeping(t, dir)
	s := speak(t, p)
	setKey(s, "k", "1")
	snapshotNow(s)
	setKey(s, "k", "2")
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	var lost int64
	for n := range 3 {
		p = startKeeping(t, dir)
		got := wantWhole(t, p, false)
		if n > 0 && got != lost {
			t.Errorf("complete up to %d, and the process before was up to %d", got, lost)
		}
		lost = got
		if n < 2 {
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
		}
	}
	s = speak(t, p)
	s.want("flush_all\r\n", "OK\r\n")
	setKey(s, "k", "3")
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, startKeeping(t, dir), true)
}

// Items of an older snapshot than the last are old, though the process had ended well.
func TestMarkDamaged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := startKeeping(t, dir)
	s := speak(t, p)
	setKey(s, "k", "1")
	snapshotNow(s)
	setKey(s, "k", "2")
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	snapshots, err := filepath.Glob(filepath.Join(dir, "snap-*.hfs"))
	if err != nil || len(snapshots) != 2 {
		t.Fatalf("%v: %v", snapshots, err)
	}
	if err := os.Truncate(snapshots[1], sizeOf(t, snapshots[1])-200); err != nil {
		t.Fatal(err)
	}
	p = startKeeping(t, dir)
	speak(t, p).want("get k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n")
	wantWhole(t, p, false)
}

func sizeOf(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
