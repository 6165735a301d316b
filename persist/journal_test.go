package persist

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
)

// journalled is a store with a journal on a file system in memory, and a keeper
// that makes snapshots when it is asked to.
type journalled struct {
	t          testing.TB
	mem        *memFS
	fs         *errFS
	s          *slab.Store
	w          *slab.Worker
	j          *journal
	seq        atomic.Uint64
	asked      atomic.Int32
	states     chan journalState
	closeStore func() // before the test ends, if there are many
}

// newJournalled makes one whose flusher does not run: round and turn are called
// by the test.
func newJournalled(t testing.TB, policy Policy, change func(*journalConfig)) *journalled {
	t.Helper()
	k := &journalled{t: t, mem: newMemFS(1), states: make(chan journalState, 100)}
	k.fs = newErrFS(k.mem)
	if err := k.fs.MkdirAll("d"); err != nil {
		t.Fatal(err)
	}
	c := slab.DefaultConfig()
	smallStore(&c)
	s, err := slab.New(c)
	if err != nil {
		t.Fatal(err)
	}
	s.Tick(1000)
	k.s, k.w = s, s.NewWorker()
	k.closeStore = sync.OnceFunc(func() { closeStore(t, s) })
	t.Cleanup(k.closeStore)
	k.begin(policy, change)
	return k
}

func smallStore(c *slab.Config) { c.LimitBytes, c.HashPower = 8<<20, 4 }

// begin gives the store a new journal.
func (k *journalled) begin(policy Policy, change func(*journalConfig)) {
	c := journalConfig{
		fs: k.fs, dir: "d", store: k.s, clock: fixedClock{WallNs: 1e18}, policy: policy,
		interval: time.Hour, timeout: time.Minute, segment: 16 << 10,
		next:    func() uint64 { return k.seq.Add(1) },
		onState: func(s journalState) { k.states <- s },
		onGap:   func() { k.asked.Add(1) },
	}
	if change != nil {
		change(&c)
	}
	k.j = newJournal(c)
	k.s.SetJournal(k.j)
}

// rebase does what a keeper does for a snapshot. It reports whether that worked.
func (k *journalled) rebase(rotate func(seq uint64) error) bool {
	snap := k.seq.Add(1)
	seq := k.seq.Add(1)
	if rotate(seq) != nil {
		return false
	}
	_, err := writeSnapshot(context.Background(), k.fs, "d", Header{Seq: snap}, k.s, testOptions())
	if err == nil {
		k.j.publishedSnapshot(seq)
	}
	return err == nil
}

// restored returns what a start would find in fs.
func restored(t testing.TB, fs FS, dir string) (*slab.Store, Replayed) {
	t.Helper()
	s, n := startAgain(t, fs, dir)
	t.Cleanup(func() { closeStore(t, s) })
	return s, n
}

func closeStore(t testing.TB, s *slab.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// startAgain is restored, but the caller closes the store.
func startAgain(t testing.TB, fs FS, dir string) (*slab.Store, Replayed) {
	t.Helper()
	c := slab.DefaultConfig()
	smallStore(&c)
	s, err := slab.New(c)
	if err != nil {
		t.Fatal(err)
	}
	s.Tick(1000)
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	ver := uint64(0)
	for _, name := range names {
		if h, err := readHeader(fs, filepath.Join(dir, name)); err == nil {
			ver = max(ver, h.Ver)
		}
	}
	s.BeginRestore(ver+1<<32, 0)
	var o replayOptions
	for i := len(names) - 1; i >= 0; i-- {
		if filepath.Ext(names[i]) != ".hfs" {
			continue
		}
		src, err := openSnapshot(fs, filepath.Join(dir, names[i]))
		if err != nil || !src.complete {
			continue
		}
		if _, err := src.restore(context.Background(), s, restoreOptions{workers: 1}); err != nil {
			t.Fatal(err)
		}
		o.after, o.ver = src.info.Seq, src.info.Ver
		closeNow(t, src)
		break
	}
	n, err := replayJournal(context.Background(), fs, dir, s, o)
	if err != nil {
		t.Fatal(err)
	}
	s.EndRestore(false)
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s, n
}

// kept is contents without what no journal is told of: when items were read.
func kept(s *slab.Store) map[string]string {
	all := map[string]string{}
	var c slab.Cursor
	for done := false; !done; {
		done = s.Walk(&c, slab.AllClasses, 1000, func(i slab.Item) {
			var r slab.Record
			i.Record(&r)
			r.Marks &= slab.MarkBinary | slab.MarkStale
			key, value := string(r.Key), i.AppendValue(nil)
			all[key] = fmt.Sprintf("%d %d %d %d %d %x", r.Flags, r.Exptime, r.Ver, r.CAS, r.Marks, value)
		})
	}
	return all
}

// change does one operation of a client's at random.
func change(w *slab.Worker, rng *rand.Rand, key string) {
	k := w.Store().Key([]byte(key))
	now := w.Store().Now()
	exptime := []uint32{0, 0, now + 1, now + 1000}[rng.IntN(4)]
	value := bytes.Repeat([]byte{byte('0' + rng.IntN(10))}, 1+rng.IntN(5))
	if rng.IntN(30) == 0 {
		value = bytes.Repeat(value, 5000)
	} else if rng.IntN(100) == 0 {
		value = bytes.Repeat(value, 100_000)
	}
	cas := uint64(rng.IntN(3)) * 1000
	switch rng.IntN(11) {
	case 0, 1, 2:
		w.Set(k, &slab.SetOp{Mode: slab.Mode(rng.IntN(5)), Flags: uint32(rng.IntN(2)), Exptime: exptime, NewCAS: cas, Binary: rng.IntN(9) == 0}, value)
	case 3, 4:
		w.Get(k, &slab.GetOp{Touch: true, Exptime: exptime}, nil)
	case 5:
		w.Get(k, &slab.GetOp{Meta: true, Vivify: true, VivifyExptime: exptime, VivifyCAS: cas}, nil)
	case 6:
		w.Delete(k, nil)
	case 7:
		w.Delete(k, &slab.DeleteOp{Invalidate: true, SetExptime: rng.IntN(2) == 0, Exptime: exptime, NewCAS: cas})
	case 8:
		w.Arith(k, &slab.ArithOp{Delta: 7, NewCAS: cas, Vivify: true, Initial: 5, SetExptime: rng.IntN(2) == 0, Exptime: exptime})
	case 9:
		w.Set(k, &slab.SetOp{DropOnFail: true}, make([]byte, 2<<20)) // too large: removes
	case 10:
		if rng.IntN(20) == 0 {
			w.Store().FlushAll(0)
		}
	}
}

// The files make the same store again, however the changes fall into blocks and
// segments, and with snapshots in between.
func TestJournalMakesTheStoreAgain(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		k := newJournalled(t, []Policy{PolicyOS, PolicyInterval, PolicyAlways}[seed%3], func(c *journalConfig) {
			c.codec = Codec(seed / 3 % 3)
			c.segment = 16 << 10 << (seed % 2 * 6)
		})
		for range 2000 {
			change(k.w, rng, fmt.Sprintf("key%d", rng.IntN(60)))
			switch rng.IntN(200) {
			case 0:
				k.s.Tick(k.s.Now() + 1)
			case 1:
				if !k.rebase(k.j.turn) {
					t.Fatal("no snapshot")
				}
			case 2, 3, 4, 5, 6, 7, 8, 9:
				if err := k.j.round(rng.IntN(2) == 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := kept(k.s)
		if err := k.j.finish(); err != nil {
			t.Fatal(err)
		}
		again, n := restored(t, k.mem, "d")
		if n.Torn != 0 || n.Gaps != 0 || n.BadBytes != 0 {
			t.Errorf("seed %d: %+v", seed, n)
		}
		again.Tick(k.s.Now())
		wantContents(t, kept(again), want)
		if k.mem.openFiles() != 0 {
			t.Errorf("%d files are open", k.mem.openFiles())
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// An item's life that was prolonged in the journal goes on, even if it would
// have been over at the time of the start.
func TestReplayProlongsLives(t *testing.T) {
	k := newJournalled(t, PolicyOS, nil)
	set(t, k.w, "key", []byte("value"), slab.SetOp{Exptime: 1010})
	k.w.Touch(k.s.Key([]byte("key")), 2000)
	if err := k.j.finish(); err != nil {
		t.Fatal(err)
	}
	again, _ := restored(t, k.mem, "d")
	again.Tick(1500)
	wantContents(t, kept(again), kept(k.s))
}

// Many workers, the flusher running, replies awaited: everything is there.
func TestJournalConcurrent(t *testing.T) {
	k := newJournalled(t, PolicyAlways, func(c *journalConfig) { c.segment = 256 << 10 })
	k.j.start()
	const workers, ops = 4, 1500
	var wg sync.WaitGroup
	for id := range workers {
		wg.Go(func() {
			w := k.s.NewWorker()
			rng := rand.New(rand.NewPCG(uint64(id), 3))
			woken := make(chan struct{}, 1)
			for i := range ops {
				change(w, rng, fmt.Sprintf("key%d", rng.IntN(200)))
				if i%8 != 0 {
					continue
				}
				pos := k.j.Appended()
				k.j.NotifySynced(pos, func() { woken <- struct{}{} })
				<-woken
				if k.j.Failed(pos) {
					t.Error("not synced")
				}
			}
		})
	}
	var stop atomic.Bool
	wg.Go(func() {
		for range 5 {
			if !k.rebase(k.j.rotate) {
				t.Error("no snapshot")
			}
		}
	})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for !stop.Load() {
			if s := k.j.stats(); s.SyncedBytes > s.WrittenBytes || s.WrittenEntries > s.AppendedEntries {
				t.Errorf("%+v", s)
			}
		}
	}()
	wg.Wait()
	stop.Store(true)
	<-watched
	want := kept(k.s)
	if err := k.j.close(); err != nil {
		t.Fatal(err)
	}
	s := k.j.stats()
	if s.UnsyncedBytes != 0 || s.UnsyncedAge != 0 || s.WrittenEntries != s.AppendedEntries || s.Syncs == 0 || s.SyncP99 == 0 || s.SyncMax < s.SyncP99 {
		t.Errorf("%+v", s)
	}
	again, n := restored(t, k.mem, "d")
	if n.Torn != 0 || n.Gaps != 0 {
		t.Errorf("%+v", n)
	}
	wantContents(t, kept(again), want)
	woken := false
	k.j.NotifySynced(1<<60, func() { woken = true })
	if !woken {
		t.Error("a closed journal keeps a waiter")
	}
	if k.j.rotate(1) == nil {
		t.Error("a closed journal rotates")
	}
}

func TestJournalTakesLongValues(t *testing.T) {
	k := newJournalled(t, PolicyAlways, func(c *journalConfig) { c.bound = 1 << 20 })
	s, w := newStore(t, func(c *slab.Config) { c.LimitBytes, c.ItemSizeMax = 64<<20, 16<<20 })
	k.s = s
	k.begin(PolicyAlways, func(c *journalConfig) { c.bound = 1 << 20 })
	long := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // 8 times the bound
	set(t, w, "short", []byte("x"), slab.SetOp{})
	set(t, w, "long", long, slab.SetOp{})
	set(t, w, "middle", long[:300<<10], slab.SetOp{})
	set(t, w, "after", []byte("y"), slab.SetOp{})
	if err := k.j.round(true); err != nil {
		t.Fatal(err)
	}
	if st := k.j.stats(); st.Dropped != 0 || st.Gaps != 0 || !k.j.Synced(k.j.Appended()) {
		t.Fatalf("%+v", st)
	}
	set(t, w, "long", long, slab.SetOp{})
	set(t, w, "long too", long, slab.SetOp{}) // there is one already
	if st := k.j.stats(); st.Dropped != 1 || st.Gaps != 1 {
		t.Fatalf("%+v", st)
	}
	if err := k.j.finish(); err == nil {
		t.Error("a journal that lacks changes is closed without an error")
	}
	again, into := newStore(t, func(c *slab.Config) { c.LimitBytes, c.ItemSizeMax = 64<<20, 16<<20 })
	again.BeginRestore(1<<40, 0)
	if _, err := replayJournal(context.Background(), k.mem, "d", again, replayOptions{}); err != nil {
		t.Fatal(err)
	}
	into.Delete(again.Key([]byte("long too")), nil)
	w.Delete(s.Key([]byte("long too")), nil)
	wantContents(t, kept(again), kept(s))
}

func TestJournalAllocatesNothing(t *testing.T) {
	k := newJournalled(t, PolicyOS, func(c *journalConfig) { c.segment = 1 << 20 })
	key, value := k.s.Key([]byte("a key of some length")), make([]byte, 100)
	w := k.w
	run := func() {
		w.Set(key, &slab.SetOp{}, value)
		w.Touch(key, 2000)
		w.Delete(key, nil)
		k.s.FlushAll(0)
	}
	run()
	if err := k.j.round(false); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("%v allocations for 4 changes", n)
	}
}

func TestPolicyNames(t *testing.T) {
	for p := PolicyOff; p <= PolicyAlways; p++ {
		if got, err := ParsePolicy(p.String()); err != nil || got != p {
			t.Errorf("%v: %v, %v", p, got, err)
		}
	}
	if _, err := ParsePolicy("never"); err == nil {
		t.Error("never is a policy")
	}
}

func TestTimeCounts(t *testing.T) {
	var c timeCounts
	if c.quantile(0.99) != 0 {
		t.Error("a quantile of nothing")
	}
	for i := range int64(1000) {
		c.add((i + 1) * 1000)
	}
	if q := c.quantile(0.99); q < 990*time.Microsecond || q > 1000*time.Microsecond {
		t.Errorf("p99 is %v", q)
	}
	if q := c.quantile(0.5); q < 500*time.Microsecond || q > 565*time.Microsecond {
		t.Errorf("p50 is %v", q)
	}
	if c.longest() != time.Millisecond {
		t.Error(c.longest())
	}
}

// What waits for a sync is written again after a failure as it was, though the
// buffers that it came in are in use for something else.
func TestRetainedBatches(t *testing.T) {
	var sp spares
	var r retained
	fill := func(n int, c byte) *batch {
		b := sp.take(0, n)
		for len(b.buf) < blockBytes+n {
			b.buf = append(b.buf, c)
		}
		return b
	}
	var held []*batch
	for i := range 200 {
		held = append(held, fill(20_000, byte(i)))
		r.compact(held, &sp)
	}
	r.forget(50) // a segment has ended; the others are to be written again
	held = held[50:]
	for i := range 100 {
		held = append(held, fill(30_000, byte(200+i)))
		r.compact(held, &sp)
	}
	for i, b := range held {
		want := byte(50 + i)
		if n := len(b.buf) - blockBytes; n != 20_000 && n != 30_000 || bytes.Count(b.buf[blockBytes:], []byte{want}) != n {
			t.Fatalf("batch %d is not what it was", i)
		}
	}
	chunks := len(r.chunks)
	for range 20 {
		r.forget(len(held))
		r.compact(held[:0], &sp)
		held = held[:0]
		for i := range 200 {
			held = append(held, fill(20_000, byte(i)))
			r.compact(held, &sp)
		}
	}
	if len(r.chunks) > chunks || sp.mu.n > spareMax {
		t.Errorf("%d chunks, %d at first; %d spare buffers", len(r.chunks), chunks, sp.mu.n)
	}
}
