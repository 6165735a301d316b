package server

import (
	"testing"

	"github.com/holdfast-cache/holdfast/slab"
	"github.com/rs/zerolog"
)

// testNode returns a node on a small store of its own, with a clock that only
// moves when told to.
func testNode(tb testing.TB, config func(*Config), memory func(*slab.Config)) *Node {
	tb.Helper()
	sc := slab.DefaultConfig()
	sc.LimitBytes = 64 << 20
	if memory != nil {
		memory(&sc)
	}
	store, err := slab.New(sc)
	if err != nil {
		tb.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.DebugClock = true
	if config != nil {
		config(&cfg)
	}
	n := NewNode(&cfg, store, zerolog.Nop())
	n.clock.pause()
	tb.Cleanup(func() {
		n.Close()
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	return n
}

// client is one conversation with a node without a socket, through a real
// Session: bytes in, bytes out. step is how many bytes arrive at a time, 0 for all.
type client struct {
	node *Node
	lane *lane
	s    Session
	step int
	last verdict
	out  []byte
}

func newClient(tb testing.TB, n *Node, step int) *client {
	tb.Helper()
	conf := &laneConfig{reqs: 20, debug: true}
	c := &client{node: n, lane: newLane(n, &bufferPool{}, conf), step: step}
	c.s.FD = 1
	c.s.init(1, true, nil)
	tb.Cleanup(func() { c.s.abort(c.lane) })
	return c
}

// say sends text and returns what comes back. The result is valid until the
// next say.
func (c *client) say(text []byte) []byte {
	c.out = c.out[:0]
	for step := c.step; step > 0 && len(text) > step && len(text) < 10000; text = text[step:] {
		c.hear(text[:step])
	}
	c.hear(text)
	return c.out
}

// hear has the session work on text, as a transport would.
func (c *client) hear(text []byte) {
	for first := true; first || len(text) > 0 || c.last == verdictDrain || c.last == verdictYield; first = false {
		if c.last == verdictClose {
			return
		}
		c.s.begin(c.lane)
		if c.s.wantsInput(c.last) {
			text = text[land(&c.s, text):]
		}
		c.last = c.s.run(false)
		c.write()
		c.s.end()
	}
}

// land reads the head of text into s, as one system call would, and returns how
// much that was.
func land(s *Session, text []byte) int {
	space := s.space()
	n := copy(space, text)
	if n == len(space) {
		n += copy(s.tail(space), text[n:])
	}
	s.fed(n)
	return n
}

// write takes the output of the session off.
func (c *client) write() {
	o := &c.s.Out
	for o.Pending() > 0 {
		n := 0
		for _, b := range o.gather(c.lane.vec[:]) {
			c.out = append(c.out, b...)
			n += len(b)
		}
		o.wrote(n)
	}
}
