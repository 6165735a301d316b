package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
)

// suboption is one word of -o.
type suboption struct {
	name string
	// arg names the value in the help; "" means that there is none, and one
	// that is given is ignored, as memcached does.
	arg string
	// optional says that the value may be missing.
	optional bool
	def      string
	doc      string
	apply    func(o *options, value string) error
	// refused is why the suboption is not taken; it has no apply then.
	refused string
}

const (
	noEffect   = "accepted without effect: "
	refusedTLS = "TLS " + notYet + "; put a TLS proxy such as stunnel in front"
	refusedExt = "external storage " + notYet + "; give the memory to -m"
	refusedPrx = "the proxy " + notYet
)

// suboptionTable is every suboption of -o, in the order of the help.
var suboptionTable = []suboption{
	{name: "maxconns_fast", def: "on", doc: "close new connections at once when -c is reached", apply: func(o *options, _ string) error { o.server.MaxConnsFast = true; return nil }},
	{name: "no_maxconns_fast", doc: "let new connections wait instead", apply: func(o *options, _ string) error { o.server.MaxConnsFast = false; return nil }},
	{name: "hashpower", arg: "12-32", def: "sized by -m", doc: "starting size of the index, as a power of two", apply: setHashPower},
	{name: "no_hashexpand", doc: noEffect + "the index grows within -m", apply: ignore},
	{name: "hash_algorithm", arg: "name", def: "xxh3", doc: noEffect + "jenkins, murmur3 and xxh3 are known, xxh3 is used", apply: checkHashAlgorithm},
	{name: "slab_reassign", def: "on", doc: "let pages move between classes", apply: func(o *options, _ string) error { o.slab.SlabReassign = true; return nil }},
	{name: "no_slab_reassign", doc: "keep pages in their classes", apply: func(o *options, _ string) error { o.slab.SlabReassign = false; return nil }},
	{name: "slab_automove", arg: "0-2", optional: true, def: "1", doc: "0 never move a page unasked, 1 by demand and age, 2 on every eviction", apply: setAutomove},
	{name: "no_slab_automove", doc: "the same as slab_automove=0", apply: func(o *options, _ string) error { o.slab.Automove = 0; return nil }},
	{name: "slab_automove_ratio", arg: "num", def: "0.8", doc: "age of the youngest class, as a share of the oldest, that moves a page", apply: floatIn(0, 1, func(o *options) *float64 { return &o.slab.AutomoveRatio })},
	{name: "slab_automove_window", arg: "3-1800", def: "10", doc: "seconds looked at before a page moves", apply: intIn(3, 1800, func(o *options) *int { return &o.slab.AutomoveWindow })},
	{name: "slab_automove_freeratio", arg: "num", doc: noEffect + "belongs to external storage", apply: ignore},
	{name: "slab_chunk_max", arg: "KB", def: "512", doc: "largest chunk; a longer item takes several", apply: setChunkMax},
	{name: "slab_sizes", arg: "a-b-c", doc: "sizes of the item classes, ascending, instead of -f", apply: func(o *options, v string) error { o.slabSizes = v; return nil }},
	{name: "no_chunked_items", doc: "chunks as large as a page", apply: func(o *options, _ string) error { o.slab.ChunkMax = mebi; return nil }},
	{name: "tail_repair_time", arg: "s", doc: noEffect + "no item can get stuck at the tail", apply: intIn(10, 1<<31-1, nil)},
	{name: "lru_crawler", def: "on", doc: "free expired items in the background", apply: func(o *options, _ string) error { o.slab.Crawler = true; return nil }},
	{name: "no_lru_crawler", doc: "leave expired items until they are met", apply: func(o *options, _ string) error { o.slab.Crawler = false; return nil }},
	{name: "lru_crawler_sleep", arg: "us", def: "100", doc: "microseconds between two steps of the crawler", apply: intIn(0, 1000000, func(o *options) *int { return &o.slab.CrawlerSleepMicros })},
	{name: "lru_crawler_tocrawl", arg: "num", def: "0", doc: "items looked at in one class and run; 0 is all", apply: setToCrawl},
	{name: "lru_maintainer", def: "on", doc: "segmented LRU, kept in the background", apply: func(o *options, _ string) error {
		o.noMaintainer, o.slab.Maintainer, o.slab.Segmented = false, true, true
		return nil
	}},
	{name: "no_lru_maintainer", doc: "one plain LRU for each class", apply: dropMaintainer},
	{name: "eviction", arg: "name", def: slab.EvictionAdaptive, doc: "adaptive or lru: learn from what comes back, or memcached's segmented LRU", apply: setEviction},
	{name: "hot_lru_pct", arg: "1-79", def: "20", doc: "with eviction=lru: share of a class for new items, in percent", apply: intIn(1, 79, func(o *options) *int { return &o.slab.HotPct })},
	{name: "warm_lru_pct", arg: "1-79", def: "40", doc: "with eviction=lru: share of a class for items used again, in percent", apply: intIn(1, 79, func(o *options) *int { return &o.slab.WarmPct })},
	{name: "hot_max_factor", arg: "num", def: "0.2", doc: "with eviction=lru: new items idle for longer than this times the cold age cool down", apply: floatIn(0, 1e9, func(o *options) *float64 { return &o.slab.HotMaxFactor })},
	{name: "warm_max_factor", arg: "num", def: "2.0", doc: "with eviction=lru: the same for items used again", apply: floatIn(0, 1e9, func(o *options) *float64 { return &o.slab.WarmMaxFactor })},
	{name: "temporary_ttl", arg: "s", def: "off", doc: "items with a shorter life than this are never evicted", apply: setTempTTL},
	{name: "idle_timeout", arg: "s", def: "0", doc: "close connections idle for so long; 0 is never", apply: setIdleTimeout},
	{name: "watcher_logbuf_size", arg: "KB", def: "256", doc: "log waiting for one watcher", apply: kilobytes(func(o *options, n int64) { o.server.WatcherLogbuf = int(n) })},
	{name: "worker_logbuf_size", arg: "KB", def: "64", doc: "log waiting in one thread", apply: kilobytes(func(o *options, n int64) { o.server.WorkerLogbuf = int(n) })},
	{name: "read_buf_mem_limit", arg: "MB", def: "0", doc: "memory for the buffers of all connections; 0 is no limit", apply: kilobytes(func(o *options, n int64) { o.server.ReadBufMemLimit = n * 1024 })},
	{name: "resp_obj_mem_limit", doc: noEffect + "see read_buf_mem_limit", apply: ignoreLoudly("resp_obj_mem_limit has no effect any more: see read_buf_mem_limit")},
	{name: "track_sizes", doc: "count items by size for stats sizes", apply: func(o *options, _ string) error { o.slab.TrackSizes = true; return nil }},
	{name: "transport", arg: "name", def: "epoll on Linux", doc: "epoll or goroutine: how connections are served", apply: setTransport},
	{name: "modern", doc: noEffect + "everything modern is on", apply: ignore},
	{name: "no_modern", doc: "the defaults of memcached 1.4", apply: setNoModern},
	{name: "inline_ascii_resp", doc: noEffect + "of the past", apply: ignore},
	{name: "no_inline_ascii_resp", doc: noEffect + "of the past", apply: ignore},
	{name: "drop_privileges", doc: noEffect + "system calls are not filtered", apply: ignoreLoudly("drop_privileges has no effect: system calls are not filtered; let systemd do that (SystemCallFilter=)")},
	{name: "no_drop_privileges", doc: noEffect + "system calls are not filtered", apply: ignore},
	{name: "relaxed_privileges", doc: noEffect + "system calls are not filtered", apply: ignore},
	{name: "sock_cookie_id", refused: "socket cookies are a BSD firewall's; leave it out"},
	{name: "ssl_chain_cert", refused: refusedTLS},
	{name: "ssl_key", refused: refusedTLS},
	{name: "ssl_verify_mode", refused: refusedTLS},
	{name: "ssl_keyformat", refused: refusedTLS},
	{name: "ssl_ciphers", refused: refusedTLS},
	{name: "ssl_ca_cert", refused: refusedTLS},
	{name: "ssl_wbuf_size", refused: refusedTLS},
	{name: "ssl_session_cache", refused: refusedTLS},
	{name: "ssl_kernel_tls", refused: refusedTLS},
	{name: "ssl_min_version", refused: refusedTLS},
	{name: "ext_path", refused: refusedExt},
	{name: "ext_page_size", refused: refusedExt},
	{name: "ext_wbuf_size", refused: refusedExt},
	{name: "ext_threads", refused: refusedExt},
	{name: "ext_io_depth", refused: refusedExt},
	{name: "ext_item_size", refused: refusedExt},
	{name: "ext_item_age", refused: refusedExt},
	{name: "ext_low_ttl", refused: refusedExt},
	{name: "ext_drop_unread", refused: refusedExt},
	{name: "ext_recache_rate", refused: refusedExt},
	{name: "ext_compact_under", refused: refusedExt},
	{name: "ext_drop_under", refused: refusedExt},
	{name: "ext_max_frag", refused: refusedExt},
	{name: "ext_max_sleep", refused: refusedExt},
	{name: "proxy_config", refused: refusedPrx},
	{name: "proxy_arg", refused: refusedPrx},
	{name: "proxy_uring", refused: refusedPrx},
	{name: "proxy_memprofile", refused: refusedPrx},
}

// applySuboptions reads a list like "modern,idle_timeout=60". A comma at its
// very end is allowed, an empty word elsewhere is not.
func applySuboptions(o *options, list string) error {
	list = strings.TrimSuffix(list, ",")
	if list == "" {
		return nil
	}
	for _, word := range strings.Split(list, ",") {
		if err := applySuboption(o, word); err != nil {
			return err
		}
	}
	return nil
}

func applySuboption(o *options, word string) error {
	name, value, given := strings.Cut(word, "=")
	for i := range suboptionTable {
		sub := &suboptionTable[i]
		if sub.name != name {
			continue
		}
		if sub.refused != "" {
			return fail(exitUsage, "-o %s: %s", name, sub.refused)
		}
		if sub.arg != "" && !sub.optional && !given {
			return fail(exitFailure, "-o %s needs a value: %s=<%s>", name, name, sub.arg)
		}
		if err := sub.apply(o, value); err != nil {
			return fail(err.(*failure).code, "-o %s: %s", printable(word), err)
		}
		return nil
	}
	return fail(exitFailure, "-o: illegal suboption %q; run '%s -h' for the list", word, o.help())
}

func ignore(*options, string) error { return nil }

func ignoreLoudly(text string) func(*options, string) error {
	return func(o *options, _ string) error { o.warn(text); return nil }
}

// intIn takes a whole number from min to max. Without a field it is only checked.
func intIn(min, max int, field func(*options) *int) func(*options, string) error {
	return func(o *options, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < min || n > max {
			return fail(exitFailure, "must be a whole number from %d to %d", min, max)
		}
		if field != nil {
			*field(o) = n
		}
		return nil
	}
}

// floatIn takes a number above min and up to max.
func floatIn(min, max float64, field func(*options) *float64) func(*options, string) error {
	return func(o *options, v string) error {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || !(f > min) || f > max {
			return fail(exitFailure, "must be a number greater than %g and at most %g", min, max)
		}
		*field(o) = f
		return nil
	}
}

// kilobytes takes a whole number and hands it over times 1024.
func kilobytes(set func(*options, int64)) func(*options, string) error {
	return func(o *options, v string) error {
		n, err := strconv.ParseUint(v, 10, 21)
		if err != nil {
			return fail(exitFailure, "must be a whole number from 0 to %d", 1<<21-1)
		}
		set(o, int64(n)*1024)
		return nil
	}
}

func setHashPower(o *options, v string) error {
	return intIn(12, 32, func(o *options) *int { return &o.slab.HashPower })(o, v)
}

func checkHashAlgorithm(_ *options, v string) error {
	switch v {
	case "jenkins", "murmur3", "xxh3":
		return nil
	}
	return fail(exitFailure, "the algorithms are jenkins, murmur3 and xxh3")
}

func setAutomove(o *options, v string) error {
	if v == "" {
		v = "1"
	}
	return intIn(0, 2, func(o *options) *int { return &o.slab.Automove })(o, v)
}

func setChunkMax(o *options, v string) error {
	if err := intIn(1, 1024, func(o *options) *int { return &o.slab.ChunkMax })(o, v); err != nil {
		return fail(exitFailure, "must be a number of kilobytes from 1 to 1024")
	}
	o.slab.ChunkMax *= 1024
	o.chunkMaxGiven = true
	return nil
}

func setToCrawl(o *options, v string) error {
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		return fail(exitFailure, "must be a whole number from 0 to %d", uint32(1<<32-1))
	}
	o.slab.CrawlerToCrawl = uint32(n)
	return nil
}

func dropMaintainer(o *options, _ string) error {
	o.noMaintainer, o.slab.Maintainer, o.slab.Segmented = true, false, false
	return nil
}

func setEviction(o *options, v string) error {
	if v != slab.EvictionAdaptive && v != slab.EvictionLRU {
		return fail(exitFailure, "the policies are adaptive and lru")
	}
	o.slab.Eviction = v
	return nil
}

func setTempTTL(o *options, v string) error {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return fail(exitFailure, "must be a number of seconds")
	}
	o.slab.TempTTL = n
	return nil
}

func setIdleTimeout(o *options, v string) error {
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return fail(exitFailure, "must be a number of seconds")
	}
	o.server.IdleTimeout = time.Duration(n) * time.Second
	return nil
}

func setTransport(o *options, v string) error {
	if v != "epoll" && v != "goroutine" {
		return fail(exitFailure, "the transports are epoll and goroutine")
	}
	o.server.Transport = v
	return nil
}

func setNoModern(o *options, _ string) error {
	if !o.chunkMaxGiven {
		o.slab.ChunkMax = mebi
	}
	o.slab.SlabReassign, o.slab.Automove = false, 0
	o.server.MaxConnsFast, o.slab.Crawler = false, false
	return dropMaintainer(o, "")
}

// parseSlabSizes reads the value of slab_sizes: ascending chunk sizes, at least
// eight bytes apart, between -n and the largest chunk.
func parseSlabSizes(v string, least, most int) ([]int, error) {
	var sizes []int
	last := 0
	for _, word := range strings.Split(v, "-") {
		n, err := strconv.Atoi(word)
		switch {
		case err != nil || n < least || n > most:
			return nil, fail(exitUsage, "slab_sizes: %s is not a size from %d to %d bytes", quoteEmpty(word), least, most)
		case n <= last+8:
			return nil, fail(exitUsage, "slab_sizes: %d must be more than 8 bytes larger than the size before it", n)
		case len(sizes) == 62:
			return nil, fail(exitUsage, "slab_sizes: at most 62 sizes")
		}
		sizes, last = append(sizes, n), n
	}
	return sizes, nil
}
