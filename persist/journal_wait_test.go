package persist

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
)

// until waits for a condition that another goroutine brings about.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); {
		if time.Now().After(end) {
			t.Fatalf("%s does not come", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// Thousands wait, the disk hangs, some have their time over: each is woken once,
// and knows why. What was written is durable later all the same.
func TestJournalWaiters(t *testing.T) {
	k := newJournalled(t, PolicyAlways, func(c *journalConfig) {
		c.segment, c.timeout = 1<<20, 30*time.Millisecond
	})
	k.j.start()
	const waiters = 3000
	var woken [waiters]atomic.Int32
	var good, late atomic.Int32
	var all sync.WaitGroup
	wait := func(from, to int) {
		for i := from; i < to; i++ {
			set(t, k.w, fmt.Sprint("key", i), []byte("value"), slab.SetOp{})
			pos := k.j.Appended()
			all.Add(1)
			k.j.NotifySynced(pos, func() {
				if woken[i].Add(1) == 1 {
					defer all.Done()
				}
				if k.j.Failed(pos) {
					late.Add(1)
				} else {
					good.Add(1)
				}
			})
		}
	}
	until(t, "the first segment", func() bool { return k.j.stats().Segments == 1 })
	entered, release := k.fs.block(opSync, "journal", 1)
	wait(0, waiters/2)
	<-entered
	all.Wait()
	until(t, "they are counted", func() bool { return k.j.stats().Timeouts == waiters/2 })
	if late.Load() != waiters/2 || k.j.stats().UnsyncedAge == 0 {
		t.Errorf("%d late of %d: %+v", late.Load(), waiters/2, k.j.stats())
	}
	if k.j.Synced(k.j.Appended()) {
		t.Error("synced, but no sync has come back")
	}
	release()
	until(t, "the sync", func() bool { return k.j.Synced(k.j.Appended()) })
	wait(waiters/2, waiters)
	if err := k.j.close(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	for i := range woken {
		if n := woken[i].Load(); n != 1 {
			t.Fatalf("waiter %d was woken %d times", i, n)
		}
	}
	if good.Load() == 0 || k.j.stats().Waiters != 0 {
		t.Errorf("%d good, %+v", good.Load(), k.j.stats())
	}
}

// Only PolicyAlways has anyone wait.
func TestJournalOthersDoNotWait(t *testing.T) {
	for _, policy := range []Policy{PolicyOS, PolicyInterval} {
		k := newJournalled(t, policy, nil)
		set(t, k.w, "key", []byte("value"), slab.SetOp{})
		woken := false
		k.j.NotifySynced(k.j.Appended(), func() { woken = true })
		if !woken || k.j.Holds() || k.j.Failed(k.j.Appended()) {
			t.Errorf("%v: a reply waits", policy)
		}
	}
}

func TestJournalSyncsByPolicy(t *testing.T) {
	for _, policy := range journalPolicies {
		k := newJournalled(t, policy, func(c *journalConfig) { c.segment, c.interval = 1<<20, 20*time.Millisecond })
		k.j.start()
		set(t, k.w, "key", []byte("value"), slab.SetOp{})
		until(t, "the write", func() bool { return k.j.stats().WrittenEntries == 1 })
		if policy != PolicyOS {
			until(t, "the sync", func() bool { return k.j.stats().UnsyncedBytes == 0 })
			if s := k.j.stats(); s.Syncs == 0 || s.UnsyncedAge != 0 {
				t.Errorf("%v: %+v", policy, s)
			}
		} else if s := k.j.stats(); s.Syncs != 0 || s.UnsyncedBytes == 0 || s.UnsyncedAge == 0 {
			t.Errorf("%v: %+v", policy, s)
		}
		if err := k.j.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The disk hangs until memory does not suffice: changes are dropped, serving goes
// on, the state says so, and when the disk answers a snapshot makes up for it.
func TestJournalGap(t *testing.T) {
	for _, policy := range journalPolicies {
		t.Run(policy.String(), func(t *testing.T) {
			k := newJournalled(t, policy, func(c *journalConfig) {
				c.segment, c.bound, c.timeout, c.stall = 1<<20, 1<<20, 10*time.Millisecond, 20*time.Millisecond
				c.interval = time.Millisecond
			})
			k.j.start()
			until(t, "the first segment", func() bool { return k.j.stats().Segments == 1 })
			entered, release := k.fs.block(opWrite, "journal", 1)
			value := make([]byte, 10_000)
			set(t, k.w, "first", value, slab.SetOp{})
			<-entered
			for i := range 300 {
				set(t, k.w, fmt.Sprint("key", i%50), value, slab.SetOp{Flags: uint32(i)})
			}
			k.w.Delete(k.s.Key([]byte("first")), nil)
			if s := k.j.stats(); s.Gaps != 1 || s.Dropped < 100 {
				t.Fatalf("%+v", s)
			}
			if s := <-k.states; !s.degraded || s.reason == "" {
				t.Errorf("%+v", s)
			}
			pos := k.j.Appended()
			release()
			until(t, "the call for a snapshot", func() bool { return k.asked.Load() > 0 })
			if policy == PolicyAlways && k.j.Synced(pos) {
				t.Error("what was dropped is synced")
			}
			if !k.rebase(k.j.rotate) {
				t.Fatal("no snapshot")
			}
			until(t, "the end of the gap", func() bool { return !k.j.state().degraded })
			until(t, "the position", func() bool { return k.j.Synced(pos) })
			if s := <-k.states; s.degraded {
				t.Errorf("%+v", s)
			}
			set(t, k.w, "last", value, slab.SetOp{})
			want := kept(k.s)
			if err := k.j.close(); err != nil {
				t.Fatal(err)
			}
			again, _ := restored(t, k.mem, "d")
			wantContents(t, kept(again), want)
		})
	}
}

// A disk that does not answer is a trouble before anything is lost.
func TestJournalStall(t *testing.T) {
	k := newJournalled(t, PolicyInterval, func(c *journalConfig) {
		c.segment, c.stall, c.interval = 1<<20, 20*time.Millisecond, time.Millisecond
	})
	k.j.start()
	until(t, "the first segment", func() bool { return k.j.stats().Segments == 1 })
	_, release := k.fs.block(opSync, "journal", 1)
	set(t, k.w, "key", []byte("value"), slab.SetOp{})
	if s := <-k.states; !s.degraded || s.reason != stallReason {
		t.Errorf("%+v", s)
	}
	set(t, k.w, "key", []byte("value 2"), slab.SetOp{})
	release()
	if s := <-k.states; s.degraded {
		t.Errorf("%+v", s)
	}
	until(t, "the sync", func() bool { return k.j.stats().UnsyncedBytes == 0 })
	if err := k.j.close(); err != nil {
		t.Fatal(err)
	}
	// On a busy machine other operations may have taken as long since.
	if s := k.j.stats(); s.Gaps != 0 || s.Dropped != 0 || s.State.degraded {
		t.Errorf("%+v", s)
	}
	again, _ := restored(t, k.mem, "d")
	wantContents(t, kept(again), kept(k.s))
}

// A sync that fails is not tried again on the same file, and costs nothing. More
// of them in a row are a trouble, which ends by itself.
func TestJournalFailedSync(t *testing.T) {
	k := newJournalled(t, PolicyAlways, func(c *journalConfig) { c.segment = 1 << 20 })
	k.j.start()
	until(t, "the first segment", func() bool { return k.j.stats().Segments == 1 })
	k.fs.failOnce(opSync, "journal", 1, syscall.EIO)
	woken := make(chan struct{})
	set(t, k.w, "key", []byte("value"), slab.SetOp{})
	pos := k.j.Appended()
	k.j.NotifySynced(pos, func() { close(woken) })
	<-woken
	if s := k.j.stats(); k.j.Failed(pos) || s.Errors != 1 || s.Segments != 2 || s.State.degraded {
		t.Errorf("%+v", s)
	}
	k.fs.failFrom(opSync, "journal", 1, syscall.EIO)
	set(t, k.w, "key", []byte("value 2"), slab.SetOp{})
	if s := <-k.states; !s.degraded {
		t.Errorf("%+v", s)
	}
	k.fs.clear()
	if s := <-k.states; s.degraded {
		t.Errorf("%+v", s)
	}
	until(t, "the sync", func() bool { return k.j.Synced(k.j.Appended()) })
	if err := k.j.close(); err != nil {
		t.Fatal(err)
	}
	again, n := restored(t, k.mem.crash(0), "d")
	wantContents(t, kept(again), kept(k.s))
	if n.Gaps != 0 {
		t.Errorf("%+v", n)
	}
}

// closing with a disk that does not work ends, and says so.
func TestJournalCloseFails(t *testing.T) {
	k := newJournalled(t, PolicyInterval, nil)
	k.j.start()
	k.fs.failFrom(opAny, "", 1, syscall.EIO)
	set(t, k.w, "key", []byte("value"), slab.SetOp{})
	if err := k.j.close(); err == nil {
		t.Error("no error")
	}
	set(t, k.w, "key", []byte("value 2"), slab.SetOp{}) // nobody minds
}
