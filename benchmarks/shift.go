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
	shiftAfter  = 8 // working sets of traffic after the shift
)

// shifted is the share of hits in each working set of traffic after a shift.
type shifted []float64

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
				Bar: -sameRatio, Stage: stage, Func: of(func(r shifted) float64 { return r[0] }),
			},
			Measure{
				Family: "shift", Name: name + ", second working set", Unit: "hit ratio", Higher: true, Rule: Difference,
				Bar: -sameRatio, Stage: stage, Func: of(func(r shifted) float64 { return r[1] }),
			},
			Measure{
				Family: "shift", Name: name + ", second short of the best", Unit: "hit ratio", Rule: Absolute,
				Bar: 0.02, Stage: stage, Func: of(shifted.shortOfBest),
			},
		)
	}
	return all
}

// shortOfBest is how much fewer hits than ever later there are once one working
// set has passed. The best is a mean over a quarter of the run, not a lucky moment.
func (r shifted) shortOfBest() float64 {
	best := 0.0
	for n := len(r) / 4; n <= len(r); n++ {
		sum := 0.0
		for _, v := range r[n-len(r)/4 : n] {
			sum += v
		}
		best = max(best, sum/float64(len(r)/4))
	}
	return best - r[1]
}

// shift asks for small values until the server is full and settled, then for
// large ones, then for small ones again.
func (s *Session) shift() error {
	p, err := dial(s.Addr, 1)
	if err != nil {
		return err
	}
	defer p.close()
	r := replay{conn: p.conns[0], wire: s.Target.Kind.Wire(false), value: newValue(streamValueMax)}
	for phase, valueLen := range []int{shiftSmall, shiftLarge, shiftSmall} {
		t, keys := s.ofOneSize(phase, valueLen)
		r.trace = t
		var ratios shifted
		for range shiftAfter {
			reads, hits := 0, 0
			for done := 0; done < keys; done += replayBatch {
				n, h, err := r.batch()
				if err != nil {
					return fmt.Errorf("values of %d bytes: %w", valueLen, err)
				}
				reads, hits = reads+n, hits+h
			}
			ratios = append(ratios, float64(hits)/float64(reads))
			if phase == 0 && len(ratios) == shiftSettle {
				break
			}
		}
		if phase > 0 {
			s.shifts = append(s.shifts, ratios)
		}
	}
	return nil
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
