package slab

import (
	"errors"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// stripesMax is how many locks the index of a large store has. A small store
// has fewer, so that a row of buckets stays small beside its limit.
const stripesMax = 1024

// Store is a cache in memory of its own. Make one with New. All its methods
// may be called at any time by any goroutine; operations on items go through
// a Worker.
type Store struct {
	cfg   Config // resolved; knobs and limit hold what may change
	knobs knobs
	seed  uint64
	table *classTable

	// now is the store's clock; flushVer kills items without
	// visiting them (see dead).
	now      atomic.Uint32
	flushVer *atomic.Uint64

	arena      region
	super      *super // of item memory that outlives the process, else nil
	recovery   Recovery
	largeMin   int   // value length from which on an item is large
	shift      uint8 // ref<<shift is an offset in the arena
	pageShift  uint8 // ref>>pageShift is a page number
	stripeMask uint64
	stripes    []stripe
	index      index
	pages      []page  // entry 0 is no page
	classes    []class // by id; entry 0 is no class
	pool       pool
	limit      atomic.Int64 // bytes; changed under pool.mu

	// ver numbers every change (see I4). It and flushVer are in own, or in
	// memory that outlives the process.
	ver *atomic.Uint64
	own numbers

	journal  Journal // nil: nobody is told of changes
	changed  changes
	observer atomic.Pointer[func(Event)]
	// pageWanted is the class that evicted last, when every eviction shall move
	// a page (Automove 2); 0 if none has since it was last looked at.
	pageWanted atomic.Uint32
	pendings   sync.Pool
	// pendingChunks counts chunks held by Pendings.
	pendingChunks atomic.Int64
	pinned        atomic.Int64 // Pins that are held

	sizes sizeCounts // of no use unless Config.TrackSizes

	workers struct {
		sync.Mutex
		list []*Worker
	}
	upkeep
}

// numbers are the counters that must never go back. Every store writes ver, so
// it has a cache line to itself.
type numbers struct {
	flushVer atomic.Uint64
	_        [64]byte
	ver      atomic.Uint64
	_        [64]byte
}

// class is a size of chunks with the items in them. A chained item counts in
// the lists of the top class, wherever its own chunk is.
type class struct {
	mu      sync.Mutex
	id      uint8
	size    uint32 // of a chunk, in bytes
	unit    uint32 // of a chunk, in refs
	perPage uint32 // chunks in a page

	// Guarded by mu from here on.
	avail  uint32   // pages with a chunk to give, linked by page.next; 0 none
	npages uint32   // pages that belong to the class, draining ones included
	own    []uint32 // their numbers
	used   uint64   // chunks given out
	lists  [lruCount]list
	counts classCounts
	// probation is the share of the class's bytes for items that have yet to
	// prove their worth (see adaptive.go).
	probation float64
	// swept is the flush mark up to which evictions have taken dead items off the
	// warm list.
	swept   uint64
	recalls uint64 // stores of keys that have a ghost (see follow.go)
	// due is when the first of its pages is, chainDue when the first chained item
	// dies; crawl is how far the crawler has come (see schedule.go).
	due, chainDue uint32
	crawl         crawlPlace
	_             [64]byte
}

// list is one LRU list: new items at the head, victims at the tail.
type list struct {
	head, tail uint32
	n          uint64
	bytes      uint64 // sum of itemBytes
}

// classCounts are the counters of a class that change under its lock. They
// have memcached's names and meanings.
type classCounts struct {
	total               uint64 // items ever linked
	evicted             uint64
	evictedNonzero      uint64
	evictedUnfetched    uint64
	evictedActive       uint64
	evictedTime         uint32 // idle seconds of the last victim
	outOfMemory         uint64
	tailRepairs         uint64
	reclaimed           uint64
	expiredUnfetched    uint64
	crawlerReclaimed    uint64
	crawlerItemsChecked uint64
	lruTailReflocked    uint64
	movesToCold         uint64
	movesToWarm         uint64
	movesWithinLRU      uint64
	directReclaims      uint64
}

// New makes a store. It fails if the Config is not valid or the system does
// not give the address space.
func New(c Config) (*Store, error) {
	cfg, err := c.resolved()
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, seed: cfg.Seed}
	for s.seed == 0 {
		s.seed = rand.Uint64()
	}
	s.knobs.set(&cfg)
	s.limit.Store(cfg.LimitBytes)
	s.now.Store(cfg.Now)
	s.ver, s.flushVer = &s.own.ver, &s.own.flushVer
	s.ver.Store(1) // the first item gets 2, as in memcached
	stripes := stripesMax
	for stripes > 16 && int64(stripes)<<18 > cfg.LimitBytes {
		stripes /= 2
	}
	s.stripes = make([]stripe, stripes)
	s.stripeMask = uint64(stripes - 1)
	if err := s.reserveArena(); err != nil {
		return nil, err
	}
	s.newClasses()
	if err := s.openMemory(); err != nil {
		return nil, err
	}
	if err := s.newIndex(s.arena.size, cfg.HashPower, cfg.HugePages || cfg.LimitBytes >= 64<<20); err != nil {
		return nil, errors.Join(err, s.arena.forget())
	}
	if cfg.TrackSizes {
		s.sizes = newSizeCounts(cfg.ItemSizeMax)
	}
	s.pendings.New = func() any { return new(Pending) }
	if err := s.startUpkeep(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.takeOver()
	return s, nil
}

// reserveArena finds room for pages: as much as refs can name, so that the
// limit may grow, or else what the limit needs.
func (s *Store) reserveArena() error {
	pageBytes := uint64(s.cfg.PageBytes)
	limit := (uint64(s.cfg.LimitBytes) + pageBytes - 1) / pageBytes * pageBytes
	s.shift = refShift(limit + pageBytes)
	s.pageShift = uint8(bits.TrailingZeros64(pageBytes)) - s.shift
	if mem := s.cfg.Memory; mem != nil {
		s.arena = lend(mem)
		s.pages = make([]page, uint64(len(mem))/pageBytes)
		return nil
	}
	size := uint64(1) << 32 << s.shift
	if reserveRatio > 0 {
		size = min(size, limit*max(reserveRatio, 1)+pageBytes)
	}
	huge := s.cfg.HugePages || s.cfg.LimitBytes >= 64<<20
	arena, err := reserve(size, huge)
	if err != nil {
		size = limit + pageBytes // page 0 is never used
		if arena, err = reserve(size, huge); err != nil {
			return err
		}
	}
	s.arena = arena
	s.pages = make([]page, size/pageBytes)
	return nil
}

const chunkAlignShift = 3

// refShift returns by how much a ref must be shifted to reach so many bytes.
func refShift(bytes uint64) uint8 {
	shift := uint8(chunkAlignShift)
	for bytes > 1<<32<<shift {
		shift++
	}
	return shift
}

func (s *Store) newClasses() {
	s.table = newClassTable(&s.cfg, 1<<s.shift)
	s.classes = make([]class, s.table.n+1)
	for id := 1; id <= s.table.n; id++ {
		c := &s.classes[id]
		c.id = uint8(id)
		c.size = s.table.size[id]
		c.unit = c.size >> s.shift
		c.perPage = s.table.perPage[id]
		c.probation = probationStart
		c.due, c.chainDue = never, never
	}
	s.largeMin = min(largeValue, int(s.top().size)-largeHeaderBytes-keyMax)
}

// Close gives the memory back. Nothing may use the store afterwards.
func (s *Store) Close() error {
	return errors.Join(s.arena.forget(), s.index.mem.forget())
}

// Now returns the store's clock, in seconds.
func (s *Store) Now() uint32 { return s.now.Load() }

// Key hashes a key. The result aliases b.
func (s *Store) Key(b []byte) Key {
	return Key{Bytes: b, Hash: xxh3.HashSeed(b, s.seed)}
}

func (s *Store) hash(key []byte) uint64 { return xxh3.HashSeed(key, s.seed) }

// classFor returns the class for chunks of n bytes, 0 if none is large enough.
func (s *Store) classFor(n int) uint8 {
	i := uint(n+1<<s.shift-1) >> s.shift
	if i >= uint(len(s.table.bySize)) {
		return 0
	}
	return s.table.bySize[i]
}

// top returns the class of the largest chunks.
func (s *Store) top() *class { return &s.classes[len(s.classes)-1] }

// dead reports whether an item is expired or flushed, and which.
func (s *Store) dead(h *header, state, now uint32) (expired, flushed bool) {
	if h.ver() <= s.flushVer.Load() {
		return false, true
	}
	exp := h.exptime(state)
	return exp != 0 && exp <= now, false
}

// nextVer returns a number higher than all before. Caller holds the stripe of
// the item, so that an item's numbers only grow.
func (s *Store) nextVer() uint64 { return s.ver.Add(1) & verMask }
