package persist

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/holdfast-cache/holdfast/slab"
	"github.com/rs/zerolog"
)

// cueDriver fails on cue and keeps nothing.
type cueDriver struct {
	fail      atomic.Pointer[error] // what Snapshot and Probe return
	snapshots atomic.Int64
	events    Events
	closed    atomic.Bool
}

func (d *cueDriver) Find() (Found, error) {
	return Found{Ver: 77, Stamp: Stamp{Now: 500}, Last: 500}, nil
}

func (d *cueDriver) Restore(context.Context, *slab.Store, RestoreOptions) (Recovery, error) {
	return Recovery{Source: "nowhere"}, d.failure()
}

func (d *cueDriver) Start(_ *slab.Store, e Events) Journal {
	d.events = e
	return nil
}

func (d *cueDriver) failure() error {
	if p := d.fail.Load(); p != nil {
		return *p
	}
	return nil
}

func (d *cueDriver) Snapshot(context.Context, *slab.Store, bool) (SnapshotInfo, error) {
	if err := d.failure(); err != nil {
		return SnapshotInfo{}, err
	}
	d.snapshots.Add(1)
	return SnapshotInfo{Items: 1}, nil
}

func (d *cueDriver) Probe() error { return d.failure() }

func (d *cueDriver) Stats(add func(name, value string)) { add("cue", "yes") }

func (d *cueDriver) Close() error {
	d.closed.Store(true)
	return nil
}

var theCue = &struct {
	sync.Mutex
	d *cueDriver
}{}

func init() {
	Register("cue", func(*Options) (Driver, error) {
		theCue.Lock()
		defer theCue.Unlock()
		return theCue.d, nil
	})
}

// The keeper does with any driver what it does with its own.
func TestKeeperWithAnotherDriver(t *testing.T) {
	d := &cueDriver{}
	theCue.Lock()
	theCue.d = d
	theCue.Unlock()
	l := testLife(t, nil, newHandClock(), func(o *Options) { o.Driver, o.OnError = "cue", OnErrorReadonly })
	if l.s.Version() < 77+versionStep || l.s.Now() < 500 {
		t.Fatalf("version %d, clock %d", l.s.Version(), l.s.Now())
	}
	if err := l.snapshot(); err != nil || d.snapshots.Load() != 1 {
		t.Fatal(err)
	}
	failure := errors.New("out of paper\nand ink")
	d.fail.Store(&failure)
	if err := l.snapshot(); !errors.Is(err, failure) || l.k.Refusal() == "" {
		t.Fatalf("%v, %q", err, l.k.Refusal())
	}
	if st := l.stats(); st["state_reason"] != "out of paper and ink" || st["cue"] != "yes" || st["persistence"] != "cue" {
		t.Fatalf("%v", st)
	}
	d.events.Trouble("no journal") // two troubles at once
	d.fail.Store(nil)
	eventually(t, "snapshots work", func() bool { return d.snapshots.Load() > 1 })
	if l.k.Degraded() != "journal: no journal" {
		t.Fatalf("%q", l.k.Degraded())
	}
	d.events.Trouble("")
	if l.k.Degraded() != "" || l.k.Refusal() != "" {
		t.Fatalf("%q", l.k.Degraded())
	}
	made := d.snapshots.Load()
	d.events.Wanted()
	eventually(t, "the snapshot that the driver wants", func() bool { return d.snapshots.Load() > made })
	l.close()
	if !d.closed.Load() {
		t.Fatal("the driver is not closed")
	}
}

// A restore that fails is no reason not to serve, unless Strict.
func TestKeeperRestoreFails(t *testing.T) {
	failure := errors.New("unreadable")
	d := &cueDriver{}
	d.fail.Store(&failure)
	theCue.Lock()
	theCue.d = d
	theCue.Unlock()
	l := testLife(t, nil, newHandClock(), func(o *Options) { o.Driver = "cue" })
	if len(l.rec.Problems) != 1 || l.rec.Problems[0] != "unreadable" {
		t.Fatalf("%+v", l.rec)
	}
	eventually(t, "an early snapshot is tried", func() bool { return l.k.Degraded() != "" })
	l.abandon()
	if _, err := tryLife(t, nil, newHandClock(), func(o *Options) { o.Driver, o.Strict = "cue", true }); !errors.Is(err, failure) {
		t.Fatalf("strict: %v", err)
	}
}

func TestDriverNames(t *testing.T) {
	o := DefaultOptions()
	o.Driver = "telepathy"
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), `no driver "telepathy", only cue, dir`) {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a name was taken twice")
		}
	}()
	Register(DriverDir, openDir)
}

// shelf is a driver that keeps items in the memory of the program: a process
// that makes its store anew, or a test, has them back.
type shelf struct {
	mu    sync.Mutex
	items []slab.Record
	now   uint32
	ver   uint64
}

func (s *shelf) Find() (Found, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stamp := System.World()
	stamp.Now = s.now
	return Found{Ver: s.ver, Items: uint64(len(s.items)), Stamp: stamp, Last: s.now}, nil
}

func (s *shelf) Restore(_ context.Context, store *slab.Store, o RestoreOptions) (Recovery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := Recovery{Source: "the shelf"}
	w := store.NewWorker()
	for i := range s.items {
		r := s.items[i]
		r.Marks |= o.Marks
		if w.Restore(&r) == slab.Stored {
			rec.Items++
		}
	}
	return rec, nil
}

func (s *shelf) Start(*slab.Store, Events) Journal { return nil } // snapshots only

func (s *shelf) Snapshot(ctx context.Context, store *slab.Store, _ bool) (SnapshotInfo, error) {
	var items []slab.Record
	var c slab.Cursor
	for done := false; !done; {
		if ctx.Err() != nil {
			return SnapshotInfo{}, ctx.Err()
		}
		done = store.Walk(&c, slab.AllClasses, 64, func(i slab.Item) {
			var r slab.Record
			i.Record(&r)
			r.Key, r.Value = append([]byte(nil), r.Key...), i.AppendValue(nil)
			items = append(items, r)
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items, s.now, s.ver = items, store.Now(), store.Version()
	return SnapshotInfo{Items: uint64(len(items)), Ver: s.ver}, nil
}

func (s *shelf) Probe() error                       { return nil }
func (s *shelf) Stats(add func(name, value string)) { add("shelf_items", fmt.Sprint(len(s.items))) }
func (s *shelf) Close() error                       { return nil }

// A driver of one's own is a few methods. It is known by name from then on, and
// the keeper does the rest: when to keep, what to do when that fails, statistics.
func Example_driver() {
	place := &shelf{}
	Register("shelf", func(*Options) (Driver, error) { return place, nil })

	o := DefaultOptions()
	o.Driver, o.Log = "shelf", zerolog.Nop()
	for range 2 { // two lives of a process
		store, err := slab.New(slab.DefaultConfig())
		if err != nil {
			panic(err)
		}
		k, err := Open(o)
		if err != nil {
			panic(err)
		}
		k.Start(store, false, false)
		rec, err := k.Restore(context.Background(), false)
		if err != nil {
			panic(err)
		}
		fmt.Println("restored:", rec.Items)
		w := store.NewWorker()
		w.Set(store.Key([]byte("greeting")), &slab.SetOp{}, []byte("hello"))
		if err := k.Close(context.Background()); err != nil { // keeps them
			panic(err)
		}
		if err := store.Close(); err != nil {
			panic(err)
		}
	}
	// Output:
	// restored: 0
	// restored: 1
}
