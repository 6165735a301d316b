package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-cache/holdfast/server"
)

// hf is an error of the proxy's own about the server with that port.
func hf(what string, port int) string {
	return fmt.Sprintf("SERVER_ERROR hf-%s 127.0.0.1:%d\r\n", what, port)
}

// A request that is out of time is answered; its late reply is taken off and given to
// nobody.
func TestLateReply(t *testing.T) {
	r := newRig(t, 1, nil)
	c, d := r.loop.NewClient(), r.loop.NewClient()
	c.Say([]byte("get a\r\n"))
	m := r.link(1)
	r.sent(m, "get a\r\n")
	r.pass(rigTimeout / 2)
	d.Say([]byte("get b\r\n"))
	r.sent(m, "get b\r\n")
	r.pass(rigTimeout/2 - 1)
	r.heard(c, "")
	r.pass(1)
	r.heard(c, hf("timeout", 1))
	c.Say([]byte("get c\r\n"))
	r.sent(m, "get c\r\n")
	r.answer(m, "VALUE a 0 1\r\na\r\nEND\r\nVALUE b 0 1\r\nb\r\nEND\r\nVALUE c 0 1\r\nc\r\nEND\r\n")
	r.heard(d, "VALUE b 0 1\r\nb\r\nEND\r\n")
	r.heard(c, "VALUE c 0 1\r\nc\r\nEND\r\n")
	if n := r.backend(1).stats.lateReplies.Load(); n != 1 {
		t.Errorf("%d late replies", n)
	}
}

// After twice its time a lane that still owes a reply is given up. What it was sent may
// still be carried out, so the connection is ended and not closed.
func TestLaneGivenUp(t *testing.T) {
	r := newRig(t, 1, nil)
	c := r.loop.NewClient()
	c.Say([]byte("set a 0 0 1\r\nx\r\n"))
	m := r.link(1)
	r.pass(rigTimeout)
	r.heard(c, hf("timeout", 1))
	r.pass(rigTimeout - 1)
	if m.Ended {
		t.Fatal("given up too early")
	}
	r.pass(1)
	if !m.Ended || m.Closed() {
		t.Errorf("ended %v, closed %v", m.Ended, m.Closed())
	}
	if r.backend(1).doubts.Load() != 1 {
		t.Errorf("%d doubts", r.backend(1).doubts.Load())
	}
	m.Say([]byte("STORED\r\n"))
	m.Break(server.ErrLinkEOF)
	if r.backend(1).doubts.Load() != 0 {
		t.Errorf("%d doubts once the node has read to the end", r.backend(1).doubts.Load())
	}
}

// A read whose connection breaks is sent once more, and only once; a write never is.
func TestSentOnceMore(t *testing.T) {
	r := newRig(t, 1, nil)
	c, d := r.loop.NewClient(), r.loop.NewClient()
	c.Say([]byte("get a\r\n"))
	d.Say([]byte("set b 0 0 1\r\nx\r\n"))
	m := r.link(1)
	r.sent(m, "get a\r\nset b 0 0 1\r\nx\r\n")
	m.Break(server.ErrLinkEOF)
	r.heard(d, hf("reset", 1))
	r.heard(c, "")
	m = r.link(1)
	if !strings.HasPrefix(string(m.Sent), "get a\r\n") { // a delete of b follows
		t.Fatalf("sent %q", m.Sent)
	}
	m.Break(syscall.ECONNRESET)
	r.heard(c, hf("reset", 1))
	// One that has had a value already is not sent again.
	r = newRig(t, 1, nil)
	c = r.loop.NewClient()
	c.Say([]byte("get a b\r\n"))
	m = r.link(1)
	r.answer(m, "VALUE a 0 1\r\nx\r\n")
	m.Break(server.ErrLinkEOF)
	r.heard(c, "VALUE a 0 1\r\nx\r\nEND\r\n") // the other is left out
}

// A server that refuses is down; one that does not even refuse has its time.
func TestConnectFails(t *testing.T) {
	r := newRig(t, 1, nil)
	c := r.loop.NewClient()
	c.Say([]byte("get a\r\n"))
	r.loop.Settle()
	r.loop.Links[0].Break(syscall.ECONNREFUSED)
	r.heard(c, hf("down", 1))
	dialled := len(r.loop.Links)
	c.Say([]byte("get a\r\n"))
	r.heard(c, hf("down", 1))
	if n := len(r.loop.Links) - dialled; n > 1 { // the probe
		t.Errorf("%d more connections were tried", n)
	}
	r = newRig(t, 1, nil)
	c = r.loop.NewClient()
	c.Say([]byte("get a\r\n"))
	r.loop.Settle()
	r.pass(rigConnect - 1)
	r.heard(c, "")
	r.pass(1)
	r.heard(c, hf("down", 1))
	if !r.loop.Links[0].Closed() {
		t.Error("the attempt goes on")
	}
}

// What does not fit the request ends the connection, and all who wait on it hear so.
func TestViolations(t *testing.T) {
	long := strings.Repeat("x", 20_000)
	for _, d := range []struct{ asks, answer string }{
		{"get a\r\n", "VALUE b 0 1\r\nx\r\nEND\r\n"},
		{"get a\r\n", "VALUE b 0 20000\r\n" + long + "\r\nEND\r\n"},
		{"get a\r\n", "VALUE a 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n"},
		{"get a\r\n", "VALUE a 0 1\r\nxx\r\nEND\r\n"},
		{"get a\r\n", "VALUE a 0 20000\r\n" + long + "xxEND\r\n"},
		{"get a\r\n", "STORED\r\n"},
		{"get a b\r\n", "VALUE b 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n"},
		{"get a\r\n", strings.Repeat("x", laneInput)},
		{"set a 0 0 1\r\nx\r\n", "END\r\n"},
		{"set a 0 0 1\r\nx\r\n", "HD\r\n"},
		{"set a 0 0 1\r\nx\r\n", "VERSION 1\r\n"},
		{"mg a v\r\n", "VA 1 O9\r\nx\r\n"},
		{"mg a v\r\n", "VA 1\r\nx\r\n"},
		{"mg a v\r\n", "VA 20000 O9\r\n" + long + "\r\n"},
		{"mg a\r\n", "HD\r\n"},
		{"mg a k\r\n", "HD kb O1\r\n"},
		{"mg a\r\n", "END\r\n"},
		{"md a\r\n", "DELETED\r\n"},
		{"me a\r\n", "ME b exp=-1\r\n"},
		{"me a\r\n", "END\r\n"},
	} {
		t.Run(short(d.asks+d.answer), func(t *testing.T) {
			r := newRig(t, 1, nil)
			c, d2 := r.loop.NewClient(), r.loop.NewClient()
			c.Say([]byte(d.asks))
			d2.Say([]byte("delete other\r\n"))
			m := r.link(1)
			r.answer(m, d.answer)
			if !m.Closed() {
				t.Fatal("the connection stands")
			}
			r.loop.Settle()
			if got := string(c.Heard); strings.Contains(got, "x\r\n") && !strings.Contains(d.answer, "VALUE a 0 1\r\nx\r\n") && !strings.Contains(d.answer, "VALUE b 0 1\r\nx\r\nVALUE a") {
				t.Errorf("heard %s", short(got))
			} else if !strings.HasSuffix(got, hf("proto", 1)) && !strings.HasSuffix(got, "END\r\n") {
				t.Errorf("heard %s", short(got))
			}
			r.heard(d2, hf("proto", 1))
			if r.backend(1).stats.violations.Load() != 1 {
				t.Errorf("%d violations", r.backend(1).stats.violations.Load())
			}
		})
	}
	r := newRig(t, 1, nil)
	c := r.loop.NewClient()
	c.Say([]byte("get a\r\n"))
	m := r.link(1)
	r.answer(m, "END\r\n")
	r.heard(c, "END\r\n")
	r.answer(m, "END\r\n") // nobody has asked
	if !m.Closed() {
		t.Error("an answer to nothing is taken")
	}
}

// Values of all sizes go through both ways, byte by byte alike, and nothing of them stays.
func TestLongValues(t *testing.T) {
	r := newRig(t, 1, nil).withNodes(1)
	c := r.loop.NewClient()
	for _, size := range []int{
		0, 1, 8<<10 - 1, 8 << 10, valueInline - 1, valueInline, valueInline + 1,
		laneInput - 100, laneInput, laneInput + 1, 300_000, 1_000_000,
	} {
		value := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		same(t, r.ask(c, fmt.Sprintf("set k 7 0 %d\r\n%s\r\n", size, value)), "STORED\r\n")
		want := fmt.Sprintf("VALUE k 7 %d\r\n%s\r\n", size, value)
		same(t, r.ask(c, "get k\r\n"), want+"END\r\n")
		same(t, r.ask(c, "get k none k\r\n"), want+want+"END\r\n")
		same(t, r.ask(c, "mg k v O5\r\n"), fmt.Sprintf("VA %d O5\r\n%s\r\n", size, value))
		same(t, r.ask(c, fmt.Sprintf("ms k %d q\r\n%s\r\nmn\r\n", size, value)), "MN\r\n")
		same(t, r.ask(c, fmt.Sprintf("set k 0 0 %d\r\n%sxx\r\n", size, value))[:24], "CLIENT_ERROR bad data ch")
		r.ask(c, "mn\r\n")
	}
	if used := r.p.budget.used.Load(); used != 0 {
		t.Errorf("%d bytes are still counted", used)
	}
	if n := r.executor().blobs.kept; n > blobsKept {
		t.Errorf("%d bytes are kept", n)
	}
}

// A long value that arrives in pieces, cut anywhere near its ends, is the same.
func TestLongValueCut(t *testing.T) {
	const size = valueInline + 5
	value := strings.Repeat("v", size)
	reply := fmt.Sprintf("VALUE k 0 %d\r\n%s\r\nEND\r\n", size, value)
	for _, at := range []int{1, 10, 15, 16, 17, 18, 20, size, size + 10, len(reply) - 8, len(reply) - 7, len(reply) - 6, len(reply) - 5, len(reply) - 1} {
		r := newRig(t, 1, nil)
		c := r.loop.NewClient()
		c.Say([]byte("get k\r\n"))
		m := r.link(1)
		r.answer(m, reply[:at])
		r.heard(c, "")
		r.answer(m, reply[at:])
		r.heard(c, reply)
		c.Say([]byte("get k\r\n"))
		r.loop.Settle()
		if at > len("VALUE k 0 16389\r") && at < size && len(r.loop.Links) != 2 {
			t.Error("the next read of a long value waits in the lane of all")
		}
	}
}

// What would go beyond the budget is refused before there is memory for it, and the
// connections go on.
func TestBudget(t *testing.T) {
	r := newRig(t, 1, nil).withNodes(1)
	c := r.loop.NewClient()
	value := strings.Repeat("v", 500_000)
	set := "set k 0 0 500000\r\n" + value + "\r\n"
	same(t, r.ask(c, set), "STORED\r\n")
	r.p.budget.limit = 400_000
	same(t, r.ask(c, set+"mn\r\n"), "SERVER_ERROR hf-limit proxy\r\nMN\r\n")
	// What was refused may be taken for done by nobody: the key is deleted, by the
	// connection for what is short.
	if n := len(r.peers); n != 2 {
		t.Fatalf("%d connections", n)
	}
	same(t, r.ask(c, "get k\r\n"), "END\r\n")
	r.p.budget.limit = 4_000_000
	same(t, r.ask(c, set), "STORED\r\n")
	r.p.valueMax = 400_000
	same(t, r.ask(c, set+"mn\r\n"), "SERVER_ERROR object too large for cache\r\nMN\r\n")
	same(t, r.ask(c, "get k\r\n"), "END\r\n")
	r.p.valueMax = 32 << 20
	same(t, r.ask(c, set), "STORED\r\n")
	same(t, r.ask(c, "get k\r\n"), "VALUE k 0 500000\r\n"+value+"\r\nEND\r\n")
	r.p.budget.limit = 400_000
	same(t, r.ask(c, "get k\r\nmn\r\n"), hf("limit", 1)+"MN\r\n")
	same(t, r.ask(c, "get other\r\n"), "END\r\n")
	if used := r.p.budget.used.Load(); used != 0 {
		t.Errorf("%d bytes are still counted", used)
	}
	if n := r.p.budget.refused.Load(); n != 2 {
		t.Errorf("%d were refused", n)
	}
}

// What a server does not take waits up to a bound; beyond it requests fail at once.
func TestQueueBound(t *testing.T) {
	r := newRig(t, 1, nil)
	r.backend(1).queueMax = 10_000
	c := r.loop.NewClient()
	c.Say([]byte("get a\r\n"))
	m := r.link(1)
	r.answer(m, "END\r\n")
	r.heard(c, "END\r\n")
	m.Sent = m.Sent[:0]
	m.Room = 101 // a hundred bytes more
	var all []*server.MemoryClient
	for range 30 {
		d := r.loop.NewClient()
		all = append(all, d)
		d.Say([]byte("set a 0 0 1000\r\n" + strings.Repeat("x", 1000) + "\r\n"))
		r.loop.Settle()
	}
	limited := 0
	for _, d := range all {
		if string(d.Heard) == hf("limit", 1) {
			limited++
		}
	}
	if limited < 15 || limited > 22 {
		t.Errorf("%d of 30 were refused", limited)
	}
	m.Drained(0)
	r.loop.Settle()
	// What was refused may be taken for done by nobody: the key is deleted.
	set := "set a 0 0 1000\r\n" + strings.Repeat("x", 1000) + "\r\n"
	r.sent(m, strings.Repeat(set, 30-limited)+"delete a\r\n")
	r.answer(m, strings.Repeat("STORED\r\n", 30-limited)+"DELETED\r\n")
	for _, d := range all[:30-limited] {
		r.heard(d, "STORED\r\n")
	}
}
