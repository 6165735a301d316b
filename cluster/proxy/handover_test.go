package proxy

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/server"
)

// change is when all keys of a handoverRig change over, in Unix nanoseconds.
const change = int64(2_000_000_000 * time.Second)

// handoverRig is a proxy amid a migration from the node with port 1 to that with
// port 2, whose clock is what the test says.
func handoverRig(t *testing.T, over string) *rig {
	start := time.Unix(0, change).UTC().Format(time.RFC3339)
	conf := routesConfig(t, "  migrate: {from: old, to: fresh, start: "+start+", over: "+over+"}\n", "old", "127.0.0.1:1", "fresh", "127.0.0.1:2")
	return rigOf(t, Config{Version: "1", BufferLimit: 64 << 20, ValueMax: 8 << 20}, conf)
}

// at sets the proxy's clock.
func (r *rig) at(unix int64) { r.executor().wall = unix - r.loop.Time }

// simKey is what is known of a key: as in the checker of stale reads, writes are
// numbered, one is under way at a time, and a read shows none from before the last
// that was acknowledged, or shown, when the read began.
type simKey struct {
	name    string
	writing bool
	dead    []bool // by number: a deletion, or refused
	floor   int
}

// simClient has one request at a time under way.
type simClient struct {
	c      *server.MemoryClient
	key    *simKey // nil: idle
	asked  string
	number int // of the write; 0 is a read
	least  int
	unique string // of the last gets
}

// handoverSim has proxies whose clocks differ, their clients, and the nodes that they
// share; what happens next is random.
type handoverSim struct {
	t       *testing.T
	rng     *rand.Rand
	rigs    []*rig
	clients []*simClient
	keys    []*simKey
	replies map[*server.MemoryLink][]byte // that are on their way
	log     []string
	hits    int
}

func newHandoverSim(t *testing.T, seed uint64, ahead int64) *handoverSim {
	s := &handoverSim{t: t, rng: rand.New(rand.NewPCG(seed, 0)), replies: map[*server.MemoryLink][]byte{}}
	begin := change + int64(s.rng.IntN(24_000)-12_000)*int64(time.Millisecond)
	for i := range 2 {
		r := handoverRig(t, "1ms")
		if i == 0 {
			r.withNodes(2)
		} else {
			r.nodes = s.rigs[0].nodes
		}
		r.at(begin + int64(i)*ahead)
		s.rigs = append(s.rigs, r)
		for range 3 {
			s.clients = append(s.clients, &simClient{c: r.loop.NewClient()})
		}
	}
	for i := range 2 {
		s.keys = append(s.keys, &simKey{name: fmt.Sprint("key", i), dead: []bool{true}})
	}
	return s
}

// ask has an idle client ask for something.
func (s *handoverSim) ask(c *simClient) {
	k := s.keys[s.rng.IntN(len(s.keys))]
	c.key, c.number, c.least = k, 0, k.floor
	if s.rng.IntN(2) == 0 && !k.writing {
		k.writing = true
		c.number = len(k.dead)
		v := strconv.Itoa(c.number)
		c.asked = []string{
			fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", k.name, len(v), v),
			fmt.Sprintf("ms %s %d\r\n%s\r\n", k.name, len(v), v),
			fmt.Sprintf("add %s 0 0 %d\r\n%s\r\n", k.name, len(v), v),
			fmt.Sprintf("ms %s %d ME\r\n%s\r\n", k.name, len(v), v),
			"delete " + k.name + "\r\n",
			"md " + k.name + "\r\n",
			fmt.Sprintf("cas %s 0 0 %d %s\r\n%s\r\n", k.name, len(v), c.unique, v),
		}[s.rng.IntN(6+min(len(c.unique), 1))]
		k.dead = append(k.dead, c.asked[0] == 'd' || c.asked[:2] == "md")
	} else {
		c.asked = fmt.Sprintf([]string{"get %s\r\n", "get none %s\r\n", "gets %s\r\n", "mg %s v\r\n"}[s.rng.IntN(4)], k.name)
	}
	s.log = append(s.log, fmt.Sprintf("%p asks %q", c, c.asked))
	c.c.Say([]byte(c.asked))
}

// heard takes the answer to a client.
func (s *handoverSim) heard(c *simClient) {
	text := string(c.c.Heard)
	c.c.Heard = c.c.Heard[:0]
	s.log = append(s.log, fmt.Sprintf("%p hears %q", c, text))
	k := c.key
	c.key = nil
	if c.number > 0 {
		k.writing = false
		switch word, _, _ := strings.Cut(strings.TrimSpace(text), " "); word {
		case "STORED", "HD", "DELETED", "NOT_FOUND", "NF":
			if word == "NOT_FOUND" && c.asked[0] == 'c' {
				k.dead[c.number] = true
				return
			}
			k.floor = max(k.floor, c.number)
		case "NOT_STORED", "NS", "EXISTS":
			k.dead[c.number] = true
		default:
			s.fail("a write is answered %q", text)
		}
		return
	}
	if text == "END\r\n" || text == "EN\r\n" {
		return
	}
	lines := strings.Split(text, "\r\n")
	n, err := strconv.Atoi(lines[1])
	switch {
	case err != nil || n >= len(k.dead) || n < 1:
		s.fail("a read is answered %q", text)
	case k.dead[n] || n < c.least:
		s.fail("%d is read of %s after %d", n, k.name, c.least)
	}
	s.hits++
	k.floor = max(k.floor, n)
	if strings.HasPrefix(c.asked, "gets ") {
		c.unique = strings.Split(lines[0], " ")[4]
	}
}

func (s *handoverSim) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(s.log[max(0, len(s.log)-40):], "\n"))
}

// step has one thing happen.
func (s *handoverSim) step() {
	r := s.rigs[s.rng.IntN(len(s.rigs))]
	switch n := s.rng.IntN(100); {
	case n < 2: // time passes
		for _, r := range s.rigs {
			r.executor().wall += s.rng.Int64N(int64(time.Second / 3))
		}
	case n < 20:
		if c := s.clients[s.rng.IntN(len(s.clients))]; c.key == nil {
			s.ask(c)
		}
	default:
		if len(r.loop.Links) > 0 {
			s.move(r, r.loop.Links[s.rng.IntN(len(r.loop.Links))])
		}
	}
	for _, r := range s.rigs {
		r.loop.Settle()
	}
	for _, c := range s.clients {
		if c.key != nil && len(c.c.Heard) > 0 {
			s.heard(c)
		}
	}
}

// move lets what is on its way on a link arrive, on one of its sides.
func (s *handoverSim) move(r *rig, m *server.MemoryLink) {
	peer := r.peers[m]
	switch {
	case m.Closed():
	case peer == nil:
		r.peers[m] = r.nodes[m.Addr.TCP.Port()-1].NewClient()
		m.Accept()
	case len(s.replies[m]) > 0 && s.rng.IntN(2) == 0:
		text := s.replies[m]
		s.replies[m] = nil
		m.Say(text)
	case len(m.Sent) > 0:
		s.log = append(s.log, fmt.Sprintf("node %d takes %q", m.Addr.TCP.Port(), m.Sent))
		peer.Say(m.Sent)
		m.Sent = m.Sent[:0]
		s.replies[m] = append(s.replies[m], peer.Heard...)
		peer.Heard = peer.Heard[:0]
	}
}

// Two proxies whose clocks differ by nine seconds, before, at and after the moment when
// keys change over: no client of either sees an old value.
func TestMigrateClocksDiffer(t *testing.T) {
	hits := 0
	seeds := 100
	if testing.Short() {
		seeds = 20
	}
	for seed := range uint64(seeds) {
		s := newHandoverSim(t, seed, 9*int64(time.Second))
		s.log = append(s.log, fmt.Sprint("seed ", seed))
		for range 1500 {
			s.step()
		}
		hits += s.hits
	}
	if hits < 20*seeds {
		t.Errorf("only %d reads have shown something", hits)
	}
}
