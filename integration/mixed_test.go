package integration

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	mixedClients = 200
	mixedLimitMB = 64 // less than all the values, so that some are evicted
	// rssSlack is what a server may use besides -m: its program and run time,
	// and the buffers of mixedClients connections in the midst of large values.
	rssSlack = 128 << 20
)

// TestMixedLoad lets many clients do everything at once, then compares what
// the server counted with what the clients were told. HOLDFAST_LONG=30m makes
// it a soak of half an hour, shared by the transports.
func TestMixedLoad(t *testing.T) {
	long := 4 * time.Second
	if v := os.Getenv("HOLDFAST_LONG"); v != "" {
		var err error
		if long, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-m", strconv.Itoa(mixedLimitMB), "-c", "1000"}
	for _, transport := range []string{"epoll", "goroutine"} {
		t.Run(transport, func(t *testing.T) {
			p := startHoldfast(t, false, append(args, "-o", "transport="+transport)...)
			mixedLoad(t, p, long/2)
		})
	}
	t.Run("memcached", func(t *testing.T) { // shows that the load asks for nothing special
		path, err := exec.LookPath("memcached")
		if err != nil {
			t.Fatal(err)
		}
		p, err := Start(Spec{Binary: path, Args: args})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Kill(); err != nil {
				t.Error(err)
			}
		})
		mixedLoad(t, p, time.Second)
	})
}

// mixedLoad runs the clients and checks the server while and after they do.
func mixedLoad(t *testing.T, p *Process, long time.Duration) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	deadline := time.Now().Add(long)
	var wg sync.WaitGroup
	clients := make([]*Mixed, mixedClients)
	for i := range clients {
		clients[i] = &Mixed{Dial: p.Dial, Rng: rand.New(rand.NewPCG(seed, uint64(i))), Tally: Tally{}}
		wg.Go(func() {
			if err := clients[i].Run(deadline); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { watchMemory(t, p, stop) })
	wg.Wait()
	close(stop)
	watching.Wait()
	if t.Failed() {
		t.Logf("the server's standard error ends:\n%s", p.Stderr())
		return
	}
	told := Tally{}
	for _, c := range clients {
		told.Add(c.Tally)
	}
	checkCounters(t, p, told, long > time.Minute)
	checkItems(t, p)
}

// watchMemory checks the bound on resident memory until stop is closed.
func watchMemory(t *testing.T, p *Process, stop <-chan struct{}) {
	var peak int64
	for {
		rss, err := p.RSS()
		if err != nil {
			t.Error(err)
			return
		}
		peak = max(peak, rss)
		if bound := int64(mixedLimitMB<<20 + rssSlack); rss > bound {
			t.Errorf("the server uses %d MiB, more than %d", rss>>20, bound>>20)
			return
		}
		select {
		case <-stop:
			t.Logf("at most %d MiB resident", peak>>20)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// checkCounters compares the server's counters with the clients' and with each
// other. The last connections may take a moment to be noticed as gone. A long
// run must have filled the cache.
func checkCounters(t *testing.T, p *Process, told Tally, long bool) {
	stats := map[string]string{}
	for end := time.Now().Add(replyWait); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var err error
		if stats, err = p.Stats("stats"); err != nil {
			t.Fatal(err)
		}
		if stats["curr_connections"] == "1" || stats["curr_connections"] == "2" { // memcached counts its listener
			break
		}
	}
	n := func(name string) int64 {
		v, err := strconv.ParseInt(stats[name], 10, 64)
		if err != nil {
			t.Errorf("%s is %q", name, stats[name])
		}
		return v
	}
	if n("curr_connections") > 2 {
		t.Errorf("%d connections after all have left", n("curr_connections"))
	}
	for name, want := range told {
		if got := n(name); got != want {
			t.Errorf("%s is %d, the clients saw %d", name, got, want)
		}
	}
	if n("cmd_get") != n("get_hits")+n("get_misses") {
		t.Errorf("cmd_get %d, get_hits %d and get_misses %d", n("cmd_get"), n("get_hits"), n("get_misses"))
	}
	if n("cmd_touch") != n("touch_hits")+n("touch_misses") {
		t.Errorf("cmd_touch %d, touch_hits %d and touch_misses %d", n("cmd_touch"), n("touch_hits"), n("touch_misses"))
	}
	if n("bytes") > n("limit_maxbytes") {
		t.Errorf("%d bytes of items in a cache of %d", n("bytes"), n("limit_maxbytes"))
	}
	if n("curr_items") == 0 {
		t.Error("nothing is left: the load was no load")
	}
	if long && n("evictions") == 0 {
		t.Error("nothing was evicted")
	}
	t.Logf("%d gets, %d sets, %d connections, %d evictions", n("cmd_get"), n("cmd_set"), n("total_connections"), n("evictions"))
}

// checkItems compares a dump with the items that can be got and with those that were stored.
// A flush comes first: nothing that is counted expires meanwhile.
func checkItems(t *testing.T, p *Process) {
	c, err := p.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(c)
	if err := c.SetDeadline(time.Now().Add(startWait)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "flush_all\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if err := oneOf("flush_all", "OK")(r); err != nil {
		t.Fatal(err)
	}
	const items = 1000
	before := evictions(t, p)
	var sets strings.Builder
	for i := range items {
		fmt.Fprintf(&sets, "set item%d 0 0 %d noreply\r\n%s\r\n", i, i%400, strings.Repeat("x", i%400))
	}
	if _, err := io.WriteString(c, sets.String()+"mn\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := oneOf("mn", "MN")(r); err != nil {
		t.Fatal(err)
	}
	n, found := dump(t, c, r), 0
	for i := range items {
		if _, err := fmt.Fprintf(c, "mg item%d\r\n", i); err != nil {
			t.Fatal(err)
		}
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "HD") {
			found++
		}
	}
	// A class that has no page may have taken one in which some of them were.
	evicted := evictions(t, p) - before
	if n != found || int64(found)+evicted != items || found < items*9/10 {
		t.Errorf("a dump shows %d items of %d, %d can be got, %d were evicted", n, items, found, evicted)
	}
}

// evictions returns the counter of that name.
func evictions(t *testing.T, p *Process) int64 {
	t.Helper()
	stats, err := p.Stats("stats")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(stats["evictions"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// dump counts the lines of a metadump, once no other crawl is in the way. It
// asks for a walk of the hash table: on its walk of the lists memcached can meet
// an item twice that moves from one to another meanwhile.
func dump(t *testing.T, c io.Writer, r *bufio.Reader) int {
	for end := time.Now().Add(replyWait); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := io.WriteString(c, "lru_crawler metadump hash\r\n"); err != nil {
			t.Fatal(err)
		}
		for n := 0; ; {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case strings.HasPrefix(line, "key="):
				n++
			case line == "END\r\n":
				return n
			case strings.HasPrefix(line, "BUSY"):
				n = -1
			case line != "OK\r\n":
				t.Fatalf("metadump answered %q", line)
			}
			if n < 0 {
				break
			}
		}
	}
	t.Fatal("the crawler stays busy")
	return 0
}
