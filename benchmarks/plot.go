package main

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// colours are those of the targets, told apart by colour-blind readers too.
var colours = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff},
	color.RGBA{0xe6, 0x9f, 0x00, 0xff},
	color.RGBA{0x00, 0x9e, 0x73, 0xff},
	color.RGBA{0xcc, 0x79, 0xa7, 0xff},
	color.RGBA{0x99, 0x99, 0x99, 0xff},
}

// longestBar is where a bar is cut: one rival far behind must not squash the others.
const longestBar = 3

// Plot draws one family as bars into an SVG file. Values are relative to the
// first rival's, so that measures of any size share the axis; a hit ratio is
// drawn as it is, and so is what is a ratio to the same server without something.
func Plot(file, title string, targets []Target, family []Results) error {
	p := plot.New()
	p.Title.Text = title
	ratios := family[0].Unit == "×"
	relative := family[0].Rule != Difference && !ratios
	p.X.Label.Text = "hit ratio, higher is better"
	switch {
	case ratios:
		p.X.Label.Text = fmt.Sprintf("without it = 1, %s is better (bars end at %d)", better(family[0].Higher), longestBar)
	case relative:
		p.X.Label.Text = fmt.Sprintf("%s = 1, %s is better (bars end at %d)", targets[1].Name, better(family[0].Higher), longestBar)
	}
	p.X.Min = 0
	p.Legend.Top = true
	const bar = vg.Length(9)
	names := make([]string, len(family))
	for t, target := range targets {
		values := make(plotter.Values, len(family))
		for i, r := range family {
			// Measures go down the page as in the table.
			at := len(family) - 1 - i
			names[at] = r.Name
			values[at] = barLength(&r, t, relative)
		}
		bars, err := plotter.NewBarChart(values, bar)
		if err != nil {
			return err
		}
		bars.Horizontal = true
		bars.Color = colours[t%len(colours)]
		bars.LineStyle.Width = 0
		bars.Offset = bar * (vg.Length(len(targets)-1)/2 - vg.Length(t))
		p.Add(bars)
		p.Legend.Add(target.Name, bars)
	}
	if relative || ratios {
		one, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.5}, {X: 1, Y: float64(len(family)) - 0.5}})
		if err != nil {
			return err
		}
		one.Color = color.Gray{0x60}
		p.Add(one)
	}
	p.NominalY(names...)
	p.X.Max = max(p.X.Max, 1) * 1.4 // room for the legend
	height := vg.Length(len(family))*(bar*vg.Length(len(targets))+10) + 80
	return p.Save(18*vg.Centimeter, height, file)
}

// barLength is what is drawn for a target; nothing where it was not measured.
func barLength(r *Results, t int, relative bool) float64 {
	v := Median(r.Samples[t])
	if relative {
		v /= Median(r.Samples[1])
	}
	v = min(v, longestBar)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

func better(higher bool) string {
	if higher {
		return "higher"
	}
	return "lower"
}
