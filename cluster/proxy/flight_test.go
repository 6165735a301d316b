package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/server"
)

// keysOf returns keys of which the servers own the numbers of want, in order.
func keysOf(r *rig, want ...int) []string {
	used := map[string]bool{}
	keys := make([]string, len(want))
	for i, port := range want {
		for n := 0; keys[i] == ""; n++ {
			k := fmt.Sprintf("k%d", n)
			if !used[k] && r.p.tree.Load().pools[0].m.Owner([]byte(k)) == port-1 {
				keys[i], used[k] = k, true
			}
		}
	}
	return keys
}

// A batch of all kinds of requests to three servers, which answer in the order that is
// the worst: the client hears its replies in its own.
func TestFlightInOrder(t *testing.T) {
	r := newRig(t, 3, nil)
	k := keysOf(r, 1, 2, 3, 1)
	c := r.loop.NewClient()
	c.Say([]byte(strings.NewReplacer("A", k[0], "B", k[1], "C", k[2], "D", k[3]).Replace(
		"set A 1 0 1\r\na\r\n" +
			"get A B C D A\r\n" +
			"delete B noreply\r\n" +
			"mg C v q O9\r\n" +
			"version\r\n" +
			"set B 0 0 1 noreply\r\nb\r\n" +
			"incr C 5\r\n" +
			"frobnicate\r\n" +
			"mn\r\n" +
			"ms A 1 q k\r\na\r\n" +
			"gets B\r\n")))
	one, two, three := r.link(1), r.link(2), r.link(3)
	text := func(m *server.MemoryLink) string {
		out := string(m.Sent)
		m.Sent = m.Sent[:0]
		return out
	}
	same(t, text(one), "set "+k[0]+" 1 0 1\r\na\r\nget "+k[0]+" "+k[3]+" "+k[0]+"\r\nms "+k[0]+" 1 k O2\r\na\r\n")
	same(t, text(two), "get "+k[1]+"\r\ndelete "+k[1]+"\r\nset "+k[1]+" 0 0 1\r\nb\r\ngets "+k[1]+"\r\n")
	same(t, text(three), "get "+k[2]+"\r\nmg "+k[2]+" v O1\r\nincr "+k[2]+" 5\r\n")
	r.answer(three, "VALUE "+k[2]+" 3 1\r\nc\r\nEND\r\nEN\r\nNOT_FOUND\r\n")
	r.answer(two, "END\r\nDELETED\r\nSTORED\r\nVALUE "+k[1]+" 0 1 77\r\nb\r\nEND\r\n")
	r.heard(c, "")
	r.answer(one, "STORED\r\nVALUE "+k[0]+" 1 1\r\na\r\nVALUE "+k[0]+" 1 1\r\na\r\nEND\r\n")
	r.heard(c, "")
	r.answer(one, "HD k"+k[0]+" O2\r\n")
	r.heard(c, "STORED\r\n"+
		"VALUE "+k[0]+" 1 1\r\na\r\nVALUE "+k[2]+" 3 1\r\nc\r\nVALUE "+k[0]+" 1 1\r\na\r\nEND\r\n"+
		"VERSION 1\r\nNOT_FOUND\r\nERROR\r\nMN\r\n"+
		"VALUE "+k[1]+" 0 1 77\r\nb\r\nEND\r\n")
}

// Nothing of a client's next batch is sent before the last reply to this one, and a
// client that has gone leaves the lane in order for the others.
func TestFlightOneAtATime(t *testing.T) {
	r := newRig(t, 1, nil)
	c, d := r.loop.NewClient(), r.loop.NewClient()
	c.Say([]byte("get a\r\n"))
	m := r.link(1)
	r.sent(m, "get a\r\n")
	c.Say([]byte("get b\r\n"))
	r.sent(m, "")
	d.Say([]byte("get d\r\n"))
	r.sent(m, "get d\r\n")
	r.answer(m, "END\r\n")
	r.heard(c, "END\r\n")
	r.sent(m, "get b\r\n")
	d.HangUp()
	r.answer(m, "VALUE d 0 1\r\nd\r\nEND\r\nVALUE b 0 1\r\nb\r\nEND\r\n")
	r.heard(c, "VALUE b 0 1\r\nb\r\nEND\r\n")
	if d.Heard != nil {
		t.Errorf("one that has gone was told %q", d.Heard)
	}
	if x := r.executor(); len(x.small) != 2 {
		t.Errorf("%d flights have come back, not 2", len(x.small))
	}
}

// The client's opaque takes the place of ours, wherever it stands, and what has none
// gets none.
func TestOpaqueRestored(t *testing.T) {
	for _, d := range []struct{ says, goes, answer, hears string }{
		{"mg k v\r\n", "mg k v O?\r\n", "VA 1 O?\r\nx\r\n", "VA 1\r\nx\r\n"},
		{"mg k v O7 s\r\n", "mg k v O? s\r\n", "VA 1 O? s1\r\nx\r\n", "VA 1 O7 s1\r\nx\r\n"},
		{"mg k O" + strings.Repeat("o", 31) + " t\r\n", "mg k O? t\r\n", "HD O? t-1\r\n", "HD O" + strings.Repeat("o", 31) + " t-1\r\n"},
		{"mg k O0 k q\r\nmn\r\n", "mg k O? k\r\n", "HD O? kk\r\n", "HD O0 kk\r\nMN\r\n"},
		{"mg k v k O1\r\n", "mg k v k O?\r\n", "EN\r\n", "EN O1\r\n"}, // an older memcached
		{"md k q O5\r\nmn\r\n", "md k O?\r\n", "NF O?\r\n", "NF O5\r\nMN\r\n"},
		{"md k\r\n", "md k O?\r\n", "HD O?\r\n", "HD\r\n"},
		{"ms k 1 q\r\nx\r\nmn\r\n", "ms k 1 O?\r\nx\r\n", "NS O?\r\n", "NS\r\nMN\r\n"},
		{"ms k 1 T9 O4 MS F3\r\nx\r\n", "ms k 1 T9 O? MS F3\r\nx\r\n", "HD O?\r\n", "HD O4\r\n"},
		{"ma k v O2\r\n", "ma k v O?\r\n", "VA 2 O?\r\n17\r\n", "VA 2 O2\r\n17\r\n"},
		{"mg a2V5 b k O8\r\n", "mg a2V5 b k O?\r\n", "HD ka2V5 b O?\r\n", "HD ka2V5 b O8\r\n"},
		{"mg k v O3\r\n", "mg k v O?\r\n", "SERVER_ERROR busy\r\n", "SERVER_ERROR busy\r\n"},
		{"me k\r\n", "me k\r\n", "ME k exp=-1\r\n", "ME k exp=-1\r\n"},
	} {
		t.Run(strings.TrimSpace(d.says[:min(len(d.says), 20)]), func(t *testing.T) {
			r := newRig(t, 1, nil)
			c := r.loop.NewClient()
			c.Say([]byte(d.says))
			text, opaque := opaques(r.link(1))
			same(t, text, d.goes)
			r.answer(r.link(1), strings.Replace(d.answer, "O?", opaque, 1))
			r.heard(c, d.hears)
		})
	}
}

// Quiet requests are silent where their client expects it, and only there.
func TestQuiet(t *testing.T) {
	for _, d := range []struct{ says, answer, hears string }{
		{"mg k v q", "EN", ""},
		{"mg k v q", "VA 1 O?\r\nx", "VA 1\r\nx\r\n"},
		{"mg k q", "HD O?", "HD\r\n"},
		{"md k q", "HD O?", ""},
		{"md k q", "NF O?", "NF\r\n"},
		{"md k q C5", "EX O?", "EX\r\n"},
		{"ma k q", "HD O?", ""},
		{"ma k q v", "VA 1 O?\r\n5", ""},
		{"ma k q", "NF O?", "NF\r\n"},
		{"ms k 1 q\r\nx", "HD O?", ""},
		{"ms k 1 q ME\r\nx", "NS O?", "NS\r\n"},
		{"ms k 1 q C1\r\nx", "EX O?", "EX\r\n"},
		{"ms k 1 q\r\nx", "SERVER_ERROR out of memory storing object", "SERVER_ERROR out of memory storing object\r\n"},
		{"set k 0 0 1 noreply\r\nx", "STORED", ""},
		{"set k 0 0 1 noreply\r\nx", "SERVER_ERROR out of memory storing object", ""},
		{"delete k noreply", "NOT_FOUND", ""},
		{"incr k 1 noreply", "CLIENT_ERROR cannot increment or decrement non-numeric value", ""},
		{"touch k 1 noreply", "TOUCHED", ""},
	} {
		t.Run(d.says+" "+d.answer, func(t *testing.T) {
			r := newRig(t, 1, nil)
			c := r.loop.NewClient()
			c.Say([]byte(d.says + "\r\nmn\r\n"))
			_, opaque := opaques(r.link(1))
			r.answer(r.link(1), strings.Replace(d.answer, "O?", opaque, 1)+"\r\n")
			r.heard(c, d.hears+"MN\r\n")
		})
	}
}

// What is beyond a server's part, and who hears of it.
func TestMultigetErrors(t *testing.T) {
	const value = "VALUE %s 0 1\r\nx\r\n"
	for _, d := range []struct {
		name          string
		get, multiget string // of the pool
		keys          int
		two           string // what the second server says
		hears         string // %[1]s and %[2]s are the keys
	}{
		{"omitted", "", "", 2, "SERVER_ERROR busy\r\n", fmt.Sprintf(value, "%[1]s") + "END\r\n"},
		{"strict", "", "fail", 2, "SERVER_ERROR busy\r\n", "SERVER_ERROR busy\r\n"},
		{"single", "", "", 1, "SERVER_ERROR busy\r\n", "SERVER_ERROR busy\r\n"},
		{"single by its pool's will a miss", "miss", "", 1, "ERROR\r\n", "ERROR\r\n"}, // it is the server's own
		{"found", "", "", 2, fmt.Sprintf(value, "%[2]s") + "END\r\n", fmt.Sprintf(value+value, "%[1]s", "%[2]s") + "END\r\n"},
	} {
		t.Run(d.name, func(t *testing.T) {
			r := newRig(t, 2, func(_ *Config, pc *cluster.PoolConfig) { pc.GetError, pc.MultigetError = d.get, d.multiget })
			k := keysOf(r, 1, 2)
			put := func(s string) string { return strings.NewReplacer("%[1]s", k[0], "%[2]s", k[1]).Replace(s) }
			c := r.loop.NewClient()
			if d.keys == 2 {
				c.Say([]byte("get " + k[0] + " " + k[1] + "\r\n"))
				r.answer(r.link(1), put(fmt.Sprintf(value, "%[1]s"))+"END\r\n")
			} else {
				c.Say([]byte("get " + k[1] + "\r\n"))
			}
			r.answer(r.link(2), put(d.two))
			r.heard(c, put(d.hears))
		})
	}
}

// flush_all goes to all, and is done when all have done it.
func TestFlushAllGoesToAll(t *testing.T) {
	r := newRig(t, 3, nil)
	c := r.loop.NewClient()
	for _, bad := range []bool{false, true} {
		c.Say([]byte("flush_all 10\r\n"))
		for port := 1; port <= 3; port++ {
			r.sent(r.link(port), "flush_all 10\r\n")
		}
		r.answer(r.link(3), "OK\r\n")
		want := "OK\r\n"
		if bad {
			want = "CLIENT_ERROR flush_all not allowed\r\n"
		}
		r.answer(r.link(1), want)
		r.heard(c, "")
		r.answer(r.link(2), "OK\r\n")
		r.heard(c, want)
	}
	r = newRig(t, 3, func(cfg *Config, _ *cluster.PoolConfig) { cfg.DisableFlushAll = true })
	c = r.loop.NewClient()
	c.Say([]byte("flush_all\r\n"))
	r.heard(c, "CLIENT_ERROR flush_all not allowed\r\n")
	if len(r.loop.Links) != 0 {
		t.Error("somebody was asked")
	}
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("got %s, want %s", short(got), short(want))
	}
}
