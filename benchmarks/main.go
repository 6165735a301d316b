package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"
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
	flag.DurationVar(&o.Time, "time", 2*time.Second, "how long one run of a load lasts")
	only := flag.String("only", "", `take only the measures whose "family: name" matches this expression`)
	flag.Float64Var(&o.Scale, "scale", 1, "multiplies all numbers of items; bars are for 1")
	flag.BoolVar(&o.Short, "short", false, "take only the short table")
	dir := flag.String("results", "", "directory for a result file and plots; empty: none")
	memtier := flag.String("memtier", "", "instead, check the generator against this memtier_benchmark")
	flag.Parse()
	var err error
	if o.Only, err = regexp.Compile(*only); err != nil {
		return err
	}
	say := func(text string) { fmt.Fprintln(os.Stderr, text) }

	targets, err := FindTargets(*holdfast, *rivals, say)
	if err != nil {
		return err
	}
	b := &Bench{Targets: targets, Options: o, Log: say}
	if *memtier != "" {
		return b.checkGenerator(*memtier, *rounds)
	}
	about := describe(targets)
	measures, err := Measures(o)
	if err != nil {
		return err
	}
	results, err := b.Run(measures, *rounds)
	if err != nil {
		return err
	}
	about = append(about, "load average at the end: "+loadAverage(),
		fmt.Sprintf("medians of %d interleaved rounds, runs of %v, scale %g", *rounds, o.Time, o.Scale))
	for _, line := range about {
		fmt.Println(line)
	}
	rows := Table(targets, results)
	if err := WriteText(os.Stdout, rows); err != nil {
		return err
	}
	if *dir == "" {
		return nil
	}
	return save(*dir, time.Now(), about, targets, results)
}
