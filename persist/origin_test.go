package persist

import (
	"strings"
	"testing"
	"time"
)

// TestKeeperOrigin checks that nobody is told that items are newer than they are:
// with a snapshot alone they are as old as its beginning, a journal says more.
func TestKeeperOrigin(t *testing.T) {
	for _, policy := range []Policy{PolicyOff, PolicyOS} {
		t.Run(policy.String(), func(t *testing.T) {
			fs, clock := newMemFS(1), newHandClock()
			with := func(o *Options) { o.Journal = policy }
			l := testLife(t, fs, clock, with)
			if at, items, _ := l.k.Origin(); items || !at.IsZero() {
				t.Errorf("a fresh start has items of %v", at)
			}
			l.set("a", "1", 0)
			if err := l.snapshot(); err != nil {
				t.Fatal(err)
			}
			snapshot := clock.World().WallNs
			for range 3 {
				clock.pass(100)
				l.s.Tick(l.s.Now() + 100)
				written := uint64(0)
				if policy != PolicyOff {
					written = l.k.journal.(dirJournal).counts.written.Load()
				}
				l.set("b", "2", 0)
				if policy != PolicyOff {
					eventually(t, "written", func() bool { return l.k.journal.(dirJournal).counts.written.Load() > written })
				}
			}
			l.abandon()
			clock.pass(1000)
			l = testLife(t, fs, clock, with)
			at, items, _ := l.k.Origin()
			if !items {
				t.Error("there are no items")
			}
			switch {
			case policy == PolicyOff && at.UnixNano() != snapshot:
				t.Errorf("complete up to %v, want the snapshot's %v", at, time.Unix(0, snapshot))
			case policy != PolicyOff && (at.UnixNano() < snapshot+199e9 || at.UnixNano() > snapshot+301e9):
				t.Errorf("complete up to %v, want what the journal says, after %v", at, time.Unix(0, snapshot))
			}
			// Nothing is known of the time after a start without a journal, which leaves a mark.
			l.abandon()
			l = testLife(t, fs, clock, func(o *Options) { o.Journal = PolicyOff })
			l.abandon()
			clock.pass(1000)
			before := at
			l = testLife(t, fs, clock, nil)
			if at, _, _ := l.k.Origin(); at.After(before) {
				t.Errorf("complete up to %v after a start that wrote nothing, before it was %v", at, before)
			}
		})
	}
}

// TestKeeperOriginEarly is what clients are told while items are being loaded.
func TestKeeperOriginEarly(t *testing.T) {
	fs, clock := newMemFS(1), newHandClock()
	l := testLife(t, fs, clock, nil)
	l.set("a", "1", 0)
	end := clock.World().WallNs
	l.close()
	clock.pass(60)
	o := DefaultOptions()
	o.Dir, o.FS, o.Clock = "d", fs, clock
	k, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if at, items, whole := k.Origin(); !items || !whole || at.UnixNano() != end {
		t.Errorf("before the loading: %v, %v", at, items)
	}
	if err := k.d.Close(); err != nil {
		t.Error(err)
	}
}

// TestReplayedComplete reads segments whose end is there, is not, or is missing in
// the middle.
func TestReplayedComplete(t *testing.T) {
	r := &reader{size: 1 << 20}
	r.head.Stamp = Stamp{Now: 100, WallNs: 1_700_000_000e9}
	for blocks, want := range map[string]int64{
		"":         0,
		"100":      0, // others of the same round may be missing
		"100 100":  0,
		"101":      1_700_000_000,
		"100 105":  1_700_000_000,
		"101 105":  1_700_000_001,
		"100 105.": 1_700_000_005,
		"107.":     1_700_000_007,
	} {
		p := &replay{}
		for _, word := range strings.Fields(blocks) {
			sec, end := strings.CutSuffix(word, ".")
			b := &block{blockHeader: blockHeader{typ: blockEntries, now: 100 + uint32(sec[2]-'0')}}
			if end {
				b.typ = blockEnd
			}
			p.met(r, b)
		}
		if at := p.n.Complete; at.IsZero() != (want == 0) || want != 0 && at.Unix() != want {
			t.Errorf("%s: complete up to %v, want %d", blocks, at, want)
		}
	}
}
