package main

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

// A server that keeps everything misses each key once: the ratio is known.
func TestReplayStoresWhatItMisses(t *testing.T) {
	const keys, requests = 320, 12_800
	n := 0
	trace := &Trace{Name: "round", KeyLen: 10, Requests: requests, next: func(a *Access) {
		*a = Access{ID: uint64(n % keys), ValueLen: 50}
		n++
	}}
	addr, sets := mapServer(t)
	got, err := Replay(addr, Memcached.Wire(false), trace)
	if err != nil {
		t.Fatal(err)
	}
	if got != 1 { // the misses are all in the part that is not counted
		t.Errorf("hit ratio %v, want 1", got)
	}
	if n != requests {
		t.Errorf("%d requests of %d", n, requests)
	}
	if stored := len(sets()); stored != keys {
		t.Errorf("%d keys were stored, want %d", stored, keys)
	}
}

func TestReplayCountsReadsOnly(t *testing.T) {
	n := 0
	trace := &Trace{Name: "new", KeyLen: 10, Requests: 3200, next: func(a *Access) {
		// Every other request writes; reads are of what was never written.
		*a = Access{ID: uint64(n), Write: n%2 == 1, ValueLen: 5}
		n++
	}}
	addr, sets := mapServer(t)
	got, err := Replay(addr, Memcached.Wire(false), trace)
	if err != nil || got != 0 {
		t.Errorf("hit ratio %v, %v: no key comes twice", got, err)
	}
	if stored := len(sets()); stored != 3200 {
		t.Errorf("%d keys were stored, want all", stored)
	}
}

// mapServer keeps keys for one connection; sets are those stored so far.
func mapServer(t *testing.T) (addr string, sets func() map[string]bool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	stored, ended := map[string]bool{}, make(chan struct{})
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		for in := bufio.NewReader(c); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			words, reply := strings.Fields(line), "END\r\n"
			switch {
			case words[0] == "set":
				if _, err := in.ReadString('\n'); err != nil {
					return
				}
				stored[words[1]] = true
				reply = "STORED\r\n"
			case stored[words[1]]:
				reply = "VALUE " + words[1] + " 0 1\r\nv\r\nEND\r\n"
			}
			if _, err := c.Write([]byte(reply)); err != nil {
				return
			}
		}
	}()
	return l.Addr().String(), func() map[string]bool { <-ended; return stored }
}
