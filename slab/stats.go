package slab

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
