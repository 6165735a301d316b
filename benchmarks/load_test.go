package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"net"
	"strings"
	"testing"
	"time"
)

// toy answers every "get" with a value of the given size and every "set" with
// STORED. It answers nothing before hold requests have come.
func toy(t *testing.T, size, hold int) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	value := bytes.Repeat([]byte("v"), size)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveToy(c, value, hold)
		}
	}()
	return l.Addr().String()
}

func serveToy(c net.Conn, value []byte, hold int) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	var replies bytes.Buffer
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		switch words[0] {
		case "get":
			for _, k := range words[1:] {
				fmt.Fprintf(&replies, "VALUE %s 0 %d\r\n%s\r\n", k, len(value), value)
			}
			replies.WriteString("END\r\n")
		case "set":
			if _, err := in.ReadString('\n'); err != nil {
				return
			}
			replies.WriteString("STORED\r\n")
		default:
			replies.WriteString("ERROR\r\n")
		}
		if n < hold {
			continue
		}
		if _, err := c.Write(replies.Bytes()); err != nil {
			return
		}
		replies.Reset()
	}
}

func TestClosedLoopCounts(t *testing.T) {
	for _, c := range []struct {
		name string
		load Load
		size int
		ops  int
		hits int
	}{
		{"multigets", Load{Conns: 3, Pipeline: 4, KeysPerGet: 5, Items: 10, Requests: 30}, 10, 150, 150},
		{"sets", Load{Conns: 3, Pipeline: 4, SetPercent: 100, Items: 10, ValueBytes: 7, Requests: 31}, 10, 31, 0},
		{"a stream", Load{Conns: 2, Pipeline: 8, Stream: &sequence{valueBytes: 9}, Requests: 1000}, 10, 1000, 0},
		{"two threads", Load{Conns: 4, Pipeline: 1, KeysPerGet: 1, Items: 10, Requests: 20, Threads: 2}, 10, 40, 40},
		{"discarded values", Load{Conns: 2, Pipeline: 3, KeysPerGet: 2, Items: 10, Requests: 12}, 300_000, 24, 24},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := Run(toy(t, c.size, 0), Memcached, c.load, 0)
			if err != nil {
				t.Fatal(err)
			}
			if out.Ops != c.ops || out.Hits != c.hits {
				t.Errorf("%d operations, %d hits; want %d and %d", out.Ops, out.Hits, c.ops, c.hits)
			}
			if n := out.Latency.TotalCount(); n == 0 || n > int64(c.ops) {
				t.Errorf("%d latencies of %d operations", n, c.ops)
			}
		})
	}
}

func TestRefusedRequestEndsTheRun(t *testing.T) {
	_, err := Run(toy(t, 1, 0), Memcached, Load{Conns: 1, Pipeline: 1, KeysPerGet: 1, Items: 1, Meta: true, Requests: 1}, 0)
	if err == nil || !strings.Contains(err.Error(), "ERROR") {
		t.Errorf("the toy knows no mg, yet the run ended with %v", err)
	}
}

// A server that answers nothing until it has n requests would stop a closed
// loop for good. An open loop goes on by its schedule, and the first request
// has then waited for at least as long as the n-th was due after it.
func TestOpenLoopOmitsNothing(t *testing.T) {
	const held, rate = 100, 2000
	s := newSchedule(rate, 1)
	first := s.Next()
	last := first
	for range held - 1 {
		last = s.Next()
	}
	l := Load{Conns: 1, Pipeline: 1, KeysPerGet: 1, Items: 10, Rate: rate}
	out, err := Run(toy(t, 10, held), Memcached, l, 2*last)
	if err != nil {
		t.Fatal(err)
	}
	if out.Ops <= held || out.Latency.TotalCount() != int64(out.Ops) {
		t.Errorf("%d operations, %d latencies: want more than %d of each", out.Ops, out.Latency.TotalCount(), held)
	}
	// The histogram keeps three digits.
	if worst, least := time.Duration(out.Latency.Max()), (last-first)*99/100; worst < least {
		t.Errorf("the worst latency is %v, the stall took at least %v", worst, least)
	}
}

func TestScheduleIsFixed(t *testing.T) {
	a, b, other := newSchedule(1000, 1), newSchedule(1000, 1), newSchedule(1000, 2)
	var at time.Duration
	differ := false
	const n = 100_000
	for range n {
		next := a.Next()
		if next < at {
			t.Fatalf("due at %v after %v", next, at)
		}
		at = next
		if got := b.Next(); got != at {
			t.Fatalf("the same seed gives %v and %v", at, got)
		}
		differ = differ || other.Next() != at
	}
	if !differ {
		t.Error("another seed gives the same schedule")
	}
	// The mean of n exponential gaps is off by 1/√n, 0.3 %: 2 % is never by chance.
	if seconds := at.Seconds(); math.Abs(seconds-n/1000) > 0.02*n/1000 {
		t.Errorf("%d requests at 1000/s take %.1f s", n, seconds)
	}
}

func TestProductionSizes(t *testing.T) {
	p, q := newProduction(), newProduction()
	var keys, values []float64
	seen := map[string]bool{}
	for range 20_000 {
		key, size, _ := p.Next()
		if len(key) < 20 || len(key) > 60 || seen[string(key)] {
			t.Fatalf("key %q: of %d bytes, or not new", key, len(key))
		}
		seen[string(key)] = true
		keys, values = append(keys, float64(len(key))), append(values, float64(size))
		if again, n, _ := q.Next(); string(again) != string(key) || n != size {
			t.Fatal("two runs store different items")
		}
	}
	if m := Median(keys); m < 38 || m > 42 {
		t.Errorf("the median key has %v bytes, want about 40", m)
	}
	if m := Median(values); m < 220 || m > 240 {
		t.Errorf("the median value has %v bytes, want about 230", m)
	}
}
