package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// What keeping items costs and how long it takes, beside Redis: a first rival of
// that kind is what the bars are for. Each measure starts servers of its own, in
// directories of its own; the stage's server only holds the place.

// keptStage has a small server that is not used.
var keptStage = &Stage{Name: "persistence", Threads: 1, Memory: 64}

const (
	keptItems   = 4_000_000  // of 100 bytes
	arenaItems  = 10_000_000 // likewise
	keptMemory  = 4096       // MiB
	arenaMemory = 3072       // MiB
)

// persistMeasures are taken when -only asks for them: they take minutes, and
// memcached has nothing of the kind.
func persistMeasures() []Measure {
	measures := []Measure{
		{Name: "snapshot of 4 M items of 100 B", Unit: "s", Bar: 0.5, Func: savedIn},
		{Name: "its file", Unit: "MiB", Func: savedBytes},
		{Name: "start on it until a get hits", Unit: "s", Bar: 0.33, Func: loadedIn},
		{Name: "p99.9 during a snapshot to p99.9 without", Unit: "×", Rule: Absolute, Bar: 1.3, Func: tailWhileSaving("--snapshot-rate=0")},
		{Name: "the same at 64 MB/s, the default", Unit: "×", Rule: Absolute, Bar: 1.3, Func: tailWhileSaving()},
		{Name: "start on 10 M items in memory after kill -9", Unit: "s", Rule: Absolute, Bar: 1.5, Func: restartedIn(true)},
		{Name: "the same after an orderly end", Unit: "s", Rule: Absolute, Bar: 0.2, Func: restartedIn(false)},
	}
	for _, load := range []struct {
		name string
		load Load
	}{
		{"CPU of a set, 50 connections", sets},
		{"CPU of a set, pipeline 16", onlySets(mixed)},
		{"CPU of a key, multiget 50", multiget},
	} {
		for _, how := range []string{"os", "interval", "always", "arena"} {
			measures = append(measures, Measure{
				Name: load.name + ": " + how + " to off", Unit: "×", Rule: Absolute, Func: costOf(load.load, how),
			})
		}
	}
	for i := range measures {
		measures[i].Family, measures[i].Stage, measures[i].Asked = "persist", keptStage, true
	}
	return measures
}

// place is a directory for one server.
func (s *Session) place(parent string) (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(parent, "holdfast-bench-")
	return dir, func() { _ = os.RemoveAll(dir) }, err // at worst files of one run stay
}

// memoryDir is where memory files are.
const memoryDir = "/dev/shm"

// launch starts the session's target once more, with further arguments.
func (s *Session) launch(threads, memory int, args ...string) (*Session, error) {
	t := s.Target
	t.Args = args
	server, own := placement(threads, runtime.NumCPU())
	if err := bindSelf(own...); err != nil {
		return nil, err
	}
	p, err := Start(t, threads, memory, server...)
	if err != nil {
		return nil, err
	}
	return &Session{Process: p, Options: s.Options, bench: s.bench}, nil
}

// keepIn are the arguments that have a server keep snapshots in a directory,
// when it is asked to.
func (s *Session) keepIn(dir string) []string {
	if s.Target.Kind == Redis {
		return []string{"--dir", dir, "--dbfilename", "dump.rdb"}
	}
	return []string{"--data-dir", filepath.Join(dir, "data"), "--snapshot-interval=0"}
}

// snapshot has the server make a snapshot and waits until it is there.
func (s *Session) snapshot() error {
	if s.Target.Kind != Redis {
		reply, err := ask(s.Addr, "snapshot\r\n", "\r\n")
		if err == nil && string(reply) != "OK\r\n" {
			err = fmt.Errorf("snapshot: %s", reply)
		}
		return err
	}
	if _, err := ask(s.Addr, "BGSAVE\r\n", "\r\n"); err != nil {
		return err
	}
	for {
		info, err := ask(s.Addr, "INFO persistence\r\n", "\r\n\r\n")
		switch {
		case err != nil:
			return err
		case bytes.Contains(info, []byte("rdb_bgsave_in_progress:0")):
			if !bytes.Contains(info, []byte("rdb_last_bgsave_status:ok")) {
				return errors.New("BGSAVE failed")
			}
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// withSaved runs f on a server that holds the items and can make snapshots.
func (s *Session) withSaved(threads int, args []string, f func(k *Session, dir string) (float64, error)) (float64, error) {
	if s.Target.Kind != Redis && s.bench.Targets[0].Name != s.Target.Name {
		return math.NaN(), nil // a memcached keeps nothing
	}
	dir, remove, err := s.place("")
	if err != nil {
		return 0, err
	}
	defer remove()
	if s.Target.Kind == Redis {
		args = nil
	}
	k, err := s.launch(threads, keptMemory, append(s.keepIn(dir), args...)...)
	if err != nil {
		return 0, err
	}
	defer func() { k.kill() }()
	if err := k.Fill(&sequence{valueBytes: 100}, k.items(keptItems)); err != nil {
		return 0, err
	}
	return f(k, dir)
}

// kill ends the server at once: an orderly end would make a snapshot.
func (s *Session) kill() {
	_ = s.cmd.Process.Kill() // it has ended, or ended is closed soon
	<-s.ended
}

// savedIn is how long a snapshot takes, in seconds.
func savedIn(s *Session) (float64, error) {
	return s.withSaved(2, []string{"--snapshot-rate=0"}, func(k *Session, _ string) (float64, error) {
		began := time.Now()
		err := k.snapshot()
		return time.Since(began).Seconds(), err
	})
}

// savedBytes is how large its file is, in MiB.
func savedBytes(s *Session) (float64, error) {
	return s.withSaved(2, []string{"--snapshot-rate=0"}, func(k *Session, dir string) (float64, error) {
		if err := k.snapshot(); err != nil {
			return 0, err
		}
		most := int64(0)
		for _, pattern := range []string{"*.rdb", "data/snap-*.hfs"} {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				return 0, err
			}
			for _, f := range files {
				st, err := os.Stat(f)
				if err != nil {
					return 0, err
				}
				most = max(most, st.Size())
			}
		}
		return float64(most) / (1 << 20), nil
	})
}

// loadedIn is how long a server takes from its start until it has a key again
// that was in a snapshot, in seconds.
func loadedIn(s *Session) (float64, error) {
	return s.withSaved(2, []string{"--snapshot-rate=0"}, func(k *Session, dir string) (float64, error) {
		if err := k.snapshot(); err != nil {
			return 0, err
		}
		k.kill()
		return s.startedIn(k, 2, keptMemory, k.items(keptItems), s.keepIn(dir)...)
	})
}

// startedIn starts a server in the place of one that has ended and says how long
// it took until it had the last key, in seconds.
func (s *Session) startedIn(k *Session, threads, memory, items int, args ...string) (float64, error) {
	began := time.Now()
	next, err := s.launch(threads, memory, args...)
	if err != nil {
		return 0, err
	}
	k.Process = next.Process // for whoever ends it
	wire := k.Target.Kind.Wire(false)
	get := string(wire.AppendGet(nil, [][]byte{appendKey(nil, items-1)}))
	for time.Since(began) < time.Minute {
		reply, err := ask(k.Addr, get, "\r\n")
		if err != nil {
			return 0, err
		}
		if !bytes.HasPrefix(reply, []byte("END")) && !bytes.HasPrefix(reply, []byte("-LOADING")) && !bytes.HasPrefix(reply, []byte("$-1")) {
			return time.Since(began).Seconds(), nil
		}
		time.Sleep(time.Millisecond)
	}
	return 0, errors.New("the key did not come back within a minute")
}

// tailWhileSaving is the p99.9 of gets at half of what the server can do while
// it makes a snapshot, as a multiple of that without.
func tailWhileSaving(args ...string) func(*Session) (float64, error) {
	return func(s *Session) (float64, error) {
		return s.withSaved(1, args, func(k *Session, _ string) (float64, error) {
			l := gets
			l.Items = k.items(keptItems)
			_, out, err := k.run(l)
			if err != nil {
				return 0, err
			}
			l.Rate = out.PerSecond() / 2
			quiet, err := k.Load(l, 3*k.Time)
			if err != nil {
				return 0, err
			}
			saved := make(chan error, 1)
			go func() { saved <- k.snapshot() }()
			busy := newHistogram()
			for done := false; !done; {
				out, err := k.Load(l, k.Time/2)
				if err != nil {
					return 0, err
				}
				busy.Merge(out.Latency)
				select {
				case err := <-saved:
					if err != nil {
						return 0, err
					}
					done = true
				default:
				}
			}
			return float64(busy.ValueAtQuantile(99.9)) / float64(quiet.Latency.ValueAtQuantile(99.9)), nil
		})
	}
}

// restartedIn is how long a server takes to have the items of its memory file
// again, in seconds.
func restartedIn(killed bool) func(*Session) (float64, error) {
	return func(s *Session) (float64, error) {
		if s.bench.Targets[0].Name != s.Target.Name {
			return math.NaN(), nil
		}
		dir, remove, err := s.place(memoryDir)
		if err != nil {
			return 0, err
		}
		defer remove()
		args := []string{"-e", filepath.Join(dir, "memory")}
		k, err := s.launch(2, arenaMemory, args...)
		if err != nil {
			return 0, err
		}
		defer func() { k.kill() }()
		items := k.items(arenaItems)
		if err := k.Fill(&sequence{valueBytes: 100}, items); err != nil {
			return 0, err
		}
		time.Sleep(2 * time.Second) // the store writes down how much there is once a second
		if killed {
			k.kill()
		} else {
			k.Stop()
		}
		return s.startedIn(k, 2, arenaMemory, items, args...)
	}
}

// costOf is the CPU time of an operation with a way to keep items, as a multiple
// of that without.
func costOf(l Load, how string) func(*Session) (float64, error) {
	return func(s *Session) (float64, error) {
		if s.Target.Kind != Redis && s.bench.Targets[0].Name != s.Target.Name || s.Target.Kind == Redis && how == "arena" {
			return math.NaN(), nil
		}
		var figures []float64
		for _, how := range []string{"off", how} {
			v, err := s.costWith(l, how)
			if err != nil {
				return 0, err
			}
			figures = append(figures, v)
		}
		return figures[1] / figures[0], nil
	}
}

func (s *Session) costWith(l Load, how string) (float64, error) {
	parent := ""
	if how == "arena" {
		parent = memoryDir
	}
	dir, remove, err := s.place(parent)
	if err != nil {
		return 0, err
	}
	defer remove()
	var args []string
	switch {
	case how == "arena":
		args = []string{"-e", filepath.Join(dir, "memory")}
	case s.Target.Kind == Redis && how != "off":
		policy := map[string]string{"os": "no", "interval": "everysec", "always": "always"}[how]
		args = []string{"--dir", dir, "--appendonly", "yes", "--appendfsync", policy}
	case how != "off":
		args = append(s.keepIn(dir), "--journal="+how, "--journal-timeout=20s")
	}
	k, err := s.launch(1, 1024, args...)
	if err != nil {
		return 0, err
	}
	defer k.kill()
	if err := k.Fill(&sequence{valueBytes: 100}, k.items(10_000)); err != nil {
		return 0, err
	}
	v, _, err := k.run(l)
	return v, err
}
