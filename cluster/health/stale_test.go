package health

import (
	"fmt"
	"iter"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// simNode is a cache node as far as it matters for stale reads: versions under
// keys. A restart leaves it empty, or with what it had, or with what an earlier
// snapshot had.
type simNode struct {
	holdfast  bool
	up, cut   bool // cut off from the proxy, but alive
	items     map[string]int
	boot      int
	startedAt int64
	id        Identity
	snapshot  map[string]int
	snapAt    int64
	// What is missing in items, and in snapshot, is from after these times; 0 is
	// nothing.
	lossy, snapLossy int64
}

// clock is the node's own, in whole seconds.
func (n *simNode) clock(now int64) int64 { return clockThere + now/second }

func (n *simNode) start(now int64, how string) {
	n.up, n.boot, n.startedAt = true, n.boot+1, now
	n.id = Identity{PID: 1}
	if n.holdfast {
		n.id.BootID = fmt.Sprint(n.boot)
	}
	switch {
	case how == "kept" && len(n.items) > 0:
		n.id.RestoredAt, n.id.SnapshotTime = n.clock(now), n.clock(now)
		if n.lossy != 0 {
			n.id.SnapshotTime = n.lossy
		}
	case how == "snapshot" && n.holdfast && n.snapshot != nil:
		n.items = maps.Clone(n.snapshot)
		n.id.RestoredAt, n.id.SnapshotTime = n.clock(now), n.clock(n.snapAt)-1
		if n.snapLossy != 0 {
			n.id.SnapshotTime = n.snapLossy
		}
		n.lossy = n.id.SnapshotTime
	default:
		n.items, n.lossy = map[string]int{}, 0
	}
	if !n.holdfast { // says nothing of all that
		n.id = Identity{PID: 1}
	}
}

func (n *simNode) says(now int64) Identity {
	id := n.id
	id.Time, id.Items = n.clock(now), int64(len(n.items))
	id.Uptime = id.Time - n.clock(n.startedAt)
	return id
}

func (n *simNode) flush() {
	clear(n.items)
	n.lossy = 0
	if n.holdfast {
		n.id.FlushGeneration++
	}
}

// sim is a proxy in front of a simNode. A value is a version; a read must not
// return one below the floor of its key.
type sim struct {
	now     int64
	opt     Options
	node    *simNode
	b       *Backend
	first   bool // the node was not met yet
	conn    int  // the boot the proxy is connected to, 0 is none
	version int
	floor   map[string]int // of the last write that was acknowledged, or made up for
	tried   map[string]int // of the last write
	spool   *simSpool      // nil: there is none
}

// simSpool is a spool that a proxy's death does nothing to.
type simSpool struct {
	lost bool
	keys map[string]bool
	n    int
}

func (s *simSpool) Add(key string, binary bool) { s.keys[key] = binary; s.n++ }

func (s *simSpool) Full() bool { return s.n > 3 }

func (s *simSpool) Rewrite(lost bool, keys iter.Seq2[string, bool]) {
	s.lost, s.keys, s.n = lost, maps.Collect(keys), 0
}

func (s *sim) key(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
}

// connected says whether a request can be sent, as a lane finds out.
func (s *sim) connected() bool {
	if s.node.cut {
		return true // and gets no answer
	}
	if !s.node.up {
		s.conn = 0
		s.b.Failed(s.now, Refused)
		return false
	}
	if s.conn != s.node.boot {
		s.conn = 0
		if s.b.Meet(s.now, s.node.says(s.now)) {
			s.conn = s.node.boot
			s.madeUp(s.first && s.opt.Policy.FlushAtStart)
			s.first = false
		}
	}
	return s.conn != 0
}

// madeUp raises the floors when the fence is done, if all that was tried counts.
func (s *sim) madeUp(all bool) {
	if j := s.b.Journal(); all && j.Pending() == 0 && !j.FlushNeeded() {
		maps.Copy(s.floor, s.tried)
	}
}

func (s *sim) Write(t *rapid.T) {
	key, del := s.key(t), rapid.Bool().Draw(t, "delete")
	s.version++
	// The connection is tried again before each write, as that of another loop would be.
	if s.b.AdmitsWrite() && s.connected() && s.b.AdmitsWrite() {
		fate := "lost"
		if !s.node.cut {
			fate = rapid.SampledFrom([]string{"acked", "acked", "lost", "done"}).Draw(t, "fate")
		}
		if fate != "lost" {
			delete(s.node.items, key)
			if !del {
				s.node.items[key] = s.version
			}
		}
		if fate == "acked" {
			s.b.Answered()
			s.b.Journal().Acked(s.now)
			s.floor[key], s.tried[key] = s.version, s.version
			return
		}
		s.b.Failed(s.now, Timeout)
	}
	s.tried[key] = s.version
	s.b.Journal().Add(s.now, []byte(key), false)
}

// OtherWrite is another proxy's, which has no trouble.
func (s *sim) OtherWrite(t *rapid.T) {
	if s.node.up {
		s.version++
		s.node.items[s.key(t)] = s.version
	}
}

func (s *sim) Read(t *rapid.T) {
	key := s.key(t)
	if !s.b.AdmitsRead(1, s.now) || !s.connected() || !s.b.AdmitsRead(1, s.now) || s.node.cut {
		return
	}
	s.b.Answered()
	if v, ok := s.node.items[key]; ok && v < s.floor[key] {
		t.Fatalf("read version %d of %s, and %d was written: %+v", v, key, s.floor[key], s.b.Status(s.now))
	}
}

func (s *sim) Probe(t *rapid.T) {
	if !s.b.TryProbe(s.now) {
		return
	}
	if !s.node.up || s.node.cut {
		s.b.ProbeFailed(s.now)
		return
	}
	d := s.b.ProbeOK(s.now, s.node.says(s.now))
	j := s.b.Journal()
	if rapid.IntRange(0, 9).Draw(t, "breaks") == 0 {
		j.Next(nil, 2)
		s.b.FenceFailed(s.now)
		return
	}
	if d.Action == Flush {
		j.BeginFlush(s.now)
		s.writes(t, "before the flush")
		s.node.flush()
		s.writes(t, "after the flush")
		j.EndFlush(s.now, true)
	}
	s.replay(t)
	if s.b.FenceDone(s.now) {
		s.conn = s.node.boot
		s.madeUp(true)
		s.first = false
	}
}

// writes has clients write meanwhile.
func (s *sim) writes(t *rapid.T, when string) {
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 1, 5}).Draw(t, when) {
		s.Write(t)
	}
}

// replay sends the journal as deletes.
func (s *sim) replay(t *rapid.T) {
	j := s.b.Journal()
	for {
		got := j.Next(nil, 2)
		if len(got) == 0 {
			return
		}
		for _, e := range got {
			delete(s.node.items, e.Key)
		}
		if rapid.IntRange(0, 2).Draw(t, "more") == 0 {
			s.writes(t, "during the replay")
		}
		j.Done(s.now, got)
	}
}

// Replay is what a lane does when it is up and the journal is not empty.
func (s *sim) Replay(t *rapid.T) {
	if st := s.b.State(); (st == Up || st == Ramping) && s.node.up && !s.node.cut && s.conn == s.node.boot {
		if s.b.Journal().FlushNeeded() {
			s.b.Failed(s.now, Overflowed)
			return
		}
		s.b.Journal().Rewind()
		s.replay(t)
		s.madeUp(true)
	}
}

// ProxyRestart loses the journal: what was tried and not acknowledged is nobody's
// any more, but for FlushAtStart and the spool.
func (s *sim) ProxyRestart(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "restart") != 0 {
		return
	}
	s.b, s.conn, s.first = s.newBackend(), 0, true
	if !s.opt.Policy.FlushAtStart && s.spool == nil {
		clear(s.tried)
	}
}

func (s *sim) newBackend() *Backend {
	b := (&Pool{}).NewBackend(s.now, s.opt)
	b.unit = func() float64 { return 0.5 }
	if s.spool != nil {
		for key, binary := range s.spool.keys {
			b.Journal().Add(s.now, []byte(key), binary)
		}
		if s.spool.lost {
			b.Journal().Lose(s.now)
		}
		b.Journal().Attach(s.spool)
	}
	return b
}

// Reload has another backend take the place of the one there is.
func (s *sim) Reload(*rapid.T) {
	old := s.b.Journal()
	s.b, s.conn, s.first = (&Pool{}).NewBackend(s.now, s.opt), 0, true
	s.b.unit = func() float64 { return 0.5 }
	s.b.Journal().Take(s.now, old)
	if s.spool != nil {
		s.b.Journal().Attach(s.spool)
	}
}

func (s *sim) Stop(*rapid.T) { s.node.up = false }

func (s *sim) Start(t *rapid.T) {
	if !s.node.up {
		s.node.start(s.now, rapid.SampledFrom([]string{"empty", "kept", "snapshot"}).Draw(t, "how"))
	}
}

// Crash is a restart that nobody but a lane which was connected notices.
func (s *sim) Crash(t *rapid.T) {
	s.Stop(t)
	s.Start(t)
}

// Outage is what happens most: the node is away, is written to, and comes back.
func (s *sim) Outage(t *rapid.T) {
	if rapid.Bool().Draw(t, "cut") {
		s.node.cut = true
		s.writes(t, "while it is cut off")
		s.node.cut = false
	} else {
		s.Stop(t)
		s.writes(t, "while it is stopped")
		s.Start(t)
	}
	s.writes(t, "when it is back")
	s.Later(t)
	s.Probe(t)
}

func (s *sim) Cut(t *rapid.T) { s.node.cut = rapid.Bool().Draw(t, "cut") }

func (s *sim) Snapshot(*rapid.T) {
	if s.node.up {
		s.node.snapshot, s.node.snapAt = maps.Clone(s.node.items), s.now
		s.node.snapLossy = s.node.lossy
	}
}

func (s *sim) OtherFlush(t *rapid.T) {
	if s.node.up && rapid.IntRange(0, 3).Draw(t, "flush") == 0 {
		s.node.flush()
	}
}

func (s *sim) Later(t *rapid.T) {
	s.now += rapid.SampledFrom([]int64{10, 130, 300, 900, 3100, 20_000, 400_000}).Draw(t, "ms") * millisecond
}

// TestNothingStale lets a node be stopped, started with what it had and with less,
// cut off and flushed, and the proxy be restarted, at random. No read returns
// what is older than the last write.
func TestNothingStale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &sim{
			now: rapid.Int64Range(0, 3*second).Draw(t, "now"), opt: DefaultOptions(),
			node:  &simNode{holdfast: rapid.Bool().Draw(t, "holdfast")},
			floor: map[string]int{}, tried: map[string]int{},
		}
		s.opt.JournalKeys = rapid.SampledFrom([]int{2, 4, 100}).Draw(t, "journal")
		s.opt.Ramp = 0
		s.opt.Policy.FlushAtStart = rapid.Bool().Draw(t, "flushAtStart")
		if rapid.Bool().Draw(t, "spool") {
			s.spool = &simSpool{keys: map[string]bool{}}
		}
		s.node.start(s.now, "empty")
		s.b, s.first = s.newBackend(), true
		t.Repeat(map[string]func(*rapid.T){
			"Write": s.Write, "Write again": s.Write, "OtherWrite": s.OtherWrite,
			"Read": s.Read, "Read again": s.Read, "Probe": s.Probe, "Replay": s.Replay,
			"ProxyRestart": s.ProxyRestart, "Reload": s.Reload, "Stop": s.Stop, "Start": s.Start, "Crash": s.Crash, "Outage": s.Outage, "Cut": s.Cut,
			"Snapshot": s.Snapshot, "OtherFlush": s.OtherFlush, "Later": s.Later,
		})
	})
}
