package server

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
	"github.com/rs/zerolog"
)

// fakeKeeper syncs, and snapshots, on cue. It is told of changes by its store.
type fakeKeeper struct {
	holds   bool
	refusal atomic.Pointer[string]

	mu        sync.Mutex
	appended  uint64
	synced    uint64
	waiting   []fakeWait
	snapshots []func(error)
	busy      bool
}

type fakeWait struct {
	pos  uint64
	wake func()
}

func (k *fakeKeeper) append() {
	k.mu.Lock()
	k.appended++
	k.mu.Unlock()
}

func (k *fakeKeeper) Stored(slab.Item)               { k.append() }
func (k *fakeKeeper) Touched(slab.Item)              { k.append() }
func (k *fakeKeeper) Removed([]byte, uint64, uint64) { k.append() }
func (k *fakeKeeper) Flushed(uint64)                 { k.append() }

func (k *fakeKeeper) Appended() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.appended
}

func (k *fakeKeeper) Synced(pos uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return pos <= k.synced
}

func (k *fakeKeeper) NotifySynced(pos uint64, wake func()) {
	k.mu.Lock()
	k.waiting = append(k.waiting, fakeWait{pos, wake})
	k.mu.Unlock()
}

func (k *fakeKeeper) Holds() bool { return k.holds }

func (k *fakeKeeper) Snapshot(done func(error)) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy {
		return false
	}
	k.busy = true
	k.snapshots = append(k.snapshots, done)
	return true
}

func (k *fakeKeeper) Refusal() string {
	if p := k.refusal.Load(); p != nil {
		return *p
	}
	return ""
}

func (k *fakeKeeper) Stats(add func(name, value string)) { add("state", "ok") }

// sync makes all that was appended safe and wakes who waits for it.
func (k *fakeKeeper) sync() {
	k.mu.Lock()
	k.synced = k.appended
	k.mu.Unlock()
	k.timeout()
}

// timeout wakes everybody, safe or not.
func (k *fakeKeeper) timeout() {
	k.mu.Lock()
	waiting := k.waiting
	k.waiting = nil
	k.mu.Unlock()
	for _, w := range waiting {
		w.wake()
	}
}

// held waits until n sessions are held back.
func (k *fakeKeeper) held(t *testing.T, n int) {
	t.Helper()
	eventually(t, "replies are held back", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.waiting) == n
	})
}

// snapshotBegins waits until a snapshot is being made.
func (k *fakeKeeper) snapshotBegins(t *testing.T) {
	t.Helper()
	eventually(t, "a snapshot is asked for", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.busy
	})
}

// snapshotEnds ends the snapshot that is being made.
func (k *fakeKeeper) snapshotEnds(t *testing.T, err error) {
	t.Helper()
	k.snapshotBegins(t)
	k.mu.Lock()
	done := k.snapshots[0]
	k.snapshots, k.busy = k.snapshots[1:], false
	k.mu.Unlock()
	done(err)
}

// keptServer is a running server whose node has a fakeKeeper.
type keptServer struct {
	toyServer
	k    *fakeKeeper
	node *Node
}

// startKept serves a node with a keeper that holds replies back.
func startKept(t *testing.T, transport string, change func(*Config)) *keptServer {
	t.Helper()
	s := &keptServer{k: &fakeKeeper{holds: true}}
	s.node = testNode(t, func(c *Config) {
		c.Threads, c.MaxConns, c.Transport = 2, 200, transport
		if change != nil {
			change(c)
		}
	}, nil)
	s.node.store.SetJournal(s.k)
	s.node.SetKeeper(s.k)
	s.t, s.h, s.ended, s.unix = t, &toyHandler{}, make(chan error, 1), filepath.Join(t.TempDir(), "s")
	var err error
	if s.Server, err = New(s.node.cfg, s.node, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	s.tickEach = time.Hour
	tcp, err := Listen(s.cfg, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = tcp.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() { s.ended <- s.Serve(ctx, tcp) }()
	t.Cleanup(s.end)
	return s
}

// silent checks that nothing has come, by way of another connection: what the
// server would have written, it has written before it answers there.
func (c *toyClient) silent(other *toyClient) {
	c.t.Helper()
	other.say("mn\r\n")
	other.hear("MN\r\n")
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		c.t.Fatal(err)
	}
	if b, err := c.r.Peek(1); err == nil {
		c.t.Fatalf("heard %q too early", b)
	} else if !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		c.t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
