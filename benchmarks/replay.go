package main

import (
	"fmt"
	"slices"
	"strings"
)

// What a trace must be for a server's hit ratio to tell something: large beside
// the pages that servers cut memory into, and small enough to be replayed.
const (
	replayRequests = 4_000_000
	footprintMin   = 16 << 20
	footprintMax   = 512 << 20
	memoryMin      = 8 // MiB
	// sameRatio is how much two runs of one server may differ: batches come at
	// other times beside its background work.
	sameRatio = 0.001
)

// hitRatios are the measures of what eviction keeps: one for each trace, at an
// -m of a quarter of what the trace asks for again.
func hitRatios(o Options) ([]Measure, error) {
	requests := o.items(replayRequests)
	traces, err := replayTraces(requests)
	if err != nil {
		return nil, err
	}
	var measures []Measure
	for i, t := range traces {
		size := int64(float64(t.Footprint) / o.Scale) // what it would be in full
		if size < footprintMin || size > footprintMax {
			continue
		}
		family := "hits"
		if strings.HasPrefix(t.Name, "cluster") {
			family = "clusters"
		}
		m := Measure{
			Family: family, Name: t.Name, Unit: "hit ratio", Higher: true, Rule: Difference, Bar: -sameRatio,
			Stage: &Stage{Name: "hit ratio, " + t.Name, Threads: 1, Memory: replayMemory(t), Rounds: 1},
			Func: func(s *Session) (float64, error) {
				fresh, err := replayTraces(requests) // a trace goes on where it was left
				if err != nil {
					return 0, err
				}
				return Replay(s.Addr, s.Target.Kind.Wire(false), fresh[i])
			},
		}
		if slices.Contains([]string{"one-hit wonders", "wonders and scans"}, t.Name) {
			m.Bar, m.Aim = 0.02, 0.05
		}
		measures = append(measures, m)
	}
	return measures, nil
}

// replayTraces are all traces, for so many requests. Those that ask for a
// quarter of their keys at a time are made of four times as many: at the -m of 8
// that they would come to, memcached takes 30 MB, since it gives every class a
// page whatever the limit says.
func replayTraces(requests int) ([]*Trace, error) {
	traces, err := allTraces(requests)
	if err != nil {
		return nil, err
	}
	for _, wide := range Synthetic(4 * requests) {
		for i, t := range traces {
			if t.Name == wide.Name && (t.Name == "shifting set" || t.Name == "jumping set") {
				wide.Requests = requests
				traces[i] = wide
			}
		}
	}
	return traces, nil
}

// replayMemory is the -m for a trace, in MiB. A loop is a little larger than
// memory: with what servers add to each item, it does not fit.
func replayMemory(t *Trace) int {
	part := t.Footprint / 4
	if t.Name == "loop" {
		part = t.Footprint
	}
	return max(memoryMin, int(part>>20))
}

// replayBatch is how many requests are under way at once. A key that is asked
// for twice in a batch can miss twice, on any server alike.
const replayBatch = 128

// Replay sends a trace in order as a client would that looks aside: it stores
// what it did not find. It returns the share of hits among the reads
// after the first part, in which the cache fills.
func Replay(addr string, w Wire, t *Trace) (float64, error) {
	p, err := dial(addr, 1)
	if err != nil {
		return 0, err
	}
	defer p.close()
	r := replay{conn: p.conns[0], wire: w, trace: t, value: newValue(streamValueMax)}
	reads, hits := 0, 0
	for done := 0; done < t.Requests; done += replayBatch {
		n, h, err := r.batch()
		if err != nil {
			return 0, fmt.Errorf("after %d requests: %w", done, err)
		}
		if done >= t.Requests/warmUp {
			reads, hits = reads+n, hits+h
		}
	}
	if reads == 0 {
		return 0, fmt.Errorf("trace %s has no reads", t.Name)
	}
	return float64(hits) / float64(reads), nil
}

// replay is a trace on its way through one connection.
type replay struct {
	*conn
	wire  Wire
	trace *Trace
	value []byte
	// The batch: its requests and what came of them.
	access [replayBatch]Access
	hit    [replayBatch]bool
	keys   [replayBatch][]byte
	used   int // bytes of in that are done with
}

// batch sends one batch of reads, and then the writes and what was missed.
func (r *replay) batch() (reads, hits int, err error) {
	r.out = r.out[:0]
	for i := range r.access {
		a := &r.access[i]
		r.trace.Next(a)
		r.hit[i] = false
		r.keys[i] = r.trace.AppendKey(r.keys[i][:0], a.ID)
		if !a.Write {
			r.out = r.wire.AppendGet(r.out, r.keys[i:i+1])
		}
	}
	if err := r.flush(); err != nil {
		return 0, 0, err
	}
	for i := range r.access {
		if r.access[i].Write {
			continue
		}
		reads++
		if r.hit[i], err = r.reply(); err != nil {
			return 0, 0, err
		}
		if r.hit[i] {
			hits++
		}
	}
	return reads, hits, r.store()
}

// store sets what was written or missed.
func (r *replay) store() error {
	r.out = r.out[:0]
	stored := 0
	for i, a := range r.access {
		if !r.hit[i] {
			r.out = r.wire.AppendSet(r.out, r.keys[i], r.value[:min(a.ValueLen, len(r.value)/2)], a.TTL)
			stored++
		}
	}
	if err := r.flush(); err != nil {
		return err
	}
	for range stored {
		if _, err := r.reply(); err != nil {
			return err
		}
	}
	return nil
}

// reply waits for one whole reply and says whether it has a value.
func (r *replay) reply() (hit bool, err error) {
	for {
		p, err := r.wire.Next(r.in[r.used:])
		if err != nil {
			return false, err
		}
		if p.Len == 0 {
			r.in, r.used = r.in[:copy(r.in, r.in[r.used:])], 0
			if err := r.read(); err != nil {
				return false, err
			}
			continue
		}
		r.used += p.Len
		hit = hit || p.Hit
		if p.Last {
			return hit, nil
		}
	}
}
