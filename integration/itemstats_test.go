package integration

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestItemStatsMeanTheSame puts the same traffic, of which three times as much as fits,
// on Holdfast with both eviction policies and on the real memcached: what "stats items"
// says must be true by the same rules on all.
func TestItemStatsMeanTheSame(t *testing.T) {
	for _, eviction := range []string{"adaptive", "lru"} {
		t.Run(eviction, func(t *testing.T) {
			checkItemStats(t, startHoldfast(t, false, "-m", "16", "-o", "eviction="+eviction))
		})
	}
	t.Run("memcached", func(t *testing.T) {
		path, err := exec.LookPath("memcached")
		if err != nil {
			t.Fatal(err)
		}
		p, err := Start(Spec{Binary: path, Args: []string{"-m", "16", "-u", "root"}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.Kill(); err != nil {
				t.Error(err)
			}
		}()
		checkItemStats(t, p)
	})
}

// itemTraffic stores keys of two lengths of value, every third with a time to live,
// and reads some keys all the time and most never. It returns how many gets have hit.
func itemTraffic(t *testing.T, p *Process) (hits int) {
	t.Helper()
	c, r := dial(t, p)
	rng := rand.New(rand.NewPCG(4, 2))
	for i := range 600 {
		var b strings.Builder
		gets := 0
		for k := range 100 {
			n := 900
			if k%4 == 0 {
				n = 90
			}
			fmt.Fprintf(&b, "set key:%d 0 %d %d noreply\r\n%0*d\r\n", i*100+k, k%3/2*10_000, n, n, 0)
			if k%2 == 0 {
				fmt.Fprintf(&b, "get key:%d\r\n", rng.IntN(200))
				gets++
			}
		}
		if _, err := io.WriteString(c, b.String()); err != nil {
			t.Fatal(err)
		}
		for range gets {
			hit, err := skipReply(r)
			if err != nil {
				t.Fatal(err)
			}
			hits += hit
		}
	}
	return hits
}

// skipReply reads the reply to a get of one key.
func skipReply(r *bufio.Reader) (hits int, err error) {
	for {
		line, err := readLine(r)
		if err != nil || line == "END" {
			return hits, err
		}
		if strings.HasPrefix(line, "VALUE ") {
			hits++
		}
	}
}

// statNumber is a statistic that must be a whole number.
func statNumber(t *testing.T, stats map[string]string, name string) int {
	t.Helper()
	n, err := strconv.Atoi(stats[name])
	if err != nil {
		t.Fatalf("%s is %q", name, stats[name])
	}
	return n
}

// checkClassStats checks one class of "stats items" and returns its numbers.
func checkClassStats(t *testing.T, items map[string]string, id string) map[string]int {
	of := map[string]int{}
	for name := range items {
		if short, ok := strings.CutPrefix(name, id+":"); ok {
			of[short] = statNumber(t, items, name)
		}
	}
	if of["number"] != of["number_hot"]+of["number_warm"]+of["number_cold"] {
		t.Errorf("%s: the items are not those of its lists: %v", id, of)
	}
	for _, part := range []string{"evicted_nonzero", "evicted_unfetched", "evicted_active"} {
		if of[part] > of["evicted"] {
			t.Errorf("%s: %s is %d of %d", id, part, of[part], of["evicted"])
		}
	}
	if n := of["mem_requested"] / max(of["number"], 1); of["number"] > 0 && (n < 90+20+len("key:1") || n > 900+70+len("key:12345")) {
		t.Errorf("%s: %d bytes an item", id, n)
	}
	if n := of["evicted_time"]; n > 600 {
		t.Errorf("%s: the last one evicted had been idle for %d seconds", id, n)
	}
	return of
}

func checkItemStats(t *testing.T, p *Process) {
	hits := itemTraffic(t, p)
	items, err := p.Stats("stats items")
	if err != nil {
		t.Fatal(err)
	}
	general, err := p.Stats("stats")
	if err != nil {
		t.Fatal(err)
	}
	sum, classes := map[string]int{}, 0
	for name := range items {
		if id, ok := strings.CutSuffix(name, ":number"); ok {
			classes++
			for name, n := range checkClassStats(t, items, id) {
				sum[name] += n
			}
		}
	}
	if classes < 2 {
		t.Errorf("values of two lengths are in %d classes", classes)
	}
	if sum["evicted"] < 10_000 || sum["number_warm"] == 0 || sum["moves_to_warm"] == 0 || sum["moves_to_cold"] == 0 {
		t.Errorf("evictions do not show: %v", sum)
	}
	if n := sum["evicted_nonzero"] * 100 / max(sum["evicted"], 1); n < 20 || n > 55 { // the expiry may put an item into the next class
		t.Errorf("%d %% of the evicted had a time to live, every third was stored with one", n)
	}
	if n := sum["evicted_unfetched"] * 100 / max(sum["evicted"], 1); n < 95 {
		t.Errorf("%d %% of the evicted had never been read, nearly all were not", n)
	}
	for name, all := range map[string]string{
		"number": "curr_items", "evicted": "evictions", "evicted_unfetched": "evicted_unfetched", "evicted_active": "evicted_active",
	} {
		if want := statNumber(t, general, all); sum[name] != want {
			t.Errorf("the classes have %d %s, all together %d", sum[name], name, want)
		}
	}
	n := sum["hits_to_hot"] + sum["hits_to_warm"] + sum["hits_to_cold"] + sum["hits_to_temp"]
	if n != hits || n != statNumber(t, general, "get_hits") {
		t.Errorf("%d hits by lists, %d by clients, %s in all", n, hits, general["get_hits"])
	}
}
