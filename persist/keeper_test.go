package persist

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
)

// Items come back after a stop in order, with the rest of their time, and no
// version is given out twice.
func TestKeeperRestart(t *testing.T) {
	for _, policy := range []Policy{PolicyOff, PolicyOS, PolicyInterval, PolicyAlways} {
		t.Run(policy.String(), func(t *testing.T) {
			fs, clock := newMemFS(1), newHandClock()
			with := func(o *Options) { o.Journal = policy }
			l := testLife(t, fs, clock, with)
			if start := l.k.ClockStart(); start != 0 {
				t.Errorf("a fresh start is at %d", start)
			}
			clock.pass(100)
			l.s.Tick(102)
			l.set("forever", "1", 0)
			l.set("short", "2", 152)
			cas := l.set("long", "3", 1000)
			l.close()
			clock.pass(60) // away
			l = testLife(t, fs, clock, with)
			if now := l.s.Now(); now != 162 {
				t.Errorf("the clock goes on at %d, want 162", now)
			}
			l.want("forever", "1", "short", "-", "long", "3")
			if next := l.set("new", "4", 0); next <= cas {
				t.Errorf("version %d after %d", next, cas)
			}
			// With a journal nothing may count as expired while it is read.
			if r := &l.rec; policy == PolicyOff && (r.Items != 2 || r.Expired != 1 || r.Dropped() != 1 || r.Why() != "1 expired") {
				t.Errorf("%+v", l.rec)
			}
			if st := l.stats(); st["state"] != "ok" || st["restore_items"] < "2" || st["restore_source"] == "none" || st["journal"] != policy.String() {
				t.Errorf("%v", st)
			}
			l.close()
			if n := fs.openFiles(); n != 0 {
				t.Errorf("%d files are open", n)
			}
		})
	}
}

// What was promised is there after a power cut, whatever of the rest is.
func TestKeeperPowerCut(t *testing.T) {
	for share := 0; share <= 100; share += 25 {
		fs, clock := newMemFS(uint64(share)), newHandClock()
		with := func(o *Options) { o.Journal = PolicyAlways }
		l := testLife(t, fs, clock, with)
		cas := uint64(0)
		for round := range 3 {
			for i := range 200 {
				key := "k" + string(rune('a'+i%26))
				cas = max(cas, l.set(key, strings.Repeat(key, i+1), 0))
			}
			if round == 1 {
				if err := l.snapshot(); err != nil {
					t.Fatal(err)
				}
			}
			l.w.Delete(l.s.Key([]byte("kb")), nil)
		}
		pos := l.k.Appended()
		woken := make(chan struct{})
		l.k.NotifySynced(pos, func() { close(woken) })
		<-woken
		if !l.k.Synced(pos) {
			t.Fatal("not synced in time")
		}
		want := kept(l.s)
		after := fs.crash(share)
		clock.pass(1)
		l2 := testLife(t, after, clock, with)
		wantContents(t, kept(l2.s), want)
		if next := l2.set("new", "x", 0); next <= cas {
			t.Errorf("version %d after %d", next, cas)
		}
	}
}

// An item whose life was prolonged after the snapshot is alive.
func TestKeeperTouchAfterSnapshot(t *testing.T) {
	fs, clock := newMemFS(1), newHandClock()
	with := func(o *Options) { o.Journal = PolicyAlways }
	l := testLife(t, fs, clock, with)
	l.set("a", "1", l.s.Now()+10)
	if err := l.snapshot(); err != nil {
		t.Fatal(err)
	}
	l.w.Touch(l.s.Key([]byte("a")), l.s.Now()+100)
	l.abandon()
	clock.pass(50)
	l = testLife(t, fs, clock, with)
	l.want("a", "1")
	l.abandon()
	clock.pass(60)
	testLife(t, fs, clock, with).want("a", "-")
}

// Without a journal a crash costs what came after the snapshot, and still no
// version is given out twice.
func TestKeeperCrashWithoutJournal(t *testing.T) {
	fs, clock := newMemFS(1), newHandClock()
	l := testLife(t, fs, clock, nil)
	l.set("a", "old", 0)
	if err := l.snapshot(); err != nil {
		t.Fatal(err)
	}
	cas := uint64(0)
	for range 3 {
		cas = max(cas, l.set("a", "new", 0))
		l.abandon()
		clock.pass(5)
		now := l.s.Now()
		fs = fs.crash(0)
		l = testLife(t, fs, clock, nil)
		l.want("a", "old")
		if next := l.set("b", "x", 0); next <= cas {
			t.Fatalf("version %d after %d", next, cas)
		}
		if l.s.Now() < now+5 {
			t.Fatalf("the clock went from %d to %d", now, l.s.Now())
		}
		if files, _ := listFiles(fs, "d", false); len(files.segments) > 2 {
			t.Fatalf("marks gather: %v", files.segments)
		}
	}
}

// The time away does not count if that is asked for, and marks items stale if that is.
func TestKeeperTimeAway(t *testing.T) {
	fs, clock := newMemFS(1), newHandClock()
	l := testLife(t, fs, clock, nil)
	l.set("a", "1", l.s.Now()+50)
	l.close()
	clock.pass(1000)
	frozen := testLife(t, fs.crash(100), clock, func(o *Options) { o.FreezeTTL = true })
	frozen.want("a", "1")
	clock.pass(51)
	frozen.tick()
	frozen.want("a", "-")

	l = testLife(t, fs.crash(100), clock, func(o *Options) { o.AsStale = time.Minute })
	l.set("b", "2", 0)
	l.close()
	fs2 := newMemFS(2)
	l = testLife(t, fs2, clock, nil)
	l.set("c", "3", 0)
	l.close()
	clock.pass(59)
	testLife(t, fs2.crash(100), clock, func(o *Options) { o.AsStale = time.Minute }).want("c", "3")
	clock.pass(2)
	testLife(t, fs2.crash(100), clock, func(o *Options) { o.AsStale = time.Minute }).want("c", "3!")
}

// So many snapshots are kept, and the segments that the oldest of them needs.
func TestKeeperRetention(t *testing.T) {
	fs, clock := newMemFS(1), newHandClock()
	l := testLife(t, fs, clock, func(o *Options) { o.Journal, o.SnapshotKeep = PolicyAlways, 3 })
	for i := range 6 {
		l.set("a", strings.Repeat("x", i+1), 0)
		if err := l.snapshot(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := listFiles(fs, "d", false)
	if err != nil {
		t.Fatal(err)
	}
	if len(files.snapshots) != 3 || len(files.segments) != 3 || files.segments[0] < files.snapshots[0] {
		t.Fatalf("there are %v", names(t, fs))
	}
	l.abandon()
	testLife(t, fs, clock, nil).want("a", "xxxxxx")
}

// A snapshot that is cut is set aside and the one before it taken, with the
// journal since; with Strict the process does not start, and nothing is touched.
func TestKeeperDamagedSnapshot(t *testing.T) {
	for _, policy := range []Policy{PolicyOff, PolicyAlways} {
		fs, clock := newMemFS(1), newHandClock()
		with := func(o *Options) { o.Journal = policy }
		l := testLife(t, fs, clock, with)
		l.set("a", "1", 0)
		if err := l.snapshot(); err != nil {
			t.Fatal(err)
		}
		l.set("a", "2", 0)
		l.close()
		files, _ := listFiles(fs, "d", false)
		newest := snapshotName(files.snapshots[len(files.snapshots)-1])
		data := fs.get(filepath.Join("d", newest))
		fs.put(filepath.Join("d", newest), data[:len(data)-200])
		before := names(t, fs)
		if _, err := tryLife(t, fs, clock, func(o *Options) { o.Strict = true }); err == nil || !strings.Contains(err.Error(), newest) {
			t.Fatalf("strict: %v", err)
		}
		if after := names(t, fs); !slices.Equal(before, after) {
			t.Fatalf("strict has changed %v to %v", before, after)
		}
		l = testLife(t, fs, clock, with)
		if want := map[Policy]string{PolicyOff: "1", PolicyAlways: "2"}[policy]; l.get("a") != want {
			t.Errorf("%s: a is %s, want %s", policy, l.get("a"), want)
		}
		if !slices.Contains(names(t, fs), newest+badSuffix) || len(l.rec.Problems) != 1 {
			t.Errorf("%v: %v", names(t, fs), l.rec.Problems)
		}
		eventually(t, "a snapshot is made early", func() bool { return l.stats()["snapshots"] == "1" })
		l.close()
		l = testLife(t, fs, clock, with)
		if len(l.rec.Problems) != 0 {
			t.Errorf("the damage is still met: %v", l.rec.Problems)
		}
		l.close()
	}
}

// resign gives a header that was changed the checksum it needs.
func resign(page []byte) []byte {
	binary.LittleEndian.PutUint32(page[headerBytes-4:], crc32.Checksum(page[:headerBytes-4], castagnoli))
	return page
}

// A file of a later version is left where it is.
func TestKeeperForeignFile(t *testing.T) {
	fs, clock := newMemFS(1), newHandClock()
	l := testLife(t, fs, clock, nil)
	l.set("a", "1", 0)
	l.close()
	files, _ := listFiles(fs, "d", false)
	name := filepath.Join("d", snapshotName(files.snapshots[0]))
	later := fs.get(name)
	h := Header{Kind: KindSnapshot, Seq: files.highest + 5}
	page := h.append(nil)
	page[10] = 9 // major
	copy(later, resign(page))
	foreign := snapshotName(h.Seq)
	fs.put(filepath.Join("d", foreign), later)
	l = testLife(t, fs, clock, nil)
	l.want("a", "1")
	for range 4 {
		if err := l.snapshot(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Contains(names(t, fs), foreign) {
		t.Fatalf("it is gone: %v", names(t, fs))
	}
}

// While the disk fails the store is served, the state is degraded, and when the
// disk works again so does the keeper, by itself.
func TestKeeperDegradedAndBack(t *testing.T) {
	for _, policy := range []Policy{PolicyOff, PolicyOS, PolicyAlways} {
		for _, fault := range []struct {
			name string
			set  func(e *errFS)
		}{
			{"full", func(e *errFS) { e.limit(100) }},
			{"sync", func(e *errFS) { e.failFrom(opSync, "", 1, syscall.EIO) }},
			{"write", func(e *errFS) { e.failFrom(opWrite, "", 1, syscall.EIO) }},
			{"read-only", func(e *errFS) {
				e.failFrom(opCreate, "", 1, syscall.EROFS)
				e.failFrom(opRename, "", 1, syscall.EROFS)
				e.failFrom(opRemove, "", 1, syscall.EROFS)
			}},
			{"rename", func(e *errFS) { e.failFrom(opRename, "", 1, syscall.EIO) }},
			{"directory", func(e *errFS) { e.failFrom(opSyncDir, "", 1, syscall.EIO) }},
			{"vanished", func(e *errFS) { e.failFrom(opAny, "", 1, syscall.ENOENT) }},
		} {
			t.Run(policy.String()+"/"+fault.name, func(t *testing.T) {
				mem, clock := newMemFS(1), newHandClock()
				e := newErrFS(mem)
				l := testLife(t, e, clock, func(o *Options) { o.Journal, o.OnError = policy, OnErrorReadonly })
				l.set("a", "1", 0)
				fault.set(e)
				if err := l.snapshot(); err == nil {
					t.Fatal("a snapshot on such a disk")
				}
				l.set("a", "2", 0)
				l.want("a", "2")
				if l.k.Degraded() == "" || !strings.HasPrefix(l.k.Refusal(), "persistence is degraded: ") || l.stats()["state"] != "degraded" {
					t.Fatalf("%q, %q, %v", l.k.Degraded(), l.k.Refusal(), l.stats())
				}
				e.clear()
				eventually(t, "it works again", func() bool { return l.k.Degraded() == "" && l.k.Refusal() == "" })
				l.set("b", "3", 0)
				l.close()
				l = testLife(t, mem.crash(0), clock, nil)
				l.want("a", "2", "b", "3")
			})
		}
	}
}

// OnErrorExit asks for the end, once.
func TestKeeperExit(t *testing.T) {
	e := newErrFS(newMemFS(1))
	var mu sync.Mutex
	var why []error
	l := testLife(t, e, newHandClock(), func(o *Options) {
		o.OnError = OnErrorExit
		o.Exit = func(err error) {
			mu.Lock()
			why = append(why, err)
			mu.Unlock()
		}
	})
	e.failFrom(opCreate, "", 1, syscall.ENOSPC)
	if err := l.snapshot(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	eventually(t, "further attempts", func() bool { return l.stats()["snapshot_failures"] > "3" })
	mu.Lock()
	defer mu.Unlock()
	if len(why) != 1 || !strings.Contains(why[0].Error(), "no space") {
		t.Fatalf("%v", why)
	}
}

// One snapshot is made at a time, and the end cuts it short.
func TestKeeperOneSnapshotAtATime(t *testing.T) {
	mem := newMemFS(1)
	e := newErrFS(mem)
	l := testLife(t, e, newHandClock(), nil)
	l.set("a", "1", 0)
	entered, release := e.block(opSync, "snap-", 1)
	first := make(chan error, 1)
	if !l.k.Snapshot(func(err error) { first <- err }) {
		t.Fatal("busy from the start")
	}
	<-entered
	if l.k.Snapshot(func(error) { t.Error("called") }) {
		t.Fatal("a second one is made")
	}
	if st := l.stats(); st["snapshot_running"] != "1" {
		t.Fatalf("%v", st)
	}
	release()
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	l.close()
	done := make(chan error, 1)
	if !l.k.Snapshot(func(err error) { done <- err }) || <-done == nil {
		t.Fatal("a snapshot after the end")
	}
}

// Snapshots are made by the clock, and when versions have come far.
func TestKeeperSchedule(t *testing.T) {
	l := testLife(t, newMemFS(1), newHandClock(), func(o *Options) { o.SnapshotInterval = time.Millisecond })
	eventually(t, "several snapshots", func() bool { return l.stats()["snapshots"] > "2" })
	l = testLife(t, newMemFS(1), newHandClock(), func(o *Options) { o.SnapshotInterval = 0 })
	if l.k.due(time.Now().Add(time.Hour)) {
		t.Fatal("one is due without an interval")
	}
	if n := l.stats()["snapshots"]; n != "0" {
		t.Fatalf("%s snapshots without an interval", n)
	}
	l.k.mu.Lock()
	l.k.mu.last.ver -= versionMark + 1
	l.k.mu.Unlock()
	eventually(t, "a snapshot for the versions", func() bool { return l.stats()["snapshots"] == "1" })
}

// Items that are not loaded yet are not lost by a snapshot without them.
func TestKeeperNoSnapshotWhileLoading(t *testing.T) {
	fs, clock := newMemFS(1), newHandClock()
	l := testLife(t, fs, clock, nil)
	l.set("a", "1", 0)
	l.close()
	o := l.k.o
	k, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s, w := newStore(t, nil)
	k.Start(s, true, false)
	set(t, w, "b", []byte("2"), slab.SetOp{})
	done := make(chan error, 1)
	k.Snapshot(func(err error) { done <- err })
	if err := <-done; !errors.Is(err, errLoading) {
		t.Fatal(err)
	}
	if err := k.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	testLife(t, fs, clock, nil).want("a", "1", "b", "-")
}

// Clients who are served while items are loaded see their own changes last.
func TestKeeperServeWhileLoading(t *testing.T) {
	fs, clock := newMemFS(1), newHandClock()
	with := func(o *Options) { o.Journal = PolicyAlways }
	l := testLife(t, fs, clock, with)
	l.set("kept", "1", 0)
	l.set("changed", "1", 0)
	l.set("deleted", "1", 0)
	l.abandon()
	k, err := Open(l.k.o)
	if err != nil {
		t.Fatal(err)
	}
	s, w := newStore(t, nil)
	k.Start(s, true, false)
	set(t, w, "changed", []byte("2"), slab.SetOp{})
	w.Delete(s.Key([]byte("deleted")), nil)
	if _, err := k.Restore(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	l = &life{t: t, k: k, s: s, w: w, clock: clock}
	l.want("kept", "1", "changed", "2", "deleted", "-")
	l.abandon()
	testLife(t, fs, clock, with).want("kept", "1", "changed", "2", "deleted", "-")
}
