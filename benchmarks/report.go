package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Median is the middle sample, the mean of the two middle ones if their number
// is even, and NaN without samples. Gaps do not count.
func Median(samples []float64) float64 {
	s := slices.DeleteFunc(slices.Clone(samples), math.IsNaN)
	if len(s) == 0 {
		return math.NaN()
	}
	slices.Sort(s)
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// Figure is what is judged: Holdfast's median beside the rival's by the rule.
func (m *Measure) Figure(own, rival float64) float64 {
	switch m.Rule {
	case Ratio:
		return own / rival
	case Difference:
		return own - rival
	default:
		return own
	}
}

// Mark is the verdict on a figure: aim, pass or MISS, empty where there is no bar.
func (m *Measure) Mark(figure float64) string {
	reaches := func(line float64) bool {
		if m.Higher {
			return figure >= line
		}
		return figure <= line
	}
	switch {
	case math.IsNaN(figure), m.Bar == 0 && m.Rule != Difference:
		return ""
	case m.Aim != 0 && reaches(m.Aim):
		return "aim"
	case reaches(m.Bar):
		return "pass"
	default:
		return "MISS"
	}
}

// spread is the lowest and highest figure of single rounds, and how many of
// them there are.
func (r *Results) spread() (low, high float64, rounds int) {
	low, high = math.Inf(1), math.Inf(-1)
	for i, own := range r.Samples[0] {
		if i == len(r.Samples[1]) {
			break
		}
		if f := r.Figure(own, r.Samples[1][i]); !math.IsNaN(f) {
			low, high, rounds = min(low, f), max(high, f), rounds+1
		}
	}
	return low, high, rounds
}

// Table is the rows of the report, the first one the heading.
func Table(targets []Target, results []Results) [][]string {
	head := []string{"measure", "server", "unit"}
	for _, t := range targets {
		head = append(head, t.Name)
	}
	for _, t := range targets[1:] {
		head = append(head, "to "+t.Name)
	}
	rows := [][]string{append(head, "rounds", "from … to", "bar", "aim", "")}
	for _, r := range results {
		row := []string{r.Name, r.Stage.flags(), r.Unit}
		own := Median(r.Samples[0])
		for _, s := range r.Samples {
			row = append(row, format(Median(s)))
		}
		for _, s := range r.Samples[1:] {
			row = append(row, r.figure(r.compare(own, Median(s))))
		}
		low, high, rounds := r.spread()
		row = append(row, strconv.Itoa(rounds), r.figure(low)+" … "+r.figure(high), r.line(r.Bar), r.line(r.Aim),
			r.Mark(r.Figure(own, Median(r.Samples[1]))))
		rows = append(rows, row)
	}
	return rows
}

// compare is for the columns of rivals, where an absolute figure would only be
// repeated: a ratio stands there.
func (r *Results) compare(own, rival float64) float64 {
	if r.Rule == Absolute {
		return own / rival
	}
	return r.Figure(own, rival)
}

// figure writes a ratio or difference.
func (m *Measure) figure(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case m.Rule == Difference:
		return fmt.Sprintf("%+.3f", v)
	case m.Rule == Absolute && (v >= 10 || math.Abs(v) < 0.1):
		return format(v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// line writes a bar or an aim.
func (m *Measure) line(v float64) string {
	if v == 0 && m.Rule != Difference {
		return "–"
	}
	sign := "≤ "
	if m.Higher {
		sign = "≥ "
	}
	return sign + m.figure(v)
}

// format writes a value with three significant digits, or all before the point.
func format(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case math.Abs(v) >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}

// WriteText writes the table for a terminal.
func WriteText(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// WriteMarkdown writes the table for a result file.
func WriteMarkdown(w io.Writer, rows [][]string) error {
	var b strings.Builder
	for i, row := range rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
