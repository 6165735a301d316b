package server

import (
	"fmt"
	"net"
	"testing"
)

// loopCounts are the connections of each event loop.
func loopCounts(s *toyServer) (counts []int64, of map[string]int) {
	of = map[string]int{}
	for i, l := range s.transports()[0].(*epollTransport).loops {
		counts = append(counts, l.count.Load())
		l.table.Lock()
		for _, c := range l.table.conns {
			if c != nil {
				of[c.session.Remote.String()] = i
			}
		}
		l.table.Unlock()
	}
	return counts, of
}

// Clients are spread evenly over the loops, whatever ones have left before.
func TestAcceptSpreads(t *testing.T) {
	const loops, each = 4, 15
	s := startToy(t, TransportEpoll, func(c *Config) { c.Threads = loops })
	even := fmt.Sprint([]int64{each, each, each, each})
	var clients []*toyClient
	for round := range 3 {
		for len(clients) < loops*each {
			c := s.dial()
			c.say("get a\r\n")
			c.hear("[a]\r\n")
			clients = append(clients, c)
		}
		counts, of := loopCounts(s)
		if fmt.Sprint(counts) != even || len(of) != loops*each {
			t.Fatalf("round %d: the loops have %v of %d connections", round, counts, len(of))
		}
		// All of one loop go, and every other one of the rest.
		var stay []*toyClient
		for i, c := range clients {
			if loop := of[c.LocalAddr().(*net.TCPAddr).AddrPort().String()]; loop == round || i%2 == 0 {
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			stay = append(stay, c)
		}
		clients = stay
		eventually(t, "those who left are counted", func() bool { return s.ConnStats().Current == uint64(len(clients)) })
	}
}
