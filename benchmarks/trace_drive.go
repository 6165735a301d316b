package main

import (
	"fmt"

	"github.com/holdfast-cache/holdfast/slab"
)

// tally counts the reads of a trace after its first quarter.
type tally struct {
	from, at    int
	hits, reads int
}

func newTally(requests int) *tally { return &tally{from: requests / warmUp} }

func (y *tally) read(hit bool) {
	if y.at >= y.from {
		y.reads++
		if hit {
			y.hits++
		}
	}
}

func (y *tally) ratio() float64 { return float64(y.hits) / float64(max(y.reads, 1)) }

// ReplayStore runs a trace through a store of this process, with the limit of
// -m in bytes, and returns its hit ratio and its state at the end. The store's
// clock is the trace's.
func ReplayStore(t *Trace, limit int64) (float64, slab.Stats, error) {
	cfg := slab.DefaultConfig()
	cfg.LimitBytes, cfg.Seed = limit, 1
	cfg.ItemSizeMax = int(min(int64(cfg.ItemSizeMax), limit/4))
	s, err := slab.New(cfg)
	if err != nil {
		return 0, slab.Stats{}, err
	}
	w, y, now := s.NewWorker(), newTally(t.Requests), uint32(1)
	s.Tick(now)
	var a Access
	var key []byte
	value := newValue(1 << 20)
	for ; y.at < t.Requests; y.at++ {
		t.Next(&a)
		if second := t.second(y.at); second != now {
			now = second
			s.Tick(now)
		}
		if y.at%maintainEvery == 0 {
			s.Maintain()
		}
		key = t.AppendKey(key[:0], a.ID)
		k := s.Key(key)
		if !a.Write {
			hit := w.Get(k, nil, nil) == slab.Hit
			y.read(hit)
			if hit {
				continue
			}
		}
		op := slab.SetOp{}
		if a.TTL > 0 {
			op.Exptime = now + uint32(a.TTL)
		}
		if r := w.Set(k, &op, value[:min(a.ValueLen, len(value)-4096)]); r.Result != slab.Stored {
			return 0, slab.Stats{}, fmt.Errorf("request %d: set of %d bytes: %v", y.at, a.ValueLen, r.Result)
		}
	}
	return y.ratio(), s.Stats(), s.Close()
}

// maintainEvery is how many requests pass between two steps of background work.
const maintainEvery = 256
