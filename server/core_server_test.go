package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestServerConversation(t *testing.T) {
	in, want := conversation()
	// Cut where a value begins, so that it streams however the kernel cuts.
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, nil)
		for _, to := range [][2]string{{"tcp", s.addr}, {"unix", s.unix}} {
			c := s.dialTo(to[0], to[1])
			var sent sync.WaitGroup
			sent.Add(1)
			go func() {
				defer sent.Done()
				for rest := []byte(in); len(rest) > 0; rest = rest[min(len(rest), 1400):] {
					if _, err := c.Write(rest[:min(len(rest), 1400)]); err != nil {
						return // the server has quit before the last request
					}
				}
			}()
			got, err := io.ReadAll(c.r)
			if err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			sent.Wait()
			// Refused values may have come whole, and then have been stored.
			head, _, _ := strings.Cut(want, "refused")
			differ(t, got[:min(len(head), len(got))], head)
			if tail := strings.Repeat("[c]\r\n", 50); !bytes.HasSuffix(got, []byte(tail)) {
				t.Errorf("the end is %.100q", got[max(0, len(got)-100):])
			}
		}
		eventually(t, "both are counted as closed", func() bool { return s.h.closedBy(CloseNormal) == 2 })
	})
}

func TestServerLargeValues(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, nil)
		var all sync.WaitGroup
		for range 4 {
			c := s.dial()
			all.Add(1)
			go func() {
				defer all.Done()
				for _, n := range []int{0, 1, 1000, inlineMax, inlineMax + 1, inputMax, 300_000, 3_000_000} {
					q, a := setOf("k", n)
					if _, err := io.WriteString(c, q+fmt.Sprintf("get pin:%d\r\n", n)); err != nil {
						t.Error(err)
						return
					}
					a += strings.Repeat("x", n) + "\r\n"
					got := make([]byte, len(a))
					if _, err := io.ReadFull(c.r, got); err != nil || string(got) != a {
						t.Errorf("%d bytes: %v", n, err)
						return
					}
				}
			}()
		}
		all.Wait()
		// A write is counted when it has returned, which its reader may precede.
		eventually(t, "all is counted", func() bool {
			st := s.ConnStats()
			return st.BytesRead > 4*3_300_000 && st.BytesWritten > 4*3_300_000
		})
	})
}

// A client that sends and never reads is not read any more; others are served.
func TestServerNeverReads(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, func(c *Config) { c.Threads = 1 })
		deaf := s.dial()
		sent := make(chan struct{})
		request := []byte(strings.Repeat("get big:10000\r\n", 1000))
		go func() {
			defer close(sent)
			for {
				if _, err := deaf.Write(request); err != nil {
					return
				}
			}
		}()
		blocked := func() bool {
			found := false
			s.EachConn(func(c ConnInfo) { found = found || c.State == "conn_mwrite" })
			return found
		}
		eventually(t, "the output blocks", blocked)
		c := s.dial()
		for range 200 {
			c.say("get a\r\n")
			c.hear("[a]\r\n")
		}
		if st := s.ConnStats(); st.BufferBytes > 4*outputMax {
			t.Errorf("%d bytes are held", st.BufferBytes)
		}
		_ = deaf.Close()
		<-sent
		eventually(t, "the deaf one is gone", func() bool { return s.ConnStats().Current == 1 })
	})
}

// A client that has sent much and then reads gets it all.
func TestServerReadsLate(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, nil)
		c := s.dial()
		const n = 3000
		go func() { _, _ = io.WriteString(c, strings.Repeat("get big:10000\r\n", n)) }()
		eventually(t, "the output blocks", func() bool {
			found := false
			s.EachConn(func(c ConnInfo) { found = found || c.State == "conn_mwrite" })
			return found
		})
		for range n {
			c.hear(strings.Repeat("x", 10000) + "\r\n")
		}
		eventually(t, "no buffer is held", func() bool { return s.ConnStats().BufferCount == 0 })
	})
}

func TestServerIdleHoldNothing(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, nil)
		clients := make([]*toyClient, 1000)
		for i := range clients {
			clients[i] = s.dial()
			clients[i].say("get a\r\nge")
		}
		for _, c := range clients {
			c.hear("[a]\r\n")
		}
		eventually(t, "unfinished input is held", func() bool { return s.ConnStats().BufferCount == 1000 })
		for _, c := range clients {
			c.say("t b\r\n")
			c.hear("[b]\r\n")
		}
		eventually(t, "nothing is held", func() bool {
			st := s.ConnStats()
			return st.BufferCount == 0 && st.BufferBytes == 0
		})
		if st := s.ConnStats(); st.Current != 1000 || st.Total != 1000 || st.Structures != 1000 {
			t.Errorf("%+v", st)
		}
	})
}

func TestServerWakes(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, nil)
		c := s.dial()
		c.say("stats wait\r\nget a\r\n")
		c.hear("waiting\r\n")
		c.say("get b\r\n")
		s.h.producers()[0].s.Wake()
		c.hear("done\r\n[a]\r\n[b]\r\n")

		// Half closed, and the answer still to come.
		c.say("stats wait\r\n")
		c.closeWrite()
		c.hear("waiting\r\n")
		s.h.producers()[1].s.Wake()
		c.hear("done\r\n")
		c.gone()
		s.h.producers()[1].s.Wake() // too late, and harmless

		w := s.dial()
		w.say("stats watch\r\n")
		w.hear("waiting\r\n")
		for range 100 {
			s.h.producers()[2].s.Wake()
			w.hear("event\r\n")
		}
		w.closeWrite()
		w.gone()
		eventually(t, "the watch is aborted", s.h.producers()[2].aborted.Load)
	})
}

// Many wakes from many goroutines while the client talks: none is lost.
func TestServerWakesConcurrently(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, nil)
		c := s.dial()
		for range 300 {
			seen := len(s.h.producers())
			c.say("stats wait\r\n")
			go func() {
				for len(s.h.producers()) == seen {
					runtime.Gosched()
				}
				s.h.producers()[seen].s.Wake()
			}()
			c.hear("waiting\r\ndone\r\n")
		}
	})
}

func TestServerDumps(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, func(c *Config) { c.Threads = 1 })
		c := s.dial()
		c.say("stats more 1000\r\nget a\r\n")
		c.closeWrite()
		other := s.dial()
		chunk := strings.Repeat("m", 60000) + "\r\n"
		for i := range 1000 {
			c.hear(chunk)
			if i%100 == 0 {
				other.say("get a\r\n")
				other.hear("[a]\r\n")
			}
		}
		c.hear("done\r\n[a]\r\n")
		c.gone()
	})
}

func TestServerHalfClose(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, nil)
		c := s.dial()
		c.say(strings.Repeat("get big:5000\r\n", 500) + "get unfinished")
		c.closeWrite()
		c.hear(strings.Repeat(strings.Repeat("x", 5000)+"\r\n", 500))
		c.gone()
		eventually(t, "counted as a normal end", func() bool { return s.h.closedBy(CloseNormal) == 1 })
	})
}

// Clients that break off in the middle leave nothing behind and kill nothing.
func TestServerResets(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, nil)
		for range 20 {
			for _, text := range []string{"set k 0 0 100000\r\nabc", "get big:3000000\r\nget pin:3000000\r\n", "ge", "stats wait\r\n", "stats more 1000\r\n"} {
				c := s.dial()
				c.say(text)
				if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
					t.Fatal(err)
				}
				_ = c.Close()
			}
		}
		eventually(t, "all are gone", func() bool {
			// A late answer is waited for, unless the connection is known to be dead.
			for _, p := range s.h.producers() {
				p.s.Wake()
			}
			st := s.ConnStats()
			return st.Current == 0 && st.BufferCount == 0
		})
		c := s.dial()
		c.say("get a\r\n")
		c.hear("[a]\r\n")
	})
}

// A server that waits, in whatever state, does not spin.
func TestServerIdleCosts(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, nil)
		c := s.dial()
		// Every state a connection may wait in.
		c.say("get a\r\nge")
		c.hear("[a]\r\n")
		w := s.dial()
		w.say("stats wait\r\n")
		w.hear("waiting\r\n")
		w.closeWrite()
		deaf := s.dial()
		go func() { _, _ = io.WriteString(deaf, strings.Repeat("get big:100000\r\n", 500)) }()
		eventually(t, "the output blocks", func() bool {
			found := false
			s.EachConn(func(c ConnInfo) { found = found || c.State == "conn_mwrite" })
			return found
		})
		// One that spins never has such a quiet moment.
		eventually(t, "a quiet moment", func() bool {
			before := cpuTime(t)
			time.Sleep(100 * time.Millisecond)
			return cpuTime(t)-before < 20*time.Millisecond
		})
	})
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestServerEachConn(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, nil)
		c, u := s.dial(), s.dialTo("unix", s.unix)
		c.say("get a\r\n")
		c.hear("[a]\r\n")
		u.say("set k 0 0 100000\r\n")
		want := map[string]string{
			"tcp:" + s.addr: "conn_listening ", "unix:" + s.unix: "conn_listening ",
			"tcp:" + c.LocalAddr().String(): "conn_read tcp:" + s.addr,
			"?:<AF 0>":                      "conn_nread unix:" + s.unix,
		}
		eventually(t, "all are listed", func() bool {
			n := 0
			s.EachConn(func(i ConnInfo) {
				if i.FD > 2 && want[i.Addr] == i.State+" "+i.ListenAddr {
					n++
				}
			})
			return n == len(want)
		})
	})
}

func TestServerRefusesBadConfig(t *testing.T) {
	good := Config{Threads: 1, MaxConns: 1, ReqsPerEvent: 1}
	for _, change := range []func(*Config){
		func(c *Config) { c.Transport = "pigeon" }, func(c *Config) { c.Threads = 0 },
		func(c *Config) { c.MaxConns = 0 }, func(c *Config) { c.ReqsPerEvent = 0 },
	} {
		c := good
		change(&c)
		if _, err := New(&c, &toyHandler{}, zerolog.Nop()); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func TestListenUnix(t *testing.T) {
	cfg := &Config{Backlog: 10, UnixMask: 0o640}
	path := filepath.Join(t.TempDir(), "s")
	for range 2 { // the second finds the file of the first
		ln, err := Listen(cfg, "unix", path)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil || st.Mode().Perm() != 0o640 {
			t.Errorf("mode %v, %v", st.Mode(), err)
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(cfg, "unix", file); err == nil {
		t.Error("a file that is no socket was taken")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("%q, %v", text, err)
	}
}
