package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What it costs a server to keep items in a way, as a ratio to keeping nothing:
// operations a second of a closed loop, and CPU time of one. The first is what
// clients see, but the load generator has a part in it; the second is the
// server's alone, but knows nothing of waiting for a disk.

// costLoads are the loads, with few enough items to be stored soon and more than
// the caches of a processor hold.
var costLoads = []struct {
	name string
	load Load
}{
	{"set, 50 connections", over(sets, costItems)},
	{"set, pipeline 16", over(onlySets(mixed), costItems)},
	{"multiget 50", over(multiget, costItems)},
}

const (
	costItems  = 1_000_000
	costMemory = 1024 // MiB
)

// The ways to keep items. The journal's have the names of its policies.
const (
	keepNothing = "off"
	keepArena   = "arena"
	keepHuge    = "arena, large pages"
)

var costWays = []string{"os", "interval", "always", keepArena, keepHuge}

// costMeasures are the rows for each load and way.
func costMeasures() (measures []Measure) {
	for _, what := range []struct {
		family, prefix string
		higher         bool
	}{{"persist throughput", "", true}, {"persist cpu", "CPU, ", false}} {
		for _, l := range costLoads {
			for _, how := range costWays {
				measures = append(measures, Measure{
					Family: what.family, Name: what.prefix + l.name + ": " + how + " to off", Unit: "×",
					Rule: Absolute, Higher: what.higher, Func: costFigure(what.family+l.name, how),
				})
			}
		}
	}
	return measures
}

// costFigure is a figure of a way to keep items as a multiple of that without.
func costFigure(name, how string) func(*Session) (float64, error) {
	return func(s *Session) (float64, error) {
		own, err := figure(name, "cost "+how, func(s *Session) (figures, error) { return s.costOf(how) })(s)
		if err != nil {
			return 0, err
		}
		off, err := figure(name, "cost "+keepNothing, func(s *Session) (figures, error) { return s.costOf(keepNothing) })(s)
		return own / off, err
	}
}

// costOf runs the loads on a server that keeps items in a way.
func (s *Session) costOf(how string) (figures, error) {
	parent := ""
	if how == keepArena || how == keepHuge {
		parent = memoryDir
		if s.Target.Kind == Redis {
			return nil, nil
		}
	}
	dir, remove, err := s.place(parent)
	if err != nil {
		return nil, err
	}
	defer remove()
	unmount := func() error { return nil }
	if how == keepHuge {
		if unmount, err = mountHuge(dir); err != nil {
			s.bench.note(fmt.Sprintf("%s: left out, a tmpfs with large pages cannot be mounted here (that takes root): %v", how, err))
			return nil, nil
		}
	}
	k, err := s.launch(1, costMemory, s.costArgs(how, dir)...)
	// The server has its file open: the mount need not outlive an end of this
	// program, and lasts as long as the server.
	if err := errors.Join(err, unmount()); err != nil {
		return nil, err
	}
	defer k.kill()
	if err := k.fillKept(costItems, false); err != nil {
		return nil, err
	}
	if how == keepHuge {
		if n, err := k.largePages(); err != nil || n == 0 {
			s.bench.note(fmt.Sprintf("%s: left out, the system gave none (%v)", how, err))
			return nil, err
		}
	}
	f := figures{}
	for _, l := range costLoads {
		cpu, out, err := k.run(l.load)
		if err != nil {
			return nil, err
		}
		f["persist cpu"+l.name], f["persist throughput"+l.name] = cpu, out.PerSecond()
	}
	return f, nil
}

// costArgs are the arguments that have a server keep items in a way.
func (s *Session) costArgs(how, dir string) []string {
	switch {
	case how == keepNothing:
		return nil
	case how == keepArena || how == keepHuge:
		return []string{"-e", filepath.Join(dir, "memory")}
	case s.Target.Kind == Redis:
		policy := map[string]string{"os": "no", "interval": "everysec", "always": "always"}[how]
		return []string{"--dir", dir, "--appendonly", "yes", "--appendfsync", policy}
	}
	return append(s.keepIn(dir), "--journal="+how, "--journal-timeout=20s")
}

// mountHuge mounts a tmpfs of large pages on a directory.
func mountHuge(dir string) (unmount func() error, err error) {
	size := fmt.Sprintf("size=%dm,huge=within_size,mode=0700", costMemory+costMemory/4)
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID, size); err != nil {
		return nil, err
	}
	return func() error { return unix.Unmount(dir, unix.MNT_DETACH) }, nil
}

// largePages is how much of its memory files a server has in large pages, in kB.
func (s *Session) largePages() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(text, []byte("ShmemPmdMapped:"))
	kB, _, _ := strings.Cut(strings.TrimSpace(string(rest)), " ")
	return strconv.Atoi(kB)
}
