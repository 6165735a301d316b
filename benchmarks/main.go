package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run() error {
	holdfast := flag.String("holdfast", "bin/holdfast", "the holdfast binary")
	rivals := flag.String("rivals", "memcached", "memcached binaries to compare with, by comma; name=path names one")
	rounds := flag.Int("rounds", 5, "interleaved rounds a load")
	duration := flag.Duration("time", 2*time.Second, "how long one run lasts")
	only := flag.String("load", "", "run only the loads whose name contains this")
	threads := flag.Int("threads", 1, "-t of the servers")
	memory := flag.Int("m", 1024, "-m of the servers, MiB")
	flag.Parse()

	targets, err := findTargets(*holdfast, *rivals, *threads, *memory)
	if err != nil {
		return err
	}
	serverCore := -1
	if *threads == 1 && runtime.NumCPU() > 1 {
		serverCore = 0
		if err := pinSelf(1); err != nil {
			return fmt.Errorf("pin the load to core 1: %w", err)
		}
	}
	fmt.Printf("%d cores, -t %d -m %d, %d rounds of %v, medians; a ratio below 1 is in Holdfast's favour\n",
		runtime.NumCPU(), *threads, *memory, *rounds, *duration)
	var rows []Row
	for _, l := range Loads() {
		if !strings.Contains(l.Name, *only) {
			continue
		}
		row := Row{Load: l, Samples: map[string][]Sample{}}
		for range *rounds {
			for _, t := range targets {
				s, err := measure(t, l, serverCore, *duration)
				if err != nil {
					return fmt.Errorf("%s on %s: %w", l.Name, t.Name, err)
				}
				row.Samples[t.Name] = append(row.Samples[t.Name], s)
			}
		}
		rows = append(rows, row)
	}
	return WriteTable(os.Stdout, targets, rows)
}

// findTargets makes the list of servers, Holdfast first. A rival that is not
// installed is left out with a word; with none left there is nothing to compare.
func findTargets(holdfast, rivals string, threads, memory int) ([]Target, error) {
	flags := []string{"-p", "{port}", "-t", fmt.Sprint(threads), "-m", fmt.Sprint(memory), "-c", "8192", "-u", "root"}
	path, err := exec.LookPath(holdfast)
	if err != nil {
		return nil, fmt.Errorf("no holdfast binary (make build makes it): %w", err)
	}
	targets := []Target{{Name: "holdfast", Args: append([]string{path, "serve"}, flags...)}}
	for _, r := range strings.Split(rivals, ",") {
		name, file, named := strings.Cut(r, "=")
		if !named {
			file = name
		}
		path, err := exec.LookPath(file)
		if err != nil {
			fmt.Fprintf(os.Stderr, "benchmarks: %s is left out: %v\n", name, err)
			continue
		}
		targets = append(targets, Target{Name: name, Args: append([]string{path}, flags...)})
	}
	if len(targets) == 1 {
		return nil, errors.New("no rival found: install memcached, or name one with -rivals")
	}
	return targets, nil
}

// measure starts t, fills it, warms it up and measures one run of l.
func measure(t Target, l Load, core int, d time.Duration) (Sample, error) {
	p, err := Start(t, core)
	if err != nil {
		return Sample{}, err
	}
	defer p.Stop()
	if err := Fill(p.Addr, l); err != nil {
		return Sample{}, fmt.Errorf("fill: %w", err)
	}
	if _, err := Run(p.Addr, l, d/4); err != nil {
		return Sample{}, fmt.Errorf("warm up: %w", err)
	}
	before, err := p.CPU()
	if err != nil {
		return Sample{}, err
	}
	out, err := Run(p.Addr, l, d)
	if err != nil {
		return Sample{}, err
	}
	after, err := p.CPU()
	if err != nil {
		return Sample{}, err
	}
	rss, err := p.RSS()
	return Sample{
		CPUPerOp: (after - before) / time.Duration(out.Ops),
		Rate:     float64(out.Ops) / out.Elapsed.Seconds(),
		P50:      time.Duration(out.Latency.ValueAtQuantile(50)),
		P99:      time.Duration(out.Latency.ValueAtQuantile(99)),
		RSS:      rss,
	}, err
}
