package server

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
)

// fakeHost is a Host with fixed counts.
type fakeHost struct {
	stats     ConnStats
	conns     []ConnInfo
	verbosity int
	shutdowns []bool
}

func (h *fakeHost) ConnStats() ConnStats { return h.stats }
func (h *fakeHost) EachConn(f func(ConnInfo)) {
	for _, c := range h.conns {
		f(c)
	}
}
func (h *fakeHost) RequestShutdown(graceful bool) { h.shutdowns = append(h.shutdowns, graceful) }
func (h *fakeHost) SetVerbosity(level int)        { h.verbosity = level }

// askStats sends line and returns the names and values of the STAT lines of the reply.
func askStats(t *testing.T, c *client, line string) (names []string, values map[string]string) {
	t.Helper()
	out := string(c.say([]byte(line + "\r\n")))
	body, ended := strings.CutSuffix(out, "END\r\n")
	if !ended {
		t.Fatalf("%s: no END in %q", line, out)
	}
	values = make(map[string]string)
	for l := range strings.SplitSeq(strings.TrimSuffix(body, "\r\n"), "\r\n") {
		if l == "" {
			continue
		}
		word := strings.SplitN(l, " ", 3)
		if len(word) != 3 || word[0] != "STAT" || word[2] == "" {
			t.Fatalf("%s: line %q", line, l)
		}
		names = append(names, word[1])
		values[word[1]] = word[2]
	}
	return names, values
}

const generalNames = `pid uptime time version libevent pointer_size rusage_user rusage_system max_connections
curr_connections total_connections rejected_connections connection_structures response_obj_oom
response_obj_count response_obj_bytes read_buf_count read_buf_bytes read_buf_bytes_free read_buf_oom
reserved_fds cmd_get cmd_set cmd_flush cmd_touch cmd_meta get_hits get_misses get_expired get_flushed
delete_misses delete_hits incr_misses incr_hits decr_misses decr_hits cas_misses cas_hits cas_badval
touch_hits touch_misses store_too_large store_no_memory auth_cmds auth_errors bytes_read bytes_written
limit_maxbytes accepting_conns listen_disabled_num time_in_listen_disabled_us threads conn_yields
hash_power_level hash_bytes hash_is_expanding slab_reassign_rescues slab_reassign_chunk_rescues
slab_reassign_inline_reclaim slab_reassign_busy_items slab_reassign_busy_deletes slab_reassign_busy_nomem
slab_reassign_last_busy_status slab_reassign_running slabs_moved lru_crawler_running lru_crawler_starts
lru_maintainer_juggles malloc_fails log_worker_dropped log_worker_written log_watcher_skipped
log_watcher_sent log_watchers unexpected_napi_ids round_robin_fallback bytes curr_items total_items
slab_global_page_pool expired_unfetched evicted_unfetched evicted_active evictions reclaimed
crawler_reclaimed crawler_items_checked lrutail_reflocked moves_to_cold moves_to_warm moves_within_lru
direct_reclaims lru_bumps_dropped ` + identityNames

const identityNames = `boot_id flush_generation restored_at snapshot_time`

const settingsNames = `maxbytes maxconns tcpport udpport inter verbosity oldest evictions domain_socket umask
shutdown_command growth_factor chunk_size num_threads num_threads_per_udp stat_key_prefix detail_enabled
reqs_per_event cas_enabled tcp_backlog binding_protocol auth_enabled_sasl auth_enabled_ascii item_size_max
maxconns_fast hashpower_init slab_reassign slab_automove slab_automove_ratio slab_automove_window
slab_chunk_max lru_crawler lru_crawler_sleep lru_crawler_tocrawl tail_repair_time flush_enabled
dump_enabled hash_algorithm lru_maintainer_thread lru_segmented hot_lru_pct warm_lru_pct hot_max_factor
warm_max_factor temp_lru temporary_ttl idle_timeout watcher_logbuf_size worker_logbuf_size
read_buf_mem_limit track_sizes inline_ascii_response num_napi_ids memory_file client_flags_size
eviction`

const itemsNames = `number number_hot number_warm number_cold age_hot age_warm age mem_requested evicted
evicted_nonzero evicted_time outofmemory tailrepairs reclaimed expired_unfetched evicted_unfetched
evicted_active crawler_reclaimed crawler_items_checked lrutail_reflocked moves_to_cold moves_to_warm
moves_within_lru direct_reclaims hits_to_hot hits_to_warm hits_to_cold hits_to_temp`

const slabsNames = `chunk_size chunks_per_page total_pages total_chunks used_chunks free_chunks
free_chunks_end get_hits cmd_set delete_hits incr_hits decr_hits cas_hits cas_badval touch_hits`

// prefixed is names with prefix before each.
func prefixed(prefix, names string) []string {
	all := strings.Fields(names)
	for i := range all {
		all[i] = prefix + all[i]
	}
	return all
}

// TestStatNames compares the names of all lines, and their order, with memcached's.
func TestStatNames(t *testing.T) {
	c := newClient(t, testNode(t, nil, nil), 0)
	c.say([]byte("set key 0 0 5\r\nvalue\r\n"))
	for _, test := range []struct {
		line string
		want []string
	}{
		{"stats", strings.Fields(generalNames)},
		{"stats settings", strings.Fields(settingsNames)},
		{"stats identity", strings.Fields(identityNames)},
		{"stats items", prefixed("items:1:", itemsNames)},
		{"stats slabs", append(prefixed("1:", slabsNames), "active_slabs", "total_malloced")},
	} {
		got, _ := askStats(t, c, test.line)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s:\n got %v\nwant %v", test.line, got, test.want)
		}
	}
}

// TestStatNamesConditional looks at the lines that depend on settings.
func TestStatNamesConditional(t *testing.T) {
	n := testNode(t,
		func(c *Config) { c.MaxConnsFast, c.IdleTimeout = false, time.Minute },
		func(c *slab.Config) { c.Maintainer, c.SlabReassign, c.Crawler = false, false, false })
	c := newClient(t, n, 0)
	c.say([]byte("set key 0 0 5\r\nvalue\r\n"))
	names, _ := askStats(t, c, "stats")
	if !slices.Contains(names, "idle_kicks") {
		t.Error("idle_kicks is missing")
	}
	items, _ := askStats(t, c, "stats items")
	names = append(names, items...)
	for _, name := range []string{
		"rejected_connections", "slab_reassign_rescues", "slabs_moved", "lru_crawler_running", "lru_maintainer_juggles",
		"evicted_active", "moves_to_cold", "lru_bumps_dropped", "items:1:number_hot", "items:1:hits_to_hot",
	} {
		if slices.Contains(names, name) {
			t.Errorf("%s is shown", name)
		}
	}
}

// TestExporterParses applies the parsing rules of prometheus/memcached_exporter.
func TestExporterParses(t *testing.T) {
	n := testNode(t, nil, nil)
	n.host = &fakeHost{stats: ConnStats{Current: 3, Accepting: true}}
	c := newClient(t, n, 0)
	c.say([]byte("set key 0 0 5\r\nvalue\r\nget key nokey\r\ndelete key\r\nset big 0 0 5\r\nvalue\r\n"))

	number := regexp.MustCompile(`^\d+(\.\d+)?$`)
	// It takes lines of exactly three fields only, and fails on a value that is
	// not a number.
	numbers := func(line string, names ...string) {
		t.Helper()
		_, values := askStats(t, c, line)
		for _, name := range names {
			if !number.MatchString(values[name]) {
				t.Errorf("%s: %s is %q", line, name, values[name])
			}
		}
		for name, v := range values {
			if line != "stats settings" && strings.Contains(v, " ") {
				t.Errorf("%s: %s is %q", line, name, v)
			}
		}
	}
	general := strings.Fields(generalNames)
	general = slices.DeleteFunc(general, func(s string) bool {
		return s == "version" || s == "libevent" || s == "slab_reassign_last_busy_status" || s == "boot_id"
	})
	numbers("stats", general...)
	numbers("stats items", prefixed("items:1:", itemsNames)...)
	numbers("stats slabs", append(prefixed("1:", slabsNames), "active_slabs", "total_malloced")...)
	numbers("stats settings", "maxconns", "lru_crawler_sleep", "lru_crawler_tocrawl", "hot_lru_pct", "warm_lru_pct",
		"hot_max_factor", "warm_max_factor")

	_, values := askStats(t, c, "stats")
	for _, name := range []string{"rusage_user", "rusage_system"} {
		if parts := strings.Split(values[name], "."); len(parts) != 2 || len(parts[1]) != 6 {
			t.Errorf("%s is %q", name, values[name])
		}
	}
	_, values = askStats(t, c, "stats settings")
	for _, name := range []string{"lru_crawler", "lru_maintainer_thread"} {
		if v := values[name]; v != "yes" && v != "no" {
			t.Errorf("%s is %q", name, v)
		}
	}
}

// TestStatsTell checks that numbers are those of what has happened, on all loops.
func TestStatsTell(t *testing.T) {
	n := testNode(t, func(c *Config) { c.MaxConns = 77 }, func(c *slab.Config) { c.LimitBytes = 64 << 20 })
	host := &fakeHost{stats: ConnStats{
		Current: 2, Total: 10, Rejected: 4, BytesRead: 1000, BytesWritten: 2000, Yields: 5,
		Accepting: true, ListenDisabledNum: 1, ListenDisabled: 1500 * time.Microsecond,
	}}
	n.host = host
	a, b := newClient(t, n, 0), newClient(t, n, 0)
	a.say([]byte("set a 0 0 1\r\nx\r\nset n 0 0 1\r\n5\r\nget a b c\r\nincr n 1\r\nincr no 1\r\ndelete a\r\n"))
	b.say([]byte("decr n 1\r\ntouch n 0\r\ntouch no 0\r\ngets n\r\ncas n 0 0 1 1\r\n1\r\nmg n v\r\nflush_all\r\nflush_all x\r\n"))
	want := map[string]string{
		"max_connections": "77", "curr_connections": "2", "total_connections": "10", "rejected_connections": "4",
		"bytes_read": "1000", "bytes_written": "2000", "conn_yields": "5", "accepting_conns": "1",
		"listen_disabled_num": "1", "time_in_listen_disabled_us": "1500",
		"cmd_get": "5", "get_hits": "3", "get_misses": "2", "cmd_set": "3", "cmd_flush": "2", "cmd_touch": "2",
		"incr_hits": "1", "incr_misses": "1", "decr_hits": "1", "delete_hits": "1", "touch_hits": "1", "touch_misses": "1",
		"cas_badval": "1", "limit_maxbytes": strconv.Itoa(64 << 20), "version": Version,
	}
	compare := func(line string, want map[string]string) {
		t.Helper()
		_, got := askStats(t, a, line)
		for name, v := range want {
			if got[name] != v {
				t.Errorf("%s: %s is %q, want %q", line, name, got[name], v)
			}
		}
	}
	compare("stats", want)

	if got := string(b.say([]byte("stats reset\r\n"))); got != "RESET\r\n" {
		t.Fatalf("stats reset: %q", got)
	}
	host.stats.Total++
	host.stats.BytesRead += 30
	compare("stats", map[string]string{
		"curr_connections": "2", "total_connections": "1", "rejected_connections": "0", "bytes_read": "30",
		"bytes_written": "0", "conn_yields": "0", "time_in_listen_disabled_us": "0", "cmd_get": "0", "get_hits": "0",
		"cmd_set": "0", "cmd_flush": "0", "total_items": "0", "limit_maxbytes": strconv.Itoa(64 << 20),
	})
}

// TestWatchDoesNotCount: what the server looks up for the watchers is no get.
func TestWatchDoesNotCount(t *testing.T) {
	n := testNode(t, nil, nil)
	newClient(t, n, 0).say([]byte("watch fetchers mutations deletions\r\n"))
	c := newClient(t, n, 0)
	c.say([]byte("set a 0 0 1\r\n1\r\nset a 0 0 1\r\n1\r\nincr a 1\r\ntouch a 0\r\nme a\r\nget a\r\ndelete a\r\n"))
	if _, v := askStats(t, c, "stats slabs"); v["1:get_hits"] != "1" || v["1:cmd_set"] != "2" || v["1:incr_hits"] != "1" {
		t.Errorf("get_hits %s, cmd_set %s, incr_hits %s", v["1:get_hits"], v["1:cmd_set"], v["1:incr_hits"])
	}
}

// TestSettingsFollow changes settings at run time and reads them back.
func TestSettingsFollow(t *testing.T) {
	n := testNode(t, func(c *Config) { c.AuthFile = ""; c.UnixSocket = "/tmp/a b" }, nil)
	host := &fakeHost{}
	n.host = host
	c := newClient(t, n, 0)
	for _, step := range []struct{ line, name, want string }{
		{"verbosity 1", "verbosity", "1"},
		{"cache_memlimit 128", "maxbytes", strconv.Itoa(128 << 20)},
		{"slabs automove 0", "slab_automove", "0"},
		{"slabs automove ratio 0.5", "slab_automove_ratio", "0.50"},
		{"slabs automove window 30", "slab_automove_window", "30"},
		{"lru tune 11 22 0.33 4.44", "hot_lru_pct", "11"},
		{"mn", "warm_lru_pct", "22"},
		{"mn", "hot_max_factor", "0.33"},
		{"mn", "warm_max_factor", "4.44"},
		{"mn", "temp_lru", "no"},
		{"mn", "temporary_ttl", "61"},
		{"lru temp_ttl 9", "temporary_ttl", "9"},
		{"mn", "temp_lru", "yes"},
		{"lru mode flat", "lru_segmented", "no"},
		{"lru_crawler sleep 7", "lru_crawler_sleep", "7"},
		{"lru_crawler tocrawl 8", "lru_crawler_tocrawl", "8"},
		{"lru_crawler disable", "lru_crawler", "no"},
		{"stats detail on", "detail_enabled", "yes"},
		{"mn", "domain_socket", "/tmp/a b"},
		{"mn", "inter", "NULL"},
		{"mn", "umask", "700"},
		{"mn", "stat_key_prefix", ":"},
	} {
		if got := string(c.say([]byte(step.line + "\r\n"))); got != "OK\r\n" && got != "MN\r\n" {
			t.Errorf("%s: %q", step.line, got)
		}
		if _, values := askStats(t, c, "stats settings"); values[step.name] != step.want {
			t.Errorf("%s: %s is %q, want %q", step.line, step.name, values[step.name], step.want)
		}
	}
	if host.verbosity != 1 {
		t.Errorf("the host was told verbosity %d", host.verbosity)
	}
}

// TestStatsConns shows every connection with its lines.
func TestStatsConns(t *testing.T) {
	n := testNode(t, nil, nil)
	n.host = &fakeHost{conns: []ConnInfo{
		{FD: 5, Addr: "tcp:127.0.0.1:11211", State: "conn_listening", SinceLast: 3 * time.Second},
		{FD: 9, Addr: "tcp6:[::1]:5000", ListenAddr: "tcp6:[::]:11211", State: "conn_read", SinceLast: 1900 * time.Millisecond},
	}}
	const want = "STAT 5:addr tcp:127.0.0.1:11211\r\nSTAT 5:state conn_listening\r\nSTAT 5:secs_since_last_cmd 3\r\n" +
		"STAT 9:addr tcp6:[::1]:5000\r\nSTAT 9:listen_addr tcp6:[::]:11211\r\nSTAT 9:state conn_read\r\n" +
		"STAT 9:secs_since_last_cmd 1\r\nEND\r\n"
	if got := string(newClient(t, n, 0).say([]byte("stats conns\r\n"))); got != want {
		t.Errorf("got %q", got)
	}
}

// TestStatsSizes shows the histogram where sizes are tracked.
func TestStatsSizes(t *testing.T) {
	n := testNode(t, nil, func(c *slab.Config) { c.TrackSizes = true })
	c := newClient(t, n, 0)
	c.say([]byte("set a 0 0 1\r\nx\r\nset b 0 0 1\r\nx\r\nset c 0 0 100\r\n" + strings.Repeat("x", 100) + "\r\n"))
	const want = "STAT 64 2\r\nSTAT 160 1\r\nEND\r\n"
	if got := string(c.say([]byte("stats sizes\r\n"))); got != want {
		t.Errorf("got %q", got)
	}
}
