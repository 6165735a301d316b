package main

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"runtime"
	"slices"
	"time"
)

// Measure is one line of the table: what is measured, and where it must stand.
type Measure struct {
	Family string // measures of one family share a plot
	Name   string
	Unit   string
	Higher bool    // more is better
	Rule   Rule    // what Bar and Aim are compared with
	Bar    float64 // 0: none
	Aim    float64 // 0: none
	Short  bool    // part of the short table too
	Meta   bool    // needs meta commands, which only memcached and Holdfast have
	Asked  bool    // taken only when -only says which measures to take
	Stage  *Stage
	Func   func(*Session) (float64, error)
}

// Rule says how a measure is judged.
type Rule int

// The rules.
const (
	Ratio      Rule = iota // Holdfast / rival
	Difference             // Holdfast - rival
	Absolute               // Holdfast alone
)

// Stage is the state of a server in which measures are taken, one after the
// other. All rounds of a stage are done before the next stage begins.
type Stage struct {
	Name    string
	Threads int // of the server; 1 also binds it to a core of its own
	Memory  int // MiB
	// Backends is how many plain servers are started behind the target, which
	// is a proxy then, on its core.
	Backends int
	Unused   bool // its measures start servers of their own
	Rounds   int  // at most so many, where one run is like the other; 0: as many as asked for
	Prepare  func(*Session) error
}

// flags is what tables say of the servers of a stage.
func (s *Stage) flags() string {
	switch {
	case s.Unused:
		return "several"
	case s.Backends > 0:
		return fmt.Sprintf("-t %d, before %d × -m %d", s.Threads, s.Backends, s.Memory)
	}
	return fmt.Sprintf("-t %d -m %d", s.Threads, s.Memory)
}

// Options are what the command line says of a run.
type Options struct {
	Time  time.Duration // of one run of a load
	Limit time.Duration // after which no further round begins; 0: none
	Scale float64       // of the numbers of items; below 1 only to try the program
	Only  *regexp.Regexp
	Short bool
}

// wants says whether m is to be measured.
func (o Options) wants(m *Measure) bool {
	if m.Asked && (o.Only == nil || o.Only.String() == "") {
		return false
	}
	return (m.Short || !o.Short) && (o.Only == nil || o.Only.MatchString(m.Family+": "+m.Name))
}

// items scales a number of items.
func (o Options) items(n int) int { return max(min(n, 1000), int(float64(n)*o.Scale)) }

// Session is a running server in a stage.
type Session struct {
	*Process
	Options
	bench    *Bench
	stage    *Stage
	backends *backends // of a proxy
	// worst is the worst latency that Prepare saw, shifts are the shifts it made.
	worst  time.Duration
	shifts []shifted
	// left is how many items the server held some time after the most expired.
	left int64
	// taken are figures that were taken together with others, by what of.
	taken map[string]figures
}

// Load runs l for the given time. No request may be refused.
func (s *Session) Load(l Load, d time.Duration) (Outcome, error) {
	out, err := Run(s.Addr, s.Target.Kind, l, d)
	if err == nil && out.Refused > 0 {
		err = fmt.Errorf("the server had no memory for %d values", out.Refused)
	}
	return out, err
}

// Fill stores the first n of the stream, and notes the worst latency.
func (s *Session) Fill(stream Stream, n int) error {
	out, err := s.Load(Load{Conns: 8, Pipeline: 32, Stream: stream, Requests: n}, 0)
	if err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return s.filled(out, n)
}

// Overfill is Fill with more than fits: a server that finds nothing to evict in
// time may refuse some of it, as memcached does.
func (s *Session) Overfill(stream Stream, n int) error {
	out, err := Run(s.Addr, s.Target.Kind, Load{Conns: 8, Pipeline: 32, Stream: stream, Requests: n}, 0)
	if err != nil {
		return fmt.Errorf("overfill: %w", err)
	}
	if out.Refused > 0 {
		s.bench.Log(fmt.Sprintf("  %s: %d of %d sets were refused", s.Target.Name, out.Refused, n))
	}
	return s.filled(out, n)
}

func (s *Session) filled(out Outcome, n int) error {
	if out.Ops != n {
		return fmt.Errorf("fill: %d of %d items were answered", out.Ops, n)
	}
	s.worst = time.Duration(out.Latency.Max())
	return nil
}

// Bench runs measures on targets.
type Bench struct {
	Targets []Target
	Options
	Log func(string) // what is being done
	// Quit, closed, ends a run after the measure that is being taken. What was
	// measured counts.
	Quit <-chan struct{}

	// Backend is the server behind proxies.
	Backend Target

	// halfRates are half the rates that the slower of Holdfast and its first
	// rival can do, in batches per second, once they are known.
	halfRates map[Load]float64

	// notes are what a reader of the figures should know, each once.
	notes []string
}

// note keeps what a reader of the figures should know.
func (b *Bench) note(text string) {
	if !slices.Contains(b.notes, text) {
		b.Log("  " + text)
		b.notes = append(b.notes, text)
	}
}

// Results are the samples of one measure, by target, in order of the rounds:
// those at one place are of one round. NaN is a gap.
type Results struct {
	*Measure
	Samples [][]float64
}

// needed is how many of the targets a run cannot do without: Holdfast and the
// rival that bars are for. Where any fails, the table has a gap; where one of
// these does, the run ends with an error as well, after all that can be measured.
const needed = 2

// errQuit says that the run was told to end.
var errQuit = errors.New("interrupted: this is what had been measured")

// Run takes all wanted measures in interleaved rounds. With an error it returns
// what was measured.
func (b *Bench) Run(measures []Measure, rounds int) ([]Results, error) {
	var results []Results
	byStage := map[*Stage][]int{}
	var stages []*Stage
	for i := range measures {
		m := &measures[i]
		if !b.wants(m) {
			continue
		}
		if byStage[m.Stage] == nil {
			stages = append(stages, m.Stage)
		}
		byStage[m.Stage] = append(byStage[m.Stage], len(results))
		results = append(results, Results{m, make([][]float64, len(b.Targets))})
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("no measure matches %v", b.Only)
	}
	began := time.Now()
	var failed error
	for _, stage := range stages {
		n := rounds
		if stage.Rounds > 0 {
			n = min(n, stage.Rounds)
		}
		for round := range n {
			if round > 0 && b.Limit > 0 && time.Since(began) > b.Limit {
				b.Log(fmt.Sprintf("%s: the time is over after %d of %d rounds", stage.Name, round, n))
				break
			}
			b.Log(fmt.Sprintf("%s, round %d of %d", stage.Name, round+1, n))
			for t := range b.Targets {
				err := b.stage(stage, t, results, byStage[stage])
				for _, i := range byStage[stage] { // what could not be taken is a gap
					if s := &results[i].Samples[t]; len(*s) == round {
						*s = append(*s, math.NaN())
					}
				}
				if b.quitting() {
					return results, errors.Join(failed, errQuit)
				}
				if err != nil {
					b.Log(fmt.Sprintf("  %s: gap: %v", b.Targets[t].Name, err))
				}
				if err != nil && t < needed {
					failed = errors.Join(failed, fmt.Errorf("%s, round %d: %s: %w", stage.Name, round+1, b.Targets[t].Name, err))
				}
			}
		}
	}
	return results, failed
}

// quitting says whether the run is to end.
func (b *Bench) quitting() bool {
	select {
	case <-b.Quit:
		return true
	default:
		return false
	}
}

// stage takes the measures of one stage on one target, one sample of each.
func (b *Bench) stage(stage *Stage, t int, results []Results, which []int) error {
	s, err := b.session(stage, b.Targets[t])
	if err != nil {
		return err
	}
	defer s.Stop()
	for _, i := range which {
		if b.quitting() {
			return errQuit
		}
		r := &results[i]
		v := math.NaN()
		if !r.Meta || s.Target.Kind == Memcached {
			v, err = r.Func(s)
		}
		if err != nil {
			return fmt.Errorf("%s: %w; the server said: %s", r.Name, err, &s.said)
		}
		r.Samples[t] = append(r.Samples[t], v)
		b.Log(fmt.Sprintf("  %s: %s: %s %s", s.Target.Name, r.Name, format(v), r.Unit))
	}
	return nil
}

// session starts a target for a stage.
func (b *Bench) session(stage *Stage, t Target) (*Session, error) {
	server, own := placement(stage.Threads, runtime.NumCPU())
	if err := bindSelf(own...); err != nil {
		return nil, fmt.Errorf("bind the load to cores %v: %w", own, err)
	}
	s := &Session{Options: b.Options, bench: b, stage: stage}
	var err error
	if stage.Backends > 0 {
		err = s.startProxy(t)
	} else {
		s.Process, err = Start(t, stage.Threads, stage.Memory, server...)
	}
	if err != nil {
		return nil, err
	}
	if stage.Prepare == nil {
		return s, nil
	}
	if err := stage.Prepare(s); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Stop ends the target, and what was started behind it.
func (s *Session) Stop() {
	s.Process.Stop()
	s.backends.stop()
}

// placement says which cores are the server's and which are the generator's.
// One thread has a core of its own; more share all cores with the generator.
func placement(threads, cores int) (server, own []int) {
	all := make([]int, cores)
	for i := range all {
		all[i] = i
	}
	if threads > 1 || cores == 1 {
		return all, all
	}
	return all[:1], all[1:]
}
