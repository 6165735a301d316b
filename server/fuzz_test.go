package server

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-cache/holdfast/slab"
)

// fuzzMemory is a store that is quick to make and soon full.
func fuzzMemory(c *slab.Config) { c.LimitBytes = 4 << 20 }

// feed sends text in parts whose lengths splits tells, over and over.
func (c *client) feed(text, splits []byte) {
	c.out = c.out[:0]
	for i := 0; len(text) > 0; i++ {
		n := len(text)
		if len(splits) > 0 {
			n = min(n, 1+int(splits[i%len(splits)]))
		}
		c.hear(text[:n])
		text = text[n:]
	}
}

// FuzzSession sends anything in any parts. Nothing may panic, the memory for
// one connection keeps its bounds, and the store stays sound.
func FuzzSession(f *testing.F) {
	f.Add([]byte("set a 0 0 1\r\nx\r\nget a b\r\nmg a v t\r\nquit\r\n"), []byte{0})
	f.Add([]byte("ms a 2 T5 I\r\nxy\r\nma a N0 J5\r\nmd a I x\r\nme a\r\nmn\r\n"), []byte{3, 200})
	f.Add([]byte("get "+strings.Repeat("k ", 3000)+"\r\nget a\r\n"), []byte{255})
	f.Add([]byte("set big 0 0 17000\r\n"+strings.Repeat("v", 17000)+"\r\nget big\r\nappend big 0 0 1\r\ny\r\n"), []byte{250})
	f.Add([]byte("set a 0 0 9999999\r\nxx"), []byte{7})
	f.Add([]byte("debugtime 5\r\ntouch a 5\r\ngat 5 a\r\nincr a 1\r\ndecr a 1\r\ncas a 0 0 1 1\r\n1\r\n"), []byte{1, 2})
	f.Add([]byte("stats\r\nflush_all\r\nwatch\r\nverbosity 1\r\nlru_crawler metadump all\r\n"), []byte{9})
	f.Add([]byte("\x80\x0a\x00\x00"), []byte{})
	f.Fuzz(func(t *testing.T, text, splits []byte) {
		n := testNode(t, nil, fuzzMemory)
		c := newClient(t, n, 0)
		n.Attach(loneHost{})
		c.feed(text, splits)
		if len(c.s.heldIn.bytes()) > inputMax {
			t.Fatalf("%d bytes of input are kept", len(c.s.heldIn.bytes()))
		}
		c.s.abort(c.lane)
		if err := n.store.Check(); err != nil {
			t.Fatal(err)
		}
	})
}

// bytes is what is held.
func (h *heldBuffer) bytes() []byte {
	if h.empty() {
		return nil
	}
	return h.b.B
}

// loneHost is a Host without connections.
type loneHost struct{}

func (loneHost) ConnStats() ConnStats    { return ConnStats{} }
func (loneHost) EachConn(func(ConnInfo)) {}
func (loneHost) RequestShutdown(bool)    {}
func (loneHost) SetVerbosity(int)        {}

// fuzzRequests are requests and the one reply that each must have.
var fuzzRequests = []struct{ in, reply string }{
	{"get a\r\n", `(VALUE a \d+ \d+\r\n.*\r\n)?END\r\n`},
	{"gets a b a\r\n", `(VALUE [ab] \d+ \d+ \d+\r\n.*\r\n){0,3}END\r\n`},
	{"gat 10 a b\r\n", `(VALUE [ab] \d+ \d+\r\n.*\r\n){0,2}END\r\n`},
	{"set a 1 0 3\r\nxyz\r\n", `STORED\r\n`},
	{"set b 0 5 2\r\n17\r\n", `STORED\r\n`},
	{"set b 0 5 2 noreply\r\n17\r\n", ``},
	{"add a 0 0 1\r\nq\r\n", `(NOT_)?STORED\r\n`},
	{"replace b 0 0 1\r\n4\r\n", `(NOT_)?STORED\r\n`},
	{"append a 0 0 2\r\n--\r\n", `(NOT_)?STORED\r\n`},
	{"prepend b 0 0 1\r\n1\r\n", `(NOT_)?STORED\r\n`},
	{"cas a 0 0 1 3\r\nc\r\n", `(STORED|EXISTS|NOT_FOUND)\r\n`},
	{"set a 0 0 1\r\nxyz", `CLIENT_ERROR bad data chunk\r\n`},
	{"incr b 5\r\n", `(\d+|NOT_FOUND|CLIENT_ERROR cannot .*)\r\n`},
	{"decr b 7\r\n", `(\d+|NOT_FOUND|CLIENT_ERROR cannot .*)\r\n`},
	{"touch a 30\r\n", `(TOUCHED|NOT_FOUND)\r\n`},
	{"delete a\r\n", `(DELETED|NOT_FOUND)\r\n`},
	{"delete a noreply\r\n", ``},
	{"debugtime 2\r\n", `OK\r\n`},
	{"mg a v t f s k c O1\r\n", `(VA \d+ t-?\d+ f\d+ s\d+ ka c\d+ O1( Z)?( X)?( W)?\r\n.*|EN ka O1)\r\n`},
	{"mg a q\r\n", `(HD( Z)?( X)?( W)?\r\n)?`},
	{"mg a N30 R5 T9\r\n", `HD( Z)?( X)?( W)?\r\n`},
	{"ms a 2 F3 T20 c\r\nzz\r\n", `HD c\d+\r\n`},
	{"ms a 2 C5 I\r\nzz\r\n", `(HD|EX|NF)\r\n`},
	{"ms a 2 MA N5 q\r\nzz\r\n", ``},
	{"md a I T30\r\n", `(HD|NF)\r\n`},
	{"md a x q\r\n", `(NF\r\n)?`},
	{"ma b N0 J3 v\r\n", `(VA \d+\r\n\d+|CLIENT_ERROR cannot .*)\r\n`},
	{"me a\r\n", `(ME a exp=-?\d+ la=\d+ cas=\d+ fetch=(yes|no) cls=\d+ size=\d+|EN)\r\n`},
	{"nonsense\r\n", `ERROR\r\n`},
}

// FuzzReplies sends valid requests in any order and any parts: each has exactly
// its one reply, in order.
func FuzzReplies(f *testing.F) {
	replies := make([]*regexp.Regexp, len(fuzzRequests))
	var all []byte
	for i, r := range fuzzRequests {
		replies[i] = regexp.MustCompile(`(?s)^` + r.reply + `$`)
		all = append(all, byte(i))
	}
	f.Add(all, []byte{})
	f.Add(append(all, all...), []byte{0})
	f.Add(bytes.Repeat([]byte{3, 18, 24, 18, 20, 22}, 5), []byte{13, 1})
	f.Fuzz(func(t *testing.T, picks, splits []byte) {
		if len(picks) > 500 {
			picks = picks[:500]
		}
		var text []byte
		for _, p := range picks {
			text = append(text, fuzzRequests[int(p)%len(fuzzRequests)].in...)
			text = append(text, "mn\r\n"...)
		}
		n := testNode(t, nil, fuzzMemory)
		c := newClient(t, n, 0)
		c.feed(text, splits)
		got := bytes.Split(c.out, []byte("MN\r\n"))
		if len(got) != len(picks)+1 || len(got[len(picks)]) != 0 {
			t.Fatalf("%d replies to %d requests", len(got)-1, len(picks))
		}
		for i, p := range picks {
			k := int(p) % len(fuzzRequests)
			if !replies[k].Match(got[i]) {
				t.Fatalf("%q is answered %q", fuzzRequests[k].in, clip(got[i]))
			}
		}
		if err := n.store.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
