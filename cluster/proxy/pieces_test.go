package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/server"
)

// manyKeys is n keys, of which the last is the second server's.
func manyKeys(r *rig, n int) (keys []string) {
	for i := 0; len(keys) < n; i++ {
		k := fmt.Sprintf("k%d", i)
		if len(keys) < n-1 || r.p.tree.Load().pools[0].m.Owner([]byte(k)) == 1 {
			keys = append(keys, k)
		}
	}
	return keys
}

// playHalf answers what the first of two servers is asked with a value for every key, and
// ends the connections to the second, until nothing is asked any more.
func playHalf(r *rig) {
	for moved := true; moved; {
		moved = false
		r.loop.Settle()
		for _, m := range r.loop.Links {
			switch {
			case m.Closed():
			case m.Addr.TCP.Port() == 2:
				m.Break(server.ErrLinkEOF)
				moved = true
			case !r.met[m]:
				r.link(1)
				moved = true
			case len(m.Sent) > 0:
				var out strings.Builder
				for _, line := range strings.Split(strings.TrimSuffix(string(m.Sent), "\r\n"), "\r\n") {
					for _, k := range strings.Fields(line)[1:] {
						fmt.Fprintf(&out, "VALUE %s 0 1\r\nx\r\n", k)
					}
					out.WriteString("END\r\n")
				}
				m.Sent = m.Sent[:0]
				m.Say([]byte(out.String()))
				moved = true
			}
		}
	}
}

// A get of more keys than one batch holds comes in pieces, some of whose keys fail. The client has
// one answer all the same: the values and END, or where the pool is strict one
// error, and nothing behind it.
func TestGetInPieces(t *testing.T) {
	for _, policy := range []string{"omit", "fail"} {
		for _, n := range []int{2, 64, 65, 129, 200} {
			t.Run(fmt.Sprint(policy, n), func(t *testing.T) {
				r := newRig(t, 2, func(_ *Config, p *cluster.PoolConfig) { p.MultigetError = policy })
				c := r.loop.NewClient()
				keys := manyKeys(r, n)
				failing := 0
				m := r.p.tree.Load().pools[0].m
				for _, k := range keys {
					failing += m.Owner([]byte(k))
				}
				c.Say([]byte("get " + strings.Join(keys, " ") + "\r\nmn\r\n"))
				playHalf(r)
				got := string(c.Heard)
				ends, errs, values := strings.Count(got, "END\r\n"), strings.Count(got, "SERVER_ERROR"), strings.Count(got, "VALUE ")
				switch {
				case !strings.HasSuffix(got, "\r\nMN\r\n"):
					t.Errorf("the next request is not answered: %s", short(got))
				case policy == "omit" && (ends != 1 || errs != 0 || values != n-failing):
					t.Errorf("%d values, END %d times, %d errors; %d values, one END are wanted: %s", values, ends, errs, n-failing, short(got))
				case policy == "fail" && (ends != 0 || errs != 1 || !strings.HasPrefix(got[strings.Index(got, "SERVER_ERROR"):], "SERVER_ERROR hf-")):
					t.Errorf("END %d times, %d errors; one error is wanted: %s", ends, errs, short(got))
				case policy == "fail" && strings.Contains(got[strings.Index(got, "SERVER_ERROR"):], "VALUE"):
					t.Errorf("there are values behind the error: %s", short(got))
				}
			})
		}
	}
}

// What is wrong with a later piece ends the get too, once.
func TestGetInPiecesBreaksOff(t *testing.T) {
	r := newRig(t, 2, func(_ *Config, p *cluster.PoolConfig) { p.MultigetError = "fail" })
	c := r.loop.NewClient()
	c.Say([]byte("get " + strings.Join(manyKeys(r, 100), " ") + " " + strings.Repeat("x", 300) + "\r\nmn\r\n"))
	playHalf(r)
	r.heard(c, "SERVER_ERROR hf-down 127.0.0.1:2\r\nMN\r\n")
	c.Say([]byte("mn\r\n"))
	r.heard(c, "MN\r\n")
}
