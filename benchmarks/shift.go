package main

import (
	"fmt"
	"math/rand/v2"
)

// What a shift of value sizes is made of. Before and after it, the keys and
// values that are asked for take twice the memory.
const (
	shiftMemory = 32 // MiB
	shiftSmall  = 100
	shiftLarge  = 5 << 10
	shiftAfter  = 2 // working sets of traffic after the shift
)

// shifted is the share of hits in each working set of traffic after a shift,
// fresh the same for a server that was empty before.
type shifted struct{ ratios, fresh []float64 }

// shiftMeasures show how fast memory follows when values change their size, one
// way and back: a cache that cannot move pages between its classes never recovers.
func shiftMeasures() []Measure {
	stage := &Stage{Name: "value sizes shift", Threads: 1, Memory: shiftMemory, Rounds: 1, Prepare: (*Session).shift}
	var all []Measure
	for i, name := range []string{"100 B to 5 KB", "back to 100 B"} {
		of := func(figure func(shifted) float64) func(*Session) (float64, error) {
			return func(s *Session) (float64, error) { return figure(s.shifts[i]), nil }
		}
		all = append(
			all,
			Measure{
				Family: "shift", Name: name + ", first working set", Unit: "hit ratio", Higher: true, Rule: Difference,
				Bar: -sameRatio, Stage: stage, Func: of(func(r shifted) float64 { return r.ratios[0] }),
			},
			Measure{
				Family: "shift", Name: name + ", second working set", Unit: "hit ratio", Higher: true, Rule: Difference,
				Bar: -sameRatio, Stage: stage, Func: of(func(r shifted) float64 { return r.ratios[1] }),
			},
			Measure{
				Family: "shift", Name: name + ", second short of a fresh server's", Unit: "hit ratio", Rule: Absolute,
				Bar: 0.02, Stage: stage, Func: of(func(r shifted) float64 { return r.fresh[1] - r.ratios[1] }),
			},
		)
	}
	return all
}

// shift asks for small values until the server is full and settled, then for
// large ones, then for small ones again. What it has to be measured by once a
// working set has passed is a server that never held anything else.
func (s *Session) shift() error {
	if _, err := s.workingSets(0, shiftSmall, shiftSettle); err != nil {
		return err
	}
	for i, valueLen := range []int{shiftLarge, shiftSmall} {
		ratios, err := s.workingSets(1+i, valueLen, shiftAfter)
		if err != nil {
			return err
		}
		empty, err := s.bench.session(&Stage{Threads: 1, Memory: shiftMemory}, s.Target)
		if err != nil {
			return err
		}
		fresh, err := empty.workingSets(1+i, valueLen, shiftAfter)
		empty.Stop()
		if err != nil {
			return err
		}
		s.shifts = append(s.shifts, shifted{ratios, fresh})
	}
	return nil
}

// workingSets sends so many working sets of traffic and returns the share of
// hits in each.
func (s *Session) workingSets(phase, valueLen, n int) (ratios []float64, err error) {
	p, err := dial(s.Addr, 1)
	if err != nil {
		return nil, err
	}
	defer p.close()
	r := replay{conn: p.conns[0], wire: s.Target.Kind.Wire(false), value: newValue(streamValueMax)}
	t, keys := s.ofOneSize(phase, valueLen)
	r.trace = t
	for range n {
		reads, hits := 0, 0
		for done := 0; done < keys; done += replayBatch {
			n, h, err := r.batch()
			if err != nil {
				return nil, fmt.Errorf("values of %d bytes: %w", valueLen, err)
			}
			reads, hits = reads+n, hits+h
		}
		ratios = append(ratios, float64(hits)/float64(reads))
	}
	return ratios, nil
}

// shiftSettle is how many working sets the first values have to settle in.
const shiftSettle = 3

// ofOneSize is a skewed trace over as many keys as take twice the
// server's memory, and their number: requests for so many are a working set of
// traffic. Every phase has keys of its own.
func (s *Session) ofOneSize(phase, valueLen int) (t *Trace, keys int) {
	t = &Trace{KeyLen: 32, rng: rand.New(rand.NewPCG(uint64(phase), 23))}
	keys = s.items(2 * shiftMemory << 20 / (t.KeyLen + valueLen))
	z := newZipf(t.rng, keys, skewedAlpha)
	first := uint64(phase) << 32
	t.next = func(a *Access) { *a = Access{ID: first + uint64(z.next()), ValueLen: valueLen} }
	return t, keys
}
