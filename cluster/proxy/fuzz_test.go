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
