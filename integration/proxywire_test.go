package integration

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// insideFiles are the files of dialogues that a proxy has no part in, with the reason.
var insideFiles = map[string]string{
	"auth.txt":  "the password is the listening server's business, and a proxy asks for none",
	"watch.txt": "the log is one server's own; a proxy says so",
}

// insideDialogues are single ones. Those of admin commands are refused by name, see
// TestProxyRefuses.
var insideDialogues = map[string]string{
	"admin/verbosity":                                   "what a proxy is told it does not tell its servers",
	"admin/cache_memlimit":                              insideStore,
	"admin/cache_memlimit of errors":                    insideStore,
	"admin/slabs reassign of errors":                    insideStore,
	"admin/slabs reassign moves pages":                  insideStore,
	"admin/slabs automove":                              insideStore,
	"admin/slabs automove window":                       insideStore,
	"admin/slabs reassign may be off":                   insideStore,
	"admin/lru tune":                                    insideStore,
	"admin/lru mode and temp_ttl":                       insideStore,
	"admin/lru of errors":                               insideStore,
	"admin/lru_crawler knobs":                           insideStore,
	"admin/lru_crawler of errors":                       insideStore,
	"admin/lru_crawler enable while it runs":            insideStore,
	"admin/lru_crawler crawl reclaims what has expired": insideStore,
	"admin/metadump of an empty cache":                  insideDump,
	"admin/metadump":                                    insideDump,
	"admin/metadump encodes keys as in a URL":           insideDump,
	"admin/metadump by hash and by class":               insideDump,
	"admin/metadump shows the exptime as a date":        insideDump,
	"admin/mgdump":                                      insideDump,
	"admin/dumps may be forbidden":                      insideDump,
	"admin/mgdump is not pipelined either":              insideDump,
	"admin/a connection too many":                       "connections of the proxy count at its servers",
	"admin/config get cluster tells the nodes":          "what a proxy tells of its nodes is its own option",
	"admin/older clients get the nodes by a key":        "what a proxy tells of its nodes is its own option",
	"stats/connections are counted":                     "so they do here",
}

const (
	insideStore = "it turns a knob of one server's store"
	insideDump  = "a dump is one server's: it has no length that a proxy could wait for"
)

// oneNodeDialogues need all keys on one server; others may not fill its memory.
var oneNodeDialogues = map[string]string{
	"retrieval/gets shows the cas ids":                             "each server has its own cas ids",
	"storage/cas ids only grow":                                    "each server has its own cas ids",
	"memory/a failed ms takes the old value with it in any mode":   oneMemory,
	"memory/an append without memory is not stored":                oneMemory,
	"memory/an item is not changed in place":                       oneMemory,
	"memory/a long value runs out of memory on its way":            oneMemory,
	"large/a large set that finds no memory removes the old value": oneMemory,
	"large/add and append that find no memory keep the old value":  oneMemory,
}

const oneMemory = "it fills a server and counts on its own key to be there"

// leftOut says why a dialogue is not played through a proxy of some nodes, "" if it
// is. Statistics are those of the only node: of several none has the sum.
func leftOut(d *Dialogue, nodes int) string {
	if why := insideFiles[d.File] + insideDialogues[d.Path()]; why != "" || nodes == 1 {
		return why
	}
	for _, s := range d.Steps {
		if (s.Kind == Send || s.Kind == Poll) && strings.HasPrefix(s.Text, "stats") {
			return "it looks at the statistics of the only server"
		}
		if d.Clock && strings.Contains(s.Text, "${now") {
			return "the clocks of several servers do not stand still at the same second"
		}
	}
	return oneNodeDialogues[d.Path()]
}

// What is left out is there, so that no reason outlives its dialogue, and no more is
// left out than that.
func TestWireProxiedLeavesOut(t *testing.T) {
	dialogues, err := ParseTranscripts(filepath.Join("testdata", "wire"))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	played := map[int]int{}
	for _, d := range dialogues {
		there[d.Path()], there[d.File] = true, true
		for _, nodes := range proxiedNodes {
			if leftOut(d, nodes) == "" {
				played[nodes]++
			}
		}
	}
	for _, list := range []map[string]string{insideFiles, insideDialogues, oneNodeDialogues} {
		for name, why := range list {
			if !there[name] || why == "" {
				t.Errorf("%q is left out because %q, and is not there", name, why)
			}
		}
	}
	t.Logf("of %d dialogues %d are played through a proxy of one node, %d of three", len(dialogues), played[1], played[3])
	if played[1] < 341 || played[3] < 281 { // the numbers only ever rise
		t.Error("fewer are played than there were")
	}
}

// proxiedNodes are the numbers of servers that a proxy is tried with.
var proxiedNodes = []int{1, 3}

// proxied is a Holdfast proxy and the servers behind it.
type proxied struct {
	*Process
	nodes []*Process
}

// startProxied starts servers of options behind a proxy, all on Unix sockets if unix.
func startProxied(t *testing.T, nodes int, unix bool, options string) *proxied {
	t.Helper()
	p := &proxied{nodes: startNodes(t, nodes, unix, options)}
	p.Process = startProxy(t, p.nodes, unix, proxyOptions(options)...)
	return p
}

// startNodes starts servers of options, whose clocks can be moved.
func startNodes(t *testing.T, nodes int, unix bool, options string) (all []*Process) {
	t.Helper()
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(strings.ReplaceAll(options, "${testdata}", dir))
	for range nodes {
		n, err := Start(Spec{Binary: holdfastBinary(t), Args: words, Env: []string{"HOLDFAST_DEBUG_CLOCK=1"}, Unix: unix})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// proxyOptions are those of options that the proxy has to have: shutdown is for it,
// the rest for the nodes.
func proxyOptions(options string) []string {
	if slices.Contains(strings.Fields(options), "-A") {
		return []string{"-A"}
	}
	return nil
}

// startProxy starts a proxy of nodes. Test machines are busy: a request has the
// time that a test has.
func startProxy(t *testing.T, nodes []*Process, unix bool, args ...string) *Process {
	t.Helper()
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.Addr)
	}
	args = append(args, "--nodes", strings.Join(addrs, ","), "--timeout", replyWait.String(), "--connect-timeout", replyWait.String())
	p, err := Start(Spec{Binary: holdfastBinary(t), Command: "proxy", Args: args, Unix: unix})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// end ends all of it, and well.
func (p *proxied) end(t *testing.T) {
	for _, one := range append([]*Process{p.Process}, p.nodes...) {
		if err := one.Stop(); err != nil {
			t.Errorf("the server's end: %v", err)
		}
	}
}

// TestWireProxied plays through a proxy what is not about the inside of a server.
func TestWireProxied(t *testing.T) {
	dialogues, err := ParseTranscripts(filepath.Join("testdata", "wire"))
	if err != nil {
		t.Fatal(err)
	}
	seed := wireSeed(t)
	for _, nodes := range proxiedNodes {
		t.Run(fmt.Sprintf("nodes-%d", nodes), func(t *testing.T) {
			t.Parallel()
			b := behind{
				leftOut: func(d *Dialogue) string { return leftOut(d, nodes) },
				start:   func(t *testing.T, options string) *proxied { return startProxied(t, nodes, false, options) },
			}
			b.play(t, dialogues, wireSplits(seed))
		})
	}
}

// behind is a kind of proxy and servers that dialogues are played on.
type behind struct {
	leftOut func(*Dialogue) string // why one is not played, "" if it is
	start   func(t *testing.T, options string) *proxied
}

// play plays the dialogues, each on the servers of its options.
func (b *behind) play(t *testing.T, dialogues []*Dialogue, splits []namedSplit) {
	shared := map[string]*proxied{}
	refused := false // servers that do not start once will not the next time
	for _, split := range splits {
		t.Run(split.name, func(t *testing.T) {
			for _, d := range dialogues {
				if b.leftOut(d) != "" || refused {
					continue
				}
				t.Run(d.Path(), func(t *testing.T) {
					p := shared[d.Options]
					if p == nil || d.OwnServer() {
						refused = true
						p = b.start(t, d.Options)
						refused = false
					}
					if d.OwnServer() {
						defer p.end(t)
					} else {
						shared[d.Options] = p
					}
					player := Player{Server: p.Process, Nodes: p.nodes, Name: "holdfast", Split: split.split}
					if err := player.Play(d); err != nil {
						t.Error(err)
						if text := p.Stderr(); text != "" {
							t.Logf("the proxy's standard error ends:\n%s", text)
						}
						if !d.OwnServer() {
							delete(shared, d.Options)
							p.end(t)
						}
					}
				})
			}
		})
	}
	for _, p := range shared {
		p.end(t)
	}
}

// TestProxyRefuses asks a proxy for what it does not do.
func TestProxyRefuses(t *testing.T) {
	p := startProxied(t, 3, false, "")
	defer p.end(t)
	const inside = "< CLIENT_ERROR not through a proxy: ask the server itself\n"
	text := "== refused\nfresh\n\n"
	for _, command := range []string{
		"cache_memlimit 10", "slabs automove 1", "slabs reassign 1 2", "lru mode flat", "lru tune 10 20 0.1 0.2",
		"lru_crawler enable", "lru_crawler crawl all", "lru_crawler metadump all", "lru_crawler mgdump all",
		"watch fetchers", "watch",
	} {
		text += "> " + command + "\n" + inside
	}
	text += "> stats nonsense\n< ERROR\n> shutdown\n< SERVER_ERROR: shutdown not enabled\n> frobnicate\n< ERROR\n"
	dialogues, err := ParseTranscript("refused.txt", text)
	if err != nil {
		t.Fatal(err)
	}
	for _, split := range wireSplits(wireSeed(t)) {
		player := Player{Server: p.Process, Name: "holdfast", Split: split.split}
		if err := player.Play(dialogues[0]); err != nil {
			t.Error(err)
		}
	}
}
