package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// proxyBinary is a program that is "holdfast proxy".
func proxyBinary(t *testing.T) string {
	t.Helper()
	holdfast, err := filepath.Abs(holdfastBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "proxy")
	if err := os.WriteFile(name, []byte("#!/bin/sh\nexec '"+holdfast+"' proxy \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestJoinProxy has one proxy take the map of another, by way of the nodes, at the
// start and when it changes.
func TestJoinProxy(tt *testing.T) {
	t := &joinTest{T: tt, secret: filepath.Join(tt.TempDir(), "secret"), seed: "127.0.0.1:1"}
	if err := os.WriteFile(t.secret, []byte("a secret between the nodes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := t.start()
	t.seed = t.ask(a)["gossip_addr"]
	b := t.start()
	config := filepath.Join(tt.TempDir(), "pools.yml")
	write := func(epoch int, nodes ...*Process) {
		t.Helper()
		text := fmt.Sprintf("epoch: %d\npools:\n- servers:\n", epoch)
		for _, p := range nodes {
			text += "  - " + p.Addr + "\n"
		}
		if err := os.WriteFile(config+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(config+".new", config); err != nil {
			t.Fatal(err)
		}
	}
	proxy := func(advertise string, args ...string) *Process {
		t.Helper()
		p, err := Start(Spec{Binary: proxyBinary(tt), Args: append([]string{
			"--join", t.seed, "--gossip", "127.0.0.1:0", "--advertise", advertise, "--cluster-name", "tests", "--cluster-secret-file", t.secret,
		}, args...)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Kill() })
		return p
	}
	write(1, a)
	first := proxy("127.0.0.1:1", "--config", config)
	t.want(a, "gossip_epoch", "1")
	second := proxy("127.0.0.1:2")
	t.want(a, "proxy:127.0.0.1:2", "alive")
	agree := func() string {
		s, g := speak(tt, first), speak(tt, second)
		hits := ""
		for i := range 20 {
			s.ask(fmt.Sprintf("set key%d 0 0 1\r\nx\r\n", i), 1)
			hits += g.ask(fmt.Sprintf("mg key%d\r\n", i), 1)
		}
		return hits
	}
	eventuallyIs(tt, strings.Repeat("HD\r\n", 20), agree)
	write(2, a, b)
	t.want(b, "gossip_epoch", "2")
	// The nodes have halves of the keys now, and both proxies know which.
	eventuallyIs(tt, "true", func() string {
		stats, err := b.Stats("stats")
		if err != nil {
			t.Fatal(err)
		}
		agree()
		return fmt.Sprint(stats["curr_items"] != "0")
	})
	eventuallyIs(tt, strings.Repeat("HD\r\n", 20), agree)
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	t.want(a, "proxy:127.0.0.1:2", "left")
}

// TestJoinSuspected stops a node that a proxy has no requests for. The other members notice,
// and so the proxy asks it, and finds it down by itself.
func TestJoinSuspected(tt *testing.T) {
	tt.Parallel() // it waits most of the time
	t := &joinTest{T: tt, secret: filepath.Join(tt.TempDir(), "secret"), seed: "127.0.0.1:1"}
	if err := os.WriteFile(t.secret, []byte("a secret between the nodes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := t.start()
	t.seed = t.ask(a)["gossip_addr"]
	b := t.start()
	p, err := Start(Spec{Binary: proxyBinary(tt), Args: []string{
		"--nodes", a.Addr + "," + b.Addr, "--join", t.seed, "--gossip", "127.0.0.1:0", "--advertise", "127.0.0.1:1",
		"--cluster-name", "tests", "--cluster-secret-file", t.secret,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	t.want(b, "proxy:127.0.0.1:1", "alive")
	c := speak(tt, p)
	for i := range 20 {
		c.ask(fmt.Sprintf("get key%d\r\n", i), 1)
	}
	state := func(n *Process) string {
		t.Helper()
		stats, err := p.Stats("stats backends")
		if err != nil {
			t.Fatal(err)
		}
		return stats["backend:"+n.Addr+":state"]
	}
	if x, y := state(a), state(b); x != "up" || y != "up" {
		t.Fatalf("%s and %s", x, y)
	}
	if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitFor(tt, "found down", func() bool { s := state(b); return s == "down" || s == "probing" })
	if got := state(a); got != "up" {
		t.Errorf("the other is %s", got)
	}
	if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	waitFor(tt, "up again", func() bool { return state(b) == "up" })
}
