package integration

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// target is a kind of server that the dialogues are played on.
type target struct {
	name    string // of the subtest
	server  string // "holdfast" or "memcached"
	binary  string
	args    []string
	env     []string
	unix    bool
	version string // memcached's, "" for Holdfast, which answers as the newest
	clock   bool   // knows debugtime
}

// targets lists what to play on: Holdfast on every transport and network, the
// memcached of the system, and any other that HOLDFAST_WIRE_MEMCACHED names.
func targets(t *testing.T) []target {
	var all []target
	for _, transport := range []string{"epoll", "goroutine"} {
		for _, unix := range []bool{false, true} {
			name := "holdfast-" + transport + "-tcp"
			if unix {
				name = "holdfast-" + transport + "-unix"
			}
			all = append(all, target{
				name: name, server: "holdfast", unix: unix, clock: true,
				args: []string{"-o", "transport=" + transport}, env: []string{"HOLDFAST_DEBUG_CLOCK=1"},
			})
		}
	}
	path, err := exec.LookPath("memcached")
	if err != nil {
		t.Fatalf("the dialogues need a real memcached to compare with: %v", err)
	}
	all = append(all, target{name: "memcached", server: "memcached", binary: path})
	if path := os.Getenv("HOLDFAST_WIRE_MEMCACHED"); path != "" {
		all = append(all, target{name: "memcached-chosen", server: "memcached", binary: path})
	}
	return all
}

// TestWire plays every dialogue on every target, in one piece, byte by byte
// and cut at random.
func TestWire(t *testing.T) {
	dialogues, err := ParseTranscripts(filepath.Join("testdata", "wire"))
	if err != nil {
		t.Fatal(err)
	}
	seed := wireSeed(t)
	for _, tg := range targets(t) {
		t.Run(tg.name, func(t *testing.T) {
			if tg.server == "holdfast" {
				tg.binary = holdfastBinary(t)
			}
			t.Parallel()
			playAll(t, tg, dialogues, seed)
		})
	}
}

// wireSeed is what random splits are made from.
func wireSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(rand.Uint32())
	if s := os.Getenv("HOLDFAST_WIRE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("random splits by HOLDFAST_WIRE_SEED=%d", seed)
	return seed
}

// namedSplit is a way to cut up what is sent.
type namedSplit struct {
	name  string
	split Split
}

// wireSplits are the ways in which each dialogue is played.
func wireSplits(seed uint64) []namedSplit {
	return []namedSplit{{"whole", Whole}, {"bytes", byteByByte}, {"random", randomly(rand.New(rand.NewPCG(seed, 0)))}}
}

// playAll plays the dialogues on one target, each on the server of its options.
func playAll(t *testing.T, tg target, dialogues []*Dialogue, seed uint64) {
	shared := map[string]*Process{}
	tg.probe(t)
	for _, split := range wireSplits(seed) {
		t.Run(split.name, func(t *testing.T) {
			for _, d := range dialogues {
				if !tg.plays(t, d) {
					continue
				}
				t.Run(d.Path(), func(t *testing.T) {
					p := shared[d.Options]
					if d.OwnServer() {
						p = tg.start(t, d)
					} else if p == nil {
						p = tg.start(t, d)
						shared[d.Options] = p
					}
					player := Player{Server: p, Name: tg.server, Split: split.split}
					if err := player.Play(d); err != nil {
						t.Error(err)
						if text := p.Stderr(); text != "" {
							t.Logf("the server's standard error ends:\n%s", text)
						}
						if !d.OwnServer() { // the next one gets a server that is well
							delete(shared, d.Options)
							tg.end(t, p)
						}
					}
				})
			}
		})
	}
	for _, p := range shared {
		tg.end(t, p)
	}
}

// end ends a server. Holdfast must do so well; memcached takes a second for it
// that nobody needs to wait for.
func (tg *target) end(t *testing.T, p *Process) {
	end := p.Kill
	if tg.server == "holdfast" {
		end = p.Stop
	}
	if err := end(); err != nil {
		t.Errorf("the server's end: %v", err)
	}
}

// probe asks a memcached for its version and whether its clock can be moved.
func (tg *target) probe(t *testing.T) {
	if tg.server == "holdfast" {
		return
	}
	p := tg.start(t, &Dialogue{Fresh: true})
	c, err := p.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(c)
	if _, err := io.WriteString(c, "version\r\ndebugtime r\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewScanner(c)
	r.Scan()
	tg.version = strings.TrimPrefix(r.Text(), "VERSION ")
	r.Scan()
	tg.clock = r.Text() == "OK"
	if _, err := versionNumber(tg.version); err != nil {
		t.Fatal(err)
	}
}

// plays tells whether a dialogue is meant for the target.
func (tg *target) plays(t *testing.T, d *Dialogue) bool {
	if !d.PlaysOn(tg.server) || d.Clock && !tg.clock || d.TCP && tg.unix {
		return false
	}
	if tg.server == "holdfast" || d.Needs == "" {
		return true
	}
	have, err := versionNumber(tg.version)
	if err != nil {
		t.Fatal(err)
	}
	need, err := versionNumber(d.Needs)
	if err != nil {
		t.Fatalf("%s: %v", d, err)
	}
	return have >= need
}

// versionNumber makes memcached versions comparable.
func versionNumber(v string) (int, error) {
	var major, minor, patch int
	if _, err := fmt.Sscanf(v, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return 0, fmt.Errorf("version %q: %w", v, err)
	}
	return major<<20 | minor<<10 | patch, nil
}

// start starts a server for a dialogue. One of its own ends with the test.
func (tg *target) start(t *testing.T, d *Dialogue) *Process {
	t.Helper()
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{}, tg.args...)
	args = append(args, strings.Fields(strings.ReplaceAll(d.Options, "${testdata}", dir))...)
	p, err := Start(Spec{Binary: tg.binary, Args: args, Env: tg.env, Unix: tg.unix})
	if err != nil {
		t.Fatal(err)
	}
	if d.OwnServer() {
		t.Cleanup(func() { tg.end(t, p) })
	}
	return p
}

// edgeBytes is how much of each end of a long message is cut finely: the
// middle of a large value would only cost time.
const edgeBytes = 1 << 10

// byteByByte writes one byte at a time, the middle of long messages excepted.
func byteByByte(w io.Writer, b []byte) error {
	return inPieces(w, b, func(at int) int {
		if at < edgeBytes || at >= len(b)-edgeBytes {
			return 1
		}
		return min(4099, len(b)-edgeBytes-at)
	})
}

// randomly returns a Split that cuts where rng says.
func randomly(rng *rand.Rand) Split {
	return func(w io.Writer, b []byte) error {
		return inPieces(w, b, func(at int) int {
			if at < edgeBytes || at >= len(b)-edgeBytes {
				return 1 + rng.IntN(1+rng.IntN(64))
			}
			return 1 + rng.IntN(60_000)
		})
	}
}

// inPieces writes b in pieces whose length size tells from where they begin.
func inPieces(w io.Writer, b []byte, size func(at int) int) error {
	for at := 0; at < len(b); {
		end := min(at+size(at), len(b))
		if _, err := w.Write(b[at:end]); err != nil {
			return err
		}
		at = end
	}
	return nil
}
