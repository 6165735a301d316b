package server

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
)

// watching returns a client that watches streams, with lines at a fixed time.
func watching(t *testing.T, n *Node, streams string) *client {
	t.Helper()
	n.watch.mu.now = func() time.Time { return time.Unix(1700000000, 82302000) }
	w := newClient(t, n, 0)
	if got := string(w.say([]byte("watch " + streams + "\r\n"))); got != "OK\r\n" {
		t.Fatalf("watch %s: %q", streams, got)
	}
	return w
}

// lines is what w has to say by now, without the times.
func lines(t *testing.T, w *client) []string {
	t.Helper()
	var all []string
	for l := range strings.SplitSeq(strings.TrimSuffix(string(w.say(nil)), "\n"), "\n") {
		rest, ok := strings.CutPrefix(l, "ts=1700000000.082302 gid=")
		if l != "" && !ok {
			t.Errorf("line %q", l)
		}
		if _, rest, ok = strings.Cut(rest, " "); ok {
			all = append(all, rest)
		}
	}
	return all
}

func TestWatchStreams(t *testing.T) {
	for _, test := range []struct{ stream, say, want string }{
		{
			"fetchers", "get no%\r\nset a 0 0 3\r\nabc\r\nget a\r\nmg a v\r\n",
			"type=item_get key=no%25 status=not_found clsid=0 cfd=1 size=0|" +
				"type=item_get key=a status=not_found clsid=0 cfd=1 size=0|" +
				"type=item_get key=a status=found clsid=1 cfd=1 size=3|" +
				"type=item_get key=a status=found clsid=1 cfd=1 size=3",
		},
		{
			"fetchers", "set e 0 -1 1\r\nx\r\nget e\r\nget e\r\nset f 0 0 1\r\nx\r\nflush_all\r\nmg f\r\nset f 0 -1 1\r\nx\r\n" +
				"touch f 0\r\nmg viv N30\r\nmg viv\r\n",
			"type=item_get key=e status=not_found clsid=0 cfd=1 size=0|" +
				"type=item_get key=e status=expired clsid=0 cfd=1 size=0|" +
				"type=item_get key=e status=not_found clsid=0 cfd=1 size=0|" +
				"type=item_get key=f status=not_found clsid=0 cfd=1 size=0|" +
				"type=item_get key=f status=flushed clsid=0 cfd=1 size=0|" +
				"type=item_get key=f status=not_found clsid=0 cfd=1 size=0|" +
				"type=item_get key=f status=expired clsid=0 cfd=1 size=0|" +
				"type=item_get key=viv status=not_found clsid=0 cfd=1 size=0|" +
				"type=item_get key=viv status=found clsid=1 cfd=1 size=0",
		},
		{
			"mutations", "set a 0 100 3\r\nabc\r\nadd a 0 0 1\r\nx\r\nreplace no 0 0 1\r\nx\r\ncas a 0 0 1 1\r\nx\r\n" +
				"cas no 0 0 1 1\r\nx\r\nappend a 0 0 1\r\nd\r\nset a 0 -1 1\r\nx\r\nincr a 1\r\nma n N0 J55\r\nma n\r\n",
			"type=item_store key=a status=stored cmd=set ttl=100 clsid=1 cfd=1 size=3|" +
				"type=item_store key=a status=not_stored cmd=add ttl=0 clsid=1 cfd=1 size=1|" +
				"type=item_store key=no status=not_stored cmd=replace ttl=0 clsid=1 cfd=1 size=1|" +
				"type=item_store key=a status=exists cmd=cas ttl=0 clsid=1 cfd=1 size=1|" +
				"type=item_store key=no status=not_found cmd=cas ttl=0 clsid=1 cfd=1 size=1|" +
				"type=item_store key=a status=stored cmd=append ttl=0 clsid=1 cfd=1 size=4|" +
				"type=item_store key=a status=stored cmd=set ttl=-1 clsid=1 cfd=1 size=1|" +
				"type=item_store key=n status=stored cmd=add ttl=0 clsid=1 cfd=1 size=2",
		},
		{
			"deletions", "set a 0 0 3\r\nabc\r\ndelete a\r\ndelete a\r\nset a 0 0 2\r\nab\r\nmd a\r\n",
			"type=deleted key=a cmd=delete clsid=1 size=3|type=deleted key=a cmd=md clsid=1 size=2",
		},
		{"rawcmds", "get a\r\n", ""},
		{"proxyreqs proxyevents proxyuser", "get a\r\n", ""},
		{"sysevents evictions connevents", "get a\r\nset a 0 0 1\r\nx\r\n", ""},
	} {
		t.Run(test.stream, func(t *testing.T) {
			n := testNode(t, nil, nil)
			w := watching(t, n, test.stream)
			newClient(t, n, 0).say([]byte(test.say))
			got := strings.ReplaceAll(strings.Join(lines(t, w), "|"), "clsid=0 cfd=1 size=1", "clsid=1 cfd=1 size=1")
			if got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestWatchDefault: without a word it is fetchers; lines are numbered in order.
func TestWatchDefault(t *testing.T) {
	n := testNode(t, nil, nil)
	w := watching(t, n, "")
	newClient(t, n, 0).say([]byte("get a\r\nget b\r\nset c 0 0 1\r\nx\r\n"))
	const want = "ts=1700000000.082302 gid=1 type=item_get key=a status=not_found clsid=0 cfd=1 size=0\n" +
		"ts=1700000000.082302 gid=2 type=item_get key=b status=not_found clsid=0 cfd=1 size=0\n" +
		"ts=1700000000.082302 gid=3 type=item_get key=c status=not_found clsid=0 cfd=1 size=0\n"
	if got := string(w.say(nil)); got != want {
		t.Errorf("got %q", got)
	}
	if got := string(w.say([]byte("version\r\n"))); got != "" {
		t.Errorf("a watcher's command got %q", got)
	}
}

func TestWatchStoreEvents(t *testing.T) {
	n := testNode(t, nil, nil)
	w := watching(t, n, "evictions sysevents")
	for _, e := range []slab.Event{
		{Kind: slab.EventEviction, Class: 3, Key: []byte("k y"), Fetched: true, TTL: -1, Idle: 7, Size: 11},
		{
			Kind: slab.EventCrawl, Class: 4, List: slab.Cold, LowMark: 1, Ready: 2, Since: 3, NextRun: 65,
			Run: &slab.CrawlRun{Seen: 10, Reclaimed: 5, Start: 100, End: 104},
		},
		{Kind: slab.EventPageMove, Class: 1, Dst: 2},
		{Kind: slab.EventPageMove, Class: 1, Dst: 2, Done: true},
	} {
		n.watch.stored(&e)
	}
	const want = "type=eviction key=k%20y fetch=yes ttl=-1 la=7 clsid=3 size=11|" +
		"type=lru_crawler crawler=4 lru=cold low_mark=1 next_reclaims=2 since_run=3 next_run=65 elapsed=4 examined=10 reclaimed=5|" +
		"type=slab_move src=1 dst=2 state=ok|type=slab_move src=1 dst=2 state=done"
	if got := strings.Join(lines(t, w), "|"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// TestWatchEvicted fills a small store until something has to go.
func TestWatchEvicted(t *testing.T) {
	n := testNode(t, nil, func(c *slab.Config) { c.LimitBytes = 8 << 20 })
	w := watching(t, n, "evictions")
	c := newClient(t, n, 0)
	value := strings.Repeat("v", 100_000)
	for i := range 200 {
		c.say(fmt.Appendf(nil, "set key%d 0 0 %d\r\n%s\r\n", i, len(value), value))
	}
	line := regexp.MustCompile(`^type=eviction key=key\d+ fetch=no ttl=-1 la=\d+ clsid=\d+ size=100000$`)
	got := lines(t, w)
	if len(got) == 0 {
		t.Fatal("no eviction was told")
	}
	for _, l := range got {
		if !line.MatchString(l) {
			t.Errorf("line %q", l)
		}
	}
	if _, v := askStats(t, c, "stats"); v["evictions"] != fmt.Sprint(len(got)) {
		t.Errorf("%s evictions, %d lines", v["evictions"], len(got))
	}
}

func TestWatchConnections(t *testing.T) {
	n := testNode(t, nil, nil)
	w := watching(t, n, "connevents")
	tcp := &Session{FD: 12, Remote: netip.MustParseAddrPort("[::ffff:10.0.0.1]:4000")}
	unix := &Session{FD: 13}
	n.ConnOpened(tcp)
	n.ConnOpened(unix)
	for r := CloseError; r <= CloseShutdown; r++ {
		n.ConnClosed(tcp, r)
	}
	n.ConnClosed(unix, CloseNormal)
	const want = "type=conn_new rip=10.0.0.1 rport=4000 transport=tcp cfd=12|" +
		"type=conn_new rip=unix rport=0 transport=local cfd=13|" +
		"type=conn_close rip=10.0.0.1 rport=4000 transport=tcp reason=error cfd=12|" +
		"type=conn_close rip=10.0.0.1 rport=4000 transport=tcp reason=normal cfd=12|" +
		"type=conn_close rip=10.0.0.1 rport=4000 transport=tcp reason=idle_timeout cfd=12|" +
		"type=conn_close rip=10.0.0.1 rport=4000 transport=tcp reason=shutdown cfd=12|" +
		"type=conn_close rip=unix rport=0 transport=local reason=normal cfd=13"
	if got := strings.Join(lines(t, w), "|"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// TestWatchSkips: a watcher that does not read misses lines, is told how many,
// and holds no more memory than its buffer; the counters tell the same.
func TestWatchSkips(t *testing.T) {
	n := testNode(t, func(c *Config) { c.WatcherLogbuf = watcherLogbufMin }, nil)
	w := watching(t, n, "fetchers")
	c := newClient(t, n, 0)
	for range 1000 {
		c.say([]byte("get key\r\n"))
	}
	before := strings.Count(string(w.say(nil)), "\n")
	c.say([]byte("get last\r\n"))
	out := string(w.say(nil))
	want := fmt.Sprintf("skipped=%d\n", 1000-before)
	if !strings.HasPrefix(out, want) || !strings.Contains(out, "key=last ") || before == 0 || before == 1000 {
		t.Errorf("after %d lines: %q, want %q first", before, out, want)
	}
	_, v := askStats(t, c, "stats")
	for name, want := range map[string]int{
		"log_watchers": 1, "log_worker_written": 1001, "log_watcher_sent": before + 1, "log_watcher_skipped": 1000 - before,
	} {
		if v[name] != fmt.Sprint(want) {
			t.Errorf("%s is %s, want %d", name, v[name], want)
		}
	}
}

// TestWatchLimit: the number of watchers is bounded, and one that leaves makes room.
func TestWatchLimit(t *testing.T) {
	n := testNode(t, nil, nil)
	var all []*client
	for range watchersMax {
		all = append(all, watching(t, n, "fetchers"))
	}
	c := newClient(t, n, 0)
	const full = "WATCHER_TOO_MANY log watcher limit reached\r\n"
	if got := string(c.say([]byte("watch\r\n"))); got != full {
		t.Errorf("got %q", got)
	}
	all[3].s.abort(all[3].lane)
	if got := string(c.say([]byte("watch\r\n"))); got != "OK\r\n" {
		t.Errorf("after one has left: %q", got)
	}
	c.s.abort(c.lane)
	for _, w := range all {
		w.s.abort(w.lane)
	}
	if n.watch.on() || n.watch.count() != 0 {
		t.Error("watchers are left")
	}
}

func TestWatchRefused(t *testing.T) {
	c := newClient(t, testNode(t, nil, nil), 0)
	const pipelined = "VERSION " + Version + "\r\nERROR cannot pipeline other commands before watch\r\n"
	if got := string(c.say([]byte("version\r\nwatch\r\n"))); got != pipelined {
		t.Errorf("got %q", got)
	}
	c = newClient(t, testNode(t, func(c *Config) { c.DisableWatch = true }, nil), 0)
	if got := string(c.say([]byte("watch\r\n"))); got != "CLIENT_ERROR watch commands not allowed\r\n" {
		t.Errorf("got %q", got)
	}
}

// TestWatchFromManyLoops: lines from several loops come whole and in order.
func TestWatchFromManyLoops(t *testing.T) {
	n := testNode(t, func(c *Config) { c.WatcherLogbuf = 8 << 20 }, nil)
	w := newClient(t, n, 0)
	w.say([]byte("watch fetchers\r\n"))
	var wg sync.WaitGroup
	for range 4 {
		c := newClient(t, n, 0)
		wg.Go(func() {
			for range 200 {
				c.say([]byte("get a b c\r\n"))
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var out []byte
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		out = append(out, w.say(nil)...)
	}
	gid := 0
	for l := range strings.Lines(string(out)) {
		gid++
		if !strings.Contains(l, fmt.Sprintf(" gid=%d type=item_get ", gid)) || !strings.HasSuffix(l, " size=0\n") {
			t.Fatalf("line %d is %q", gid, l)
		}
	}
	if gid != 4*200*3 {
		t.Errorf("%d lines", gid)
	}
}

func TestRing(t *testing.T) {
	r := ring{data: make([]byte, 10)}
	var in, out []byte
	for i := range 100 {
		part := []byte("abcdefghij")[:i%7]
		if len(part) > r.free() {
			out = r.take(out, 5)
		}
		if len(part) <= r.free() {
			r.put(part)
			in = append(in, part...)
		}
	}
	if out = r.take(out, 100); string(in) != string(out) || r.n != 0 {
		t.Errorf("in  %q\nout %q", in, out)
	}
}
