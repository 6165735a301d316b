package server

import (
	"testing"

	"github.com/holdfast-cache/holdfast/protocol"
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

// client is one conversation with a node, without a socket: bytes in, bytes
// out. step is how many bytes arrive at a time, 0 for all.
type client struct {
	node *Node
	x    *executor
	s    Session
	step int

	parser protocol.Parser
	batch  protocol.Batch
	in     []byte
	sink   Sink
	left   int // bytes of the value still to come
	ends   []byte
}

func newClient(tb testing.TB, n *Node, step int) *client {
	tb.Helper()
	c := &client{node: n, x: n.newExecutor(), step: step}
	c.parser.InlineMax = 16 << 10
	c.parser.Debug = true
	tb.Cleanup(func() {
		if c.sink != nil {
			c.sink.Abort()
		}
		c.s.Out.discard()
	})
	return c
}

// say sends text and returns what comes back.
func (c *client) say(text []byte) []byte {
	for step := c.step; step > 0 && len(text) > step && len(text) < 10000; text = text[step:] {
		c.hear(text[:step])
	}
	c.hear(text)
	return c.reply()
}

// reply takes the output off.
func (c *client) reply() []byte {
	var out []byte
	var vec [8][]byte
	for c.s.Out.Pending() > 0 {
		for _, b := range c.s.Out.gather(vec[:]) {
			out = append(out, b...)
			c.s.Out.wrote(len(b))
		}
	}
	return out
}

// hear has the node work on text.
func (c *client) hear(text []byte) {
	c.in = append(c.in, text...)
	used := 0
	for {
		used += c.value(c.in[used:])
		if c.sink != nil {
			break
		}
		n := c.parser.Fill(c.in[used:], &c.batch)
		if n == 0 && len(c.batch.Requests) == 0 {
			break
		}
		used += n
		last := c.batch.Last()
		c.x.Execute(&c.s, &c.batch)
		if last != nil && last.Streaming {
			c.begin(last)
		}
	}
	c.in = append(c.in[:0], c.in[used:]...)
}

func (c *client) begin(r *protocol.Request) {
	c.left, c.ends = r.ValueLen, c.ends[:0]
	if c.sink = c.x.BeginValue(&c.s, r); c.sink == nil {
		c.parser.Skip(r.ValueLen + 2)
	}
}

// value gives in to the sink and returns how much it took.
func (c *client) value(in []byte) (n int) {
	if c.sink == nil {
		return 0
	}
	for c.left > 0 && n < len(in) {
		span := c.sink.Span()
		if len(span) == 0 {
			k := min(c.left, len(in)-n)
			c.left, n = c.left-k, n+k
			continue
		}
		k := copy(span[:min(c.left, len(span))], in[n:])
		c.sink.Advance(k)
		c.left, n = c.left-k, n+k
	}
	for c.left == 0 && len(c.ends) < 2 && n < len(in) {
		c.ends = append(c.ends, in[n])
		n++
	}
	if len(c.ends) == 2 {
		c.sink.Finish(&c.s, string(c.ends) == "\r\n")
		c.sink = nil
	}
	return n
}
