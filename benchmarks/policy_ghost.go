package main

// adaptiveRule is the segmented LRU with a memory. Hot takes what is new, cold
// is what leaves next, warm is what was read; hot and cold together are the
// probation. Ghosts of items that left cold tell whether the probation is too
// small, or warm: like ARC (Megiddo, Modha 2003), with the lazy queues of S3-FIFO.
type adaptiveRule struct {
	probation float64 // share of hot and cold
	ghosts    ghostTable
}

const (
	probationStart = 0.1
	probationLeast = 0.02
	probationMost  = 0.9
	hotShare       = 0.2 // of the probation
	// itemsPerBucket is how many items of the cache there are to a bucket of
	// ghosts: the slots of four buckets of the index.
	itemsPerBucket = 48

	simRead    = 1 // in freq: read since it was last looked at
	simDemoted = 2 // in freq: came to cold from warm
)

func (*adaptiveRule) hit(c *simCache, n int32) { c.items[n].freq |= simRead }

func (r *adaptiveRule) add(c *simCache, n int32, old *simItem) {
	it := &c.items[n]
	if old != nil {
		it.freq = old.freq
		c.link(n, old.list)
		return
	}
	kind, cold, warm := r.ghosts.take(it.id)
	// One item's worth, more if there are few ghosts of its sort.
	d := 1 / float64(len(c.index))
	switch kind {
	case ghostNone:
		c.link(n, simHot)
		return
	case ghostCold:
		r.probation = min(r.probation+d*max(1, float64(warm)/float64(cold)), probationMost)
	case ghostWarm:
		r.probation = max(r.probation-d*max(1, float64(cold)/float64(warm)), probationLeast)
	}
	c.link(n, simWarm)
}

func (r *adaptiveRule) evict(c *simCache) {
	hot, warm, cold := &c.lists[simHot], &c.lists[simWarm], &c.lists[simCold]
	room := r.probation * float64(c.capacity)
	for {
		for hot.tail != 0 && (float64(hot.bytes) > hotShare*room || cold.tail == 0 && warm.tail == 0) {
			r.pass(c, hot.tail, 0)
		}
		for warm.tail != 0 && (cold.tail == 0 || float64(hot.bytes+cold.bytes) < room) {
			r.pass(c, warm.tail, simDemoted)
		}
		n := cold.tail
		if n == 0 {
			continue
		}
		it := &c.items[n]
		if it.freq&simRead != 0 {
			it.freq = 0
			c.move(n, simWarm)
			continue
		}
		kind := ghostCold
		if it.freq&simDemoted != 0 {
			kind = ghostWarm
		}
		r.ghosts.fit(len(c.index) / itemsPerBucket)
		r.ghosts.add(it.id, kind)
		c.remove(n)
		return
	}
}

// pass takes the tail of hot or warm to warm if it was read, else to cold, with
// a mark.
func (*adaptiveRule) pass(c *simCache, n int32, mark uint8) {
	it := &c.items[n]
	if it.freq&simRead != 0 {
		it.freq = 0
		c.move(n, simWarm)
		return
	}
	it.freq = mark
	c.move(n, simCold)
}

// ghostTable remembers fingerprints of items that were evicted: cache lines of
// two rings each, for those that were never warm and those that were.
type ghostTable struct{ buckets []ghostBucket }

type ghostBucket struct {
	cursor [2]uint16
	prints [2][ghostSlots]uint16 // 0 is none
}

const (
	ghostSlots = 15

	ghostCold = 0
	ghostWarm = 1
	ghostNone = 2
)

// fit gives the table about so many buckets; if that changes much, it forgets.
func (t *ghostTable) fit(n int) {
	if n = max(n, 1); len(t.buckets) < (3*n+3)/4 || len(t.buckets) > n*3/2 {
		t.buckets = make([]ghostBucket, n)
	}
}

func (t *ghostTable) at(id uint64) (*ghostBucket, uint16) {
	h := mix(id ^ 0x9e3779b97f4a7c15)
	return &t.buckets[h>>16%uint64(len(t.buckets))], uint16(h) | 1
}

func (t *ghostTable) add(id uint64, kind int) {
	b, print := t.at(id)
	b.prints[kind][b.cursor[kind]] = print
	b.cursor[kind] = (b.cursor[kind] + 1) % ghostSlots
}

// take forgets an id and returns which sort of ghost it was, and how many of
// each sort there are beside it, itself included.
func (t *ghostTable) take(id uint64) (kind, cold, warm int) {
	kind = ghostNone
	if len(t.buckets) == 0 {
		return
	}
	b, print := t.at(id)
	var n [2]int
	for k := range b.prints {
		for i, p := range &b.prints[k] {
			if p == 0 {
				continue
			}
			n[k]++
			if p == print && kind == ghostNone {
				kind = k
				b.prints[k][i] = 0
			}
		}
	}
	return kind, n[ghostCold], n[ghostWarm]
}
