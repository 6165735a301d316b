package server

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/holdfast-cache/holdfast/slab"
)

// busyStatusWords say what stood in the way of the page move under way, by
// slab.Stats.LastBusyStatus.
var busyStatusWords = [...]string{"none", "filling", "pinned", "locked"}

// generalStats is stats without a word. Names and order are memcached's; the
// lines of features that are off are left out.
func (n *Node) generalStats(w *statWriter) {
	conf, st, conns := n.store.Config(), n.store.Stats(), n.connStats()
	c := n.counters()
	n.processStats(w)
	n.connectionStats(w, &conns)
	commandStats(w, &c, &st)
	if n.cfg.IdleTimeout > 0 {
		w.uint("idle_kicks", conns.IdleKicks)
	}
	w.uint("bytes_read", conns.BytesRead)
	w.uint("bytes_written", conns.BytesWritten)
	w.int("limit_maxbytes", st.LimitBytes)
	w.bool01("accepting_conns", conns.Accepting)
	w.uint("listen_disabled_num", conns.ListenDisabledNum)
	w.int("time_in_listen_disabled_us", conns.ListenDisabled.Microseconds())
	w.int("threads", int64(n.cfg.Threads))
	w.uint("conn_yields", conns.Yields)
	w.int("hash_power_level", int64(st.HashPower))
	w.uint("hash_bytes", st.HashBytes)
	w.bool01("hash_is_expanding", st.HashExpanding)
	backgroundStats(w, &conf, &st)
	n.logStats(w)
	itemTotals(w, &conf, &st)
	n.identityStats(w) // ours; last, where no reader expects another
}

// processStats tells of the process.
func (n *Node) processStats(w *statWriter) {
	now := n.clock.now()
	w.int("pid", int64(os.Getpid()))
	w.uint("uptime", uint64(max(int64(now)-n.clock.start, 0)))
	w.int("time", n.clock.unix(now))
	w.str("version", n.cfg.Version)
	w.str("libevent", "none")
	w.int("pointer_size", strconv.IntSize)
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		ru = syscall.Rusage{}
	}
	w.str("rusage_user", rusageTime(ru.Utime))
	w.str("rusage_system", rusageTime(ru.Stime))
}

// rusageTime is a processor time in seconds, with microseconds.
func rusageTime(t syscall.Timeval) string { return fmt.Sprintf("%d.%06d", t.Sec, t.Usec) }

// connectionStats tells of connections and their buffers. There are no response
// objects and no reserved descriptors here: replies are bytes in a buffer, and
// connections are counted, not descriptors.
func (n *Node) connectionStats(w *statWriter, c *ConnStats) {
	w.int("max_connections", int64(n.cfg.MaxConns))
	w.uint("curr_connections", c.Current)
	w.uint("total_connections", c.Total)
	if n.cfg.MaxConnsFast {
		w.uint("rejected_connections", c.Rejected)
	}
	w.uint("connection_structures", c.Structures)
	w.uint("response_obj_oom", 0)
	w.uint("response_obj_count", 0)
	w.uint("response_obj_bytes", 0)
	w.uint("read_buf_count", c.BufferCount)
	w.uint("read_buf_bytes", c.BufferBytes)
	w.uint("read_buf_bytes_free", c.BufferBytesFree)
	w.uint("read_buf_oom", c.BufferOOM)
	w.uint("reserved_fds", 0)
}

// commandStats tells of the commands carried out.
func commandStats(w *statWriter, c *counters, st *slab.Stats) {
	w.uint("cmd_get", c.cmdGet)
	w.uint("cmd_set", c.cmdSet)
	w.uint("cmd_flush", c.cmdFlush)
	w.uint("cmd_touch", c.cmdTouch)
	w.uint("cmd_meta", c.cmdMeta)
	w.uint("get_hits", c.getHits)
	w.uint("get_misses", c.getMisses)
	w.uint("get_expired", st.Class.GetExpired)
	w.uint("get_flushed", st.Class.GetFlushed)
	w.uint("delete_misses", c.deleteMisses)
	w.uint("delete_hits", c.deleteHits)
	w.uint("incr_misses", c.incrMisses)
	w.uint("incr_hits", c.incrHits)
	w.uint("decr_misses", c.decrMisses)
	w.uint("decr_hits", c.decrHits)
	w.uint("cas_misses", c.casMisses)
	w.uint("cas_hits", c.casHits)
	w.uint("cas_badval", c.casBadval)
	w.uint("touch_hits", c.touchHits)
	w.uint("touch_misses", c.touchMisses)
	w.uint("store_too_large", c.storeTooLarge)
	w.uint("store_no_memory", c.storeNoMemory)
	w.uint("auth_cmds", c.authCmds)
	w.uint("auth_errors", c.authErrors)
}

// backgroundStats tells of what the store does by itself.
func backgroundStats(w *statWriter, conf *slab.Config, st *slab.Stats) {
	if conf.SlabReassign {
		w.uint("slab_reassign_rescues", st.Rescues)
		w.uint("slab_reassign_chunk_rescues", st.ChunkRescues)
		w.uint("slab_reassign_inline_reclaim", st.InlineReclaim)
		w.uint("slab_reassign_busy_items", st.BusyItems)
		w.uint("slab_reassign_busy_deletes", st.BusyDeletes)
		w.uint("slab_reassign_busy_nomem", st.BusyNoMem)
		w.str("slab_reassign_last_busy_status", busyStatusWords[st.LastBusyStatus%len(busyStatusWords)])
		w.bool01("slab_reassign_running", st.ReassignRuns)
		w.uint("slabs_moved", st.PagesMoved)
	}
	if conf.Crawler {
		w.bool01("lru_crawler_running", st.CrawlerRuns)
		w.uint("lru_crawler_starts", st.CrawlerStarts)
	}
	if conf.Maintainer {
		w.uint("lru_maintainer_juggles", st.Juggles)
	}
	w.uint("malloc_fails", st.MallocFails)
}

// logStats tells of the watchers. No line is lost between a worker and the
// watchers, so log_worker_dropped stays 0.
func (n *Node) logStats(w *statWriter) {
	h := &n.watch
	w.uint("log_worker_dropped", 0)
	w.uint("log_worker_written", h.written.Load())
	w.uint("log_watcher_skipped", h.skipped.Load())
	w.uint("log_watcher_sent", h.sent.Load())
	w.int("log_watchers", int64(h.count()))
	w.uint("unexpected_napi_ids", 0)
	w.uint("round_robin_fallback", 0)
}

// itemTotals tells of the items, over all classes.
func itemTotals(w *statWriter, conf *slab.Config, st *slab.Stats) {
	t := &st.Class
	w.uint("bytes", st.Bytes)
	w.uint("curr_items", st.CurrItems)
	w.uint("total_items", st.TotalItems)
	w.uint("slab_global_page_pool", st.PoolPages)
	w.uint("expired_unfetched", t.ExpiredUnfetched)
	w.uint("evicted_unfetched", t.EvictedUnfetched)
	if conf.Maintainer {
		w.uint("evicted_active", t.EvictedActive)
	}
	w.uint("evictions", t.Evicted)
	w.uint("reclaimed", t.Reclaimed)
	w.uint("crawler_reclaimed", t.CrawlerReclaimed)
	w.uint("crawler_items_checked", t.CrawlerItemsChecked)
	w.uint("lrutail_reflocked", t.LRUTailReflocked)
	if conf.Maintainer {
		w.uint("moves_to_cold", t.MovesToCold)
		w.uint("moves_to_warm", t.MovesToWarm)
		w.uint("moves_within_lru", t.MovesWithinLRU)
		w.uint("direct_reclaims", t.DirectReclaims)
		w.uint("lru_bumps_dropped", t.BumpsDropped)
	}
}
