package slab

import (
	"math/bits"
	"sync/atomic"
)

// Stats are the store's totals. Counters only grow until ResetStats; gauges
// (marked) tell the present.
type Stats struct {
	LimitBytes     int64  // gauge: bound for items and index
	Bytes          uint64 // gauge: bytes of stored items, with their headers
	CurrItems      uint64 // gauge
	TotalItems     uint64 // items ever stored
	TotalMalloced  uint64 // gauge: bytes in pages given to classes
	ActiveClasses  int    // gauge: classes that own pages
	PoolPages      uint64 // gauge: pages in hand that belong to no class
	HashPower      int    // gauge: index slots as a power of two, rounded down
	HashBytes      uint64 // gauge: memory of the index
	HashExpanding  bool   // gauge: the index is between two powers of two
	MallocFails    uint64 // memory the system refused
	ReassignRuns   bool   // gauge: a page is being moved
	CrawlerRuns    bool   // gauge: a list is being crawled
	CrawlerStarts  uint64
	Juggles        uint64 // rounds of the LRU maintainer
	PagesMoved     uint64
	Rescues        uint64 // items copied out of a page being moved
	ChunkRescues   uint64 // parts of large items so copied
	InlineReclaim  uint64 // dead items found while moving a page
	BusyItems      uint64 // times a chunk could not be moved because it was in use
	BusyDeletes    uint64 // chunks in use for so long that their item was deleted
	BusyNoMem      uint64 // items evicted from a moving page for lack of a free chunk
	LastBusyStatus int    // gauge: why the last chunk was busy, 0 if none was

	// Class holds the sums over all classes. Its gauges about a single tail
	// (Age…, EvictedTime) are 0.
	Class ClassStats
}

// ClassStats is what one class holds and has been through.
type ClassStats struct {
	ID uint8

	// Geometry and memory, all gauges.
	ChunkSize     uint32 // bytes
	ChunksPerPage uint32
	Pages         uint32
	TotalChunks   uint64
	UsedChunks    uint64
	FreeChunks    uint64

	// Items, all gauges. Number is the sum over the lists.
	Number                                          uint64
	NumberHot, NumberWarm, NumberCold, NumberTemp   uint64
	AgeHot, AgeWarm, Age                            uint32 // seconds since the tail's last access
	MemRequested                                    uint64 // bytes of the stored items
	EvictedTime                                     uint32 // idle seconds of the last victim
	GetHits, CmdSet, DeleteHits, IncrHits, DecrHits uint64
	CasHits, CasBadval, TouchHits                   uint64
	HitsToHot, HitsToWarm, HitsToCold, HitsToTemp   uint64
	GetExpired, GetFlushed                          uint64 // gets that met a dead item
	TotalItems                                      uint64 // items ever stored
	Evicted, EvictedNonzero                         uint64 // all; those with an expiry
	EvictedUnfetched, EvictedActive                 uint64
	OutOfMemory, TailRepairs, Reclaimed             uint64
	ExpiredUnfetched                                uint64
	CrawlerReclaimed, CrawlerItemsChecked           uint64
	LRUTailReflocked                                uint64
	MovesToCold, MovesToWarm, MovesWithinLRU        uint64
	DirectReclaims, BumpsDropped                    uint64
}

// add sums up classes. Fields that describe a single class stay as they are.
func (c *ClassStats) add(o *ClassStats) {
	c.Pages += o.Pages
	c.TotalChunks += o.TotalChunks
	c.UsedChunks += o.UsedChunks
	c.FreeChunks += o.FreeChunks
	c.Number += o.Number
	c.NumberHot += o.NumberHot
	c.NumberWarm += o.NumberWarm
	c.NumberCold += o.NumberCold
	c.NumberTemp += o.NumberTemp
	c.MemRequested += o.MemRequested
	c.GetHits += o.GetHits
	c.CmdSet += o.CmdSet
	c.DeleteHits += o.DeleteHits
	c.IncrHits += o.IncrHits
	c.DecrHits += o.DecrHits
	c.CasHits += o.CasHits
	c.CasBadval += o.CasBadval
	c.TouchHits += o.TouchHits
	c.HitsToHot += o.HitsToHot
	c.HitsToWarm += o.HitsToWarm
	c.HitsToCold += o.HitsToCold
	c.HitsToTemp += o.HitsToTemp
	c.GetExpired += o.GetExpired
	c.GetFlushed += o.GetFlushed
	c.TotalItems += o.TotalItems
	c.Evicted += o.Evicted
	c.EvictedNonzero += o.EvictedNonzero
	c.EvictedUnfetched += o.EvictedUnfetched
	c.EvictedActive += o.EvictedActive
	c.OutOfMemory += o.OutOfMemory
	c.TailRepairs += o.TailRepairs
	c.Reclaimed += o.Reclaimed
	c.ExpiredUnfetched += o.ExpiredUnfetched
	c.CrawlerReclaimed += o.CrawlerReclaimed
	c.CrawlerItemsChecked += o.CrawlerItemsChecked
	c.LRUTailReflocked += o.LRUTailReflocked
	c.MovesToCold += o.MovesToCold
	c.MovesToWarm += o.MovesToWarm
	c.MovesWithinLRU += o.MovesWithinLRU
	c.DirectReclaims += o.DirectReclaims
	c.BumpsDropped += o.BumpsDropped
}

// Stats returns the totals. It locks every Worker and class, one at a time, so
// the caller must hold none; the numbers are those of slightly different moments.
func (s *Store) Stats() Stats {
	var st Stats
	for id := 1; id < len(s.classes); id++ {
		c := s.ClassStats(id)
		st.Class.add(&c)
		if c.Pages > 0 {
			st.ActiveClasses++
		}
	}
	st.LimitBytes = s.limit.Load()
	st.Bytes = st.Class.MemRequested
	st.CurrItems = st.Class.Number
	st.TotalItems = st.Class.TotalItems
	s.memoryStats(&st)
	s.moveStats(&st)
	s.crawl.mu.Lock()
	st.CrawlerRuns = s.crawl.mu.todo != 0
	st.CrawlerStarts = s.crawl.mu.starts
	s.crawl.mu.Unlock()
	st.Juggles = s.juggles.Load()
	return st
}

func (s *Store) memoryStats(st *Stats) {
	s.pool.mu.Lock()
	st.TotalMalloced = uint64(s.pool.mu.given) * uint64(s.cfg.PageBytes)
	st.PoolPages = uint64(s.pool.mu.freeLen)
	st.HashBytes = uint64(s.pool.mu.indexBytes)
	s.pool.mu.Unlock()
	rows := s.index.rows.Load()
	const slots = 8 // memcached's slots hold a little more than one item, a bucket eight or so
	st.HashPower = bits.Len64(uint64(rows)*uint64(len(s.stripes))*slots) - 1
	st.HashExpanding = bits.OnesCount32(rows) != 1
}

func (s *Store) moveStats(st *Stats) {
	m := &s.moves
	st.PagesMoved = m.moved.Load()
	st.Rescues = m.rescues.Load()
	st.ChunkRescues = m.chunkRescues.Load()
	st.InlineReclaim = m.inlineReclaim.Load()
	st.BusyItems = m.busyItems.Load()
	st.BusyDeletes = m.busyDeletes.Load()
	st.BusyNoMem = m.busyNoMem.Load()
	st.LastBusyStatus = int(m.lastBusy.Load())
	s.move.mu.Lock()
	st.ReassignRuns = s.move.mu.active
	s.move.mu.Unlock()
}

// ClassStats returns what a class holds and has been through; all but the ID
// is 0 if there is no such class. As Stats, it wants no lock held.
func (s *Store) ClassStats(id int) ClassStats {
	if id < 1 || id >= len(s.classes) {
		return ClassStats{ID: uint8(id)}
	}
	st := s.classes[id].stats(s)
	s.workers.Lock()
	list := s.workers.list
	s.workers.Unlock()
	for _, w := range list {
		w.mu.Lock()
		w.counts[id].addTo(&st)
		w.mu.Unlock()
	}
	st.GetHits = st.HitsToHot + st.HitsToWarm + st.HitsToCold + st.HitsToTemp
	return st
}

// stats reads what the class's own lock guards.
func (c *class) stats(s *Store) ClassStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &c.counts
	st := ClassStats{
		ID:            c.id,
		ChunkSize:     c.size,
		ChunksPerPage: c.perPage,
		Pages:         c.npages,
		TotalChunks:   uint64(c.npages) * uint64(c.perPage),
		UsedChunks:    c.used,
		FreeChunks:    c.freeChunks(),

		Number:     c.items(),
		NumberHot:  c.lists[Hot].n,
		NumberWarm: c.lists[Warm].n,
		NumberCold: c.lists[Cold].n,
		NumberTemp: c.lists[Temp].n,
		AgeHot:     s.tailAge(c, Hot),
		AgeWarm:    s.tailAge(c, Warm),
		Age:        s.coldAge(c),

		EvictedTime:         n.evictedTime,
		TotalItems:          n.total,
		Evicted:             n.evicted,
		EvictedNonzero:      n.evictedNonzero,
		EvictedUnfetched:    n.evictedUnfetched,
		EvictedActive:       n.evictedActive,
		OutOfMemory:         n.outOfMemory,
		TailRepairs:         n.tailRepairs,
		Reclaimed:           n.reclaimed,
		ExpiredUnfetched:    n.expiredUnfetched,
		CrawlerReclaimed:    n.crawlerReclaimed,
		CrawlerItemsChecked: n.crawlerItemsChecked,
		LRUTailReflocked:    n.lruTailReflocked,
		MovesToCold:         n.movesToCold,
		MovesToWarm:         n.movesToWarm,
		MovesWithinLRU:      n.movesWithinLRU,
		DirectReclaims:      n.directReclaims,
	}
	for l := range c.lists {
		st.MemRequested += c.lists[l].bytes
	}
	return st
}

// addTo adds a Worker's counters of a class.
func (n *workerCounts) addTo(st *ClassStats) {
	st.HitsToHot += n.hits[Hot]
	st.HitsToWarm += n.hits[Warm]
	st.HitsToCold += n.hits[Cold]
	st.HitsToTemp += n.hits[Temp]
	st.TouchHits += n.touchHits
	st.CmdSet += n.sets
	st.DeleteHits += n.deleteHits
	st.IncrHits += n.incrHits
	st.DecrHits += n.decrHits
	st.CasHits += n.casHits
	st.CasBadval += n.casBadval
	st.GetExpired += n.getExpired
	st.GetFlushed += n.getFlushed
}

// ResetStats sets every counter to 0; gauges stay. As Stats, it wants no lock held.
func (s *Store) ResetStats() {
	s.workers.Lock()
	list := s.workers.list
	s.workers.Unlock()
	for _, w := range list {
		w.mu.Lock()
		w.counts = [classMax + 1]workerCounts{}
		w.mu.Unlock()
	}
	for id := 1; id < len(s.classes); id++ {
		c := &s.classes[id]
		c.mu.Lock()
		c.counts = classCounts{}
		c.mu.Unlock()
	}
	s.moverStale.Store(true) // it works with differences of counters
	s.crawl.mu.Lock()
	s.crawl.mu.starts = 0
	s.crawl.mu.Unlock()
	s.juggles.Store(0)
	m := &s.moves
	for _, n := range []*atomic.Uint64{
		&m.moved, &m.rescues, &m.chunkRescues, &m.inlineReclaim, &m.busyItems, &m.busyDeletes, &m.busyNoMem,
	} {
		n.Store(0)
	}
}
