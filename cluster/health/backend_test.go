package health

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// testPool returns a pool of n backends, without jitter and ramp unless opt says
// so, at time 0.
func testPool(n int, opt Options) (*Pool, []*Backend) {
	p := &Pool{}
	var all []*Backend
	for range n {
		b := p.NewBackend(0, opt)
		b.unit = func() float64 { return 0.5 }
		all = append(all, b)
	}
	return p, all
}

func oneBackend(opt Options) *Backend {
	_, all := testPool(1, opt)
	return all[0]
}

func wantState(t *testing.T, b *Backend, want State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Fatalf("%v, want %v", got, want)
	}
}

// back probes and fences b, which must be due at now.
func back(t *testing.T, b *Backend, now int64, says Identity) Decision {
	t.Helper()
	if !b.TryProbe(now) {
		t.Fatalf("no probe at %d ms: %+v", now/millisecond, b.Status(now))
	}
	d := b.ProbeOK(now, says)
	wantState(t, b, Returning)
	if d.Action == Flush {
		b.Journal().BeginFlush(now)
		b.Journal().EndFlush(now, true)
	}
	drain(b.Journal(), now, 10)
	if !b.FenceDone(now) {
		t.Fatal("the fence did not count")
	}
	return d
}

func TestFailuresInARow(t *testing.T) {
	type step struct {
		ms     int64
		kind   Kind
		answer bool
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  State
	}{
		{"three in a row", []step{{ms: 0, kind: Timeout}, {ms: 100, kind: Reset}, {ms: 200, kind: Protocol}}, Down},
		{"two", []step{{ms: 0, kind: Timeout}, {ms: 250, kind: Timeout}}, Up},
		{"an answer between", []step{{ms: 0, kind: Timeout}, {ms: 200, kind: Timeout}, {ms: 300, answer: true}, {ms: 400, kind: Timeout}}, Up},
		{"many at once", []step{{ms: 0, kind: Timeout}, {ms: 1, kind: Timeout}, {ms: 2, kind: Timeout}, {ms: 99, kind: Reset}}, Up},
		{"many at once, three times", []step{{ms: 0, kind: Timeout}, {ms: 50, kind: Timeout}, {ms: 110, kind: Timeout}, {ms: 160, kind: Timeout}, {ms: 215, kind: Timeout}}, Down},
		{"far apart", []step{{ms: 0, kind: Timeout}, {ms: 6000, kind: Timeout}, {ms: 10_001, kind: Timeout}, {ms: 10_200, kind: Timeout}}, Up},
		{"within the window", []step{{ms: 0, kind: Timeout}, {ms: 6000, kind: Timeout}, {ms: 10_000, kind: Timeout}}, Down},
		{"connects without answer", []step{{ms: 0, kind: ConnectTimeout}, {ms: 100, kind: ConnectTimeout}}, Up},
		{"refused", []step{{ms: 0, kind: Refused}}, Down},
		{"overflowed", []step{{ms: 0, kind: Overflowed}}, Down},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := oneBackend(DefaultOptions())
			for _, s := range c.steps {
				if wantState(t, b, Up); s.answer {
					b.Answered()
				} else {
					b.Failed(s.ms*millisecond, s.kind)
				}
			}
			wantState(t, b, c.want)
			if got := c.want == Up; b.AdmitsRead(1, 0) != got || b.AdmitsWrite() != got {
				t.Errorf("admits reads %v, writes %v, want %v", b.AdmitsRead(1, 0), b.AdmitsWrite(), got)
			}
		})
	}
}

// TestProbesSlowDown follows the times of probes that all fail.
func TestProbesSlowDown(t *testing.T) {
	b := oneBackend(DefaultOptions())
	b.Failed(0, Refused)
	now := int64(0)
	for _, wait := range []int64{250, 500, 1000, 2000, 4000, 5000, 5000} {
		if now += wait * millisecond; b.TryProbe(now - 1) {
			t.Fatalf("probed before %d ms were over", wait)
		}
		if !b.TryProbe(now) || b.TryProbe(now) {
			t.Fatalf("after %d ms there must be one probe, and one only", wait)
		}
		b.Answered()
		wantState(t, b, Probing)
		b.ProbeFailed(now)
		wantState(t, b, Down)
	}
	now += 5 * second
	if !b.TryProbe(now) {
		t.Fatal("no probe")
	}
	b.ProbeOK(now, Identity{})
	b.FenceFailed(now + 1)
	wantState(t, b, Down)
	if b.TryProbe(now+1+5*second-1) || !b.TryProbe(now+1+5*second) {
		t.Error("a fence that fails is a probe that fails")
	}
}

// TestFlapsAreHeldDown has a backend fail each time a second after its return.
func TestFlapsAreHeldDown(t *testing.T) {
	b := oneBackend(DefaultOptions())
	now := at(1000)
	b.Failed(now, Refused)
	now += 250 * millisecond
	back(t, b, now, Identity{})
	for _, hold := range []int64{5, 10, 20, 40, 80, 160, 300, 300} {
		now += second
		b.Failed(now, Refused)
		if b.TryProbe(now + at(hold) - 1) {
			t.Fatalf("probed before %d s were over", hold)
		}
		now += at(hold)
		back(t, b, now, Identity{})
	}
	// It was held down for 300 s, so serving for Stable is not enough.
	now += 299 * second
	b.Failed(now, Refused)
	if b.TryProbe(now + 300*second - 1) {
		t.Error("forgiven too early")
	}
	now += 300 * second
	back(t, b, now, Identity{})
	now += 300 * second
	b.Failed(now, Refused)
	if now += 250 * millisecond; !b.TryProbe(now) {
		t.Error("not forgiven")
	}
}

// A server that flaps for days is held down for HoldMax in the end, whatever HoldMin is.
func TestFlapsForDays(t *testing.T) {
	opt := DefaultOptions()
	opt.HoldMin, opt.HoldMax = 3600*second, 60*3600*second
	b := oneBackend(opt)
	now := at(1000)
	b.Failed(now, Refused)
	now += 250 * millisecond
	back(t, b, now, Identity{})
	for flap := range 60 {
		now += second
		b.Failed(now, Refused)
		if flap >= 6 && b.TryProbe(now+opt.HoldMax-1) {
			t.Fatalf("flap %d: probed before HoldMax was over", flap)
		}
		now += opt.HoldMax
		back(t, b, now, Identity{})
	}
}

func TestJitter(t *testing.T) {
	b := oneBackend(DefaultOptions())
	b.unit = rand.Float64
	low, high := int64(1<<62), int64(0)
	for range 1000 {
		d := b.jitter(1000)
		low, high = min(low, d), max(high, d)
	}
	if low < 750 || low > 800 || high > 1250 || high < 1200 {
		t.Errorf("1000 is spread from %d to %d, want 750 to 1250", low, high)
	}
}

func TestRamp(t *testing.T) {
	b := oneBackend(DefaultOptions())
	b.Failed(0, Refused)
	start := at(1)
	back(t, b, start, Identity{})
	wantState(t, b, Ramping)
	if !b.AdmitsWrite() {
		t.Error("writes are not part of the ramp")
	}
	const keys = 20_000
	admitted := make([]bool, keys)
	for ms := int64(0); ms < 30_000; ms += 1000 {
		n := 0
		for k := range admitted {
			// Hashes with little difference, as those of one backend may be.
			ok := b.AdmitsRead(uint64(k)<<48, start+ms*millisecond)
			if admitted[k] && !ok {
				t.Fatalf("key %d was read and is not at %d ms", k, ms)
			}
			if admitted[k] = ok; ok {
				n++
			}
		}
		want := 0.05 + 0.95*float64(ms)/30_000
		if share := float64(n) / keys; share < want-0.02 || share > want+0.02 {
			t.Errorf("at %d ms %.3f of the keys are read, want %.3f", ms, share, want)
		}
	}
	wantState(t, b, Ramping)
	if !b.AdmitsRead(0, start+at(30)) {
		t.Error("a key is not read after the ramp")
	}
	wantState(t, b, Up)
}

func TestNoRamp(t *testing.T) {
	opt := DefaultOptions()
	opt.Ramp = 0
	b := oneBackend(opt)
	b.Failed(0, Refused)
	back(t, b, at(1), Identity{})
	wantState(t, b, Up)
}

// TestFailureDuringFence: the fence goes on, but does not count.
func TestFailureDuringFence(t *testing.T) {
	b := oneBackend(DefaultOptions())
	b.Failed(0, Refused)
	b.TryProbe(at(1))
	b.ProbeOK(at(1), Identity{BootID: "a"})
	b.Failed(at(2), Refused)
	wantState(t, b, Returning)
	if b.TryProbe(at(100)) {
		t.Error("a second probe while a fence is under way")
	}
	if b.FenceDone(at(2)) {
		t.Error("the fence counts, of a backend that refused a connect since")
	}
	wantState(t, b, Down)

	add(b.Journal(), at(9), "k")
	b.TryProbe(at(10))
	b.ProbeOK(at(10), Identity{BootID: "a", Items: 1})
	b.Journal().Next(nil, 9)
	b.FenceFailed(at(10))
	b.TryProbe(at(15))
	b.ProbeOK(at(15), Identity{BootID: "a", Items: 1})
	if got := b.Journal().Next(nil, 9); len(got) != 1 {
		t.Errorf("what the failed fence had sent must be sent again: %v", got)
	}
	b.Failed(at(15), Timeout)
	if b.Meet(at(16), Identity{BootID: "b"}) || b.FenceDone(at(16)) {
		t.Error("the fence counts, of a process that is gone")
	}

	b.TryProbe(at(30))
	b.ProbeOK(at(30), Identity{BootID: "a"})
	b.Journal().Lose(at(30))
	if b.FenceDone(at(31)) {
		t.Error("the fence counts, though the journal overflowed during it")
	}
	if d := back(t, b, at(60), Identity{BootID: "a", Items: 1}); d.Action != Flush {
		t.Errorf("decided %+v, want a flush", d)
	}
}

func TestMeet(t *testing.T) {
	one, two := Identity{BootID: "one", Items: 1}, Identity{BootID: "two", Items: 1}
	b := oneBackend(DefaultOptions())
	if !b.Meet(0, one) || !b.Meet(1, one) {
		t.Fatal("a node met first, and the same again, may be used")
	}
	b.Journal().Add(1, []byte("k"), false)
	if !b.Meet(2, one) {
		t.Error("one lost write does not take a backend down")
	}
	if b.Meet(at(10), two) {
		t.Fatal("another process must be fenced")
	}
	wantState(t, b, Down)
	if !b.Meet(at(10), two) {
		t.Error("while it is down a connection may be kept: AdmitsWrite decides")
	}
	back(t, b, at(10), two) // at once: it is known to answer
	if !b.Meet(at(11), two) {
		t.Error("after the fence the new process is the one that is known")
	}
	if b.Meet(at(12), one) || b.TryProbe(at(12)) {
		t.Error("restarted again after two seconds: it flaps")
	}

	b = oneBackend(DefaultOptions())
	lossy := Identity{BootID: "x", RestoredAt: 100, SnapshotTime: 50, Time: 100, Items: 1}
	if b.Meet(0, lossy) {
		t.Error("restored from an older snapshot, and not fenced")
	}
	if d := back(t, b, 0, lossy); d.Action != Flush {
		t.Errorf("decided %+v, want a flush", d)
	}

	opt := DefaultOptions()
	opt.Policy.ServeStale = true
	if b = oneBackend(opt); !b.Meet(0, lossy) || !b.Stale() {
		t.Error("with serve-stale it is read at once, and marked")
	}
}

func TestClearedJournalIsReplayedFromThere(t *testing.T) {
	b := oneBackend(DefaultOptions())
	b.Meet(0, Identity{BootID: "one", Items: 1})
	b.Failed(at(10), Refused)
	add(b.Journal(), at(11), "old")
	add(b.Journal(), at(20), "new")
	b.TryProbe(at(30))
	d := b.ProbeOK(at(30), Identity{BootID: "two", Uptime: 13, Time: there(30), Items: 1})
	if got := drain(b.Journal(), at(30), 9); d.Action != ClearJournal || got != "new" {
		t.Errorf("%v, replayed %q, want only what came after the start at 17 s", d.Action, got)
	}
}

func TestPoolGuard(t *testing.T) {
	p, all := testPool(5, DefaultOptions())
	back0 := all[0]
	back0.Failed(0, Refused)
	back(t, back0, at(1), Identity{})
	back0.Failed(at(2), Refused) // held down for 5 s
	all[1].Failed(at(2), Refused)
	if p.Open() || back0.AdmitsWrite() || back0.TryProbe(at(3)) {
		t.Fatal("two of five are not the more part")
	}
	all[2].Failed(at(2), Refused)
	if !p.Open() || !back0.AdmitsWrite() || back0.AdmitsRead(1, at(2)) {
		t.Fatal("three of five: writes are tried, reads not")
	}
	if back0.TryProbe(at(2) + 250*millisecond - 1) {
		t.Error("no probe before ProbeMin even so")
	}
	back(t, back0, at(2)+250*millisecond, Identity{}) // 2 of 5 are down then, so it ramps
	wantState(t, back0, Ramping)
	all[3].Failed(at(3), Refused)
	if !back0.AdmitsRead(^uint64(0), at(3)) {
		t.Error("an open pool has no ramp")
	}
	wantState(t, back0, Up)
	p.Remove(all[3])
	p.Remove(all[3])
	all[3].TryProbe(at(100))
	all[3].ProbeOK(at(100), Identity{})
	if n, down := p.Counts(); n != 4 || down != 2 || p.Open() {
		t.Errorf("%d of %d down, want 2 of 4", down, n)
	}
	p.Remove(all[4])
	if n, down := p.Counts(); n != 3 || down != 2 || !p.Open() {
		t.Errorf("%d of %d down, want 2 of 3", down, n)
	}
	p, all = testPool(2, DefaultOptions())
	all[0].Failed(0, Refused)
	all[1].Failed(0, Refused)
	if p.Open() || all[0].AdmitsWrite() {
		t.Error("of two there is no more part")
	}
}

func TestStatus(t *testing.T) {
	b := oneBackend(DefaultOptions())
	b.Failed(at(5), Refused)
	b.Journal().Add(at(6), []byte("k"), false)
	s := b.Status(at(6))
	if s.State != Down || s.Since != at(5) || s.Downs != 1 || s.Kind != Refused || s.Probe != at(5)+250*millisecond || s.Journal.Keys != 1 {
		t.Errorf("%+v", s)
	}
	back(t, b, at(7), Identity{BootID: "a", Items: 1})
	if s = b.Status(at(7) + 29*second); s.State != Ramping || s.Known.BootID != "a" || s.Last.Action != Replay {
		t.Errorf("%+v", s)
	}
	if s = b.Status(at(7) + 30*second); s.State != Up {
		t.Errorf("%v after the ramp", s.State)
	}
	names := ""
	for k := Refused; k <= Overflowed; k++ {
		names += " " + k.String()
	}
	for s := Up; s <= Ramping; s++ {
		names += " " + s.String()
	}
	for a := Nothing; a <= Flush; a++ {
		names += " " + a.String()
	}
	const want = " refused connect-timeout timeout reset protocol restarted overflowed up down probing returning ramping nothing clear-journal replay flush"
	if names != want {
		t.Errorf("names %q", names)
	}
}

// TestManyLoops has loops report at the same time: run it with -race. Each probe
// it is given a loop counts in and out again.
func TestManyLoops(t *testing.T) {
	opt := DefaultOptions()
	opt.ProbeMin, opt.HoldMin = 1, 1
	opt.HoldMax, opt.Ramp, opt.Stable = 10, 5, 10
	_, all := testPool(3, opt)
	var holders [3]int32 // not atomic: two probes at a time are a data race
	var wg sync.WaitGroup
	for loop := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(loop)))
			key := []byte{byte(loop)}
			for now := range int64(20_000) {
				i := r.IntN(3)
				b := all[i]
				switch r.IntN(8) {
				case 0:
					b.Failed(now, Kind(r.IntN(7)))
				case 1, 2:
					b.Answered()
					b.Journal().Acked(now)
				case 3:
					b.Journal().Add(now, key, false)
				case 4, 5:
					if !b.TryProbe(now) {
						continue
					}
					if holders[i]++; holders[i] != 1 {
						t.Error("two probes at a time")
					}
					if b.ProbeOK(now, Identity{BootID: "x", Items: 1}).Action == Flush {
						b.Journal().BeginFlush(now)
						b.Journal().EndFlush(now, true)
					}
					drain(b.Journal(), now, 2)
					holders[i]--
					if r.IntN(2) == 0 {
						b.FenceDone(now)
					} else {
						b.FenceFailed(now)
					}
				case 6:
					b.AdmitsRead(r.Uint64(), now)
					b.AdmitsWrite()
				case 7:
					b.Meet(now, Identity{BootID: "x", Items: 1})
					b.Status(now)
				}
			}
		})
	}
	wg.Wait()
	down := 0
	for _, b := range all {
		if isDown(b.State()) {
			down++
		}
	}
	if _, got := all[0].pool.Counts(); got != down {
		t.Errorf("the pool counts %d down, %d are", got, down)
	}
}
