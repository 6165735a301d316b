package main

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// plotGrowth draws the hit ratio of every way over time into an SVG file.
func plotGrowth(file string, ways []growthWay, runs [][]growthPoint) error {
	p := plot.New()
	p.Title.Text = "Hit ratio while a pool grows from 4 to 5 nodes"
	p.X.Label.Text = "seconds since the change"
	p.Y.Label.Text = "hit ratio"
	p.Y.Min, p.Y.Max = 0, 1
	p.Legend.Left = true
	p.Add(plotter.NewGrid())
	for i, run := range runs {
		var points plotter.XYs
		for _, at := range run {
			if at.reads > 0 {
				points = append(points, plotter.XY{X: at.at.Seconds(), Y: at.ratio()})
			}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return err
		}
		line.Color, line.Width = colours[i%len(colours)], 1.5
		p.Add(line)
		p.Legend.Add(ways[i].name, line)
	}
	change, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 0}, {X: 0, Y: 1}})
	if err != nil {
		return err
	}
	change.Color = color.Gray{0x60}
	p.Add(change)
	return p.Save(20*vg.Centimeter, 10*vg.Centimeter, file)
}
