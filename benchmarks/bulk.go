package main

import (
	"bytes"
	"fmt"
)

// A hundred clients that each store a large value at once, in as many steps:
// all values are under way together, and they are more than the server may hold.
const (
	bulkConns  = 100
	bulkSteps  = 20
	bulkValue  = 1_000_000 // bytes
	bulkMemory = 64        // MiB
)

// residentUnderBulk is the server's largest RSS in MiB while it receives them.
// Whether it stores or refuses a value is its own affair.
func residentUnderBulk(s *Session) (float64, error) {
	p, err := dial(s.Addr, bulkConns)
	if err != nil {
		return 0, err
	}
	defer p.close()
	value, requests := newValue(bulkValue), make([][]byte, bulkConns)
	for i := range requests {
		requests[i] = s.Target.Kind.Wire(false).AppendSet(nil, appendKey(nil, i), value, 0)
	}
	most := int64(0)
	for step := range bulkSteps {
		for i, c := range p.conns {
			r := requests[i]
			c.out = r[len(r)*step/bulkSteps : len(r)*(step+1)/bulkSteps]
			if err := c.flush(); err != nil {
				return 0, fmt.Errorf("client %d, step %d: %w", i, step, err)
			}
		}
		// An answer on another connection says that the server has had time for these.
		if _, err := s.Target.Kind.Wire(false).Items(s.Addr); err != nil {
			return 0, err
		}
		rss, err := s.RSS()
		if err != nil {
			return 0, err
		}
		most = max(most, rss)
	}
	for i, c := range p.conns {
		for !bytes.HasSuffix(c.in, []byte("\n")) {
			if err := c.read(); err != nil {
				return 0, fmt.Errorf("the answer to client %d: %w", i, err)
			}
		}
	}
	return float64(most) / (1 << 20), nil
}
