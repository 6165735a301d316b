package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What memcached_exporter wants of a server. A name that it must have makes
// the scrape fail when it is missing; any of these that is not a number does so too.
var (
	exporterMust    = []string{"cmd_set", "cas_misses", "cas_hits", "cas_badval"}
	exporterNumbers = []string{
		"uptime", "time", "get_hits", "get_misses", "delete_hits", "delete_misses", "incr_hits", "incr_misses",
		"decr_hits", "decr_misses", "touch_hits", "touch_misses", "cmd_flush", "bytes", "limit_maxbytes", "curr_items",
		"total_items", "bytes_read", "bytes_written", "curr_connections", "total_connections", "rejected_connections",
		"conn_yields", "listen_disabled_num", "evictions", "reclaimed", "store_too_large", "store_no_memory",
		"lru_crawler_starts", "direct_reclaims", "crawler_items_checked", "crawler_reclaimed", "moves_to_cold",
		"moves_to_warm", "moves_within_lru", "accepting_conns",
	}
	exporterItems = []string{
		"number", "number_hot", "number_warm", "number_cold", "age_hot", "age_warm", "age", "mem_requested", "evicted",
		"evicted_nonzero", "evicted_time", "outofmemory", "tailrepairs", "reclaimed", "expired_unfetched",
		"evicted_unfetched", "evicted_active", "crawler_reclaimed", "crawler_items_checked", "lrutail_reflocked",
		"moves_to_cold", "moves_to_warm", "moves_within_lru", "direct_reclaims", "hits_to_hot", "hits_to_warm",
		"hits_to_cold", "hits_to_temp",
	}
	exporterSlabs = []string{
		"chunk_size", "chunks_per_page", "total_pages", "total_chunks", "used_chunks", "free_chunks", "free_chunks_end",
		"get_hits", "cmd_set", "delete_hits", "incr_hits", "decr_hits", "cas_hits", "cas_badval", "touch_hits",
	}
	exporterSettings = []string{
		"maxconns", "lru_crawler_sleep", "lru_crawler_tocrawl", "hot_lru_pct", "warm_lru_pct", "hot_max_factor", "warm_max_factor",
	}
)

// TestExporter reads a live server by memcached_exporter's rules, and the real
// memcached too, which shows that the rules are meant well.
func TestExporter(t *testing.T) {
	onEachTransport(t, checkExporter)
	t.Run("memcached", func(t *testing.T) {
		path, err := exec.LookPath("memcached")
		if err != nil {
			t.Fatal(err)
		}
		p, err := Start(Spec{Binary: path})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.Kill(); err != nil {
				t.Error(err)
			}
		}()
		checkExporter(t, p)
	})
}

// checkExporter scrapes p once.
func checkExporter(t *testing.T, p *Process) {
	c, err := p.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(c)
	load := "set a 0 0 1\r\n1\r\nset b 7 100 300\r\n" + strings.Repeat("x", 300) + "\r\nget a\r\nincr a 1\r\n"
	if _, err := io.WriteString(c, load); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for _, want := range []string{"STORED", "STORED", "VALUE a 0 1", "1", "END", "2"} {
		if line, err := r.ReadString('\n'); err != nil || line != want+"\r\n" {
			t.Fatalf("got %q, %v for %q", line, err, want)
		}
	}
	general := scrape(t, c, r, "stats")
	items := scrape(t, c, r, "stats items")
	slabs := scrape(t, c, r, "stats slabs")
	settings := scrape(t, c, r, "stats settings")

	wantNumbers(t, general, "", append(exporterNumbers, exporterMust...))
	for _, name := range []string{"rusage_user", "rusage_system"} {
		if sec, micro, ok := strings.Cut(general[name], "."); !ok || !isNumber(sec) || !isNumber(micro) {
			t.Errorf("%s is %q", name, general[name])
		}
	}
	wantNumbers(t, slabs, "", []string{"active_slabs", "total_malloced"})
	wantNumbers(t, settings, "", exporterSettings)
	for _, name := range []string{"lru_crawler", "lru_maintainer_thread"} {
		if v := settings[name]; v != "yes" && v != "no" {
			t.Errorf("settings: %s is %q", name, v)
		}
	}
	classes := 0
	for name := range items {
		if class, ok := strings.CutSuffix(name, ":number"); ok {
			classes++
			wantNumbers(t, items, class+":", exporterItems)
			wantNumbers(t, slabs, strings.TrimPrefix(class, "items:")+":", exporterSlabs)
		}
	}
	if classes != 2 {
		t.Errorf("two items of different size are in %d classes", classes)
	}
}

// scrape asks on the connection and parses strictly. The exporter skips what
// has not three fields; here nothing may be lost that way.
func scrape(t *testing.T, c net.Conn, r *bufio.Reader, command string) map[string]string {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(replyWait)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
		t.Fatal(err)
	}
	stats := map[string]string{}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: no END: %v", command, err)
		}
		line = strings.TrimSuffix(line, "\r\n")
		if line == "END" {
			return stats
		}
		f := strings.SplitN(line, " ", 3)
		if len(f) != 3 || f[0] != "STAT" || f[2] == "" {
			t.Fatalf("%s: the exporter gives up at %q", command, line)
		}
		if strings.Contains(f[2], " ") && command != "stats settings" {
			t.Errorf("%s: the exporter skips %q", command, line)
		}
		if _, twice := stats[f[1]]; twice {
			t.Errorf("%s: %s twice", command, f[1])
		}
		stats[f[1]] = f[2]
	}
}

// wantNumbers checks that the named stats are there and numbers.
func wantNumbers(t *testing.T, stats map[string]string, prefix string, names []string) {
	t.Helper()
	for _, name := range names {
		if v, ok := stats[prefix+name]; !ok || !isNumber(v) {
			t.Errorf("%s%s is %q, there: %t", prefix, name, v, ok)
		}
	}
}

// isNumber tells whether v is what the exporter can turn into a metric.
func isNumber(v string) bool {
	_, err := strconv.ParseFloat(v, 64)
	return err == nil
}
