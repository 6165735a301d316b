package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program writes a script that answers as a server's program does when asked
// for its version or its help.
func program(t *testing.T, name, says string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte("#!/bin/sh\necho '"+says+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFindProxies(t *testing.T) {
	plain := program(t, "memcached", "-p, --port=<num>")
	able := program(t, "memcached", "-o proxy_config: path")
	nutcracker := program(t, "nutcracker", "This is nutcracker")
	holdfast := program(t, "holdfast", "")

	var complaints []string
	targets, err := FindProxies(holdfast, plain+",able="+able+","+able+","+nutcracker, func(c string) { complaints = append(complaints, c) })
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name string
		kind Kind
	}{
		{"holdfast", HoldfastProxy},
		{"able", MemcachedProxy},
		{"memcached's proxy", MemcachedProxy},
		{"nutcracker", Nutcracker},
	}
	if len(targets) != len(want) {
		t.Fatalf("targets %+v", targets)
	}
	for i, w := range want {
		if targets[i].Name != w.name || targets[i].Kind != w.kind {
			t.Errorf("target %d is %q of kind %d, want %q of kind %d", i, targets[i].Name, targets[i].Kind, w.name, w.kind)
		}
	}
	if len(targets[0].Program) != 2 || targets[0].Program[1] != "proxy" {
		t.Errorf("the first is started by %q", targets[0].Program)
	}
	if len(complaints) != 1 || !strings.Contains(complaints[0], "--enable-proxy") {
		t.Errorf("complaints %q", complaints)
	}
	if _, err := FindProxies(holdfast, plain, func(string) {}); err == nil {
		t.Error("a memcached without a proxy was taken for a rival")
	}
}

func TestUseProxiesNamesTheBackend(t *testing.T) {
	holdfast, nutcracker := program(t, "holdfast", ""), program(t, "nutcracker", "")
	for backend, args := range map[string]int{"": 2, program(t, "memcached", ""): 1} {
		b := &Bench{Log: func(string) {}}
		if err := b.useProxies(holdfast, nutcracker, backend); err != nil {
			t.Fatal(err)
		}
		if len(b.Backend.Program) != args {
			t.Errorf("backend %q is started by %q", backend, b.Backend.Program)
		}
	}
	b := &Bench{Log: func(string) {}}
	if err := b.useProxies(holdfast, nutcracker, "/no/such/server"); err == nil {
		t.Error("a backend that is not there was taken")
	}
}

func TestRivalsAreConfigured(t *testing.T) {
	nodes := []string{"127.0.0.1:4001", "127.0.0.1:4002"}
	for text, parts := range map[string][]string{
		luaConfig(nodes):              {`mcp.backend("node1", "127.0.0.1", "4001")`, `mcp.backend("node2", "127.0.0.1", "4002")`, "mcp.CMD_ANY_STORAGE"},
		nutcrackerConfig(4000, nodes): {"listen: 127.0.0.1:4000\n", "- 127.0.0.1:4001:1 node1\n", "- 127.0.0.1:4002:1 node2\n", "hash: fnv1a_64\n", "distribution: ketama\n"},
	} {
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%q is missing in\n%s", part, text)
			}
		}
	}
}

// A proxy that does not start leaves neither its directory nor its backends.
func TestProxyThatEndsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	b := &Bench{Log: func(string) {}}
	b.Backend = fakeServer(t, "exit 3")
	if _, err := b.session(proxyIdle, Target{Name: "p", Kind: Nutcracker}); err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("got %v, want what the backend said", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if strings.HasPrefix(e.Name(), "holdfast-bench-") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// The rate of an open loop is that of batches: a batch of four is four operations
// and one latency.
func TestOpenLoopSendsBatches(t *testing.T) {
	l := Load{Conns: 2, Pipeline: 4, KeysPerGet: 1, Items: 10, Rate: 1000}
	const d = 100 * time.Millisecond
	out, err := Run(toy(t, 10, 0), Memcached, l, d)
	if err != nil {
		t.Fatal(err)
	}
	due := 0
	for s := newSchedule(l.Rate, 1); s.Next() < d; {
		due++
	}
	if out.Ops != 4*due || out.Latency.TotalCount() != int64(due) {
		t.Errorf("%d operations in %d batches, want %d in %d", out.Ops, out.Latency.TotalCount(), 4*due, due)
	}
}
