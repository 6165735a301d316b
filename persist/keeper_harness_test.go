package persist

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
	"github.com/rs/zerolog"
)

// handClock is a world whose time only passes when told to.
type handClock struct {
	mu sync.Mutex
	s  Stamp
}

func newHandClock() *handClock {
	return &handClock{s: Stamp{WallNs: 1.7e18, BootNs: 5e12, Boot: [16]byte{1}}}
}

func (c *handClock) World() Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s
}

// pass lets time pass.
func (c *handClock) pass(seconds int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.WallNs += seconds * 1e9
	c.s.BootNs += seconds * 1e9
}

// life is one life of a process: a keeper and its store.
type life struct {
	t     *testing.T
	k     *Keeper
	s     *slab.Store
	w     *slab.Worker
	clock *handClock
	rec   Recovery
}

// testLife starts a process on the directory "d" of fs and restores what is there.
func testLife(t *testing.T, fs FS, clock *handClock, change func(*Options)) *life {
	t.Helper()
	l, err := tryLife(t, fs, clock, change)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func tryLife(t *testing.T, fs FS, clock *handClock, change func(*Options)) (*life, error) {
	t.Helper()
	o := DefaultOptions()
	o.Dir, o.FS, o.Clock, o.Log = "d", fs, clock, zerolog.Nop()
	o.pollEvery, o.retryAfter, o.segment = time.Millisecond, time.Millisecond, 1<<20
	if change != nil {
		change(&o)
	}
	k, err := Open(o)
	if err != nil {
		return nil, err
	}
	l := &life{t: t, k: k, clock: clock}
	c := slab.DefaultConfig()
	c.LimitBytes, c.HashPower = 16<<20, 8
	if l.s, err = slab.New(c); err != nil {
		t.Fatal(err)
	}
	l.w = l.s.NewWorker()
	t.Cleanup(func() {
		l.abandon()
		if err := l.s.Close(); err != nil {
			t.Error(err)
		}
	})
	k.Start(l.s, false, false)
	if l.rec, err = k.Restore(context.Background(), false); err != nil {
		return nil, err
	}
	l.tick()
	return l, nil
}

// tick tells the store the time, as a server would.
func (l *life) tick() { l.s.Tick(max(l.k.ClockStart(), 2)) }

// close ends the process in order.
func (l *life) close() {
	l.t.Helper()
	if err := l.k.Close(context.Background()); err != nil {
		l.t.Error(err)
	}
}

// abandon ends it without a last snapshot.
func (l *life) abandon() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = l.k.Close(ctx)
}

func (l *life) set(key, value string, exptime uint32) uint64 {
	l.t.Helper()
	res := l.w.Set(l.s.Key([]byte(key)), &slab.SetOp{Exptime: exptime}, []byte(value))
	if res.Result != slab.Stored {
		l.t.Fatalf("set %s: %v", key, res.Result)
	}
	return res.CAS
}

// get returns a value, "-" if there is none, with "!" behind it if it is stale.
func (l *life) get(key string) string {
	got := "-"
	l.w.Get(l.s.Key([]byte(key)), &slab.GetOp{Meta: true}, func(v *slab.View) {
		got = string(v.AppendValue(nil))
		if v.Stale {
			got += "!"
		}
	})
	return got
}

func (l *life) want(pairs ...string) {
	l.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := l.get(pairs[i]); got != pairs[i+1] {
			l.t.Errorf("%s is %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

// snapshot has one made and returns what came of it.
func (l *life) snapshot() error {
	l.t.Helper()
	for {
		done := make(chan error, 1)
		if l.k.Snapshot(func(err error) { done <- err }) {
			return <-done
		}
		time.Sleep(time.Millisecond) // one of the keeper's own is being made
	}
}

func (l *life) stats() map[string]string {
	all := map[string]string{}
	l.k.Stats(func(name, value string) { all[name] = value })
	return all
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// names are the Keeper's files in the directory.
func names(t *testing.T, fs FS) []string {
	t.Helper()
	all, err := fs.List("d")
	if err != nil {
		t.Fatal(err)
	}
	return all
}
