package server

import (
	"cmp"
	"strconv"

	"github.com/holdfast-cache/holdfast/slab"
)

// temporaryTTLDefault is the longest life of a temporary item, in seconds, that
// is shown while there are none.
const temporaryTTLDefault = 61

// settingsStats is stats settings. Every line has a value: a monitor gives up
// at one without.
func (n *Node) settingsStats(w *statWriter) {
	conf := n.store.Config()
	n.listenSettings(w, &conf)
	n.serverSettings(w, &conf)
	n.memorySettings(w, &conf)
	lruSettings(w, &conf)
	w.int("idle_timeout", int64(n.cfg.IdleTimeout.Seconds()))
	w.int("watcher_logbuf_size", int64(n.cfg.WatcherLogbuf))
	w.int("worker_logbuf_size", int64(n.cfg.WorkerLogbuf))
	w.int("read_buf_mem_limit", n.cfg.ReadBufMemLimit)
	w.yes("track_sizes", conf.TrackSizes)
	w.str("inline_ascii_response", "no")
	w.int("num_napi_ids", 0)
	w.str("memory_file", cmp.Or(n.cfg.MemoryFile, "(null)"))
	w.int("client_flags_size", 4)
	w.str("eviction", conf.Eviction) // ours; last, where no reader expects another
}

// listenSettings tells of limits and addresses.
func (n *Node) listenSettings(w *statWriter, conf *slab.Config) {
	c := n.cfg
	w.int("maxbytes", conf.LimitBytes)
	w.int("maxconns", int64(c.MaxConns))
	w.int("tcpport", int64(c.TCPPort))
	w.int("udpport", 0)
	w.orNull("inter", c.Interface)
	w.int("verbosity", int64(n.admins.verbosity.Load()))
	w.uint("oldest", uint64(n.admins.oldest.Load()))
	if conf.NoEvict {
		w.str("evictions", "off")
	} else {
		w.str("evictions", "on")
	}
	w.orNull("domain_socket", c.UnixSocket)
	w.str("umask", strconv.FormatUint(uint64(c.UnixMask), 8))
	w.yes("shutdown_command", c.EnableShutdown)
}

// serverSettings tells of how requests are served.
func (n *Node) serverSettings(w *statWriter, conf *slab.Config) {
	c := n.cfg
	w.float("growth_factor", conf.GrowthFactor)
	w.int("chunk_size", int64(conf.MinItemSpace))
	w.int("num_threads", int64(c.Threads))
	w.int("num_threads_per_udp", int64(c.Threads))
	w.str("stat_key_prefix", string([]byte{c.PrefixDelimiter}))
	w.yes("detail_enabled", n.detail.on.Load())
	w.int("reqs_per_event", int64(c.ReqsPerEvent))
	w.yes("cas_enabled", !conf.NoCAS)
	w.int("tcp_backlog", int64(c.Backlog))
	w.str("binding_protocol", c.BindingProtocol)
	w.str("auth_enabled_sasl", "no")
	if c.AuthFile != "" {
		w.str("auth_enabled_ascii", c.AuthFile)
	} else {
		w.str("auth_enabled_ascii", "no")
	}
}

// memorySettings tells of items, index and pages.
func (n *Node) memorySettings(w *statWriter, conf *slab.Config) {
	c := n.cfg
	w.int("item_size_max", int64(conf.ItemSizeMax))
	w.yes("maxconns_fast", c.MaxConnsFast)
	w.int("hashpower_init", int64(conf.HashPower))
	w.yes("slab_reassign", conf.SlabReassign)
	w.int("slab_automove", int64(conf.Automove))
	w.float("slab_automove_ratio", conf.AutomoveRatio)
	w.int("slab_automove_window", int64(conf.AutomoveWindow))
	w.int("slab_chunk_max", int64(conf.ChunkMax))
	w.yes("lru_crawler", conf.Crawler)
	w.int("lru_crawler_sleep", int64(conf.CrawlerSleepMicros))
	w.uint("lru_crawler_tocrawl", uint64(conf.CrawlerToCrawl))
	w.int("tail_repair_time", 0)
	w.yes("flush_enabled", !c.DisableFlushAll)
	w.yes("dump_enabled", !c.DisableDump)
	w.str("hash_algorithm", "xxh3")
}

// lruSettings tells of the lists.
func lruSettings(w *statWriter, conf *slab.Config) {
	w.yes("lru_maintainer_thread", conf.Maintainer)
	w.yes("lru_segmented", conf.Segmented)
	w.int("hot_lru_pct", int64(conf.HotPct))
	w.int("warm_lru_pct", int64(conf.WarmPct))
	w.float("hot_max_factor", conf.HotMaxFactor)
	w.float("warm_max_factor", conf.WarmMaxFactor)
	w.yes("temp_lru", conf.TempTTL >= 0)
	if conf.TempTTL >= 0 {
		w.int("temporary_ttl", conf.TempTTL)
	} else {
		w.int("temporary_ttl", temporaryTTLDefault)
	}
}
