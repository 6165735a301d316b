package main

import (
	"math"
	"testing"
)

// Every policy keeps its lists, its bytes and its index in step.
func TestPoliciesKeepBooks(t *testing.T) {
	for _, p := range policies() {
		t.Run(p.name, func(t *testing.T) {
			trace := Synthetic(20_000)[2]
			c := newSimCache(p.rule(), trace.Footprint/10)
			var a Access
			for i := range trace.Requests {
				trace.Next(&a)
				c.tick(uint32(i / 100))
				if i%7 == 0 || !c.get(a.ID) {
					var exptime uint32
					if i%5 == 0 {
						exptime = c.now + 3
					}
					c.set(a.ID, a.ValueLen+i%3, exptime)
				}
				if c.used > c.capacity && len(c.index) > 1 {
					t.Fatalf("request %d: %d bytes of %d", i, c.used, c.capacity)
				}
			}
			items, bytes := 0, int64(0)
			for _, l := range c.lists {
				for n := l.tail; n != 0; n = c.items[n].prev {
					if c.index[c.items[n].id] != n {
						t.Fatalf("item %d is on a list and not in the index", n)
					}
					items++
					bytes += int64(c.items[n].size)
				}
			}
			if items != len(c.index) || bytes != c.used {
				t.Errorf("lists hold %d items, %d bytes; the index %d, %d", items, bytes, len(c.index), c.used)
			}
		})
	}
}

// What the adaptive policy is chosen for.
func TestAdaptivePolicyResistsWonders(t *testing.T) {
	for _, name := range []string{"one-hit wonders", "wonders and scans"} {
		for _, trace := range Synthetic(50_000) {
			if trace.Name != name {
				continue
			}
			requests, size := record(trace), trace.Footprint/10
			was := simulate(trace, requests, segmentedRule{}, size)
			is := simulate(trace, requests, &adaptiveRule{probation: probationStart}, size)
			if is < was+0.04 {
				t.Errorf("%s: %.4f, and %.4f with memcached's rules", name, is, was)
			}
		}
	}
}

func TestGhostTableForgets(t *testing.T) {
	var g ghostTable
	g.fit(1)
	for id := range uint64(ghostSlots + 1) {
		g.add(id, ghostCold)
	}
	g.add(100, ghostWarm)
	if kind, _, _ := g.take(0); kind != ghostNone {
		t.Error("the oldest ghost is still there")
	}
	if kind, cold, warm := g.take(1); kind != ghostCold || cold != ghostSlots || warm != 1 {
		t.Errorf("took %d of %d and %d", kind, cold, warm)
	}
	if kind, _, _ := g.take(1); kind != ghostNone {
		t.Error("a ghost was taken twice")
	}
	if kind, _, _ := g.take(100); kind != ghostWarm {
		t.Error("the warm ghost is not there")
	}
}

func TestZipfFollowsItsLaw(t *testing.T) {
	const draws = 200_000
	for _, alpha := range []float64{0, 0.5, 1, 2.1} {
		z := newZipf(newTrace("", 1, draws).rng, 100, alpha)
		var got [100]float64
		for range draws {
			got[z.next()]++
		}
		sum := 0.0
		for k := range got {
			sum += math.Pow(float64(k+1), -alpha)
		}
		for _, k := range []int{0, 1, 2, 9, 99} {
			want := draws * math.Pow(float64(k+1), -alpha) / sum
			if math.Abs(got[k]-want) > 5*math.Sqrt(want)+1 {
				t.Errorf("alpha %v: rank %d drawn %v times, want %.0f", alpha, k, got[k], want)
			}
		}
	}
}
