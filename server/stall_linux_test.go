package server

import (
	"strings"
	"testing"
	"time"
)

// TestStallTimeout: a client that takes no reply, or sends no more of a value, is cut off;
// one that is slow is not, nor one that has nothing to do.
func TestStallTimeout(t *testing.T) {
	s := startToy(t, TransportEpoll, func(c *Config) { c.StallTimeout = 100 * time.Second })
	deaf, half, slow, idle := s.dial(), s.dial(), s.dial(), s.dial()
	idle.say("get a\r\n")
	idle.hear("[a]\r\n")
	long := strings.Repeat("k", 200)
	// More than the sockets take.
	go func() {
		for range 100_000 {
			if _, err := deaf.Write([]byte("get " + long + "\r\n")); err != nil {
				return
			}
		}
	}()
	half.say("set h 0 0 100000\r\nsome")
	slow.say("set s 0 0 100000\r\nsome")
	state := func(want string, n int) func() bool {
		return func() bool {
			found := 0
			s.EachConn(func(i ConnInfo) {
				if i.State == want {
					found++
				}
			})
			return found == n
		}
	}
	eventually(t, "two are amid a value", state("conn_nread", 2))
	eventually(t, "one takes nothing", state("conn_mwrite", 1))
	read := s.ConnStats().BytesRead
	s.seconds.Store(80)
	slow.say("more")
	eventually(t, "it is read", func() bool { return s.ConnStats().BytesRead >= read+4 })
	s.tick(100)
	if n := s.ConnStats().StallKicks; n != 0 {
		t.Fatalf("%d cut off after 100 s", n)
	}
	// The deaf one may have had room in its socket for a little longer.
	eventually(t, "the one amid a value is cut off", func() bool {
		s.tick(101)
		return s.h.closedBy(CloseStalled) >= 1
	})
	half.gone()
	idle.say("get a\r\n")
	idle.hear("[a]\r\n")
	now := int64(181)
	eventually(t, "the others as well, in time", func() bool {
		s.tick(now)
		now += 101
		return s.h.closedBy(CloseStalled) == 3 && s.ConnStats().StallKicks == 3
	})
	if n := s.ConnStats().IdleKicks; n != 0 {
		t.Errorf("%d idle kicks", n)
	}
}
