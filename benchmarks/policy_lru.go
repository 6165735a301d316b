package main

// flatRule is the plain LRU.
type flatRule struct{}

func (flatRule) hit(c *simCache, n int32)             { c.move(n, 0) }
func (flatRule) add(c *simCache, n int32, _ *simItem) { c.link(n, 0) }
func (flatRule) evict(c *simCache)                    { c.remove(c.lists[0].tail) }

// sieveRule is SIEVE (Zhang and others, NSDI 2024): a hand goes from the tail
// to the head and takes the first item that was not read since its last round.
type sieveRule struct{ hand int32 }

func (*sieveRule) hit(c *simCache, n int32)             { c.items[n].freq = 1 }
func (*sieveRule) add(c *simCache, n int32, _ *simItem) { c.link(n, 0) }

func (r *sieveRule) evict(c *simCache) {
	n := r.hand
	// The item under the hand may have gone, or another may be in its place.
	if n == 0 || c.index[c.items[n].id] != n {
		n = c.lists[0].tail
	}
	for c.items[n].freq != 0 {
		c.items[n].freq = 0
		if n = c.items[n].prev; n == 0 {
			n = c.lists[0].tail
		}
	}
	r.hand = c.items[n].prev
	c.remove(n)
}

// The lists of a segmented LRU.
const (
	simHot = iota
	simWarm
	simCold
)

// Marks of a segmented LRU.
const (
	simFetched = 1
	simActive  = 2
)

// segmentedRule is memcached's LRU as it ships: hot, warm and cold lists; the
// second read makes an item active, which takes it from cold to warm, at once
// or, if lazy, when it would be evicted.
type segmentedRule struct{ lazy bool }

func (r segmentedRule) hit(c *simCache, n int32) {
	it := &c.items[n]
	switch {
	case it.freq&simActive != 0:
	case it.freq&simFetched == 0:
		it.freq |= simFetched
	default:
		it.access = c.now
		it.freq |= simActive
		if it.list == simCold && !r.lazy {
			it.freq &^= simActive
			c.move(n, simWarm)
		}
	}
}

func (r segmentedRule) add(c *simCache, n int32, _ *simItem) {
	c.link(n, simHot)
	// The maintainer runs all the time.
	for range 500 {
		if !r.juggle(c, simHot, 0.2, 0.2) && !r.juggle(c, simWarm, 0.4, 2) {
			return
		}
	}
}

// juggle moves the tail of a list on, if it must; it reports whether it did.
func (segmentedRule) juggle(c *simCache, list uint8, most, factor float64) bool {
	l := &c.lists[list]
	n := l.tail
	if n == 0 {
		return false
	}
	it := &c.items[n]
	switch {
	case it.freq&simActive != 0:
		it.freq &^= simActive
		c.move(n, simWarm)
	case float64(l.bytes) > most*float64(c.used) || float64(c.now-it.access) > factor*c.tailAge(simCold):
		c.move(n, simCold)
	default:
		return false
	}
	return true
}

func (r segmentedRule) evict(c *simCache) {
	spare := 0
	if r.lazy {
		spare = 25
	}
	for c.lists[simCold].tail != 0 {
		n := c.lists[simCold].tail
		if it := &c.items[n]; it.freq&simActive != 0 && spare > 0 {
			it.freq &^= simActive
			c.move(n, simWarm)
			spare--
			continue
		}
		c.remove(n)
		return
	}
	for _, l := range []uint8{simHot, simWarm} {
		if c.lists[l].tail != 0 {
			c.move(c.lists[l].tail, simCold)
			return
		}
	}
}
