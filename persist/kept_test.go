package persist

import (
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// keptLog notes what Keeper.Kept says whenever it may have changed.
type keptLog struct {
	mu   sync.Mutex
	k    *Keeper
	said []bool
}

func (n *keptLog) turned() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.k != nil {
		n.said = append(n.said, n.k.Kept())
	}
}

func (n *keptLog) follow(k *Keeper) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.k = k
}

func (n *keptLog) has(kept bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.said, kept)
}

// acknowledged says whether a change made now becomes safe in time.
func (l *life) acknowledged(key, value string) bool {
	l.set(key, value, 0)
	pos := l.k.Appended()
	woken := make(chan struct{})
	l.k.NotifySynced(pos, func() { close(woken) })
	<-woken
	return l.k.Synced(pos)
}

// That nothing acknowledged is lost is said of a journal whose disk works, and again
// when a snapshot has been made since the trouble. Meanwhile nothing is acknowledged.
func TestKeeperKept(t *testing.T) {
	mem, log := newMemFS(1), &keptLog{}
	e := newErrFS(mem)
	l := testLife(t, e, newHandClock(), func(o *Options) {
		o.Journal, o.JournalTimeout, o.Turned = PolicyAlways, 20*time.Millisecond, log.turned
	})
	log.follow(l.k)
	// On a busy machine a change may be late, which is no trouble.
	eventually(t, "a disk that works is trusted", func() bool { return l.acknowledged("a", "1") && l.k.Kept() })
	e.failFrom(opSync, "journal", 1, syscall.EIO)
	for l.k.Degraded() == "" {
		if l.acknowledged("a", "2") {
			t.Fatal("a change was acknowledged that was not synced")
		}
	}
	if l.k.Kept() || !log.has(false) {
		t.Error("the disk is in trouble, and nobody was told")
	}
	if l.acknowledged("a", "3") {
		t.Error("a change was acknowledged that was not synced")
	}
	e.clear()
	eventually(t, "it works again", func() bool { return l.k.Degraded() == "" })
	if l.k.Kept() {
		t.Error("a snapshot is still to be made")
	}
	if err := l.snapshot(); err != nil {
		t.Fatal(err)
	}
	if !l.k.Kept() || !log.has(true) {
		t.Error("a snapshot has everything, and it is not said")
	}
	eventually(t, "changes are acknowledged again", func() bool { return l.acknowledged("a", "4") })
}

// A file that somebody takes away had been synced: what it had is lost until the
// snapshot that this calls for.
func TestKeeperKeptFileVanishes(t *testing.T) {
	mem, log := newMemFS(1), &keptLog{}
	l := testLife(t, mem, newHandClock(), func(o *Options) { o.Journal, o.Turned = PolicyAlways, log.turned })
	if !l.acknowledged("a", "1") {
		t.Fatal("not synced")
	}
	log.follow(l.k)
	for _, name := range names(t, mem) {
		if filepath.Ext(name) == ".hfj" {
			if err := mem.Remove(filepath.Join("d", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "it is noticed", func() bool { l.acknowledged("b", "1"); return log.has(false) })
	eventually(t, "it is made up for", l.k.Kept)
	if files, err := listFiles(mem, "d", false); err != nil || len(files.snapshots) == 0 {
		t.Errorf("%v, %v: without a snapshot", names(t, mem), err)
	}
}

// Only where replies wait can it be said that nothing is lost.
func TestKeeperKeptOtherPolicies(t *testing.T) {
	for _, policy := range []Policy{PolicyOff, PolicyOS, PolicyInterval} {
		l := testLife(t, newMemFS(1), newHandClock(), func(o *Options) { o.Journal = policy })
		if l.k.Kept() {
			t.Errorf("%v: a second of it may be lost", policy)
		}
	}
}

// What comes from an older file than it should is not whole.
func TestKeeperOriginDamaged(t *testing.T) {
	fs, clock := newMemFS(1), newHandClock()
	l := testLife(t, fs, clock, nil)
	l.set("a", "1", 0)
	if err := l.snapshot(); err != nil {
		t.Fatal(err)
	}
	l.set("a", "2", 0)
	l.close()
	if l = testLife(t, fs, clock, nil); l.get("a") != "2" {
		t.Fatal("the first restart went wrong")
	}
	if _, items, whole := l.k.Origin(); !items || !whole {
		t.Errorf("items %v, whole %v", items, whole)
	}
	l.abandon()
	files, err := listFiles(fs, "d", false)
	if err != nil {
		t.Fatal(err)
	}
	newest := filepath.Join("d", snapshotName(files.snapshots[len(files.snapshots)-1]))
	data := fs.get(newest)
	fs.put(newest, data[:len(data)-200])
	l = testLife(t, fs, clock, nil)
	l.want("a", "1")
	if _, items, whole := l.k.Origin(); !items || whole {
		t.Errorf("items %v, whole %v: it went back to the snapshot before", items, whole)
	}
}
