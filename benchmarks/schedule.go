package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// schedule says when the requests of an open loop are due, as time since its
// start. The gaps are exponential, as from many clients that know nothing of
// each other. The schedule is fixed by its seed: a slow reply delays no later
// request, and latency counts from when a request was due. So nothing that a
// stall made wait is left out of the histogram (no coordinated omission).
type schedule struct {
	rng *rand.Rand
	gap float64 // mean, in nanoseconds
	at  float64
}

func newSchedule(rate float64, seed uint64) *schedule {
	return &schedule{rng: rand.New(rand.NewPCG(7, seed)), gap: float64(time.Second) / rate}
}

// Next is when the next request is due.
func (s *schedule) Next() time.Duration {
	s.at += s.rng.ExpFloat64() * s.gap
	return time.Duration(s.at)
}

// openLoop sends what the schedule has for d and waits for the last reply. It
// never sleeps: a thread that is woken late would be late with all requests.
func (g *generator) openLoop(d time.Duration) error {
	s := newSchedule(g.load.Rate, 1)
	next := s.Next()
	heard := time.Duration(0) // when the last reply came
	for turn := 0; next < d || g.waiting > 0; {
		now := time.Since(g.start)
		// At most one for each connection before replies are looked at again.
		for range g.pool.conns {
			if next > now || next >= d {
				break
			}
			c := g.pool.conns[turn%len(g.pool.conns)]
			turn++
			if err := g.sendDue(c, next); err != nil {
				return err
			}
			next = s.Next()
		}
		ready, err := g.pool.wait(0)
		if err != nil {
			return err
		}
		if len(ready) > 0 || g.waiting == 0 {
			heard = now
		}
		if now-heard > replyTimeout {
			return fmt.Errorf("no reply for %v", replyTimeout)
		}
		for _, c := range ready {
			if _, err := g.receive(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendDue sends one batch that was due at the given time since the start.
func (g *generator) sendDue(c *conn, at time.Duration) error {
	c.out = c.out[:0]
	batch := due{at: g.start.Add(at)}
	for range g.load.Pipeline {
		g.appendRequest(c, &batch)
	}
	g.waiting++
	c.due = append(c.due, batch)
	return c.flush()
}
