package main

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/persist"
	"github.com/holdfast-cache/holdfast/protocol"
)

// parse reads a command line up to the checks between settings.
func parse(args ...string) (*options, []string, error) {
	o := newOptions("holdfast", false)
	operands, err := parseOptions(flagTable, args, o)
	if err == nil {
		err = o.finish()
	}
	return o, operands, err
}

// want fails unless got is exp.
func want(t *testing.T, what string, got, exp any) {
	t.Helper()
	if !reflect.DeepEqual(got, exp) {
		t.Errorf("%s is %v, want %v", what, got, exp)
	}
}

// optionCases has at least one row for every option: the value it sets.
var optionCases = []struct {
	args string // split at spaces
	get  func(o *options) any
	exp  any
}{
	{"-p 11311", func(o *options) any { return o.server.TCPPort }, 11311},
	{"-p11311", func(o *options) any { return o.server.TCPPort }, 11311},
	{"-p -1", func(o *options) any { return o.server.TCPPort }, -1},
	{"--port=11311", func(o *options) any { return o.server.TCPPort }, 11311},
	{"--port 11311", func(o *options) any { return o.server.TCPPort }, 11311},
	{"--po 11311", func(o *options) any { return o.server.TCPPort }, 11311},
	{"-U 0", func(o *options) any { return o.server.TCPPort }, 11211},
	{"--udp-port=0", func(o *options) any { return o.server.TCPPort }, 11211},
	{"-s /tmp/x.sock", func(o *options) any { return o.server.UnixSocket }, "/tmp/x.sock"},
	{"-a 770", func(o *options) any { return o.server.UnixMask }, uint32(0o770)},
	{"-a 0666", func(o *options) any { return o.server.UnixMask }, uint32(0o666)},
	{"-A", func(o *options) any { return o.server.EnableShutdown }, true},
	{"-l 10.0.0.1 -l 10.0.0.2:9", func(o *options) any { return o.server.Interface }, "10.0.0.1,10.0.0.2:9"},
	{"-d", func(o *options) any { return o.daemon }, true},
	{"-r", func(o *options) any { return o.coreDumps }, true},
	{"-u nobody", func(o *options) any { return o.user }, "nobody"},
	{"-m 100", func(o *options) any { return o.slab.LimitBytes }, int64(100 << 20)},
	{"-m64m", func(o *options) any { return o.slab.LimitBytes }, int64(64 << 20)},
	{"-m 2g", func(o *options) any { return o.slab.LimitBytes }, int64(2 << 30)},
	{"--memory-limit=64", func(o *options) any { return o.slab.LimitBytes }, int64(64 << 20)},
	{"-M", func(o *options) any { return o.slab.NoEvict }, true},
	{"-c 7", func(o *options) any { return o.server.MaxConns }, 7},
	{"-k", func(o *options) any { return o.lockMemory }, true},
	{"-vvv", func(o *options) any { return o.server.Verbosity }, 3},
	{"-v -v", func(o *options) any { return o.server.Verbosity }, 2},
	{"--verbose=5", func(o *options) any { return o.server.Verbosity }, 1},
	{"-P /tmp/pid", func(o *options) any { return o.pidFile }, "/tmp/pid"},
	{"-f 1.08", func(o *options) any { return o.slab.GrowthFactor }, 1.08},
	{"-n 72", func(o *options) any { return o.slab.MinItemSpace }, 72},
	{"-L", func(o *options) any { return o.slab.HugePages && o.slab.Prealloc }, true},
	{"-D /", func(o *options) any { return o.server.PrefixDelimiter }, byte('/')},
	{"-D /", func(o *options) any { return o.server.DetailEnabled }, true},
	{"-t 3", func(o *options) any { return o.server.Threads }, 3},
	{"-R 5", func(o *options) any { return o.server.ReqsPerEvent }, 5},
	{"-C", func(o *options) any { return o.slab.NoCAS }, true},
	{"-b 77", func(o *options) any { return o.server.Backlog }, 77},
	{"-B ascii", func(o *options) any { return o.server.BindingProtocol }, "ascii"},
	{"-B auto", func(o *options) any { return o.server.BindingProtocol }, "auto-negotiate"},
	{"-I 2m", func(o *options) any { return o.slab.ItemSizeMax }, 2 << 20},
	{"-I 512K", func(o *options) any { return o.slab.ItemSizeMax }, 512 << 10},
	{"-m 2048 -I 1g", func(o *options) any { return o.slab.ItemSizeMax }, 1 << 30},
	{"-F", func(o *options) any { return o.server.DisableFlushAll }, true},
	{"-X", func(o *options) any { return o.server.DisableDump }, true},
	{"-W", func(o *options) any { return o.server.DisableWatch }, true},
	{"-Y /tmp/auth", func(o *options) any { return o.server.AuthFile }, "/tmp/auth"},
	{"-Y /tmp/auth", func(o *options) any { return o.server.BindingProtocol }, "ascii"},
	{"-N 2", func(o *options) any { return o.napiIDs }, 2},
	{"-o modern", func(o *options) any { return len(o.warnings) }, 0},
	{"--data-dir=/x", func(o *options) any { return o.keep.Dir }, "/x"},
	{"--data-dir /x", func(o *options) any { return []any{o.keep.SnapshotInterval, o.keep.Journal, o.keep.Codec} }, []any{5 * time.Minute, persist.PolicyOff, persist.CodecS2}},
	{"--data-dir /x --snapshot-interval=90", func(o *options) any { return o.keep.SnapshotInterval }, 90 * time.Second},
	{"--data-dir /x --snapshot-interval=1h30m", func(o *options) any { return o.keep.SnapshotInterval }, 90 * time.Minute},
	{"--snapshot-interval=0 --data-dir /x", func(o *options) any { return o.keep.SnapshotInterval }, time.Duration(0)},
	{"--data-dir /x --snapshot-rate=10m", func(o *options) any { return o.keep.SnapshotRate }, int64(10 << 20)},
	{"--data-dir /x --snapshot-rate=2G", func(o *options) any { return o.keep.SnapshotRate }, int64(2 << 30)},
	{"--data-dir /x --snapshot-keep=3", func(o *options) any { return o.keep.SnapshotKeep }, 3},
	{"--data-dir /x --snapshot-codec=zstd", func(o *options) any { return o.keep.Codec }, persist.CodecZstd},
	{"--data-dir /x --snapshot-codec=none", func(o *options) any { return o.keep.Codec }, persist.CodecRaw},
	{"--data-dir /x --journal=interval", func(o *options) any { return o.keep.Journal }, persist.PolicyInterval},
	{"--data-dir /x --journal always --journal-timeout=250ms", func(o *options) any { return o.keep.JournalTimeout }, 250 * time.Millisecond},
	{"--data-dir /x --journal-interval=5", func(o *options) any { return o.keep.JournalInterval }, 5 * time.Second},
	{"--data-dir /x --restore=strict", func(o *options) any { return o.keep.Strict }, true},
	{"--data-dir /x --restore-ttl=freeze", func(o *options) any { return o.keep.FreezeTTL }, true},
	{"--data-dir /x --restore-as-stale=10m", func(o *options) any { return o.keep.AsStale }, 10 * time.Minute},
	{"--cluster-nodes a,b|10.0.0.2|1", func(o *options) any { return o.server.ClusterNodes }, []protocol.ClusterNode{{Host: "a", IP: "a", Port: 11211}, {Host: "b", IP: "10.0.0.2", Port: 1}}},
	{"--join a,b:1,[::1]:2", func(o *options) any { return o.join.seeds }, []string{"a:7946", "b:1", "[::1]:2"}},
	{"--join a", func(o *options) any { return o.join.name + " " + o.join.gossip }, "holdfast 127.0.0.1:7946"},
	{"--join a -l 10.0.0.1", func(o *options) any { return o.join.gossip }, "10.0.0.1:7946"},
	{"--join a -l * --advertise b", func(o *options) any { return o.join.advertise + " " + o.join.gossip }, "b:11211 0.0.0.0:7946"},
	{"--join a --advertise [::1]:1", func(o *options) any { return o.join.advertise }, "[::1]:1"},
	{"--join a --gossip 10.0.0.2:1", func(o *options) any { return o.join.gossip }, "10.0.0.2:1"},
	{"--join a --cluster-name c", func(o *options) any { return o.join.name }, "c"},
	{"--join a --cluster-secret-file testdata/secret", func(o *options) any { return string(o.join.secret) }, "a secret for the tests alone"},
	{"--join a --cluster-nodes map", func(o *options) any { return o.join.nodesMap }, true},
	{"--cluster-nodes a", func(o *options) any { return o.server.ClusterVersion }, uint64(1)},
	{"--cluster-nodes a --cluster-version 7", func(o *options) any { return o.server.ClusterVersion }, uint64(7)},
	{"--data-dir /x --serve-while-loading", func(o *options) any { return o.serveWhileLoading }, true},
	{"--data-dir /x --persist-on-error=readonly", func(o *options) any { return o.keep.OnError }, persist.OnErrorReadonly},
	// What is short for memcached's --daemon is not for --data-dir.
	{"--da", func(o *options) any { return o.daemon }, true},
	{"-MAvCp 5", func(o *options) any {
		return []any{o.slab.NoEvict, o.slab.NoCAS, o.server.EnableShutdown, o.server.TCPPort}
	}, []any{true, true, true, 5}},
}

func TestOptionsApply(t *testing.T) {
	for _, c := range optionCases {
		o, operands, err := parse(strings.Fields(c.args)...)
		if err != nil || len(operands) > 0 {
			t.Errorf("%s: error %v, operands %v", c.args, err, operands)
			continue
		}
		want(t, c.args, c.get(o), c.exp)
	}
}

// Every row of the table is in optionCases, or is one that ends the program.
func TestOptionsAreAllTested(t *testing.T) {
	used := map[byte]bool{'h': true, 'i': true, 'V': true, 'Z': true, 'S': true, 'e': true} // see the tests below
	for _, c := range optionCases {
		for i := 0; i < len(c.args); i++ {
			used[c.args[i]] = used[c.args[i]] || (i > 0 && c.args[i-1] == '-')
		}
	}
	for _, opt := range flagTable {
		if !used[opt.short] && opt.short != 0 || opt.short == 0 && !anyCase("--"+opt.long) {
			t.Errorf("%s has no row in optionCases: add one", optionNames(&opt))
		}
		if opt.doc == "" || opt.apply == nil {
			t.Errorf("%s has no help text or no effect", optionNames(&opt))
		}
	}
}

// anyCase reports whether an option is in optionCases by its long name.
func anyCase(name string) bool {
	return slices.ContainsFunc(optionCases, func(c struct {
		args string
		get  func(o *options) any
		exp  any
	},
	) bool {
		return slices.ContainsFunc(strings.Fields(c.args), func(arg string) bool { return strings.Split(arg, "=")[0] == name })
	})
}

// The short and long names of memcached 1.6, with what getopt says of them.
func TestOptionNamesAreMemcacheds(t *testing.T) {
	const names = "a:unix-mask A:enable-shutdown Z:enable-ssl p:port s:unix-socket U:udp-port m:memory-limit M:disable-evictions " +
		"c:conn-limit k:lock-memory h:help i:license V:version r:enable-coredumps v:verbose d:daemon l:listen u:user P:pidfile " +
		"f:slab-growth-factor n:slab-min-size t:threads L:enable-largepages R:max-reqs-per-event C:disable-cas b:listen-backlog " +
		"B:protocol I:max-item-size S:enable-sasl F:disable-flush-all X:disable-dumping W:disable-watch Y:auth-file e:memory-file " +
		"o:extended N:napi-ids D:"
	seen := 0
	for _, pair := range strings.Fields(names) {
		short, long, _ := strings.Cut(pair, ":")
		opt := findShort(flagTable, short[0])
		if opt == nil || opt.long != long {
			t.Errorf("-%s should be --%s", short, long)
		}
		seen++
	}
	want(t, "the number of options", len(flagTable)-len(keepFlags)-len(clusterFlags), seen)
}

func TestOptionsEnd(t *testing.T) {
	o, operands, err := parse("-m", "100", "one", "-v", "--", "-p", "two")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "operands", operands, []string{"one", "-p", "two"})
	want(t, "verbosity", o.server.Verbosity, 1)
	for _, arg := range []string{"-h", "-V", "-i", "--help", "--version", "--license"} {
		// What stands behind them is not looked at.
		if _, _, err := parse(arg, "--nonsense"); !errors.Is(err, errStop) {
			t.Errorf("%s: %v, want an early end", arg, err)
		}
	}
}

// Command lines that are refused, with memcached's exit code.
func TestOptionsRefused(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		text string
	}{
		{"-z", 1, "unknown option -z"},
		{"--bogus", 1, "unknown option --bogus"},
		{"--", 0, ""},
		{"-p", 1, "needs a value"},
		{"--port", 1, "needs a value"},
		{"--mem 5", 1, "ambiguous"},
		{"--daemon=1", 1, "takes no value"},
		{"-p abc", 1, "not a whole number"},
		{"-p 70000", 64, "invalid port number"},
		{"-p -2", 64, "invalid port number"},
		{"-U 11211", 64, "UDP is not served"},
		{"-c 0", 1, "greater than 0"},
		{"-R 0", 1, "greater than 0"},
		{"-t 0", 1, "greater than 0"},
		{"-t 2000", 1, "at most 1024"},
		{"-n 0", 1, "greater than 0"},
		{"-N 0", 1, "greater than 0"},
		{"-N 9", 64, "number of threads"},
		{"-f 1", 1, "greater than 1"},
		{"-f 1000", 1, "at most 100"},
		{"-f NaN", 1, "greater than 1"},
		{"-m 0", 64, "half of the memory"},
		{"-m 1", 64, "half of the memory"},
		{"-m abc", 1, "megabytes"},
		{"-a 9", 1, "octal"},
		{"-B binary", 64, "not in this version"},
		{"-B foo", 64, "ascii or auto"},
		{"-I 512", 64, "1024 bytes"},
		{"-I x", 1, "not a size"},
		{"-I 33m", 64, "half of the memory"},
		{"-m 8192 -I 2g", 64, "more than 1g"},
		{"-I 1500k", 64, "multiple of slab_chunk_max"},
		{"-I 256k", 64, "slab_chunk_max"},
		{"-Z", 64, "not in this version"},
		{"-S", 64, "not in this version"},
		{"--data-dir=", 1, "no directory"},
		{"--journal always", 64, "--journal needs a directory to keep items in: add --data-dir"},
		{"--cluster-nodes a,,b", 1, "is no node"},
		{"--cluster-nodes a,b,a:11211", 1, "a:11211 is there twice"},
		{"--cluster-nodes a --cluster-version 0", 1, "a whole number from 1"},
		{"--cluster-nodes map", 64, "add --join=<members>, or list"},
		{"--cluster-name c", 64, "--cluster-name belongs to a cluster"},
		{"--gossip c:1 --advertise a", 64, "--gossip belongs to a cluster"},
		{"--join a,", 1, "is no node"},
		{"--join a|b|1", 1, "is no address"},
		{"--join a --advertise a:b", 1, "--advertise: "},
		{"--join a -l *", 64, "--advertise=<host>:<port>"},
		{"--join a -s /tmp/x.sock", 64, "--advertise=<host>:<port>"},
		{"--join a --cluster-secret-file /no/such/file", 1, "no such file"},
		{"--join a --cluster-secret-file testdata/short", 1, "16 bytes at least, not 5"},
		{"--cluster-version 2", 64, "add --cluster-nodes=<list>"},
		{"--serve-while-loading", 64, "--serve-while-loading needs a directory"},
		{"--data-dir /x --journal=sometimes", 1, "off, os, interval or always"},
		{"--data-dir /x --journal=interval --journal-interval=0", 64, "longer than 0"},
		{"--data-dir /x --journal=always --journal-timeout=0", 64, "longer than 0"},
		{"--data-dir /x --snapshot-interval=soon", 1, "not a time"},
		{"--data-dir /x --snapshot-interval=-5s", 1, "not a time"},
		{"--data-dir /x --snapshot-rate=fast", 1, "not a size"},
		{"--data-dir /x --snapshot-keep=0", 1, "greater than 0"},
		{"--data-dir /x --snapshot-codec=gzip", 1, "s2, zstd or none"},
		{"--data-dir /x --restore=maybe", 1, "lenient or strict"},
		{"--data-dir /x --restore-ttl=never", 1, "elapsed or freeze"},
		{"--data-dir /x --persist-on-error=panic", 1, "serve, readonly or exit"},
		{"--data-dir /x --restore=strict --serve-while-loading", 64, "leave one of them out"},
		{"--snapshot", 1, "ambiguous"},
		{"--metrics", 64, "not in this version"},
		{"-e /dev/shm/x --data-dir=/tmp/x --journal=os", 0, ""},
		{"-o bogus", 1, "illegal suboption"},
		{"-o modern,,track_sizes", 1, "illegal suboption"},
		{"-o ssl_chain_cert=x", 64, "not in this version"},
		{"-o ext_path=/x:1G", 64, "not in this version"},
		{"-o proxy_config=x", 64, "not in this version"},
		{"-o sock_cookie_id=1", 64, "BSD"},
		{"-o hashpower", 1, "needs a value"},
		{"-o hashpower=5", 1, "12 to 32"},
		{"-o hashpower=33", 1, "12 to 32"},
		{"-o hash_algorithm=md5", 1, "jenkins"},
		{"-o slab_automove=3", 1, "0 to 2"},
		{"-o slab_automove_ratio=0", 1, "greater than 0"},
		{"-o slab_automove_window=2", 1, "3 to 1800"},
		{"-o slab_chunk_max=2048", 1, "1 to 1024"},
		{"-o slab_chunk_max=3", 64, "multiple"},
		{"-o slab_sizes=300-200", 64, "larger than the size before"},
		{"-o slab_sizes=foo", 64, "not a size"},
		{"-o slab_sizes=10-200", 64, "not a size"},
		{"-o tail_repair_time=5", 1, "10 to"},
		{"-o lru_crawler_sleep=1000001", 1, "0 to 1000000"},
		{"-o lru_crawler_tocrawl=-1", 1, "whole number"},
		{"-o hot_lru_pct=50", 64, "more than 80"},
		{"-o hot_lru_pct=80", 1, "1 to 79"},
		{"-o warm_lru_pct=0", 1, "1 to 79"},
		{"-o hot_max_factor=0", 1, "greater than 0"},
		{"-o eviction=fifo", 1, "adaptive and lru"},
		{"-o eviction", 1, "needs a value"},
		{"-o warm_max_factor=x", 1, "greater than 0"},
		{"-o temporary_ttl=10,no_lru_maintainer", 64, "lru_maintainer"},
		{"-o temporary_ttl=x", 1, "seconds"},
		{"-o idle_timeout=x", 1, "seconds"},
		{"-o watcher_logbuf_size=a", 1, "whole number"},
		{"-o worker_logbuf_size=-1", 1, "whole number"},
		{"-o read_buf_mem_limit", 1, "needs a value"},
		{"-o transport=carrier-pigeon", 1, "epoll and goroutine"},
	} {
		_, _, err := parse(strings.Fields(c.args)...)
		if c.code == 0 {
			want(t, c.args, err, nil)
			continue
		}
		var f *failure
		if !errors.As(err, &f) || f.code != c.code || !strings.Contains(f.text, c.text) {
			t.Errorf("%s: %#v, want code %d and %q", c.args, err, c.code, c.text)
		} else if strings.Contains(f.text, "\n") {
			t.Errorf("%s: the message has more than one line: %q", c.args, f.text)
		}
	}
	if _, _, err := parse("-D", ""); err == nil {
		t.Error("-D with an empty argument is taken")
	}
}

// suboptionCases has a row for every suboption that is taken.
var suboptionCases = []struct {
	list string
	get  func(o *options) any
	exp  any
}{
	{"no_maxconns_fast,maxconns_fast", func(o *options) any { return o.server.MaxConnsFast }, true},
	{"no_maxconns_fast", func(o *options) any { return o.server.MaxConnsFast }, false},
	{"hashpower=20", func(o *options) any { return o.slab.HashPower }, 20},
	{"no_hashexpand", nil, nil},
	{"hash_algorithm=murmur3", nil, nil},
	{"no_slab_reassign,slab_reassign", func(o *options) any { return o.slab.SlabReassign }, true},
	{"no_slab_reassign", func(o *options) any { return o.slab.SlabReassign }, false},
	{"slab_automove=2", func(o *options) any { return o.slab.Automove }, 2},
	{"no_slab_automove,slab_automove", func(o *options) any { return o.slab.Automove }, 1},
	{"no_slab_automove", func(o *options) any { return o.slab.Automove }, 0},
	{"slab_automove_ratio=0.5", func(o *options) any { return o.slab.AutomoveRatio }, 0.5},
	{"slab_automove_window=30", func(o *options) any { return o.slab.AutomoveWindow }, 30},
	{"slab_automove_freeratio=0.01", nil, nil},
	{"slab_chunk_max=256", func(o *options) any { return o.slab.ChunkMax }, 256 << 10},
	{"slab_sizes=100-200-300", func(o *options) any { return o.slab.ClassSizes }, []int{100, 200, 300}},
	{"no_chunked_items", func(o *options) any { return o.slab.ChunkMax }, 1 << 20},
	{"tail_repair_time=10", nil, nil},
	{"no_lru_crawler,lru_crawler", func(o *options) any { return o.slab.Crawler }, true},
	{"no_lru_crawler", func(o *options) any { return o.slab.Crawler }, false},
	{"lru_crawler_sleep=7", func(o *options) any { return o.slab.CrawlerSleepMicros }, 7},
	{"lru_crawler_tocrawl=4294967295", func(o *options) any { return o.slab.CrawlerToCrawl }, uint32(4294967295)},
	{"no_lru_maintainer,lru_maintainer", func(o *options) any { return o.slab.Segmented && o.slab.Maintainer }, true},
	{"no_lru_maintainer", func(o *options) any { return o.slab.Segmented || o.slab.Maintainer }, false},
	{"eviction=lru", func(o *options) any { return o.slab.Eviction }, "lru"},
	{"hot_lru_pct=15", func(o *options) any { return o.slab.HotPct }, 15},
	{"warm_lru_pct=25", func(o *options) any { return o.slab.WarmPct }, 25},
	{"hot_max_factor=0.3", func(o *options) any { return o.slab.HotMaxFactor }, 0.3},
	{"warm_max_factor=3", func(o *options) any { return o.slab.WarmMaxFactor }, 3.0},
	{"temporary_ttl=61", func(o *options) any { return o.slab.TempTTL }, int64(61)},
	{"idle_timeout=60", func(o *options) any { return o.server.IdleTimeout }, time.Minute},
	{"watcher_logbuf_size=512", func(o *options) any { return o.server.WatcherLogbuf }, 512 << 10},
	{"worker_logbuf_size=128", func(o *options) any { return o.server.WorkerLogbuf }, 128 << 10},
	{"read_buf_mem_limit=16", func(o *options) any { return o.server.ReadBufMemLimit }, int64(16 << 20)},
	{"resp_obj_mem_limit=5", func(o *options) any { return len(o.warnings) }, 1},
	{"track_sizes", func(o *options) any { return o.slab.TrackSizes }, true},
	{"transport=goroutine", func(o *options) any { return o.server.Transport }, "goroutine"},
	{"modern=1,", nil, nil},
	{"no_modern", func(o *options) any {
		return []any{o.slab.Segmented, o.slab.Crawler, o.slab.SlabReassign, o.slab.ChunkMax, o.server.MaxConnsFast}
	}, []any{false, false, false, 1 << 20, false}},
	{"inline_ascii_resp", nil, nil},
	{"no_inline_ascii_resp", nil, nil},
	{"drop_privileges", func(o *options) any { return len(o.warnings) }, 1},
	{"no_drop_privileges", nil, nil},
	{"relaxed_privileges", nil, nil},
	{"", nil, nil},
}

func TestSuboptionsApply(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range suboptionCases {
		for _, word := range strings.Split(c.list, ",") {
			name, _, _ := strings.Cut(word, "=")
			tested[name] = true
		}
		o, _, err := parse("-o", c.list)
		if err != nil {
			t.Errorf("-o %s: %v", c.list, err)
		} else if c.get != nil {
			want(t, "-o "+c.list, c.get(o), c.exp)
		}
	}
	for _, sub := range suboptionTable {
		switch {
		case sub.refused != "":
			if _, _, err := parse("-o", sub.name+"=x"); err == nil {
				t.Errorf("-o %s is taken although it is refused", sub.name)
			}
		case !tested[sub.name]:
			t.Errorf("-o %s has no row in suboptionCases: add one", sub.name)
		case sub.doc == "":
			t.Errorf("-o %s has no help text", sub.name)
		}
	}
}

func TestUsageNamesEverything(t *testing.T) {
	var b bytes.Buffer
	printUsage(&b, newOptions("memcached", true))
	text := b.String()
	for _, opt := range flagTable {
		if !strings.Contains(text, optionNames(&opt)) {
			t.Errorf("the help lacks %s", optionNames(&opt))
		}
	}
	for _, sub := range suboptionTable {
		if sub.refused == "" && !strings.Contains(text, "   "+sub.name) {
			t.Errorf("the help lacks -o %s", sub.name)
		}
	}
	if !strings.HasPrefix(text, "memcached 1.6.45") {
		t.Errorf("under memcached's name the help begins with %q", strings.SplitN(text, "\n", 2)[0])
	}
}

func FuzzOptions(f *testing.F) {
	for _, c := range optionCases {
		f.Add(c.args)
	}
	for _, c := range suboptionCases {
		f.Add("-o " + c.list)
	}
	f.Fuzz(func(t *testing.T, line string) {
		o, _, err := parse(strings.Split(line, " ")...)
		if err != nil {
			var fl *failure
			if !errors.As(err, &fl) {
				t.Fatalf("%q: an error without an exit code: %v", line, err)
			}
			return
		}
		if o.slab.LimitBytes < 2*int64(o.slab.ItemSizeMax) || o.slab.ItemSizeMax%o.slab.ChunkMax != 0 {
			t.Fatalf("%q: sizes that do not fit each other were taken", line)
		}
		if _, err := o.endpoints(); err != nil && strings.Contains(err.Error(), "\n") {
			t.Fatalf("%q: %q has more than one line", line, err)
		}
	})
}
