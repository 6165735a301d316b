package main

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

//go:embed testdata/twitter-2020Mar.csv
var clusterTable []byte

// Cluster is what is published about one production cluster.
type Cluster struct {
	Name             string
	KeyLen, ValueLen int     // bytes, mean
	Rate             float64 // requests per second
	Wonders          float64 // share of the keys that are asked for once
	New              float64 // share of the requests that go to new keys
	MissRatio        float64
	TTLs             []TTL
	WorkingSet       int64 // bytes, without regard to TTLs; 0 if not known
	Reads            float64
	Alpha            float64
	usable           bool
}

// TTL is a time to live in seconds and how many of the stores have it.
type TTL struct {
	Seconds int
	Share   float64
}

// Columns of the table.
const (
	colName = iota
	colMissRatio
	colCategory
	colKeyLen
	colValueLen
	colRate
	colMeanFreq
	colWonders
	colNew
	colTTL
	colWorkingSet
	colWorkingSetTTL
	colOperations
	colAlpha
	colCount
)

// ReadClusters reads the published table.
func ReadClusters() ([]Cluster, error) {
	rows, err := csv.NewReader(bytes.NewReader(clusterTable)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("clusters: %w", err)
	}
	var all []Cluster
	for _, row := range rows[1:] {
		c := Cluster{Name: row[colName], usable: len(row) == colCount}
		number := func(col int, unit float64) float64 {
			v, err := strconv.ParseFloat(row[col], 64)
			if err != nil { // N/A
				c.usable = c.usable && col == colMissRatio
			}
			return v * unit
		}
		c.KeyLen, c.ValueLen = int(number(colKeyLen, 1)), int(number(colValueLen, 1))
		c.Rate = number(colRate, 1000)
		c.Wonders, c.New = number(colWonders, 0.01), number(colNew, 0.01)
		c.MissRatio = number(colMissRatio, 1)
		c.WorkingSet = int64(number(colWorkingSet, 1e6))
		c.Alpha = number(colAlpha, 1)
		for _, share := range shares(row[colTTL], ",") {
			c.TTLs = append(c.TTLs, TTL{seconds(share.name), share.part})
		}
		for _, share := range shares(row[colOperations], " ") {
			if share.name == "get" || share.name == "gets" {
				c.Reads += share.part
			}
		}
		all = append(all, c)
	}
	return all, nil
}

type share struct {
	name string
	part float64
}

// shares reads "name:part" after "name:part".
func shares(list, separator string) (all []share) {
	for _, s := range strings.Split(list, separator) {
		name, part, ok := strings.Cut(strings.TrimSpace(s), ":")
		if v, err := strconv.ParseFloat(part, 64); ok && err == nil {
			all = append(all, share{name, v})
		}
	}
	return all
}

// seconds reads a time such as 7.5h or 5d, 0 if it is none.
func seconds(text string) int {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		v, _ := strconv.ParseFloat(days, 64)
		return int(v * 24 * 3600)
	}
	d, _ := time.ParseDuration(text)
	return int(d / time.Second)
}

// clusterNames are the clusters that traces are made of: those that the
// authors recommend for work on eviction, on writes and on TTLs, and others
// with much to miss. Where nearly every request hits, policies do not differ.
var clusterNames = []string{
	"cluster4", "cluster7", "cluster11", "cluster14", "cluster17", "cluster18", "cluster19", "cluster22",
	"cluster24", "cluster26", "cluster29", "cluster34", "cluster36", "cluster40", "cluster44", "cluster45", "cluster48", "cluster52", "cluster53",
}

// ClusterTraces makes a trace of each of the chosen clusters.
func ClusterTraces(requests int) ([]*Trace, error) {
	all, err := ReadClusters()
	if err != nil {
		return nil, err
	}
	var traces []*Trace
	for _, name := range clusterNames {
		for i := range all {
			if all[i].Name == name && all[i].usable {
				traces = append(traces, all[i].Trace(requests, uint64(i)))
			}
		}
	}
	return traces, nil
}

// Trace makes requests with the cluster's statistics over a sample of its keys.
// Time runs so that TTLs mean as many requests for a key as they do there.
//
// Keys have ranks; popularity falls with the rank by Zipf's law. New keys come
// at the published rate: some are asked for once, others take over the rank of
// a key that is then never asked for again.
func (c *Cluster) Trace(requests int, seed uint64) *Trace {
	const keysMin, keysMax = 1 << 14, 1 << 17
	wonders := c.New * c.Wonders
	births := c.New - wonders
	// As many keys are there at the start as come later, within bounds.
	keys := min(max(int(births*float64(requests)), keysMin*requests/1_000_000+1), keysMax)
	t := &Trace{Name: c.Name, KeyLen: max(c.KeyLen, 7), Requests: requests, rng: rand.New(rand.NewPCG(seed, 17))}
	t.Footprint = int64(keys) * int64(t.KeyLen+c.ValueLen)
	real := float64(keys) // keys that the cluster had
	if c.WorkingSet > 0 {
		real = float64(c.WorkingSet) / float64(c.KeyLen+c.ValueLen)
	}
	t.Rate = c.Rate * min(1, float64(keys)/real)
	// Stores that follow a miss are in the published mix; they come by themselves here.
	writes := max(0, 1-c.Reads-c.Reads*c.MissRatio)

	ids := make([]uint64, keys)
	for i := range ids {
		ids[i] = uint64(i)
	}
	fresh := uint64(freshIDs)
	z, length := newZipf(t.rng, keys, c.Alpha), newSizes(float64(c.ValueLen), 0.8)
	t.next = func(a *Access) {
		u := t.rng.Float64()
		a.Write = false
		switch {
		case u < wonders:
			a.ID = fresh
			fresh++
		case u < wonders+births:
			a.ID = fresh
			fresh++
			ids[t.rng.IntN(keys)] = a.ID
		default:
			a.ID = ids[z.next()]
			a.Write = u > 1-writes
		}
		a.ValueLen = length.of(a.ID)
		a.TTL = c.ttl(t.rng.Float64())
	}
	return t
}

// ttl picks one of the common TTLs; the rest is what no share is published for
// and gets the first.
func (c *Cluster) ttl(u float64) int {
	for _, t := range c.TTLs {
		if u -= t.Share; u < 0 {
			return t.Seconds
		}
	}
	if len(c.TTLs) == 0 {
		return 0
	}
	return c.TTLs[0].Seconds
}
