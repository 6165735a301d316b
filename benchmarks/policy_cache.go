package main

// simItem is an item of a simulated cache.
type simItem struct {
	id         uint64
	next, prev int32 // towards the tail, towards the head; 0 is none
	size       int32 // bytes
	exptime    uint32
	access     uint32 // seconds
	list       uint8
	freq       uint8 // marks or reads, as the policy likes
}

// simList is a list of items with its bytes.
type simList struct {
	head, tail int32
	bytes      int64
	items      int
}

// rule is a policy: it keeps the items of a cache on lists.
type rule interface {
	// hit is told of a read.
	hit(c *simCache, n int32)
	// add puts a new item on a list; old is the item that it replaces, which
	// has left already, nil if none.
	add(c *simCache, n int32, old *simItem)
	// evict takes one item out, or several.
	evict(c *simCache)
}

// simLists is how many lists a rule may have.
const simLists = 4

// simCache is a cache of so many bytes, without classes and pages.
type simCache struct {
	rule     rule
	capacity int64
	used     int64
	now      uint32
	lists    [simLists]simList
	items    []simItem // 0 is not used
	free     int32
	index    map[uint64]int32
	// expiring names the items that die in a second; a crawler finds them then,
	// as both servers' crawlers do sooner or later.
	expiring map[uint32][]int32
}

// simOverhead is what an item takes besides key and value, in bytes.
const simOverhead = 48

func newSimCache(r rule, capacity int64) *simCache {
	return &simCache{
		rule: r, capacity: capacity, items: make([]simItem, 1),
		index: make(map[uint64]int32), expiring: make(map[uint32][]int32),
	}
}

// tick moves the clock on and removes what dies on the way.
func (c *simCache) tick(now uint32) {
	for c.now < now {
		c.now++
		for _, n := range c.expiring[c.now] {
			// The chunk may have another item by now, which then dies later.
			if c.items[n].exptime == c.now {
				c.remove(n)
			}
		}
		delete(c.expiring, c.now)
	}
}

// get reads a key and reports a hit.
func (c *simCache) get(id uint64) bool {
	n, ok := c.index[id]
	if !ok {
		return false
	}
	c.rule.hit(c, n)
	return true
}

// set stores a key.
func (c *simCache) set(id uint64, size int, exptime uint32) {
	var old *simItem
	if n, ok := c.index[id]; ok {
		copied := c.items[n]
		old = &copied
		c.remove(n)
	}
	for c.used+int64(size) > c.capacity && len(c.index) > 0 {
		c.rule.evict(c)
	}
	n := c.free
	if n == 0 {
		c.items = append(c.items, simItem{})
		n = int32(len(c.items) - 1)
	} else {
		c.free = c.items[n].next
	}
	c.items[n] = simItem{id: id, size: int32(size), exptime: exptime, access: c.now}
	if exptime != 0 {
		c.expiring[exptime] = append(c.expiring[exptime], n)
	}
	c.index[id] = n
	c.used += int64(size)
	c.rule.add(c, n, old)
}

// remove takes an item out of the cache.
func (c *simCache) remove(n int32) {
	c.unlink(n)
	it := &c.items[n]
	delete(c.index, it.id)
	c.used -= int64(it.size)
	it.exptime = 0
	it.next, c.free = c.free, n
}

func (c *simCache) link(n int32, list uint8) {
	it, l := &c.items[n], &c.lists[list]
	it.list, it.prev, it.next = list, 0, l.head
	if l.head != 0 {
		c.items[l.head].prev = n
	} else {
		l.tail = n
	}
	l.head = n
	l.bytes += int64(it.size)
	l.items++
}

func (c *simCache) unlink(n int32) {
	it := &c.items[n]
	l := &c.lists[it.list]
	if it.prev != 0 {
		c.items[it.prev].next = it.next
	} else {
		l.head = it.next
	}
	if it.next != 0 {
		c.items[it.next].prev = it.prev
	} else {
		l.tail = it.prev
	}
	l.bytes -= int64(it.size)
	l.items--
}

// move puts an item at the head of a list.
func (c *simCache) move(n int32, list uint8) {
	c.unlink(n)
	c.link(n, list)
}

func (c *simCache) tailAge(list uint8) float64 {
	t := c.lists[list].tail
	if t == 0 {
		return 0
	}
	return float64(c.now - c.items[t].access)
}

// ghosts remembers the ids of items that were evicted, up to a number that may
// change, the oldest out first.
type ghosts struct {
	at    map[uint64]uint64 // when an id came in, by id
	ring  []uint64
	first uint64 // oldest in ring that is not forgotten
	next  uint64
}

func newGhosts() *ghosts { return &ghosts{at: make(map[uint64]uint64)} }

// add remembers an id and forgets all but the last most.
func (g *ghosts) add(id uint64, most int) {
	if g.next-g.first >= uint64(len(g.ring)) {
		ring := make([]uint64, max(1024, 2*len(g.ring)))
		for i := g.first; i < g.next; i++ {
			ring[i%uint64(len(ring))] = g.ring[i%uint64(len(g.ring))]
		}
		g.ring = ring
	}
	g.ring[g.next%uint64(len(g.ring))] = id
	g.at[id] = g.next
	g.next++
	for g.next-g.first > uint64(max(most, 1)) {
		old := g.ring[g.first%uint64(len(g.ring))]
		if at, ok := g.at[old]; ok && at == g.first {
			delete(g.at, old)
		}
		g.first++
	}
}

// take reports whether an id is remembered, and forgets it.
func (g *ghosts) take(id uint64) bool {
	_, ok := g.at[id]
	delete(g.at, id)
	return ok
}
