package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// TestLargeSets has long values sent from a file, on many connections that are slow to
// take them, and looks at every byte.
func TestLargeSets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	const size = 1_000_000
	value := newValue(streamValueMax)[:size]
	keys, bad := [10]atomic.Int64{}, atomic.Int64{}
	take := func(c net.Conn) {
		in := bufio.NewReaderSize(c, 1000)
		got := make([]byte, size+len("\r\n"))
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			var key, n int
			if _, err := fmt.Sscanf(line, "set key:%d 0 0 %d\r\n", &key, &n); err != nil || n != size {
				bad.Add(1)
				return
			}
			if _, err := io.ReadFull(in, got); err != nil {
				return
			}
			if !bytes.Equal(got[:size], value) || string(got[size:]) != "\r\n" {
				bad.Add(1)
			}
			keys[key].Add(1)
			if _, err := io.WriteString(c, "STORED\r\n"); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go take(c)
		}
	}()
	out, err := Run(l.Addr().String(), Memcached, Load{Conns: 7, Pipeline: 1, KeysPerGet: 1, SetPercent: 100, Items: 10, ValueBytes: size, Requests: 200}, 0)
	if err != nil || out.Ops != 200 || bad.Load() > 0 {
		t.Fatalf("%v; %d sets, %d of them wrong", err, out.Ops, bad.Load())
	}
	for i := range keys {
		if keys[i].Load() == 0 {
			t.Errorf("key %d was never set", i)
		}
	}
}

// What is sent in parts is what would be sent in one.
func TestLargeSetParts(t *testing.T) {
	value := newValue(largeMin)
	l := Load{Conns: 1, Pipeline: 1, SetPercent: 100, ValueBytes: len(value)}
	for _, w := range []Wire{Memcached.Wire(false), Redis.Wire(false)} {
		s, err := newLargeSets(w, l, value)
		if err != nil {
			t.Fatal(err)
		}
		c := conn{}
		s.begin(&c, 4711)
		if got := append(append(c.out, value[:c.unsent]...), s.tail...); !bytes.Equal(got, w.AppendSet(nil, appendKey(nil, 4711), value, 0)) {
			t.Errorf("%T: %q … %q", w, c.out, s.tail)
		}
		s.close()
	}
	l.ValueBytes--
	if s, err := newLargeSets(Memcached.Wire(false), l, value); s != nil || err != nil {
		t.Error("a shorter value is sent from a file")
	}
}
