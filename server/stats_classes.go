package server

import (
	"strconv"

	"github.com/holdfast-cache/holdfast/slab"
)

// eachClass calls f for every class in use, in order.
func (n *Node) eachClass(f func(*slab.ClassStats)) {
	for id := 1; id <= classIDMax; id++ {
		if c := n.store.ClassStats(id); c.Pages > 0 || c.Number > 0 {
			f(&c)
		}
	}
}

// itemsStats is stats items: the lists of every class that holds items.
func (n *Node) itemsStats(w *statWriter) {
	conf := n.store.Config()
	n.eachClass(func(c *slab.ClassStats) {
		if c.Number == 0 {
			return
		}
		w.prefix = "items:" + strconv.Itoa(int(c.ID)) + ":"
		classLists(w, &conf, c)
		classLosses(w, &conf, c)
		if conf.Maintainer {
			classMoves(w, c)
		}
	})
}

// classLists tells how long and how old the lists of a class are.
func classLists(w *statWriter, conf *slab.Config, c *slab.ClassStats) {
	w.uint("number", c.Number)
	if conf.Maintainer {
		w.uint("number_hot", c.NumberHot)
		w.uint("number_warm", c.NumberWarm)
		w.uint("number_cold", c.NumberCold)
		if conf.TempTTL >= 0 {
			w.uint("number_temp", c.NumberTemp)
		}
		w.uint("age_hot", uint64(c.AgeHot))
		w.uint("age_warm", uint64(c.AgeWarm))
	}
	w.uint("age", uint64(c.Age))
	w.uint("mem_requested", c.MemRequested)
}

// classLosses tells why items of a class went.
func classLosses(w *statWriter, conf *slab.Config, c *slab.ClassStats) {
	w.uint("evicted", c.Evicted)
	w.uint("evicted_nonzero", c.EvictedNonzero)
	w.uint("evicted_time", uint64(c.EvictedTime))
	w.uint("outofmemory", c.OutOfMemory)
	w.uint("tailrepairs", c.TailRepairs)
	w.uint("reclaimed", c.Reclaimed)
	w.uint("expired_unfetched", c.ExpiredUnfetched)
	w.uint("evicted_unfetched", c.EvictedUnfetched)
	if conf.Maintainer {
		w.uint("evicted_active", c.EvictedActive)
	}
	w.uint("crawler_reclaimed", c.CrawlerReclaimed)
	w.uint("crawler_items_checked", c.CrawlerItemsChecked)
	w.uint("lrutail_reflocked", c.LRUTailReflocked)
}

// classMoves tells how items moved between the lists of a class, and which
// lists were hit.
func classMoves(w *statWriter, c *slab.ClassStats) {
	w.uint("moves_to_cold", c.MovesToCold)
	w.uint("moves_to_warm", c.MovesToWarm)
	w.uint("moves_within_lru", c.MovesWithinLRU)
	w.uint("direct_reclaims", c.DirectReclaims)
	w.uint("hits_to_hot", c.HitsToHot)
	w.uint("hits_to_warm", c.HitsToWarm)
	w.uint("hits_to_cold", c.HitsToCold)
	w.uint("hits_to_temp", c.HitsToTemp)
}

// slabsStats is stats slabs: the memory of every class.
func (n *Node) slabsStats(w *statWriter) {
	active := uint64(0)
	n.eachClass(func(c *slab.ClassStats) {
		active++
		w.prefix = strconv.Itoa(int(c.ID)) + ":"
		w.uint("chunk_size", uint64(c.ChunkSize))
		w.uint("chunks_per_page", uint64(c.ChunksPerPage))
		w.uint("total_pages", uint64(c.Pages))
		w.uint("total_chunks", c.TotalChunks)
		w.uint("used_chunks", c.UsedChunks)
		w.uint("free_chunks", c.FreeChunks)
		w.uint("free_chunks_end", 0)
		w.uint("get_hits", c.GetHits)
		w.uint("cmd_set", c.CmdSet)
		w.uint("delete_hits", c.DeleteHits)
		w.uint("incr_hits", c.IncrHits)
		w.uint("decr_hits", c.DecrHits)
		w.uint("cas_hits", c.CasHits)
		w.uint("cas_badval", c.CasBadval)
		w.uint("touch_hits", c.TouchHits)
	})
	w.prefix = ""
	w.uint("active_slabs", active)
	w.uint("total_malloced", n.store.Stats().TotalMalloced)
}
