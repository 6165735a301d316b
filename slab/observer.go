package slab

// EventKind says which fields of an Event are set.
type EventKind uint8

// The kinds of events.
const (
	EventEviction EventKind = iota + 1 // a live item was pushed out
	EventCrawl                         // the crawler finished a list
	EventPageMove                      // a page move ended
)

// Event is something the store did on its own.
type Event struct {
	Kind  EventKind
	Class uint8 // of the item, the crawled list, or the page's old class
	List  LRU   // EventCrawl: the crawled list

	// EventEviction. Key points into item memory: copy it during the call.
	Key     []byte
	Binary  bool
	Fetched bool
	TTL     int64  // seconds left, -1 if it would never have expired
	Idle    uint32 // seconds since the last access
	Size    int    // length of the value in bytes

	// EventCrawl.
	LowMark uint64    // reclaims that make a run pay
	Ready   uint64    // items that will be ready within the hour
	NextRun uint32    // seconds until the list is due again
	Since   uint32    // seconds since the run ended
	Run     *CrawlRun // valid during the call

	// EventPageMove: Dst is the page's new class, 0 for the pool. Done tells a
	// finished move from the start of one.
	Dst  uint8
	Done bool
}

// LRU is one of a class's lists.
type LRU uint8

// The lists, in the order in which memcached numbers them.
const (
	Hot LRU = iota
	Warm
	Cold
	Temp
	lruCount = 4
)

// String returns the list's name in log lines.
func (l LRU) String() string {
	return [...]string{"hot", "warm", "cold", "temp"}[l&3]
}

// SetObserver has f called for every Event from now on; nil ends that. f runs
// with store locks held: it may copy what it needs and nothing else, and it
// must not call the store. It may be called by several goroutines at a time.
func (s *Store) SetObserver(f func(Event)) {
	if f == nil {
		s.observer.Store(nil)
		return
	}
	s.observer.Store(&f)
}

// observed reports whether anyone looks, so that nobody builds an Event in vain.
func (s *Store) observed() bool {
	return s.observer.Load() != nil
}

// observe hands out an Event.
func (s *Store) observe(e Event) {
	if f := s.observer.Load(); f != nil {
		(*f)(e)
	}
}
