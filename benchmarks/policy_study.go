package main

import (
	"bufio"
	"flag"
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// policy is a candidate of the study.
type policy struct {
	name string
	rule func() rule
}

// policies are the candidates; the first is what the others are compared with.
func policies() []policy {
	return []policy{
		{"memcached", func() rule { return segmentedRule{} }},
		{"lazy", func() rule { return segmentedRule{lazy: true} }},
		{"LRU", func() rule { return flatRule{} }},
		{"SIEVE", func() rule { return &sieveRule{} }},
		{"W-TinyLFU", func() rule { return newTinyRule(0.01) }},
		{"S3-FIFO", func() rule { return &fifoRule{ghosts: newGhosts()} }},
		{"adaptive", func() rule { return &adaptiveRule{probation: probationStart} }},
	}
}

// recorded is a request of a trace with the second in which it comes.
type recorded struct {
	Access
	second uint32
}

func record(t *Trace) []recorded {
	all := make([]recorded, t.Requests)
	for i := range all {
		t.Next(&all[i].Access)
		all[i].second = t.second(i)
	}
	return all
}

// second is when request i comes.
func (t *Trace) second(i int) uint32 { return uint32(float64(i)/t.Rate) + 1 }

// warmUp is the part of a trace, as a divisor, that fills the cache and is not
// counted.
const warmUp = 4

// simulate runs a trace through a cache of so many bytes and returns the share
// of reads that hit.
func simulate(t *Trace, trace []recorded, r rule, capacity int64) float64 {
	c := newSimCache(r, capacity)
	hits, reads := 0, 0
	for i := range trace {
		a := &trace[i]
		c.tick(a.second)
		if !a.Write {
			hit := c.get(a.ID)
			if i >= len(trace)/warmUp {
				reads++
				if hit {
					hits++
				}
			}
			if hit {
				continue
			}
		}
		var exptime uint32
		if a.TTL > 0 {
			exptime = c.now + uint32(a.TTL)
		}
		c.set(a.ID, t.KeyLen+a.ValueLen+simOverhead, exptime)
	}
	return float64(hits) / float64(max(reads, 1))
}

// allTraces makes every trace of the set.
func allTraces(requests int) ([]*Trace, error) {
	clusters, err := ClusterTraces(requests)
	return append(Synthetic(requests), clusters...), err
}

// cacheSizes are the sizes to study, as shares of the footprint.
func (t *Trace) cacheSizes() []float64 {
	if strings.HasPrefix(t.Name, "loop") {
		return []float64{0.5, 0.8, 0.9, 0.95} // a little larger than memory
	}
	return []float64{0.02, 0.1, 0.25, 0.5}
}

// studyRow is the hit ratio of every policy for one trace and size.
type studyRow struct {
	trace  string
	size   float64
	ratios []float64
}

// runPolicies is the command line of the study.
func runPolicies(args []string) error {
	f := flag.NewFlagSet("policies", flag.ContinueOnError)
	requests := f.Int("requests", 200_000, "requests of each trace")
	only := f.String("only", "", "take only the traces whose name matches this expression")
	dir := f.String("results", "benchmarks/results", "directory for the table and the plot; empty: none")
	store := f.Bool("store", false, "instead, compare Holdfast's store in this process with the simulation")
	if err := f.Parse(args); err != nil {
		return err
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	traces, err := allTraces(*requests)
	if err != nil {
		return err
	}
	if *store {
		return compareStore(os.Stdout, *requests, match)
	}
	var rows []studyRow
	for _, t := range traces {
		if match.MatchString(t.Name) {
			rows = append(rows, study(t, policies())...)
			fmt.Fprintln(os.Stderr, t.Name)
		}
	}
	if err := writeStudy(os.Stdout, policies(), rows, *requests); err != nil || *dir == "" {
		return err
	}
	file, err := os.Create(filepath.Join(*dir, "policies.txt"))
	if err != nil {
		return err
	}
	if err := writeStudy(file, policies(), rows, *requests); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return plotStudy(filepath.Join(*dir, "policies.svg"), policies(), rows)
}

// study runs every policy over a trace at every size.
func study(t *Trace, all []policy) (rows []studyRow) {
	trace := record(t)
	for _, size := range t.cacheSizes() {
		row := studyRow{trace: t.Name, size: size}
		for _, p := range all {
			row.ratios = append(row.ratios, simulate(t, trace, p.rule(), int64(size*float64(t.Footprint))))
		}
		rows = append(rows, row)
	}
	return rows
}

// writeStudy writes the table: the first policy's hit ratio, and by how much
// the others differ.
func writeStudy(to io.Writer, all []policy, rows []studyRow, requests int) error {
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "Hit ratio of eviction policies, simulated by bytes: %d requests a trace, the first quarter not counted.\n", requests)
	fmt.Fprintf(w, "size: of the cache, as a share of what the trace asks for again. Columns after the first: the difference to it.\n")
	fmt.Fprintf(w, "memcached: its segmented LRU; lazy: the same, promoting at the tail; adaptive: what Holdfast uses.\n\n")
	fmt.Fprintf(w, "%-20s %5s", "trace", "size")
	for _, p := range all {
		fmt.Fprintf(w, " %9s", p.name)
	}
	least, sum := make([]float64, len(all)), make([]float64, len(all))
	for _, r := range rows {
		fmt.Fprintf(w, "\n%-20s %5.2f %9.4f", r.trace, r.size, r.ratios[0])
		sum[0] += r.ratios[0]
		least[0] = r.ratios[0]
		for k, ratio := range r.ratios[1:] {
			d := ratio - r.ratios[0]
			fmt.Fprintf(w, " %+9.4f", d)
			least[k+1], sum[k+1] = min(least[k+1], d), sum[k+1]+d
		}
	}
	fmt.Fprintf(w, "\n\n%-26s %9s", "worst difference", "")
	for _, v := range least[1:] {
		fmt.Fprintf(w, " %+9.4f", v)
	}
	fmt.Fprintf(w, "\n%-26s %9.4f", "mean", sum[0]/float64(len(rows)))
	for _, v := range sum[1:] {
		fmt.Fprintf(w, " %+9.4f", v/float64(len(rows)))
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// plotStudy draws the differences to the first policy into an SVG file: a row
// for each trace, a dot for each policy and size.
func plotStudy(file string, all []policy, rows []studyRow) error {
	p := plot.New()
	p.Title.Text = "Hit ratio compared with memcached's segmented LRU, at the same size"
	p.X.Label.Text = "difference of the hit ratio, right is better; cut at -0.15 and +0.15"
	p.X.Min, p.X.Max = -0.15, 0.15
	p.Legend.Top, p.Legend.Left = true, true
	at := map[string]int{}
	var names []string
	for i := len(rows) - 1; i >= 0; i-- { // down the page as in the table
		if _, ok := at[rows[i].trace]; !ok {
			at[rows[i].trace] = len(names)
			names = append(names, rows[i].trace)
		}
	}
	p.Add(plotter.NewGrid())
	colours := append([]color.Color{color.RGBA{0xd5, 0x5e, 0x00, 0xff}}, colours...)
	for k := 1; k < len(all); k++ {
		var dots plotter.XYs
		for _, r := range rows {
			d := max(p.X.Min, min(r.ratios[k]-r.ratios[0], p.X.Max))
			// Policies a little apart, so that none hides another.
			dots = append(dots, plotter.XY{X: d, Y: float64(at[r.trace]) + 0.3 - 0.1*float64(k)})
		}
		s, err := plotter.NewScatter(dots)
		if err != nil {
			return err
		}
		s.Color, s.Shape, s.Radius = colours[(len(all)-1-k)%len(colours)], draw.CircleGlyph{}, 2
		p.Add(s)
		p.Legend.Add(all[k].name, s)
	}
	p.NominalY(names...)
	return p.Save(22*vg.Centimeter, vg.Length(len(names))*22+80, file)
}
