package main

import (
	"fmt"
	"io"
	"sort"
	"text/tabwriter"
	"time"
)

// Sample is one measured run of a load on a server.
type Sample struct {
	CPUPerOp time.Duration // server CPU per operation (per key, for a multiget)
	Rate     float64       // operations per second, as the client saw them
	P50, P99 time.Duration // of a request batch, as the client saw it
	RSS      int64         // bytes, after the run
}

// Median is the sample with the middle CPU time, which keeps its other figures
// together: a median of each column would mix rounds.
func Median(s []Sample) Sample {
	s = append([]Sample(nil), s...)
	sort.Slice(s, func(i, j int) bool { return s[i].CPUPerOp < s[j].CPUPerOp })
	return s[len(s)/2]
}

// Row is what one load gave on every target.
type Row struct {
	Load    Load
	Samples map[string][]Sample // by Target.Name
}

// WriteTable prints the medians of rows, and each target's CPU time as a ratio
// to the first one's rivals: Holdfast / rival, below 1 is better.
func WriteTable(w io.Writer, targets []Target, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "load\t")
	for _, g := range targets {
		fmt.Fprintf(t, "%s µs/op\tkop/s\tp99 µs\t", g.Name)
	}
	for _, g := range targets[1:] {
		fmt.Fprintf(t, "ratio to %s\t", g.Name)
	}
	fmt.Fprintln(t)
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t", r.Load.Name)
		for _, g := range targets {
			m := Median(r.Samples[g.Name])
			fmt.Fprintf(t, "%.3f\t%.0f\t%d\t", micros(m.CPUPerOp), m.Rate/1000, m.P99.Microseconds())
		}
		own := Median(r.Samples[targets[0].Name])
		for _, g := range targets[1:] {
			fmt.Fprintf(t, "%.2f\t", float64(own.CPUPerOp)/float64(Median(r.Samples[g.Name]).CPUPerOp))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
