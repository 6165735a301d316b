package main

import (
	"errors"
	"fmt"
	"time"
)

// cpu is the server's CPU time per operation of l, in microseconds.
func cpu(l Load) func(*Session) (float64, error) {
	return func(s *Session) (float64, error) {
		perOp, out, err := s.run(l)
		if err == nil {
			// A server that waits for its load wakes up for less at a time.
			s.bench.Log(fmt.Sprintf("    %.0f op/s, busy for %.2f of the time", out.PerSecond(), perOp*out.PerSecond()/1e6))
		}
		return perOp, err
	}
}

// rate is how many operations of l a second the server does.
func rate(l Load) func(*Session) (float64, error) {
	return func(s *Session) (float64, error) {
		_, out, err := s.run(l)
		return out.PerSecond(), err
	}
}

// run warms the server up and runs l; perOp is the server's CPU time for each
// operation, in microseconds.
func (s *Session) run(l Load) (perOp float64, out Outcome, err error) {
	l.Items = s.items(l.Items)
	if _, err := s.Load(l, s.Time/4); err != nil {
		return 0, Outcome{}, fmt.Errorf("warm up: %w", err)
	}
	before, err := s.CPU()
	if err != nil {
		return 0, Outcome{}, err
	}
	out, err = s.Load(l, s.Time)
	if err != nil {
		return 0, Outcome{}, err
	}
	after, err := s.CPU()
	if err != nil {
		return 0, Outcome{}, err
	}
	if out.Ops == 0 {
		return 0, Outcome{}, fmt.Errorf("nothing was answered in %v", s.Time)
	}
	if l.SetPercent == 0 && out.Hits < out.Ops/2 {
		return 0, Outcome{}, fmt.Errorf("only %d of %d gets hit", out.Hits, out.Ops)
	}
	return micros(after-before) / float64(out.Ops), out, nil
}

// halfLoad sends l at half the rate that the slower of Holdfast and its first
// rival can do, of proxies the slowest: the same rate for all targets and rounds.
func (s *Session) halfLoad(l Load) (Outcome, error) {
	l.Items = s.items(l.Items)
	if s.bench.halfRates[l] == 0 {
		if err := s.bench.calibrate(s.stage, l); err != nil {
			return Outcome{}, fmt.Errorf("calibrate: %w", err)
		}
	}
	l.Rate = s.bench.halfRates[l]
	return s.Load(l, max(s.Time, 2*time.Second))
}

// tailAtHalfLoad is a percentile of the latency of l at half load, in microseconds.
func tailAtHalfLoad(l Load, percentile float64) func(*Session) (float64, error) {
	return func(s *Session) (float64, error) {
		out, err := s.halfLoad(l)
		if err != nil {
			return 0, err
		}
		return micros(time.Duration(out.Latency.ValueAtQuantile(percentile))), nil
	}
}

// cpuAtHalfLoad is what a get costs a server that is often idle: it wakes up
// for few requests at a time.
func cpuAtHalfLoad(s *Session) (float64, error) {
	before, err := s.CPU()
	if err != nil {
		return 0, err
	}
	out, err := s.halfLoad(gets)
	if err != nil {
		return 0, err
	}
	after, err := s.CPU()
	return micros(after-before) / float64(out.Ops), err
}

// calibrate finds the rate for halfLoad, in a stage like the one it is for.
func (b *Bench) calibrate(stage *Stage, l Load) error {
	rate, targets := 0.0, b.Targets[:needed]
	if stage.Backends > 0 {
		targets = b.Targets // one that has too much to do would show nothing but its queue
	}
	for _, t := range targets {
		s, err := b.session(stage, t)
		if err != nil {
			return err
		}
		_, out, err := s.run(l)
		s.Stop()
		if err != nil {
			return err
		}
		if half := out.PerSecond() / float64(2*l.Pipeline*max(1, l.KeysPerGet)); rate == 0 || half < rate {
			rate = half
		}
	}
	if b.halfRates == nil {
		b.halfRates = map[Load]float64{}
	}
	b.halfRates[l] = rate
	b.Log(fmt.Sprintf("  half load is %.0f batches a second", rate))
	return nil
}

// worstOfFill is the worst latency of a batch while the stage was filled: what
// a request waits for at most when the server's tables grow.
func worstOfFill(s *Session) (float64, error) { return micros(s.worst), nil }

// itemsOfSmall is how many small items are held after many more were stored.
func itemsOfSmall(s *Session) (float64, error) {
	return s.overfill(&sequence{valueBytes: 32}, 4_000_000)
}

// itemsOfProduction is the same for sizes as in production.
func itemsOfProduction(s *Session) (float64, error) {
	return s.overfill(newProduction(), 1_200_000)
}

// overfill stores n items and tells how many of them the server holds.
func (s *Session) overfill(stream Stream, n int) (float64, error) {
	if err := s.Overfill(stream, s.items(n)); err != nil {
		return 0, err
	}
	held, err := s.Target.Kind.Wire(false).Items(s.Addr)
	return float64(held), err
}

// residentWhenFull is the server's RSS in MiB after more than fits was stored.
func residentWhenFull(s *Session) (float64, error) {
	if err := s.Overfill(newProduction(), s.items(5_000_000)); err != nil {
		return 0, err
	}
	rss, err := s.RSS()
	return float64(rss) / (1 << 20), err
}

// idleConns is how many connections idleConnections opens.
const idleConns = 5000

// idleConnections is how many bytes of server memory a connection takes that
// has sent one request and is idle since.
func idleConnections(s *Session) (float64, error) {
	// What the first connections make the server allocate once is not theirs.
	if _, err := s.Load(gets, s.Time/4); err != nil {
		return 0, err
	}
	before, err := s.settledRSS()
	if err != nil {
		return 0, err
	}
	l := gets
	l.Conns, l.Items, l.Requests = idleConns, s.items(1000), idleConns
	g := newGenerator(s.Target.Kind.Wire(false), l, 0)
	if err := g.connect(s.Addr); err != nil {
		return 0, err
	}
	defer g.close()
	if err := g.loop(0); err != nil { // one request each
		return 0, err
	}
	if g.ops != idleConns {
		return 0, fmt.Errorf("%d of %d connections were answered", g.ops, idleConns)
	}
	after, err := s.settledRSS()
	return float64(after-before) / idleConns, err
}

// settledRSS waits until the server's RSS stays the same for half a second.
func (s *Session) settledRSS() (int64, error) {
	last := int64(-1)
	for range 20 {
		rss, err := s.RSS()
		if err != nil || rss == last {
			return rss, err
		}
		last = rss
		time.Sleep(500 * time.Millisecond)
	}
	return last, nil
}

// expiryLive is how many items do not expire.
const expiryLive = 10_000

// leftAfterExpiry is how many items the server held when worstOfExpiry ended.
func leftAfterExpiry(s *Session) (float64, error) { return float64(s.left), nil }

// worstOfExpiry is the worst latency of gets and sets, in an open loop, around
// the second in which 4 M items expire.
func worstOfExpiry(s *Session) (float64, error) {
	n := s.items(4_000_000)
	began := time.Now()
	if err := s.Fill(&sequence{next: expiryLive, valueBytes: 100}, n/10); err != nil {
		return 0, err
	}
	allowed := 13*time.Since(began) + 3*time.Second
	for range 3 {
		end := time.Now().Add(allowed).Truncate(time.Second)
		if err := s.Fill(&sequence{next: expiryLive, valueBytes: 100, ttl: int(end.Unix())}, n); err != nil {
			return 0, err
		}
		if time.Until(end) < time.Second {
			allowed *= 2 // slower than it began: the first would have expired before the last is stored
			continue
		}
		l := Load{
			Conns: 10, Pipeline: 1, KeysPerGet: 1, SetPercent: 10,
			Items: s.items(expiryLive), ValueBytes: 100, Rate: 5000,
		}
		// The quiet time before is left out, the clean-up after is in.
		time.Sleep(time.Until(end) - time.Second)
		out, err := s.Load(l, 5*time.Second)
		if err != nil {
			return 0, err
		}
		s.left, err = s.Target.Kind.Wire(false).Items(s.Addr)
		return micros(time.Duration(out.Latency.Max())), err
	}
	return 0, errors.New("the items could not be stored before they expired")
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
