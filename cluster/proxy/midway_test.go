package proxy

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// midway are requests for the key K, whose item, if it is there, is 5 with flags 5. C
// stands for its CAS id.
var midway = []string{
	"get K\r\n", "gets K\r\n", "get none K none2 K\r\n", "gat 100 K\r\n", "gats 100 K\r\n", "gat -1 K\r\n",
	"set K 1 0 1\r\n7\r\n", "set K 1 0 1 noreply\r\n7\r\n", "set K 1 -1 1\r\n7\r\n", "add K 1 0 1\r\n7\r\n", "replace K 1 0 1\r\n7\r\n",
	"append K 1 0 1\r\n7\r\n", "prepend K 1 0 1\r\n7\r\n", "cas K 1 0 1 C\r\n7\r\n", "cas K 1 0 1 99999\r\n7\r\n",
	"incr K 2\r\n", "decr K 2\r\n", "incr K 2 noreply\r\n", "touch K 100\r\n", "touch K -1\r\n", "delete K\r\n", "delete K noreply\r\n",
	"mg K\r\n", "mg K v f t k O7\r\n", "mg K v q\r\n", "mg K h\r\n", "mg K T100 t\r\n", "mg K N30 v\r\n", "mg K R30 v\r\n",
	"ms K 1 F3 k O2\r\n7\r\n", "ms K 1 q\r\n7\r\n", "ms K 1 ME\r\n7\r\n", "ms K 1 MR\r\n7\r\n", "ms K 1 MA\r\n7\r\n", "ms K 1 MP\r\n7\r\n",
	"ms K 1 MA N100\r\n7\r\n", "ms K 1 CC\r\n7\r\n", "ms K 1 C99999\r\n7\r\n",
	"md K k O4\r\n", "md K q\r\n", "md K CC\r\n", "md K C99999\r\n", "md K x\r\n",
	"ma K v\r\n", "ma K N100 J9 v t\r\n", "ma K MD D2 v\r\n", "me K\r\n",
	"set K 0 0 1\r\n1\r\nincr K 5\r\nget K\r\n", "delete K\r\nadd K 0 0 1\r\n8\r\nget K\r\n", "gat -1 K\r\nmg K v\r\n",
}

// unlike is what two servers answer differently: CAS ids, what me knows beside, and who
// has the right to recache, which a value does not take along.
var unlike = regexp.MustCompile(`(?m)^(VALUE \S+ \d+ \d+) \d+|^(ME \S+) .*| Z\b`)

// TestMigrateMidway asks everything amid a migration, of keys that have changed over, that
// have not, and that are about to or just have: it is answered as one server would; no
// value that is not the last is left where it could come back; and when the key has
// changed over nothing is different, but that what was written in the last seconds
// before is missed until its mark is gone.
func TestMigrateMidway(t *testing.T) {
	const over = int64(time.Hour)
	for _, kind := range []struct {
		name     string
		from, to int64 // until it changes over
	}{
		{"changed over", -over, -skew}, {"just changed over", -skew, 0}, {"about to", 0, skew}, {"not yet", skew, over},
	} {
		for _, there := range []string{"nowhere", "old", "both"} {
			t.Run(kind.name+", "+there, func(t *testing.T) {
				r := handoverRig(t, "1h").withNodes(3)
				m := &midwayTest{T: t, rig: r, moved: kind.to <= 0, there: there, number: 0}
				for _, text := range midway {
					if m.moved || there != "both" {
						m.ask(text, kind.from, kind.to)
					}
				}
			})
		}
	}
}

type midwayTest struct {
	*testing.T
	*rig
	moved  bool
	there  string
	number int
}

// ask asks one thing through the proxy and of a server that is alone.
func (m *midwayTest) ask(text string, from, to int64) {
	m.at(change + int64(time.Hour)/2)
	route, x := m.p.tree.Load().root.(*handover), m.executor()
	key := ""
	for ; key == ""; m.number++ {
		k := fmt.Sprint("k", m.number)
		if left := route.until(x, []byte(k)); from < left && left < to {
			key = k
		}
	}
	through, old, fresh, alone := m.loop.NewClient(), m.nodes[0].NewClient(), m.nodes[1].NewClient(), m.nodes[2].NewClient()
	if m.there != "nowhere" {
		m.rig.ask(old, set(key, "5"))
		m.rig.ask(alone, set(key, "5"))
	}
	if m.there == "both" {
		m.rig.ask(fresh, set(key, "5"))
	}
	say := func(what string) {
		m.Helper()
		cas := func(answer string) string {
			_, c, _ := strings.Cut(strings.TrimSpace(answer), " c")
			return strings.NewReplacer("CC", "C"+c, " C\r", " "+c+"\r", "K", key).Replace(what)
		}
		got := m.rig.ask(through, cas(m.rig.ask(through, "mg "+key+" c u\r\n")))
		want := m.rig.ask(alone, cas(m.rig.ask(alone, "mg "+key+" c u\r\n")))
		if g, w := unlike.ReplaceAllString(got, "$1$2"), unlike.ReplaceAllString(want, "$1$2"); g != w {
			m.Errorf("%q after %q is answered %q, not %q", what, text, g, w)
		}
	}
	say(text)
	say("mg K v f t\r\n")
	last := m.rig.ask(alone, "mg "+key+" v f\r\n")
	other, name := fresh, "fresh"
	if m.moved {
		other, name = old, "old"
	}
	if got := m.rig.ask(other, "mg "+key+" v f\r\n"); got != "EN\r\n" && got != last && !strings.Contains(strings.SplitN(got, "\r\n", 2)[0], " X") {
		m.Errorf("after %q %s has %q, and the item is %q", text, name, got, last)
	}
	if !m.moved { // it changes over
		x.wall += route.until(x, []byte(key)) + 1
		if from == 0 && m.rig.ask(through, "mg "+key+"\r\n") == "EN\r\n" {
			return
		}
	}
	say("get K\r\n")
	say("mg K v f t\r\n")
	say("add K 9 0 1\r\n3\r\n")
	say("get K\r\n")
	say("delete K noreply\r\n") // what N has made is not there for a delete
	say("get K\r\n")
}
