package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// checkGenerator measures server CPU per operation with memtier_benchmark's
// load and with ours, and prints both ratios: if a figure of ours were owed to
// how the load is made, they would differ.
func (b *Bench) checkGenerator(memtier string, rounds int) error {
	ours := gets
	ours.SetPercent = 10
	measures := []Measure{
		{Name: "ours", Unit: "µs/op", Stage: smallStage, Func: cpu(ours)},
		{Name: "memtier_benchmark", Unit: "µs/op", Stage: smallStage, Func: func(s *Session) (float64, error) {
			return s.memtier(memtier)
		}},
	}
	results, err := b.Run(measures, rounds)
	if err != nil {
		return err
	}
	if err := WriteText(os.Stdout, Table(b.Targets, results)); err != nil {
		return err
	}
	ratio := func(r Results) float64 { return Median(r.Samples[0]) / Median(r.Samples[1]) }
	fmt.Printf("the generators' ratios differ by %+.1f %%\n", 100*(ratio(results[0])/ratio(results[1])-1))
	return nil
}

// memtier is the server's CPU time per operation, in microseconds, of 50
// connections, 10 % sets, 100 B values and 10,000 keys of the length of ours.
func (s *Session) memtier(program string) (float64, error) {
	dir, err := os.MkdirTemp("", "memtier")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // at worst a small file stays
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return 0, err
	}
	file := filepath.Join(dir, "out.json")
	protocol := "memcache_text"
	if s.Target.Kind == Redis {
		protocol = "redis"
	}
	cmd := exec.Command(program, "-s", host, "-p", port, "-P", protocol, "-t", "1", "-c", "50",
		"--ratio", "1:9", "-d", "100", "--key-prefix", "key:00000000", "--key-minimum", "1000", "--key-maximum", "9999",
		"--test-time", strconv.Itoa(max(1, int(s.Time.Seconds()))), "--hide-histogram", "--json-out-file", file)
	before, err := s.CPU()
	if err != nil {
		return 0, err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	after, err := s.CPU()
	if err != nil {
		return 0, err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var stats struct {
		All struct {
			Totals struct {
				Count float64
			}
		} `json:"ALL STATS"`
	}
	if err := json.Unmarshal(b, &stats); err != nil {
		return 0, err
	}
	if stats.All.Totals.Count == 0 {
		return 0, fmt.Errorf("%s counts no requests", program)
	}
	return micros(after-before) / stats.All.Totals.Count, nil
}
