package persist

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"github.com/holdfast-cache/holdfast/slab"
)

// history is what the oracle knows of a key: every state that it has had, and
// the journal's position after the change to it. "" is no item.
type history struct {
	states []string
	after  []uint64
}

// oracle does changes and remembers them.
type oracle struct {
	k    *journalled
	rng  *rand.Rand
	keys map[string]*history
	n    int
	// short says that no value is longer than a line.
	short bool
}

func newOracle(k *journalled, seed uint64) *oracle {
	o := &oracle{k: k, rng: rand.New(rand.NewPCG(seed, 9)), keys: map[string]*history{}}
	for i := range 24 {
		o.keys[fmt.Sprint("key", i)] = &history{states: []string{""}, after: []uint64{0}}
	}
	return o
}

func (o *oracle) note(key, state string) {
	h := o.keys[key]
	h.states = append(h.states, state)
	h.after = append(h.after, o.k.j.Appended())
}

// step does one change.
func (o *oracle) step() {
	o.n++
	w := o.k.w
	key := fmt.Sprint("key", o.rng.IntN(len(o.keys)))
	switch r := o.rng.IntN(100); {
	case r < 65:
		value := fmt.Sprintf("%s is %d.", key, o.n)
		for r < 5 && !o.short && len(value) < 3000 {
			value += value
		}
		w.Set(w.Store().Key([]byte(key)), &slab.SetOp{}, []byte(value))
		o.note(key, value)
	case r < 98:
		w.Delete(w.Store().Key([]byte(key)), nil)
		o.note(key, "")
	default:
		w.Store().FlushAll(0)
		for key := range o.keys {
			o.note(key, "")
		}
	}
}

// check finds what a start would make of fs in order: every key has one of its
// states, none earlier than the last change before pos.
func (o *oracle) check(fs *memFS, pos uint64) Replayed {
	o.k.t.Helper()
	s, n := startAgain(o.k.t, fs, "d")
	defer closeStore(o.k.t, s)
	for key, state := range values(s, o.keys) {
		if h := o.keys[key]; !h.may(state, pos) {
			o.k.t.Errorf("%s is %.50q, which it was not since position %d: %.50q", key, state, pos, h.states)
		}
	}
	return n
}

// may reports whether the key was in that state at pos or later.
func (h *history) may(state string, pos uint64) bool {
	for i := len(h.states) - 1; i >= 0; i-- {
		if h.states[i] == state {
			return true
		}
		if h.after[i] <= pos {
			return false
		}
	}
	return false
}

func (h *history) last() string { return h.states[len(h.states)-1] }

// values returns the values of keys, "" of those that are not there.
func values(s *slab.Store, keys map[string]*history) map[string]string {
	w := s.NewWorker()
	all := map[string]string{}
	for key := range keys {
		all[key] = ""
		w.Get(s.Key([]byte(key)), nil, func(v *slab.View) { all[key] = string(v.AppendValue(nil)) })
	}
	return all
}

// promised returns before which position every change is durable.
func (k *journalled) promised() uint64 {
	switch k.j.conf.policy {
	case PolicyAlways:
		return k.j.synced.Load()
	case PolicyInterval:
		return k.j.released.Load()
	}
	return 0
}

// work does changes, rounds and now and then a snapshot. Errors are the
// journal's to deal with.
func (o *oracle) work(steps int) {
	for range steps {
		o.step()
		switch o.rng.IntN(12) {
		case 0, 1:
			_ = o.k.j.round(false)
		case 2:
			_ = o.k.j.round(true)
		case 3:
			if o.rng.IntN(12) == 0 || o.k.asked.Swap(0) > 0 {
				o.k.rebase(o.k.j.turn)
			}
		}
	}
}

var journalPolicies = []Policy{PolicyOS, PolicyInterval, PolicyAlways}

// The power may fail before any operation, and any part of what was not synced
// may be there afterwards: nothing promised is lost, nothing is made up, and
// nothing comes back.
func TestJournalCrash(t *testing.T) {
	for _, policy := range journalPolicies {
		t.Run(policy.String(), func(t *testing.T) {
			k := newJournalled(t, policy, func(c *journalConfig) { c.segment = 6 << 10 })
			o := newOracle(k, 1)
			crashes, gaps := 0, 0
			k.fs.before = func(fsOp, string) {
				share := []int{0, 30, 70, 100}[crashes%4]
				crashes++
				if n := o.check(k.mem.crash(share), k.promised()); n.Gaps > 0 {
					gaps++
				}
				if t.Failed() {
					t.Fatalf("crash %d, share %d", crashes, share)
				}
			}
			o.work(300)
			if crashes < 200 {
				t.Errorf("only %d crashes", crashes)
			}
			t.Logf("%d crashes, %d with blocks missing", crashes, gaps)
		})
	}
}

// The same when the start after each crash goes on in the directory as it is.
func TestJournalCrashAfterCrash(t *testing.T) {
	for _, policy := range journalPolicies {
		for seed := range uint64(8) {
			k := newJournalled(t, policy, func(c *journalConfig) { c.segment = 6 << 10 })
			o := newOracle(k, seed)
			for range 6 {
				o.work(60)
				pos := k.promised()
				fs := k.mem.crash(o.rng.IntN(101))
				o.check(fs, pos)
				s, n := restored(t, fs, "d")
				if t.Failed() {
					t.Fatalf("policy %v, seed %d: %+v", policy, seed, n)
				}
				// What was found is the truth from here on.
				s.SetJournal(nil)
				k.mem, k.s, k.w = fs, s, s.NewWorker()
				k.fs = newErrFS(fs)
				now := values(s, o.keys)
				for key, h := range o.keys {
					*h = history{states: []string{now[key]}, after: []uint64{0}}
				}
				k.begin(policy, func(c *journalConfig) { c.segment = 6 << 10 })
			}
		}
	}
}

// Each operation fails once, or from then on until the disk is mended: what was
// promised is kept at any crash, and in the end all is well without help but
// that of a snapshot, if one is asked for.
func TestJournalEveryOperationFails(t *testing.T) {
	count := func(policy Policy) int {
		k := newJournalled(t, policy, func(c *journalConfig) { c.segment = 6 << 10 })
		newOracle(k, 2).work(60)
		return k.fs.count()
	}
	for _, policy := range journalPolicies {
		ops, step := count(policy), 1
		if testing.Short() {
			step = 9
		}
		for n := 1; n <= ops; n += step {
			for _, forever := range []bool{false, true} {
				k := newJournalled(t, policy, func(c *journalConfig) { c.segment = 6 << 10 })
				o := newOracle(k, 2)
				if forever {
					k.fs.failFrom(opAny, "", n, syscall.EIO)
				} else {
					k.fs.failOnce(opAny, "", n, syscall.ENOSPC)
				}
				o.work(60)
				o.check(k.mem.crash(n*37%101), k.promised())
				k.mend(o)
				if t.Failed() {
					t.Fatalf("policy %v, operation %d of %d, forever %v", policy, n, ops, forever)
				}
			}
		}
	}
}

// mend has the disk work again and checks that nothing is missing afterwards.
func (k *journalled) mend(o *oracle) {
	t := k.t
	t.Helper()
	k.fs.clear()
	for range 3 {
		if err := k.j.round(true); err != nil {
			t.Errorf("a disk that works: %v", err)
		}
		if k.j.flush.frozen && !k.rebase(k.j.turn) {
			t.Error("no snapshot")
		}
	}
	if s := k.j.state(); s.degraded {
		t.Errorf("still degraded: %s", s.reason)
	}
	if err := k.j.round(true); err != nil || !k.j.Synced(k.j.Appended()) {
		t.Errorf("not synced: %v", err)
	}
	if k.j.conf.policy != PolicyOS {
		o.check(k.mem.crash(0), k.j.Appended())
	}
	if err := k.j.finish(); err != nil {
		t.Error(err)
	}
	o.check(k.mem, k.j.Appended())
	if n := k.mem.openFiles(); n != 0 {
		t.Errorf("%d files are open", n)
	}
	k.closeStore()
}

// A write that writes a part, at every length.
func TestJournalShortWrites(t *testing.T) {
	for n := range 150 {
		k := newJournalled(t, journalPolicies[n%3], func(c *journalConfig) { c.segment = 6 << 10 })
		o := newOracle(k, 3)
		k.fs.shortWrite("journal", 2+n%5, n*7, syscall.EIO)
		o.work(80)
		o.check(k.mem.crash(50), k.promised())
		k.mend(o)
		if t.Failed() {
			t.Fatalf("short write %d", n)
		}
	}
}

// The disk is full at every point.
func TestJournalDiskFull(t *testing.T) {
	for n := range 60 {
		k := newJournalled(t, journalPolicies[n%3], func(c *journalConfig) { c.segment = 6 << 10 })
		o := newOracle(k, 4)
		k.fs.limit(int64(n) * 700)
		o.work(150)
		o.check(k.mem.crash(50), k.promised())
		k.mend(o)
		if t.Failed() {
			t.Fatalf("room for %d", n*700)
		}
	}
}

// Nobody tells the journal when its directory goes. It finds out, and asks for a
// snapshot when there is a directory again.
func TestJournalVanishedDirectory(t *testing.T) {
	dir := t.TempDir() + "/d"
	k := newJournalled(t, PolicyInterval, func(c *journalConfig) { c.fs, c.dir = OS, dir })
	round := func() error {
		k.j.flush.lookAt = 0
		set(t, k.w, "key", []byte("value"), slab.SetOp{})
		return k.j.round(true)
	}
	if err := OS.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := round(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range failuresMax {
		if err := round(); err == nil {
			t.Fatal("a vanished directory is no error")
		}
	}
	if s := k.j.state(); !s.degraded {
		t.Error("not degraded")
	}
	if err := OS.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := round(); err != nil || k.asked.Load() == 0 {
		t.Errorf("%v, asked for a snapshot %d times", err, k.asked.Load())
	}
	if err := k.j.turn(k.seq.Add(1)); err != nil {
		t.Fatal(err)
	}
	k.j.publishedSnapshot(k.seq.Load())
	if err := round(); err != nil || k.j.state().degraded {
		t.Errorf("%v, %+v", err, k.j.state())
	}
	if err := k.j.finish(); err != nil {
		t.Fatal(err)
	}
	if _, n := restored(t, OS, dir); n.Items == 0 {
		t.Errorf("%+v", n)
	}
}
