package proxy

import (
	"bytes"
	"testing"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/server"
)

// fuzzAsked is what the client of FuzzLane asks: how many replies it gets, how
// many more if quiet requests fail, and the keys that a get may show.
var fuzzAsked = []struct {
	text           string
	replies, quiet int
	keys           string
}{
	{"get a\r\n", 1, 0, "a"},
	{"get a bb ccc a\r\n", 1, 0, "a bb ccc"},
	{"gets bb\r\nset a 0 0 1\r\nx\r\ndelete bb\r\n", 3, 0, "bb"},
	{"mg a v k\r\nmg bb v k q\r\nmn\r\n", 2, 1, ""},
	{"ms a 1 k O7\r\nx\r\nma bb\r\nme a\r\nget ccc\r\n", 4, 0, "ccc"},
	{"incr a 1\r\ntouch bb 5\r\ngat 9 a bb\r\nadd a 0 0 1 noreply\r\nx\r\n", 3, 0, "a bb"},
}

// FuzzLane has a server say anything, in pieces of any size. The client gets as many
// replies as it has asked for, and no value under a key that it has not.
func FuzzLane(f *testing.F) {
	for i, said := range []string{
		"VALUE a 0 1\r\nx\r\nEND\r\n",
		"VALUE bb 0 1\r\nx\r\nVALUE ccc 1 2\r\nyz\r\nEND\r\n",
		"END\r\nSTORED\r\nDELETED\r\n",
		"VA 1 ka O1\r\nx\r\nEN\r\n",
		"HD ka O1\r\nHD O2\r\nME a exp=-1\r\nEND\r\n",
		"5\r\nTOUCHED\r\nEND\r\nSTORED\r\n",
		"VALUE zz 0 1\r\nx\r\nEND\r\n",
		"SERVER_ERROR busy\r\n",
		"VALUE a 0 17000\r\n" + string(bytes.Repeat([]byte("v"), 17000)) + "\r\nEND\r\n",
		"VALUE a 0 99999999999\r\n",
		"VA 17000 O1 ka\r\nxx",
		"HD O2\r\n", "\r\n", "END\r\nEND\r\n", "VALUE a 0 1\r\nxy\r\n",
	} {
		f.Add(byte(i), uint16(i*7), []byte(said))
	}
	f.Fuzz(func(t *testing.T, which byte, cut uint16, said []byte) {
		asked := fuzzAsked[int(which)%len(fuzzAsked)]
		r := newRig(t, 1, nil)
		c := r.loop.NewClient()
		c.Say([]byte(asked.text))
		m := r.link(1)
		for len(said) > 0 && !m.Closed() {
			n := min(1+int(cut)%97, len(said))
			cut = cut*31 + 7
			m.Say(said[:n])
			if cut%5 == 0 {
				r.loop.Settle()
			}
			said = said[n:]
		}
		if cut%2 == 0 {
			m.Break(server.ErrLinkEOF)
		}
		for range 6 { // until every time is over
			r.pass(rigTimeout)
		}
		c.Say([]byte("version\r\n"))
		r.loop.Settle()
		fuzzHeard(t, c.Heard, asked.replies, asked.replies+asked.quiet, asked.keys)
		if used := r.p.budget.used.Load(); used != 0 {
			t.Errorf("%d bytes are still counted", used)
		}
	})
}

// fuzzHeard checks what the client was told, a version at the end.
func fuzzHeard(t *testing.T, heard []byte, least, most int, keys string) {
	t.Helper()
	var p protocol.ResponseParser
	p.InlineMax = 1 << 20
	for i, rest := 0, heard; ; {
		var resp protocol.Response
		n, err := p.Next(rest, &resp)
		if err != nil || n == 0 {
			t.Fatalf("heard %s, which is no reply at %s: %v", short(string(heard)), short(string(rest)), err)
		}
		rest = rest[n:]
		switch resp.Status {
		case protocol.StatusValue:
			if !containsWord(keys, resp.Key) {
				t.Fatalf("a value under the key %q, which was not asked for", resp.Key)
			}
			continue
		case protocol.StatusVersion:
			if i < least || i > most || len(rest) > 0 {
				t.Fatalf("%d replies, want %d to %d: %s", i, least, most, short(string(heard)))
			}
			return
		}
		if k, ok := resp.Flag('k'); ok && resp.Status >= protocol.StatusMetaHit && resp.Status <= protocol.StatusMetaExists &&
			!containsWord("a bb YQ== YmI=", k) {
			t.Fatalf("a reply about %q, which was not asked for", k)
		}
		i++
	}
}

func containsWord(words string, word []byte) bool {
	for _, w := range bytes.Fields([]byte(words)) {
		if bytes.Equal(w, word) {
			return true
		}
	}
	return false
}

// fuzzHost is the server of a rig.
type fuzzHost struct{ server.Host }

func (fuzzHost) SetVerbosity(int)            {}
func (fuzzHost) ConnStats() server.ConnStats { return server.ConnStats{} }

// FuzzClient has a client say anything to a proxy of real nodes. Whatever it is, each
// request that goes on gets one reply: no lane waits for more, or hears more.
func FuzzClient(f *testing.F) {
	for i, said := range []string{
		"delete noreply\r\n", "delete noreply noreply\r\nget noreply\r\n", "touch noreply 5\r\n", "incr noreply 1 noreply\r\n",
		"get a bb ccc\r\nset a 1 2 3 noreply\r\nxyz\r\n", "set a 0 0 1\r\nxyz\r\n", "cas a 0 0 1 5\r\nx\r\n",
		"mg a v q O1 k\r\nms bb 3 T5 MA\r\nabc\r\nma n N0 J5 v\r\nmd a q I\r\nmn\r\n", "mg YQ== b v k\r\nme a\r\nme YQ== b\r\n",
		"gat 5 a bb\r\ngats x a\r\nget\r\n", "stats\r\nversion\r\nverbosity 1\r\nflush_all 0 noreply\r\nlru_crawler metadump all\r\n",
		"set big 0 0 20000\r\n" + string(bytes.Repeat([]byte("v"), 20000)) + "\r\nget big big\r\nmg big v\r\n",
		"set big 0 0 20000\r\nshort\r\n", "mg a s t f h l c v k O123 b\r\n", "ms a S1\r\nx\r\n", "ms a 1 MX\r\nx\r\nmg a x y z\r\n",
	} {
		f.Add(uint16(i*11), []byte(said))
	}
	f.Fuzz(func(t *testing.T, cut uint16, said []byte) {
		r := newRig(t, 2, nil).withNodes(2)
		r.p.Attach(fuzzHost{})
		c, d := r.loop.NewClient(), r.loop.NewClient()
		for len(said) > 0 {
			n := min(1+int(cut)%97, len(said))
			cut = cut*31 + 7
			c.Say(said[:n])
			if cut%5 == 0 {
				r.run()
			}
			said = said[n:]
		}
		r.run()
		for _, k := range keysOf(r, 1, 2) {
			same(t, r.ask(d, "set "+k+" 7 0 1\r\nx\r\n"), "STORED\r\n")
			same(t, r.ask(d, "get "+k+"\r\n"), "VALUE "+k+" 7 1\r\nx\r\nEND\r\n")
		}
		for _, n := range r.executor().lanes {
			if n != nil && (n.n != 0 || n.used != 0 || n.b.stats.violations.Load() != 0) {
				t.Errorf("%s: %d requests without a reply, %d bytes unread, %d violations",
					n.b.name(), n.n, n.used, n.b.stats.violations.Load())
			}
		}
		c.HangUp()
		if used := r.p.budget.used.Load(); used != 0 {
			t.Errorf("%d bytes are still counted", used)
		}
	})
}
