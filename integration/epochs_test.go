package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Proxies before the same nodes whose maps differ learn of it from the nodes.

// mapFile is the config file of a proxy.
type mapFile struct {
	t    *testing.T
	name string
}

func newMapFile(t *testing.T) mapFile {
	return mapFile{t, filepath.Join(t.TempDir(), "pools.yml")}
}

// write puts a map of one pool in the place of the file.
func (f mapFile) write(epoch int, nodes ...*Process) {
	f.t.Helper()
	text := fmt.Sprintf("epoch: %d\npools:\n- name: pool\n  servers:\n", epoch)
	for _, p := range nodes {
		text += "  - " + p.Addr + "\n"
	}
	if err := os.WriteFile(f.name+".new", []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.name+".new", f.name); err != nil {
		f.t.Fatal(err)
	}
}

// startProxy starts a proxy with that file, which it does not look at by itself.
func (f mapFile) startProxy() *Process {
	f.t.Helper()
	p, err := Start(Spec{Binary: holdfastBinary(f.t), Command: "proxy", Args: []string{"--config", f.name, "--config-interval", "1h", "-t", "2"}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = p.Kill() })
	return p
}

// use has a proxy use all its nodes, again and again until ok.
func use(t *testing.T, p *Process, what string, ok func(stats map[string]string) bool) {
	t.Helper()
	c := speak(t, p)
	waitFor(t, what, func() bool {
		for i := range 20 {
			c.ask(fmt.Sprintf("get key%d\r\n", i), 1)
		}
		stats, err := p.Stats("stats")
		if err != nil {
			t.Fatal(err)
		}
		return ok(stats)
	})
}

// TestEpochs has three proxies before three nodes: one with the newest map, one whose file
// has it too and which has not looked, and one whose file has not.
func TestEpochs(t *testing.T) {
	t.Parallel() // they wait most of the time
	start := func(spec Spec) *Process {
		t.Helper()
		p, err := Start(spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Kill() })
		return p
	}
	node := Spec{Binary: holdfastBinary(t), Args: []string{"-t", "1", "-m", "16"}}
	a, b, plain := start(node), start(node), start(Spec{Binary: program(t, "memcached"), Args: []string{"-m", "16"}})
	newer, late, old := newMapFile(t), newMapFile(t), newMapFile(t)
	newer.write(8, a, plain, b)
	late.write(7, a, plain)
	old.write(7, a, plain)
	first, second, third := newer.startProxy(), late.startProxy(), old.startProxy()
	late.write(8, a, plain, b)

	use(t, first, "told", func(map[string]string) bool {
		stats, err := a.Stats("stats epochs")
		if err != nil {
			t.Fatal(err)
		}
		return stats["pool:pool:epoch"] == "8"
	})
	use(t, second, "taken", func(s map[string]string) bool { return s["epoch"] == "8" })
	use(t, third, "heard of", func(s map[string]string) bool { return s["newest_epoch"] == "8" && s["map_refetches"] != "0" })
	stats, err := second.Stats("stats")
	if err != nil {
		t.Fatal(err)
	}
	if stats["newer_maps"] == "0" || stats["newest_epoch"] != "8" || stats["map_refetches"] != "1" {
		t.Errorf("the second says newer_maps %s, newest_epoch %s, map_refetches %s", stats["newer_maps"], stats["newest_epoch"], stats["map_refetches"])
	}
	// The third goes on with what it has, and says once that there is something newer.
	heard := ""
	use(t, third, "heard of again", func(s map[string]string) bool {
		if heard == "" {
			heard = s["newer_maps"]
		}
		return s["newer_maps"] != heard && s["epoch"] == "7"
	})
	for p, want := range map[*Process]int{first: 0, second: 1, third: 1} {
		if n := strings.Count(p.Stderr(), "a node has heard of a newer map"); n != want {
			t.Errorf("%d lines of it, not %d: %s", n, want, p.Stderr())
		}
	}
	backends, err := third.Stats("stats backends")
	if err != nil {
		t.Fatal(err)
	}
	if backends["backend:pool/"+a.Addr+":newer_maps"] == "0" || backends["backend:pool/"+plain.Addr+":newer_maps"] != "0" || backends["backend:pool/"+plain.Addr+":server_errors"] != "0" {
		t.Errorf("backends: %v", backends)
	}
	// Both have the same owners now: what one writes the other reads.
	s, g := speak(t, first), speak(t, second)
	for i := range 30 {
		key := fmt.Sprint("both", i)
		s.ask("set "+key+" 0 0 1\r\nx\r\n", 1)
		if got := g.ask("mg "+key+"\r\n", 1); got != "HD\r\n" {
			t.Errorf("%s: %q", key, got)
		}
	}
	if where, err := second.Stats("stats discovery"); err != nil || where["file"] != late.name || where["file_epoch"] != "8" {
		t.Errorf("stats discovery: %v, %v", where, err)
	}
}

// TestEpochsLie has a client of a node tell of a map that nobody has.
func TestEpochsLie(t *testing.T) {
	t.Parallel()
	node, err := Start(Spec{Binary: holdfastBinary(t), Args: []string{"-t", "1", "-m", "16"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Kill() })
	f := newMapFile(t)
	f.write(7, node)
	p := f.startProxy()
	if got := speak(t, node).ask("stats epochs pool 9223372036854775808 1\r\n", 3); got != "STAT epoch 9223372036854775808\r\nSTAT sum 1\r\nEND\r\n" {
		t.Fatalf("the node answers %q", got)
	}
	use(t, p, "heard of", func(s map[string]string) bool { return s["newer_maps"] != "0" })
	stats, err := p.Stats("stats")
	if err != nil {
		t.Fatal(err)
	}
	if stats["epoch"] != "7" || stats["map_refetches"] != "1" || strings.Count(p.Stderr(), "a node has heard of a newer map") != 1 {
		t.Errorf("epoch %s, %s looks; %s", stats["epoch"], stats["map_refetches"], p.Stderr())
	}
	// The map of the file counts, whatever nodes say.
	f.write(8, node)
	use(t, p, "taken", func(s map[string]string) bool { return s["epoch"] == "8" })
}
