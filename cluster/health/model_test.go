package health

import (
	"testing"

	"pgregory.net/rapid"
)

// machine drives a pool at random and knows, by its own book, what must never
// happen.
type machine struct {
	now   int64
	pool  *Pool
	opt   Options
	nodes []*machineNode
}

// machineNode is what the machine's book says of a backend.
type machineNode struct {
	b       *Backend
	probing bool // someone was given the probe and has not reported
	fencing bool // and it was answered
	spoiled bool // it failed since at once
	// served says that it may be read: it was never down, or fenced since.
	served bool
	fellAt int64
	backAt int64 // 0 is never
	read   map[uint64]bool
}

// falls notes that node may not be read any more.
func (m *machine) falls(n *machineNode) {
	n.served, n.fellAt = false, m.now
	clear(n.read)
}

// after sees whether the node fell by what was just reported.
func (m *machine) after(n *machineNode) {
	if n.served && isDown(n.b.State()) {
		m.falls(n)
	}
}

func (m *machine) draw(t *rapid.T) *machineNode { return rapid.SampledFrom(m.nodes).Draw(t, "node") }

func (m *machine) Failed(t *rapid.T) {
	n := m.draw(t)
	kind := rapid.SampledFrom([]Kind{Refused, ConnectTimeout, Timeout, Reset, Protocol, Restarted, Overflowed}).Draw(t, "kind")
	n.b.Failed(m.now, kind)
	if kind == Refused || kind == Restarted || kind == Overflowed {
		if n.served && !isDown(n.b.State()) {
			t.Fatalf("%v, and it is %v", kind, n.b.State())
		}
		n.spoiled = n.spoiled || n.fencing
	}
	m.after(n)
}

func (m *machine) Answered(t *rapid.T) { m.draw(t).b.Answered() }

func (m *machine) Meet(t *rapid.T) {
	n := m.draw(t)
	boot := rapid.SampledFrom([]string{"a", "a", "a", "b"}).Draw(t, "boot")
	ok := n.b.Meet(m.now, Identity{BootID: boot, Items: 1})
	n.spoiled = n.spoiled || n.fencing && !ok
	m.after(n)
}

func (m *machine) Probe(t *rapid.T) {
	n := m.draw(t)
	if !n.b.TryProbe(m.now) {
		return
	}
	if n.probing || n.fencing || n.served {
		t.Fatalf("a probe was given: %+v", *n)
	}
	n.probing = true
	// What was down for a short time only was held down if it flapped. The pool may
	// have been open, and it may be known to answer.
	hold := n.b.Status(m.now).Hold
	if hold != 0 && !m.pool.Open() && m.now-n.fellAt < m.opt.HoldMin*3/4 {
		t.Fatalf("probed %d after it fell for flapping", m.now-n.fellAt)
	}
}

func (m *machine) ProbeOK(t *rapid.T) {
	n := m.draw(t)
	if !n.probing {
		return
	}
	d := n.b.ProbeOK(m.now, Identity{BootID: "a", Items: 1})
	if d.Action == Flush {
		n.b.Journal().BeginFlush(m.now)
		n.b.Journal().EndFlush(m.now, true)
	}
	n.probing, n.fencing, n.spoiled = false, true, false
}

func (m *machine) ProbeFailed(t *rapid.T) {
	if n := m.draw(t); n.probing {
		n.b.ProbeFailed(m.now)
		n.probing = false
	}
}

func (m *machine) FenceDone(t *rapid.T) {
	n := m.draw(t)
	if !n.fencing {
		if !n.probing && n.b.FenceDone(m.now) {
			t.Fatal("a fence that nobody ran counts")
		}
		return
	}
	n.fencing = false
	if n.b.FenceDone(m.now) {
		if n.spoiled {
			t.Fatal("a fence counts during which the node failed")
		}
		n.served, n.backAt = true, m.now
	}
}

func (m *machine) FenceFailed(t *rapid.T) {
	if n := m.draw(t); n.fencing {
		n.b.FenceFailed(m.now)
		n.fencing = false
	}
}

func (m *machine) Add(t *rapid.T) {
	m.draw(t).b.Journal().Add(m.now, rapid.SliceOfN(rapid.ByteRange('a', 'c'), 1, 2).Draw(t, "key"), false)
}

func (m *machine) Remove(t *rapid.T) {
	if len(m.nodes) > 1 && rapid.IntRange(0, 9).Draw(t, "remove") == 0 {
		m.pool.Remove(m.nodes[0].b)
		m.nodes = m.nodes[1:]
	}
}

func (m *machine) Later(t *rapid.T) {
	m.now += rapid.SampledFrom([]int64{1, 100, 300, 1000, 7000, 40_000}).Draw(t, "ms") * millisecond
}

// Check is what holds at all times.
func (m *machine) Check(t *rapid.T) {
	down := 0
	for _, n := range m.nodes {
		if isDown(n.b.State()) {
			down++
		}
	}
	if count, got := m.pool.Counts(); got != down || count != len(m.nodes) {
		t.Fatalf("the pool counts %d of %d down, %d of %d are", got, count, down, len(m.nodes))
	}
	for _, n := range m.nodes {
		s := n.b.State()
		for hash := range uint64(8) {
			hash *= 0x9e3779b97f4a7c15
			reads := n.b.AdmitsRead(hash, m.now)
			if reads && !n.served {
				t.Fatalf("%v: a read is admitted, and there was no fence", s)
			}
			if n.read[hash] && !reads {
				t.Fatalf("%v: a key that was read is not, and it did not go down", s)
			}
			if n.served && !reads && (s != Ramping || m.now-n.backAt >= m.opt.Ramp) {
				t.Fatalf("%v, %d after its return: a read is not admitted", s, m.now-n.backAt)
			}
			if reads {
				n.read[hash] = true
			}
		}
		if writes := n.b.AdmitsWrite(); writes != (!isDown(s) || m.pool.Open()) {
			t.Fatalf("%v, pool open %v: writes %v", s, m.pool.Open(), writes)
		}
	}
}

func TestMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{opt: DefaultOptions(), pool: &Pool{}, now: rapid.Int64Range(-1, 1).Draw(t, "start") * at(1000)}
		m.opt.JournalKeys = 6
		m.opt.Ramp = rapid.SampledFrom([]int64{0, at(30)}).Draw(t, "ramp")
		for range rapid.IntRange(1, 4).Draw(t, "backends") {
			b := m.pool.NewBackend(m.now, m.opt)
			b.unit = func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "jitter") }
			m.nodes = append(m.nodes, &machineNode{b: b, served: true, read: map[uint64]bool{}})
		}
		t.Repeat(map[string]func(*rapid.T){
			"Failed": m.Failed, "Answered": m.Answered, "Meet": m.Meet,
			"Probe": m.Probe, "ProbeOK": m.ProbeOK, "ProbeFailed": m.ProbeFailed,
			"FenceDone": m.FenceDone, "FenceFailed": m.FenceFailed,
			"Add": m.Add, "Remove": m.Remove, "Later": m.Later, "": m.Check,
		})
	})
}
