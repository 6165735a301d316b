package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// growth measures what it costs to add a fifth node to four behind a proxy: clients
// read through it, and store what they miss, while the pool is changed. The hit ratio
// over time is the measure, and that no client sees an error.
type growth struct {
	holdfast   string
	keys, rate int           // of all clients, a second
	time       time.Duration // of one run; the pool is changed after a quarter of it
	window     time.Duration // of a point of the plot
	dir        string        // for config files
	say        func(string)
}

// growthWay is one way to grow.
type growthWay struct {
	name string
	// program is the proxy, with {config} for its file and {port}.
	program []string
	// config is the file for these nodes: before, and then one more.
	config func(nodes []string, before []string) string
	// restart: it cannot read its file anew.
	restart bool
}

// The pool before and after.
const (
	nodesBefore = 4
	nodesAfter  = 5
)

// growthPoint is a window of a run.
type growthPoint struct {
	at     time.Duration // since the change; negative before it
	hits   int
	reads  int
	errors int
}

func (p *growthPoint) ratio() float64 { return float64(p.hits) / float64(max(p.reads, 1)) }

// runGrowth is the command line.
func runGrowth(args []string) error {
	f := flag.NewFlagSet("growth", flag.ContinueOnError)
	g := growth{window: 250 * time.Millisecond, say: func(text string) { fmt.Fprintln(os.Stderr, text) }}
	f.StringVar(&g.holdfast, "holdfast", "bin/holdfast", "the holdfast binary")
	f.IntVar(&g.keys, "keys", 50_000, "keys, of 1000 bytes each")
	f.IntVar(&g.rate, "rate", 8000, "reads a second")
	f.DurationVar(&g.time, "time", 40*time.Second, "how long one run lasts")
	results := f.String("results", "benchmarks/results", "directory for the table and the plot; empty: none")
	if err := f.Parse(args); err != nil {
		return err
	}
	var err error
	if g.holdfast, err = exec.LookPath(g.holdfast); err != nil {
		return fmt.Errorf("no holdfast binary (make build makes it): %w", err)
	}
	if g.dir, err = os.MkdirTemp("", "growth"); err != nil {
		return err
	}
	ways := g.ways()
	runs := make([][]growthPoint, len(ways))
	for i, w := range ways {
		g.say(w.name)
		if runs[i], err = g.run(w); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", w.name, err), os.RemoveAll(g.dir))
		}
	}
	if err := errors.Join(os.RemoveAll(g.dir), writeGrowth(os.Stdout, ways, runs, g.window)); err != nil || *results == "" {
		return err
	}
	var text strings.Builder
	for _, line := range describe([]Target{{Name: "holdfast", Program: []string{g.holdfast}}}) {
		fmt.Fprintln(&text, line)
	}
	fmt.Fprintf(&text, "%d keys of 1000 bytes, %d reads a second, %v a run, windows of %v\n\n```\n", g.keys, g.rate, g.time, g.window)
	if err := writeGrowth(&text, ways, runs, g.window); err != nil {
		return err
	}
	text.WriteString("```\n\n![hit ratio](growth.svg)\n")
	return errors.Join(
		os.WriteFile(filepath.Join(*results, "growth.md"), []byte(text.String()), 0o644),
		plotGrowth(filepath.Join(*results, "growth.svg"), ways, runs))
}

// ways are what is compared. nutcracker is left out if it is not installed.
func (g *growth) ways() []growthWay {
	program := []string{g.holdfast, "proxy", "-l", "127.0.0.1", "-p", "{port}", "-t", "1", "--config", "{config}"}
	pool := func(distribution string) func([]string, []string) string {
		return func(nodes, _ []string) string {
			return fmt.Sprintf("epoch: %d\npools:\n%s", len(nodes), growthPool("pool", distribution, nodes))
		}
	}
	migrate := func(nodes, before []string) string {
		text := fmt.Sprintf("epoch: %d\npools:\n%s", len(nodes), growthPool("before", "jump", before))
		if len(nodes) == len(before) {
			return text
		}
		return text + growthPool("after", "jump", nodes) +
			fmt.Sprintf("routes:\n  migrate: {from: before, to: after, over: %v}\n", g.time/2)
	}
	ways := []growthWay{
		{name: "jump, migrated", program: program, config: migrate},
		{name: "jump", program: program, config: pool("jump")},
		{name: "modula", program: program, config: pool("modula")},
	}
	if path, err := exec.LookPath("nutcracker"); err == nil {
		ways = append(ways, growthWay{
			name: "nutcracker, ketama, restarted", program: []string{path, "-c", "{config}", "-s", "{spare}"}, restart: true,
			config: func(nodes, _ []string) string {
				text := "pool:\n  listen: 127.0.0.1:{port}\n  hash: md5\n  distribution: ketama\n  timeout: 1000\n  servers:\n"
				for _, n := range nodes {
					text += "   - " + n + ":1\n"
				}
				return text
			},
		})
	}
	return ways
}

// growthPool is a pool of a config file.
func growthPool(name, distribution string, nodes []string) string {
	text := fmt.Sprintf("- name: %s\n  distribution: %s\n  timeout: 1s\n  servers:\n", name, distribution)
	for i, n := range nodes {
		text += fmt.Sprintf("  - {name: n%d, address: %q}\n", i+1, n)
	}
	return text
}

// run grows a pool that holds every key.
func (g *growth) run(w growthWay) ([]growthPoint, error) {
	var nodes []string
	for range nodesAfter {
		p, err := Start(Target{Name: "node", Program: []string{g.holdfast, "serve"}, Kind: Memcached}, 1, 128, 0, 1)
		if err != nil {
			return nil, err
		}
		defer p.Stop()
		nodes = append(nodes, p.Addr)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	spare, err := freePort()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(g.dir, "proxy.yml")
	fill := strings.NewReplacer("{config}", file, "{port}", fmt.Sprint(port), "{spare}", fmt.Sprint(spare))
	write := func(n int) error {
		text := fill.Replace(w.config(nodes[:n], nodes[:nodesBefore]))
		if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
			return err
		}
		return os.Rename(file+".new", file)
	}
	if err := write(nodesBefore); err != nil {
		return nil, err
	}
	target := Target{Name: w.name, Kind: Bare}
	for _, word := range w.program {
		target.Program = append(target.Program, fill.Replace(word))
	}
	proxy, err := startOn(port, target, 1, 0, 0, 1)
	if err != nil {
		return nil, err
	}
	defer func() { proxy.Stop() }()
	change := func() error {
		if err := write(nodesAfter); err != nil {
			return err
		}
		if !w.restart {
			return proxy.cmd.Process.Signal(syscall.SIGHUP)
		}
		proxy.Stop()
		after, err := startOn(port, target, 1, 0, 0, 1)
		if err == nil {
			proxy = after
		}
		return err
	}
	points, err := g.load(proxy.Addr, change)
	if err != nil {
		return nil, err
	}
	items, err := Memcached.Wire(false).Items(nodes[nodesAfter-1])
	if err == nil && items == 0 {
		err = fmt.Errorf("the new node has nothing: the config was not taken; the proxy said: %s", &proxy.said)
	}
	return points, err
}

// writeGrowth prints what the lines of the plot come to.
func writeGrowth(to io.Writer, ways []growthWay, runs [][]growthPoint, window time.Duration) error {
	if _, err := fmt.Fprintf(to, "%-32s %8s %8s %14s %14s %8s\n", "from 4 to 5 nodes", "before", "lowest", "back within", "extra misses", "errors"); err != nil {
		return err
	}
	for i, w := range ways {
		s := sumUp(runs[i], window)
		back := "not in time"
		if s.back >= 0 {
			back = s.back.String()
		}
		if _, err := fmt.Fprintf(to, "%-32s %8.3f %8.3f %14s %14d %8d\n", w.name, s.before, s.lowest, back, s.extra, s.errors); err != nil {
			return err
		}
	}
	return nil
}

// growthSum is what a run comes to.
type growthSum struct {
	before, lowest float64
	back           time.Duration // until 0.01 below before and staying there; negative: never
	extra          int           // misses that the change cost
	errors         int
}

// sumUp finds the sum of a run.
func sumUp(points []growthPoint, window time.Duration) growthSum {
	s := growthSum{lowest: 1, back: -1}
	var hits, reads int
	for _, p := range points {
		if p.at < 0 {
			hits += p.hits
			reads += p.reads
		}
		s.errors += p.errors
	}
	s.before = float64(hits) / float64(max(reads, 1))
	for i := range points {
		p := &points[i]
		if p.at < 0 || p.reads == 0 {
			continue
		}
		s.lowest = min(s.lowest, p.ratio())
		s.extra += max(0, int(s.before*float64(p.reads))-p.hits)
		switch {
		case p.ratio() < s.before-0.01:
			s.back = -1
		case s.back < 0:
			s.back = p.at.Truncate(window)
		}
	}
	return s
}
