package main

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// What keeping items costs and how long it takes, beside Redis: a first rival of
// that kind is what the bars are for. Each measure starts servers of its own, in
// directories of its own; the stage's server only holds the place. What can be
// seen of one such server is measured once a round, for all rows that show it.

// keptStage has a small server that is not used. keptOthers is for what needs no
// more than to be known.
var (
	keptStage  = &Stage{Name: "persistence", Threads: 1, Memory: 64, Unused: true}
	keptOthers = &Stage{Name: "persistence, other files", Threads: 1, Memory: 64, Unused: true, Rounds: 1}
)

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
		{Name: "snapshot of 4 M items of 100 B", Unit: "s", Bar: 0.5, Func: savedFigure(usual, "saved")},
		{Name: "its file", Unit: "MiB", Func: savedFigure(usual, "file")},
		{Name: "start on it until a get hits", Unit: "s", Bar: 0.33, Func: savedFigure(usual, "loaded")},
		{Name: "p99.9 during a snapshot to p99.9 without", Unit: "×", Rule: Absolute, Bar: 1.3, Func: tailFigure("--snapshot-rate=0")},
		{Name: "the same at 64 MB/s, the default", Unit: "×", Rule: Absolute, Bar: 1.3, Func: tailFigure()},
		{Name: "start on 10 M items in memory after kill -9", Unit: "s", Rule: Absolute, Bar: 1.5, Func: arenaFigure("killed")},
		{Name: "the same after an orderly end", Unit: "s", Rule: Absolute, Bar: 0.2, Func: arenaFigure("ended")},
		{Name: "snapshot, values that do not compress", Unit: "s", Stage: keptOthers, Func: savedFigure(noisy, "saved")},
		{Name: "its file, values that do not compress", Unit: "MiB", Stage: keptOthers, Func: savedFigure(noisy, "file")},
		{Name: "start on it, values that do not compress", Unit: "s", Stage: keptOthers, Func: savedFigure(noisy, "loaded")},
		{Name: "snapshot, not compressed", Unit: "s", Stage: keptOthers, Func: savedFigure(plain, "saved")},
		{Name: "its file, not compressed", Unit: "MiB", Stage: keptOthers, Func: savedFigure(plain, "file")},
		{Name: "start on it, not compressed", Unit: "s", Stage: keptOthers, Func: savedFigure(plain, "loaded")},
	}
	for i := range measures {
		measures[i].Family = "persist"
	}
	measures = append(measures, costMeasures()...)
	for i := range measures {
		measures[i].Asked = true
		if measures[i].Stage == nil {
			measures[i].Stage = keptStage
		}
	}
	return measures
}

// figures are what one server has shown, by name. NaN is what it cannot show.
type figures map[string]float64

// once takes the figures of a server unless that has been done in this session.
func (s *Session) once(key string, take func() (figures, error)) (figures, error) {
	if f, is := s.taken[key]; is {
		return f, nil
	}
	f, err := take()
	if err != nil {
		return nil, err
	}
	if s.taken == nil {
		s.taken = map[string]figures{}
	}
	s.taken[key] = f
	return f, nil
}

// figure is a figure that take gives, together with others.
func figure(name, key string, take func(*Session) (figures, error)) func(*Session) (float64, error) {
	return func(s *Session) (float64, error) {
		if !s.keeps() {
			return math.NaN(), nil
		}
		f, err := s.once(key, func() (figures, error) { return take(s) })
		if v, is := f[name]; is {
			return v, err
		}
		return math.NaN(), err
	}
}

// keeps says whether the target can keep items: Redis and any Holdfast, not a memcached.
func (s *Session) keeps() bool {
	return s.Target.Kind == Redis || strings.Contains(s.Target.Version(), "holdfast")
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

// kill ends the server at once: an orderly end would make a snapshot.
func (s *Session) kill() {
	_ = s.cmd.Process.Kill() // it has ended, or ended is closed soon
	<-s.ended
}
