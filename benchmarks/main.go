package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) > 1 && os.Args[1] == "policies" {
		return runPolicies(os.Args[2:])
	}
	if len(os.Args) > 1 && os.Args[1] == "growth" {
		return runGrowth(os.Args[2:])
	}
	var o Options
	holdfast := flag.String("holdfast", "bin/holdfast", "the holdfast binary")
	rivals := flag.String("rivals", "memcached", "servers to compare with, by comma, the one that bars are for first; name=path names one")
	rounds := flag.Int("rounds", 5, "interleaved rounds")
	flag.DurationVar(&o.Limit, "limit", 0, "begin no further round of anything when so much time has passed; 0: take all rounds")
	flag.DurationVar(&o.Time, "time", 2*time.Second, "how long one run of a load lasts")
	only := flag.String("only", "", `take only the measures whose "family: name" matches this expression`)
	flag.Float64Var(&o.Scale, "scale", 1, "multiplies all numbers of items; bars are for 1")
	flag.BoolVar(&o.Short, "short", false, "take only the short table")
	dir := flag.String("results", "", "directory for a result file and plots; empty: none")
	proxies := flag.String("proxies", "", "instead, compare holdfast proxy with these proxies, named as rivals are; a memcached must have been built with --enable-proxy")
	backend := flag.String("backend", "", "the server behind the proxies; empty: holdfast")
	memtier := flag.String("memtier", "", "instead, check the generator against this memtier_benchmark")
	flag.Parse()
	var err error
	if o.Only, err = regexp.Compile(*only); err != nil {
		return err
	}
	say := func(text string) { fmt.Fprintln(os.Stderr, text) }

	// The first signal ends the run in order, so that no server and no file is left
	// behind and what was measured is kept; the second one ends it at once.
	quit, again := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer context.AfterFunc(quit, again)()
	b := &Bench{Options: o, Log: say, Quit: quit.Done()}
	if *proxies != "" {
		if err := b.useProxies(*holdfast, *proxies, *backend); err != nil {
			return err
		}
		return b.report(proxyMeasures(), *rounds, *dir)
	}
	if b.Targets, err = FindTargets(*holdfast, *rivals, say); err != nil {
		return err
	}
	if *memtier != "" {
		return b.checkGenerator(*memtier, *rounds)
	}
	measures, err := Measures(o)
	if err != nil {
		return err
	}
	return b.report(measures, *rounds, *dir)
}

// report runs the measures, prints what they found, and keeps it in a directory
// if one is named.
func (b *Bench) report(measures []Measure, rounds int, dir string) error {
	about := describe(b.Targets)
	if t := b.Backend; t.Name != "" {
		about = append(about, fmt.Sprintf("behind each proxy: %d × %s: %s", proxyBackends, t.Name, t.Version()))
	}
	results, failed := b.Run(measures, rounds)
	if results == nil {
		return failed
	}
	about = append(about, "load average at the end: "+loadAverage(),
		fmt.Sprintf("medians of interleaved rounds, as many as the table says, with runs of %v, scale %g", b.Time, b.Scale),
		fmt.Sprintf("bars and aims are for %s; a ratio is %s / rival, of the medians, and from … to of single rounds", b.Targets[1].Name, b.Targets[0].Name))
	about = append(about, b.notes...)
	if failed != nil {
		about = append(about, "incomplete: "+strings.ReplaceAll(failed.Error(), "\n", "; "))
	}
	for _, line := range about {
		fmt.Println(line)
	}
	if err := WriteText(os.Stdout, Table(b.Targets, results)); err != nil {
		return errors.Join(failed, err)
	}
	if dir == "" {
		return failed
	}
	return errors.Join(failed, save(dir, time.Now(), about, b.Targets, results, whole(measures, results)))
}

// whole says of which families every measure was taken.
func whole(measures []Measure, results []Results) map[string]bool {
	missing := map[string]int{}
	for i := range measures {
		missing[measures[i].Family]++
	}
	for _, r := range results {
		if !math.IsNaN(Median(r.Samples[0])) {
			missing[r.Family]--
		}
	}
	families := map[string]bool{}
	for name, n := range missing {
		families[name] = n == 0
	}
	return families
}
