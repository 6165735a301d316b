package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// wireRoute is a tree of routes that the only client of servers which are well does
// not notice. Its pools are one, two, three and spare, of a server each, and both and
// all, of the first two and three.
type wireRoute struct {
	name string
	tree string
	// leaves are the dialogues in which it is noticed, with the reason.
	leaves map[string]string
	// every says that dialogues whose servers have options, or nobody else's, are
	// played too, at every split: that is for one tree, others would only take time.
	every bool
}

// anyKey are the prefixes of all keys of the dialogues.
const anyKey = `[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, Y, "0", "1", "5", "9", "-", "+", ".", "\x00", "\xff"]`

// halfOver has a migration in its middle for years: the half of all keys has changed
// over, and none does so while a test runs.
func halfOver() string {
	const half = 24000 * time.Hour
	return fmt.Sprintf("start: %s, over: %v", time.Now().Add(-half).UTC().Format(time.RFC3339), 2*half)
}

func wireRoutes() []wireRoute {
	return []wireRoute{
		{name: "prefix", tree: `prefix: {cases: [{prefix: a, to: one}, {prefix: ab, to: two}, {prefix: k, to: two}], default: three}`},
		{name: "command", tree: `command: {get: {coalesce: {to: all}}, store: {rate_limit: {to: all, rate: 1e9}}, delete: {rate_limit: {to: all, rate: 1e9}},
  arith: {prefix: {cases: [{prefix: a, to: all}], default: {coalesce: {to: all}}}}, default: all}`},
		{name: "replicate", tree: `replicate: {to: [one, two, three]}`},
		{name: "replicate-majority", tree: `replicate: {to: [one, two, three], answer: majority}`},
		{name: "replicate-first", tree: `replicate: {to: [both, three], answer: first}`},
		{name: "failover", tree: `failover: {to: both, gutter: three}`},
		{name: "warmup", tree: `warmup: {cold: one, warm: both}`, leaves: handoverLeaves},
		{name: "migrate-before", tree: `migrate: {from: one, to: two, start: 2100-01-01T00:00:00Z}`},
		{name: "migrate-half", tree: `migrate: {from: one, to: two, ` + halfOver() + `}`, leaves: handoverLeaves},
		{name: "migrate-grow", tree: `migrate: {from: both, to: all, ` + halfOver() + `}`, leaves: handoverLeaves},
		{name: "migrate-after", tree: `migrate: {from: one, to: two, start: 2020-01-01T00:00:00Z, over: 1h}`},
		{name: "shadow", tree: `shadow: {to: both, shadow: three, fraction: 1}`},
		{name: "split_hot", tree: `split_hot: {to: all, copies: 3, prefixes: ` + anyKey + `}`, leaves: splitLeaves},
		{name: "near_cache", tree: `near_cache: {to: all, prefixes: ` + anyKey + `}`, leaves: nearLeaves},
		{name: "coalesce", tree: `coalesce: {to: all}`},
		{name: "rate_limit", tree: `rate_limit: {to: all, rate: 1e9}`},
		{name: "nest", every: true, tree: `prefix:
  cases:
  - prefix: a
    to: {coalesce: {to: {shadow: {fraction: 1, shadow: spare, to:
      {failover: {gutter: spare, to: {replicate: {to: [{split_hot: {to: one, copies: 2, prefixes: [ab]}}, both]}}}}}}}}
  - prefix: k
    to: {rate_limit: {rate: 1e9, to: {migrate: {` + halfOver() + `, from: {failover: {to: one, gutter: spare}}, to: {replicate: {to: [two, three]}}}}}}
  default: {warmup: {cold: {coalesce: {to: {shadow: {to: two, shadow: three, fraction: 0.5}}}}, warm: {command: {get: one, default: {replicate: {to: [one, spare]}}}}}}`},
	}
}

var (
	handoverLeaves = map[string]string{
		"expiry/a stale item lives as long as md gave it":                         staleIsGone,
		"meta_delete/md with I marks stale and keeps the value":                   staleIsGone,
		"meta_delete/md with I and T sets the time that the stale value has left": staleIsGone,
		"meta_delete/md with I changes the cas id":                                staleIsGone,
		"meta_delete/md with I and E sets the cas id":                             staleIsGone,
		"meta_delete/invalidating again gives out the token again":                staleIsGone,
		"meta_delete/the refill of a stale item":                                  staleIsGone,
		"meta_delete/md with x and I is a tombstone":                              staleIsGone,
		"meta_delete/touch keeps the stale mark, append takes it away":            staleIsGone,
		"meta_set/I with an older cas id stores and marks stale":                  staleIsGone,
		"meta_set/ms wipes out the marks":                                         staleIsGone,
	}
	splitLeaves = map[string]string{
		"large/the largest value of a cache with default settings": "the names of copies are longer than the key",
		"meta_get/a get counts as an access":                       "it may be a copy that was read",
	}
	nearLeaves = map[string]string{
		"expiry/an item lives until its time is up":              nearIsOld,
		"flush/flush_all with a delay":                           nearIsOld,
		"flush/a new flush_all takes the place of a pending one": nearIsOld,
	}
)

const (
	staleIsGone = "a handover leaves stale items as marks of deletions: for it what is stale is not there"
	nearIsOld   = "what a near cache has it shows for a second, whatever the clock of the servers"
)

// leftOut says why a dialogue is not played through the routes, "" if it is.
func (r *wireRoute) leftOut(d *Dialogue) string {
	if why := leftOut(d, 3); why != "" {
		return why
	}
	if !r.every && (d.Options != "" || d.OwnServer()) {
		return "it is about the servers, and the nest has it"
	}
	return r.leaves[d.Path()]
}

// start starts servers of options and a proxy with the routes in front of them.
func (r *wireRoute) start(t *testing.T, dir, options string) *proxied {
	t.Helper()
	p := &proxied{nodes: startNodes(t, 4, false, options)}
	var text strings.Builder
	text.WriteString("epoch: 1\npools:\n")
	for _, pool := range []struct {
		name  string
		nodes []*Process
	}{
		{"one", p.nodes[:1]},
		{"two", p.nodes[1:2]},
		{"three", p.nodes[2:3]},
		{"spare", p.nodes[3:]},
		{"both", p.nodes[:2]},
		{"all", p.nodes[:3]},
	} {
		fmt.Fprintf(&text, "- name: %s\n  timeout: %v\n  connect_timeout: %v\n  servers:\n", pool.name, replyWait, replyWait)
		for _, n := range pool.nodes {
			fmt.Fprintf(&text, "  - %s\n", n.Addr)
		}
	}
	text.WriteString("routes:\n  " + strings.ReplaceAll(r.tree, "\n", "\n  ") + "\n")
	file, err := os.CreateTemp(dir, "*.yml")
	if err == nil {
		_, err = file.WriteString(text.String())
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--config", file.Name()}, proxyOptions(options)...)
	if p.Process, err = Start(Spec{Binary: holdfastBinary(t), Command: "proxy", Args: args}); err != nil {
		for _, n := range p.nodes {
			err = errors.Join(err, n.Kill())
		}
		t.Fatalf("%v\n%s", err, text.String())
	}
	return p
}

// TestWireRouted plays through every kind of route what a client must not notice of it.
func TestWireRouted(t *testing.T) {
	dialogues, err := ParseTranscripts(filepath.Join("testdata", "wire"))
	if err != nil {
		t.Fatal(err)
	}
	splits := wireSplits(wireSeed(t))
	for _, r := range wireRoutes() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			b := behind{leftOut: r.leftOut, start: func(t *testing.T, options string) *proxied { return r.start(t, dir, options) }}
			if r.every {
				b.play(t, dialogues, splits)
			} else {
				b.play(t, dialogues, splits[:1])
			}
		})
	}
}

// What is left out is there, so that no reason outlives its dialogue, and no more is
// left out than that.
func TestWireRoutedLeavesOut(t *testing.T) {
	dialogues, err := ParseTranscripts(filepath.Join("testdata", "wire"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range wireRoutes() {
		played := 0
		for _, d := range dialogues {
			if r.leftOut(d) == "" {
				played++
			}
		}
		for name, why := range r.leaves {
			if !slices.ContainsFunc(dialogues, func(d *Dialogue) bool { return d.Path() == name }) || why == "" {
				t.Errorf("%s: %q is left out because %q, and is not there", r.name, name, why)
			}
		}
		t.Logf("%s: %d dialogues of %d", r.name, played, len(dialogues))
		if played < 263 { // the number only ever rises
			t.Errorf("%s: fewer are played than there were", r.name)
		}
	}
}
