package proxy

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/cluster/spool"
	"github.com/rs/zerolog"
)

// poolOf is a config of one pool of these ports of the loopback address.
func poolOf(timeout time.Duration, ports ...string) *cluster.Config {
	pool := &cluster.PoolConfig{Name: "p", Timeout: timeout}
	for _, port := range ports {
		pool.Servers = append(pool.Servers, cluster.ServerConfig{Name: "n" + port, Address: "127.0.0.1:" + port})
	}
	return &cluster.Config{Epoch: uint64(len(ports)), Pools: []*cluster.PoolConfig{pool}}
}

func openSpool(t *testing.T, path string) *spool.Dir {
	t.Helper()
	d, err := spool.Open(path, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// newProxyOf is a proxy that has no loops; nobody connects.
func newProxyOf(t *testing.T, d *spool.Dir, c *cluster.Config) *Proxy {
	t.Helper()
	p, err := New(Config{Version: "1", BufferLimit: 1 << 20, ValueMax: 1 << 20, Spool: d}, c, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// first is the first backend of the only pool.
func (p *Proxy) first() *backend { return p.tree.Load().pools[0].backends[0] }

func wantJournal(t *testing.T, b *backend, keys int, lost bool) {
	t.Helper()
	j := b.health.Journal()
	if j.Pending() != keys || j.FlushNeeded() != lost {
		t.Errorf("%d keys, lost %v, want %d and %v", j.Pending(), j.FlushNeeded(), keys, lost)
	}
}

// Another process goes on with the journals, and so does the backend that a reload
// makes of the same server; one that is gone comes back with its own.
func TestSpoolInherited(t *testing.T) {
	path := t.TempDir()
	d := openSpool(t, path)
	p := newProxyOf(t, d, poolOf(time.Second, "1", "2"))
	old := p.first()
	old.health.Journal().Add(1, []byte("a"), false)
	if old.inherited.Load() {
		t.Error("there was no process before")
	}

	// The times change: another backend, with the same journal and the same file.
	if err := p.Reload(poolOf(2*time.Second, "1", "2")); err != nil {
		t.Fatal(err)
	}
	b := p.first()
	if b == old {
		t.Fatal("it is the same backend")
	}
	wantJournal(t, b, 1, false)
	old.health.Journal().Add(2, []byte("b"), true) // of a request that was under way
	wantJournal(t, b, 2, false)

	// It leaves, and is back.
	if err := p.Reload(poolOf(time.Second, "2", "3", "4")); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(path, "*.spool")); len(files) != 4 {
		t.Errorf("%v: that of the server that left has keys, and is kept", files)
	}
	if err := p.Reload(poolOf(time.Second, "1", "2", "3", "4")); err != nil {
		t.Fatal(err)
	}
	wantJournal(t, p.first(), 2, false)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	d = openSpool(t, path)
	p = newProxyOf(t, d, poolOf(time.Second, "1", "2"))
	b = p.first()
	wantJournal(t, b, 2, false)
	if got := b.health.Journal().Next(nil, 9); !b.inherited.Load() || got[0].Key != "a" || got[0].Binary || got[1].Key != "b" || !got[1].Binary {
		t.Errorf("%v, inherited %v", got, b.inherited.Load())
	}
	wantJournal(t, p.tree.Load().pools[0].backends[1], 0, false)
	b.health.Journal().Lose(3)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openSpool(t, path)
	p = newProxyOf(t, d, poolOf(time.Second, "1", "2", "3", "4", "5"))
	wantJournal(t, p.first(), 0, true)

	// A server that leaves with nothing missed leaves no file.
	if err := p.Reload(poolOf(time.Second, "1", "2", "3", "4", "6", "7")); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(path, "*.spool")); len(files) != 6 {
		t.Errorf("%v", files)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// Without a spool a journal is handed over within the process all the same.
func TestReloadKeepsJournal(t *testing.T) {
	p := newProxyOf(t, nil, poolOf(time.Second, "1"))
	p.first().health.Journal().Add(1, []byte("a"), false)
	for n := range 3 {
		if err := p.Reload(poolOf(time.Duration(n+2)*time.Second, "1")); err != nil {
			t.Fatal(err)
		}
		wantJournal(t, p.first(), 1, false)
	}
}
