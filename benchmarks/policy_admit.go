package main

// fifoRule is S3-FIFO (Yang and others, SOSP 2023): a small queue for new
// items, a main queue that gives items a further round for every read, and a
// memory of what left the small queue unread.
type fifoRule struct{ ghosts *ghosts }

const (
	fifoSmall = iota
	fifoMain

	fifoShare = 0.1 // of the small queue
	fifoReads = 3   // that are counted
	fifoMoves = 2   // reads that take an item from small to main
)

func (*fifoRule) hit(c *simCache, n int32) {
	if it := &c.items[n]; it.freq < fifoReads {
		it.freq++
	}
}

func (r *fifoRule) add(c *simCache, n int32, old *simItem) {
	switch {
	case old != nil: // a write leaves the item where it was
		c.items[n].freq = old.freq
		c.link(n, old.list)
	case r.ghosts.take(c.items[n].id):
		c.link(n, fifoMain)
	default:
		c.link(n, fifoSmall)
	}
}

func (r *fifoRule) evict(c *simCache) {
	small, main := &c.lists[fifoSmall], &c.lists[fifoMain]
	for small.tail != 0 && (float64(small.bytes) > fifoShare*float64(c.capacity) || main.tail == 0) {
		n := small.tail
		it := &c.items[n]
		if it.freq >= fifoMoves {
			it.freq = 0
			c.move(n, fifoMain)
			continue
		}
		r.ghosts.add(it.id, main.items)
		c.remove(n)
		return
	}
	for {
		n := main.tail
		it := &c.items[n]
		if it.freq == 0 {
			c.remove(n)
			return
		}
		it.freq--
		c.move(n, fifoMain)
	}
}

// tinyRule is W-TinyLFU (Einziger, Friedman, Manes 2017): a window of new
// items, then a segmented LRU which an item enters only if a sketch has seen it
// more often than the one that it would push out.
type tinyRule struct {
	window  float64
	sketch  [4][]uint8
	samples int
}

const (
	tinyWindow = iota
	tinyProtected
	tinyProbation
)

func newTinyRule(window float64) *tinyRule { return &tinyRule{window: window} }

func (r *tinyRule) count(c *simCache, id uint64) {
	if want := 8 * len(c.index); r.sketch[0] == nil || len(r.sketch[0]) < want/2 {
		size := 1 << 12
		for size < want {
			size *= 2
		}
		for i := range r.sketch {
			r.sketch[i] = make([]uint8, size)
		}
		r.samples = 0
	}
	for i, row := range r.sketch {
		if p := &row[r.slot(id, i)]; *p < 15 {
			*p++
		}
	}
	if r.samples++; r.samples > 10*max(len(c.index), 512) {
		r.samples /= 2
		for _, row := range r.sketch {
			for i := range row {
				row[i] /= 2
			}
		}
	}
}

func (r *tinyRule) slot(id uint64, row int) uint64 {
	return mix(id+uint64(row)<<56) & uint64(len(r.sketch[0])-1)
}

func (r *tinyRule) estimate(id uint64) uint8 {
	least := uint8(255)
	for i, row := range r.sketch {
		least = min(least, row[r.slot(id, i)])
	}
	return least
}

func (r *tinyRule) hit(c *simCache, n int32) {
	it := &c.items[n]
	r.count(c, it.id)
	switch it.list {
	case tinyProbation:
		c.move(n, tinyProtected)
		main := c.lists[tinyProtected].bytes + c.lists[tinyProbation].bytes
		for p := &c.lists[tinyProtected]; p.bytes > main*8/10 && p.items > 1; {
			c.move(p.tail, tinyProbation)
		}
	default:
		c.move(n, it.list)
	}
}

func (r *tinyRule) add(c *simCache, n int32, old *simItem) {
	r.count(c, c.items[n].id)
	if old != nil { // a write leaves the item where it was
		c.link(n, old.list)
		return
	}
	c.link(n, tinyWindow)
	// While there is room, what leaves the window comes in unasked.
	for w := &c.lists[tinyWindow]; float64(c.used) < 0.98*float64(c.capacity) &&
		float64(w.bytes) > r.window*float64(c.capacity) && w.items > 1; {
		c.move(w.tail, tinyProbation)
	}
}

func (r *tinyRule) evict(c *simCache) {
	victim := c.lists[tinyProbation].tail
	if victim == 0 {
		victim = c.lists[tinyProtected].tail
	}
	w := &c.lists[tinyWindow]
	if candidate := w.tail; candidate != 0 && (victim == 0 || float64(w.bytes) > r.window*float64(c.capacity)) {
		if victim == 0 || r.estimate(c.items[candidate].id) <= r.estimate(c.items[victim].id) {
			c.remove(candidate)
			return
		}
		c.move(candidate, tinyProbation)
	}
	c.remove(victim)
}
