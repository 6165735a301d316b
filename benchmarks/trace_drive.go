package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"

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
		if y.at&(maintainEvery-1) == 0 {
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

// storeOverhead is what an item of the store takes besides key and value, in
// bytes, if it has neither flags nor expiry; the simulation counts simOverhead.
const storeOverhead = 24

// maintainEvery is how many requests pass between two steps of background work.
const maintainEvery = 256

// storeMin is the smallest limit that compareStore uses, in bytes: with less
// there are too few pages for the classes, and that is all one would see.
const storeMin = 32 << 20

// compareStore writes the hit ratios of Holdfast's store at a limit, and of the
// simulated policies at the same number of bytes. A simulated cache has no
// classes, no pages and no index: the store may be a little lower. So the last
// columns give the simulated policies what the store held at the end.
func compareStore(w io.Writer, requests int, match *regexp.Regexp) error {
	fmt.Fprintf(w, "%-20s %6s %9s", "trace", "MiB", "store")
	all := slices.DeleteFunc(policies(), func(p policy) bool {
		return p.name != "memcached" && p.name != "adaptive"
	})
	for _, p := range all {
		fmt.Fprintf(w, " %9s", p.name)
	}
	fmt.Fprintf(w, " %9s", "held")
	for _, p := range all {
		fmt.Fprintf(w, " %9s", p.name)
	}
	fmt.Fprintln(w)
	traces, err := allTraces(requests)
	if err != nil {
		return err
	}
	for i, t := range traces {
		if !match.MatchString(t.Name) {
			continue
		}
		trace := record(t)
		for _, size := range t.cacheSizes() {
			limit := int64(size * float64(t.Footprint))
			if limit < storeMin {
				continue
			}
			fresh, err := allTraces(requests) // a trace goes on where it was left
			if err != nil {
				return err
			}
			ratio, end, err := ReplayStore(fresh[i], limit)
			if err != nil {
				return fmt.Errorf("%s: %w", t.Name, err)
			}
			fmt.Fprintf(w, "%-20s %6.1f %9.4f", t.Name, float64(limit)/(1<<20), ratio)
			for _, p := range all {
				fmt.Fprintf(w, " %9.4f", simulate(t, trace, p.rule(), limit))
			}
			held := int64(end.Bytes) + (simOverhead-storeOverhead)*int64(end.CurrItems)
			fmt.Fprintf(w, " %8.0f%%", 100*float64(held)/float64(limit))
			for _, p := range all {
				fmt.Fprintf(w, " %9.4f", simulate(t, trace, p.rule(), held))
			}
			fmt.Fprintln(w)
		}
	}
	return nil
}
