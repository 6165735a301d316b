package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// kept is what is put into files.
type kept struct {
	name  string
	noise bool // values do not compress
	plain bool // the server shall not compress
}

var (
	usual = kept{name: "usual"}
	noisy = kept{name: "noisy", noise: true}
	plain = kept{name: "plain", plain: true}
)

// args are what a server is started with to make snapshots of that kind.
func (k kept) args(s *Session) []string {
	redis := s.Target.Kind == Redis
	switch {
	case redis && k.plain:
		return []string{"--rdbcompression", "no"}
	case redis:
		return nil
	case k.plain:
		return []string{"--snapshot-rate=0", "--snapshot-codec=none"}
	}
	return []string{"--snapshot-rate=0"}
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

// withKept runs f on a server that holds the items and can make snapshots.
func (s *Session) withKept(threads int, noise bool, args []string, f func(k *Session, dir string) (figures, error)) (figures, error) {
	dir, remove, err := s.place("")
	if err != nil {
		return nil, err
	}
	defer remove()
	k, err := s.launch(threads, keptMemory, append(s.keepIn(dir), args...)...)
	if err != nil {
		return nil, err
	}
	defer func() { k.kill() }()
	if err := k.fillKept(keptItems, noise); err != nil {
		return nil, err
	}
	return f(k, dir)
}

// fillKept stores so many items of 100 bytes, many at a time: a server that
// syncs each batch shall not take all day.
func (s *Session) fillKept(items int, noise bool) error {
	n := s.items(items)
	out, err := s.Load(Load{Conns: 20, Pipeline: 100, Stream: &sequence{valueBytes: 100}, Requests: n, Noise: noise}, 0)
	if err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return s.filled(out, n)
}

// savedFigure is of a snapshot: how long it takes, in seconds, how large its
// file is, in MiB, and how long a server takes from its start until it has a key
// again that was in it, in seconds.
func savedFigure(what kept, name string) func(*Session) (float64, error) {
	return figure(name, "saved "+what.name, func(s *Session) (figures, error) {
		args := what.args(s)
		return s.withKept(2, what.noise, args, func(k *Session, dir string) (figures, error) {
			began := time.Now()
			if err := k.snapshot(); err != nil {
				return nil, err
			}
			f := figures{"saved": time.Since(began).Seconds()}
			var err error
			if f["file"], err = largest(dir, "*.rdb", "data/snap-*.hfs"); err != nil {
				return nil, err
			}
			k.kill()
			f["loaded"], err = s.startedIn(k, 2, keptMemory, k.items(keptItems), append(s.keepIn(dir), args...)...)
			return f, err
		})
	})
}

// largest is the size in MiB of the largest file in dir that a pattern matches.
func largest(dir string, patterns ...string) (float64, error) {
	most := int64(0)
	for _, pattern := range patterns {
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

// tailFigure is the p99.9 of gets at half of what the server can do while it
// makes a snapshot, as a multiple of that without. Redis has no such arguments.
func tailFigure(args ...string) func(*Session) (float64, error) {
	return func(s *Session) (float64, error) {
		own := args
		if s.Target.Kind == Redis {
			own = nil
		}
		return figure("tail", fmt.Sprint("tail ", own), func(s *Session) (figures, error) {
			return s.withKept(1, false, own, func(k *Session, _ string) (figures, error) { return k.tailWhileSaving() })
		})(s)
	}
}

func (s *Session) tailWhileSaving() (figures, error) {
	l := gets
	l.Items = s.items(keptItems)
	_, out, err := s.run(l)
	if err != nil {
		return nil, err
	}
	l.Rate = out.PerSecond() / 2
	quiet, err := s.Load(l, 3*s.Time)
	if err != nil {
		return nil, err
	}
	saved := make(chan error, 1)
	go func() { saved <- s.snapshot() }()
	busy := newHistogram()
	for done := false; !done; {
		out, err := s.Load(l, s.Time/2)
		if err != nil {
			return nil, err
		}
		busy.Merge(out.Latency)
		select {
		case err := <-saved:
			if err != nil {
				return nil, err
			}
			done = true
		default:
		}
	}
	during, without := busy.ValueAtQuantile(99.9), quiet.Latency.ValueAtQuantile(99.9)
	s.bench.Log(fmt.Sprintf("    p99.9 %v during it, %v without, at %.0f gets a second", time.Duration(during), time.Duration(without), l.Rate))
	return figures{"tail": float64(during) / float64(without)}, nil
}

// arenaFigure is how long a server takes to have the items of its memory file
// again, in seconds, after it was killed or has ended in order.
func arenaFigure(name string) func(*Session) (float64, error) {
	return figure(name, "arena", func(s *Session) (figures, error) {
		if s.Target.Kind == Redis {
			return nil, nil
		}
		dir, remove, err := s.place(memoryDir)
		if err != nil {
			return nil, err
		}
		defer remove()
		args := []string{"-e", filepath.Join(dir, "memory")}
		k, err := s.launch(2, arenaMemory, args...)
		if err != nil {
			return nil, err
		}
		defer func() { k.kill() }()
		if err := k.fillKept(arenaItems, false); err != nil {
			return nil, err
		}
		f := figures{}
		for _, end := range []struct {
			name string
			by   func()
		}{{"killed", k.kill}, {"ended", func() { k.Stop() }}} {
			time.Sleep(2 * time.Second) // the store writes down how much there is once a second
			end.by()
			if f[end.name], err = s.startedIn(k, 2, arenaMemory, k.items(arenaItems), args...); err != nil {
				return nil, err
			}
		}
		return f, nil
	})
}
