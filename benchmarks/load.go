package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/holdfast-cache/holdfast/protocol"
)

// Load is a closed loop: every connection sends a batch of requests, waits for
// all its replies, and sends the next.
type Load struct {
	Name       string
	Conns      int
	Pipeline   int // requests a batch
	SetPercent int
	KeysPerGet int  // keys of one get line
	Meta       bool // "mg k v" instead of "get k"
	Items      int  // keys are drawn evenly from this many
	ValueBytes int
}

// Ops is how many operations a batch is: every key of a multiget is one.
func (l Load) Ops() int { return l.Pipeline * l.KeysPerGet }

// Loads is the table of what is measured.
func Loads() []Load {
	base := Load{Conns: 50, Pipeline: 1, KeysPerGet: 1, Items: 10_000, ValueBytes: 100}
	vary := func(name string, f func(*Load)) Load {
		l := base
		l.Name = name
		f(&l)
		return l
	}
	return []Load{
		vary("get", func(*Load) {}),
		vary("set", func(l *Load) { l.SetPercent = 100 }),
		vary("pipeline 16, 10 % sets", func(l *Load) { l.Pipeline, l.SetPercent = 16, 10 }),
		vary("multiget 50, 10 k items", func(l *Load) { l.KeysPerGet = 50 }),
		vary("multiget 50, 4 M items", func(l *Load) { l.KeysPerGet, l.Items = 50, 4_000_000 }),
		vary("50 × mg k v, 4 M items", func(l *Load) { l.Pipeline, l.Meta, l.Items = 50, true, 4_000_000 }),
	}
}

// Outcome is what a run saw.
type Outcome struct {
	Ops     int
	Elapsed time.Duration
	Latency *hdrhistogram.Histogram // of batches, in nanoseconds
}

// client is one connection of the generator.
type client struct {
	fd      int
	out, in []byte
	waiting int // replies still to come
	sent    time.Time
}

// generator drives all connections from one thread. It is an epoll loop of its
// own because a goroutine a connection costs more CPU than the server it loads,
// and a server that waits for its load shows its idle costs instead.
type generator struct {
	load    Load
	epoll   int
	clients map[int]*client
	rng     *rand.Rand
	value   []byte
	key     []byte
	parser  protocol.ResponseParser
	reply   protocol.Response
	latency *hdrhistogram.Histogram
	batches int
}

// Fill stores every item of the load once.
func Fill(addr string, l Load) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // nothing of ours is buffered in it
	value := valueOf(l)
	var out, key []byte
	for i := 0; i < l.Items; i++ {
		key = appendKey(key[:0], i)
		out = protocol.AppendStore(out, protocol.OpSet, key, 0, 0, value, true)
		if len(out) > 1<<18 || i == l.Items-1 {
			if _, err := c.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	// The reply to mn tells that all the sets before it are done.
	if _, err := c.Write([]byte("mn\r\n")); err != nil {
		return err
	}
	reply := make([]byte, 4)
	if _, err := c.Read(reply); err != nil || string(reply) != "MN\r\n" {
		return fmt.Errorf("unexpected reply %q to the fill: %v", reply, err)
	}
	return nil
}

// Run loads the server at addr for d.
func Run(addr string, l Load, d time.Duration) (Outcome, error) {
	g := &generator{
		load: l, clients: map[int]*client{}, value: valueOf(l),
		rng:     rand.New(rand.NewPCG(1, 2)),
		latency: hdrhistogram.New(1, int64(10*time.Second), 3),
	}
	if err := g.connect(addr); err != nil {
		return Outcome{}, err
	}
	defer g.close()
	start := time.Now()
	for _, c := range g.clients {
		if err := g.send(c); err != nil {
			return Outcome{}, err
		}
	}
	err := g.loop(start.Add(d))
	return Outcome{Ops: g.batches * l.Ops(), Elapsed: time.Since(start), Latency: g.latency}, err
}

func (g *generator) connect(addr string) (err error) {
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return err
	}
	if g.epoll, err = unix.EpollCreate1(0); err != nil {
		return err
	}
	for range g.load.Conns {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		g.clients[fd] = &client{fd: fd, in: make([]byte, 0, 1<<16)}
		sa := &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}
		if err := unix.Connect(fd, sa); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return err
		}
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		if err := unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return err
		}
	}
	return nil
}

func (g *generator) close() {
	for fd := range g.clients {
		_ = unix.Close(fd) // the run is over: nothing depends on it
	}
	_ = unix.Close(g.epoll)
}

// loop answers readiness until the deadline, then waits for no further replies.
func (g *generator) loop(deadline time.Time) error {
	events := make([]unix.EpollEvent, 128)
	for time.Now().Before(deadline) {
		n, err := unix.EpollWait(g.epoll, events, 1000)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("no reply for a second")
		}
		for _, e := range events[:n] {
			c := g.clients[int(e.Fd)]
			done, err := g.receive(c)
			if err != nil {
				return err
			}
			if done {
				if err := g.latency.RecordValue(int64(time.Since(c.sent))); err != nil {
					return err
				}
				g.batches++
				if err := g.send(c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// send writes c's next batch.
func (g *generator) send(c *client) error {
	c.out = c.out[:0]
	for range g.load.Pipeline {
		c.out = g.appendRequest(c.out)
	}
	c.waiting = g.load.Pipeline
	c.sent = time.Now()
	for out := c.out; len(out) > 0; {
		n, err := unix.Write(c.fd, out)
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
		out = out[n:]
	}
	return nil
}

func (g *generator) appendRequest(out []byte) []byte {
	if g.rng.IntN(100) < g.load.SetPercent {
		g.key = appendKey(g.key[:0], g.rng.IntN(g.load.Items))
		return protocol.AppendStore(out, protocol.OpSet, g.key, 0, 0, g.value, false)
	}
	if g.load.Meta {
		out = appendKey(append(out, "mg "...), g.rng.IntN(g.load.Items))
		return append(out, " v\r\n"...)
	}
	out = append(out, "get"...)
	for range g.load.KeysPerGet {
		out = appendKey(append(out, ' '), g.rng.IntN(g.load.Items))
	}
	return append(out, "\r\n"...)
}

// receive reads once and says whether the batch is answered.
func (g *generator) receive(c *client) (done bool, err error) {
	if len(c.in) == cap(c.in) {
		c.in = append(c.in, make([]byte, cap(c.in))...)[:len(c.in)]
	}
	n, err := unix.Read(c.fd, c.in[len(c.in):cap(c.in)])
	if err != nil || n == 0 {
		return false, fmt.Errorf("the server closed the connection: %w", err)
	}
	c.in = c.in[:len(c.in)+n]
	used := 0
	for c.waiting > 0 {
		n, err := g.parser.Next(c.in[used:], &g.reply)
		if err != nil || g.reply.IsError() {
			return false, fmt.Errorf("the server answered %q: %w", c.in[used:min(len(c.in), used+80)], err)
		}
		if n == 0 {
			break
		}
		used += n
		if g.reply.Status != protocol.StatusValue { // its END is what counts
			c.waiting--
		}
	}
	c.in = c.in[:copy(c.in, c.in[used:])]
	return c.waiting == 0, nil
}

func valueOf(l Load) []byte {
	v := make([]byte, l.ValueBytes)
	for i := range v {
		v[i] = 'a' + byte(i%26)
	}
	return v
}

// appendKey makes keys of 16 bytes, the length the tables speak of.
func appendKey(dst []byte, i int) []byte {
	dst = append(dst, "key:000000000000"...)
	for at := len(dst) - 1; i > 0; at, i = at-1, i/10 {
		dst[at] = '0' + byte(i%10)
	}
	return dst
}
