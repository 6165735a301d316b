package server

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A reply to a change leaves when the change is safe, and not before.
func TestHoldUntilSynced(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startKept(t, name, nil)
		c, other := s.dial(), s.dial()
		large := strings.Repeat("x", 100_000)
		for _, tt := range []struct{ in, out string }{
			{"set a 0 0 1\r\nx\r\n", "STORED\r\n"},
			{"set a 0 0 1\r\n5\r\nincr a 1\r\n", "STORED\r\n6\r\n"},
			{"touch a 100\r\n", "TOUCHED\r\n"},
			{"gat 100 a\r\n", "VALUE a 0 1\r\n6\r\nEND\r\n"},
			{"ms a 1 c E9\r\n7\r\nmg a T0 v\r\n", "HD c9\r\nVA 1\r\n7\r\n"},
			{"mg new N30\r\n", "HD W\r\n"},
			{"ma n N0 J5 v\r\n", "VA 1\r\n5\r\n"},
			{"md a\r\n", "HD\r\n"},
			{"delete a\r\n", "NOT_FOUND\r\n"},
			{"flush_all\r\n", "OK\r\n"},
			// A quiet change is answered by what comes next.
			{"ms a 1 q\r\n8\r\nmn\r\n", "MN\r\n"},
			{"get nothing\r\nset a 0 0 1\r\n9\r\nget a\r\n", "END\r\nSTORED\r\nVALUE a 0 1\r\n9\r\nEND\r\n"},
			{"set big 0 0 100000\r\n" + large + "\r\n", "STORED\r\n"},
			{"gat 100 big\r\n", "VALUE big 0 100000\r\n" + large + "\r\nEND\r\n"},
			{"ms big 2000000 q\r\n" + strings.Repeat("y", 2_000_000) + "\r\n", "SERVER_ERROR object too large for cache\r\n"},
		} {
			c.say(tt.in)
			s.k.held(t, 1)
			c.silent(other)
			s.k.sync()
			c.hear(tt.out)
		}
	})
}

// Reads, and clients that have asked for silence, wait for nothing.
func TestHoldNotForReads(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startKept(t, name, nil)
		writer, c := s.dial(), s.dial()
		writer.say("set a 0 0 1\r\nx\r\n")
		s.k.held(t, 1)
		c.say("get a\r\nmg a v\r\nmg a R30\r\nset b 0 0 1 noreply\r\ny\r\nget b\r\nversion\r\n")
		c.hear("VALUE a 0 1\r\nx\r\nEND\r\nVA 1\r\nx\r\nHD\r\nVALUE b 0 1\r\ny\r\nEND\r\nVERSION 1.6.45-holdfast\r\n")
		s.k.held(t, 1)
		s.k.sync()
		writer.hear("STORED\r\n")
	})
}

// A pipeline that does not fit one turn is answered in order, whole.
func TestHoldLongPipeline(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startKept(t, name, nil)
		c := s.dial()
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() { // sync again and again, as long as it takes
			defer close(done)
			for tick := time.NewTicker(time.Millisecond); ; {
				select {
				case <-stop:
					tick.Stop()
					return
				case <-tick.C:
					s.k.sync()
				}
			}
		}()
		defer func() { close(stop); <-done }()
		value := strings.Repeat("v", 20_000)
		var in, out strings.Builder
		for i := range 2000 {
			switch i % 4 {
			case 0:
				fmt.Fprintf(&in, "set k%d 0 0 5\r\n%05d\r\n", i, i)
				out.WriteString("STORED\r\n")
			case 1:
				fmt.Fprintf(&in, "get k%d\r\n", i-1)
				fmt.Fprintf(&out, "VALUE k%d 0 5\r\n%05d\r\nEND\r\n", i-1, i-1)
			case 2:
				fmt.Fprintf(&in, "set big 0 0 20000\r\n%s\r\n", value)
				out.WriteString("STORED\r\n")
			case 3:
				in.WriteString("get big\r\n")
				fmt.Fprintf(&out, "VALUE big 0 20000\r\n%s\r\nEND\r\n", value)
			}
		}
		go func() { _, _ = c.Write([]byte(in.String())) }()
		c.hear(out.String())
	})
}

// A change that is not safe in time is answered by an error, in its place: what
// was read stays, values written from item memory included.
func TestHoldTimeout(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startKept(t, name, nil)
		c := s.dial()
		large := strings.Repeat("x", 100_000)
		c.say("set big 0 0 100000\r\n" + large + "\r\n")
		s.k.held(t, 1)
		s.k.sync()
		c.hear("STORED\r\n")
		const failed = "SERVER_ERROR persistence timeout\r\n"
		value := "VALUE big 0 100000\r\n" + large + "\r\nEND\r\n"
		for _, tt := range []struct{ in, out string }{
			{"set a 0 0 1\r\nx\r\n", failed},
			{"get a\r\nset a 0 0 1\r\nx\r\nget a\r\ndelete a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n" + failed + "VALUE a 0 1\r\nx\r\nEND\r\n" + failed},
			{"ms a 1 q\r\nx\r\nms b 1 q\r\nx\r\nmn\r\n", failed + failed + "MN\r\n"},
			{"get big\r\ngat 10 big\r\nget big\r\ntouch big 0\r\nmn\r\n", value + failed + value + failed + "MN\r\n"},
			{"set a 0 0 1 noreply\r\nx\r\nset a 0 0 1\r\nx\r\n", failed},
		} {
			c.say(tt.in)
			s.k.held(t, 1)
			s.k.timeout()
			c.hear(tt.out)
		}
		c.say("set a 0 0 1\r\ny\r\n")
		s.k.held(t, 1)
		s.k.sync()
		c.hear("STORED\r\n")
	})
}

// A client that closes while its replies are held leaves nothing behind, and so
// does one whose last command that was.
func TestHoldHangUp(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startKept(t, name, nil)
		gone, half, quits := s.dial(), s.dial(), s.dial()
		for _, c := range []*toyClient{gone, half} {
			c.say("set a 0 0 1\r\nx\r\n")
		}
		quits.say("set a 0 0 1\r\nx\r\nquit\r\n")
		s.k.held(t, 3)
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
		half.closeWrite()
		s.k.sync()
		half.hear("STORED\r\n")
		half.gone()
		quits.hear("STORED\r\n")
		quits.gone()
		eventually(t, "all are gone", func() bool { return s.ConnStats().Current == 0 })
	})
}

// Who waits for the keeper is not idle.
func TestHoldNotIdle(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startKept(t, name, func(c *Config) { c.IdleTimeout = 10 * time.Second })
		c := s.dial()
		c.say("set a 0 0 1\r\nx\r\n")
		s.k.held(t, 1)
		eventually(t, "it is seen to be held", func() bool {
			held := false
			s.EachConn(func(info ConnInfo) { held = held || info.State == "conn_mwrite" })
			return held
		})
		s.tick(100)
		s.k.sync()
		c.hear("STORED\r\n")
	})
}

// A server that stops waits for what is held, but not for ever.
func TestHoldDrain(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startKept(t, name, nil)
		c := s.dial()
		c.say("set a 0 0 1\r\nx\r\nget a\r\n")
		s.k.held(t, 1)
		s.stop()
		eventually(t, "it drains", func() bool { return s.gate.isClosed() })
		s.k.sync()
		c.hear("STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
		c.gone()
	})
	transports(t, func(t *testing.T, name string) {
		s := startKept(t, name, nil)
		s.drainFor = 10 * time.Millisecond
		c := s.dial()
		c.say("set a 0 0 1\r\nx\r\n")
		s.k.held(t, 1)
		s.stop()
		c.gone()
		s.k.sync() // somebody who is not there any more is woken
	})
}

// A watcher that is held meanwhile hears what has happened.
func TestHoldWatcher(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startKept(t, name, nil)
		c, other := s.dial(), s.dial()
		c.say("ms a 1 q\r\nx\r\nwatch mutations\r\n")
		s.k.held(t, 1)
		other.say("set b 0 0 1 noreply\r\nx\r\n")
		c.silent(other)
		s.k.sync()
		c.hear("OK\r\n")
		if line, err := c.r.ReadString('\n'); err != nil || !strings.Contains(line, "key=b") {
			t.Fatalf("%q, %v", line, err)
		}
	})
}

// While changes are refused reads go on, data blocks are swallowed and what is
// there stays.
func TestRefusal(t *testing.T) {
	n := testNode(t, nil, nil)
	k := &fakeKeeper{}
	n.SetKeeper(k)
	c := newClient(t, n, 0)
	want(t, c, "set a 5 0 1\r\nx\r\n", "STORED\r\n")
	why := "persistence is degraded: disk full"
	k.refusal.Store(&why)
	line := "SERVER_ERROR " + why + "\r\n"
	long := strings.Repeat("y", 100_000) + "\r\n"
	for _, in := range []string{
		"set a 0 0 1\r\ny\r\n", "add b 0 0 1\r\ny\r\n", "cas a 0 0 1 1\r\ny\r\n", "append a 0 0 1\r\ny\r\n", "delete a\r\n",
		"incr a 1\r\n", "touch a 1\r\n", "gat 1 a\r\n", "flush_all\r\n", "ms a 1 q\r\ny\r\n", "md a\r\n", "ma a N0\r\n", "mg b N30\r\n", "mg a T1\r\n",
		"set a 0 0 100000\r\n" + long,
	} {
		want(t, c, in+"mn\r\n", line+"MN\r\n")
	}
	want(t, c, "set a 0 0 1 noreply\r\ny\r\ndelete a noreply\r\nset a 0 0 100000 noreply\r\n", "")
	want(t, c, long+"get a\r\nmg a v R30\r\n", "VALUE a 5 1\r\nx\r\nEND\r\nVA 1\r\nx\r\n")
	k.refusal.Store(new(string))
	want(t, c, "set a 0 0 1\r\ny\r\n", "STORED\r\n")
}

// The command snapshot answers when there is one.
func TestSnapshotCommand(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startKept(t, name, nil)
		c, other := s.dial(), s.dial()
		c.say("snapshot\r\nmn\r\n")
		s.k.snapshotBegins(t)
		other.say("snapshot\r\n")
		other.hear("BUSY currently processing snapshot request\r\n")
		c.silent(other)
		s.k.snapshotEnds(t, nil)
		c.hear("OK\r\nMN\r\n")
		c.say("snapshot\r\n")
		s.k.snapshotEnds(t, errors.New("write x:\nno space left"))
		c.hear("SERVER_ERROR snapshot failed: write x: no space left\r\n")
		c.say("snapshot noreply\r\nmn\r\n")
		s.k.snapshotEnds(t, nil)
		c.hear("MN\r\n")
		c.say("stats persistence\r\n")
		c.hear("STAT state ok\r\nEND\r\n")
	})
}

// A clock that goes on from an earlier process keeps its exptimes.
func TestClockStart(t *testing.T) {
	n := testNode(t, func(c *Config) { c.ClockStart = 5000 }, nil)
	if now := n.store.Now(); now != 5000 {
		t.Fatalf("the store starts at %d", now)
	}
	c := newClient(t, n, 0)
	want(t, c, "set a 0 100 1\r\nx\r\nmg a t\r\n", "STORED\r\nHD t100\r\n")
	want(t, c, fmt.Sprintf("set a 0 %d 1\r\nx\r\nmg a t\r\n", n.clock.unix(5050)), "STORED\r\nHD t50\r\n")
	if got := string(c.say([]byte("stats\r\n"))); !strings.Contains(got, "STAT uptime 0\r\n") {
		t.Fatal(got)
	}
}
