package slab

// Which page to move is decided here, by pure functions over observations
// taken once a second; moving it is in move.go.

const (
	// A class keeps at least so many pages: one with fewer is no source.
	moverPagesKept = 2
	// A class with more free chunks than fit so many pages (in halves) has
	// memory to spare.
	moverSpareHalfPages = 5
	// A class that suffers this share of all evictions counts as evicting,
	// even in a short burst.
	moverEvictShare = 0.25
)

// classSight is one class as the mover sees it. Evictions and OutOfMemory are
// totals since the start; the mover takes differences itself.
type classSight struct {
	Pages         uint32
	ChunksPerPage uint32
	FreeChunks    uint64
	Evictions     uint64
	OutOfMemory   uint64
	TailAge       uint32 // seconds since the last access of the coldest item
}

// sights holds every class; index 0 is not used.
type sights [classMax + 1]classSight

// moveChoice is a page move: from class Src to class Dst, or to the pool if
// Dst is 0. Src 0 is no move.
type moveChoice struct {
	Src, Dst int
}

// automover remembers the last seconds of every class. The zero value is not
// ready: use newAutomover.
type automover struct {
	window int
	ratio  float64
	ticks  int
	before sights
	rows   [classMax + 1][]sightRow // a ring of window rows per class
}

// sightRow is what happened to a class in one second.
type sightRow struct {
	age     uint64
	share   float64 // of all evictions in this second
	evicted bool
	dirty   bool // evicted, ran out of memory, or got a page
}

// newAutomover starts a window of so many seconds. before is what the classes
// look like now.
func newAutomover(window int, ratio float64, before *sights) *automover {
	a := &automover{window: window, ratio: ratio, before: *before}
	for class := range a.rows {
		a.rows[class] = make([]sightRow, window)
	}
	return a
}

// decide takes the observations of one more second and says which page to
// move, if any. full says that no page is left in the pool.
//
// A class with much free memory that has been quiet for the whole window gives
// a page to the pool. Otherwise, once the window has filled, the class with
// the oldest tail gives a page to the youngest one that keeps evicting, if
// that one's items live less than ratio times as long.
func (a *automover) decide(now *sights, full bool) moveChoice {
	var evictedAll uint64
	for class := 1; class <= classMax; class++ {
		evictedAll += now[class].Evictions - a.before[class].Evictions
	}
	a.ticks++
	var spare, oldest, youngest int
	var oldestAge uint64
	youngestAge := ^uint64(0)
	youngestEvicts := false
	for class := 1; class <= classMax; class++ {
		row := a.note(class, &now[class], evictedAll)
		sum, evictions := a.sum(class)
		sight := &now[class]
		if spare == 0 && full && !sum.dirty && sight.FreeChunks*2 > uint64(sight.ChunksPerPage)*moverSpareHalfPages {
			spare = class
		}
		if sum.age > oldestAge && sight.Pages > moverPagesKept {
			oldest, oldestAge = class, sum.age
		}
		evicting := evictions > a.window/2 || sum.share/float64(a.window) > moverEvictShare
		if evicting && sum.age < youngestAge {
			youngest, youngestAge, youngestEvicts = class, sum.age, row.evicted
		}
	}
	a.before = *now
	switch {
	case spare != 0:
		return moveChoice{Src: spare}
	case oldest == 0 || youngest == 0 || oldest == youngest || !youngestEvicts || a.ticks <= a.window:
		return moveChoice{}
	case float64(youngestAge) < float64(oldestAge)*a.ratio:
		return moveChoice{Src: oldest, Dst: youngest}
	}
	return moveChoice{}
}

// note writes the current second of a class into its ring.
func (a *automover) note(class int, now *classSight, evictedAll uint64) sightRow {
	before := &a.before[class]
	row := sightRow{age: uint64(now.TailAge)}
	if evicted := now.Evictions - before.Evictions; evicted > 0 {
		row.evicted = true
		row.share = float64(evicted) / float64(evictedAll)
	}
	row.dirty = row.evicted || now.OutOfMemory != before.OutOfMemory || now.Pages > before.Pages
	a.rows[class][a.ticks%a.window] = row
	return row
}

// sum adds up a class's window: the mean age, the sum of shares, whether any
// second was dirty, and the number of seconds with evictions.
func (a *automover) sum(class int) (sum sightRow, evictions int) {
	for i := range a.rows[class] {
		row := &a.rows[class][i]
		sum.age += row.age
		sum.share += row.share
		sum.dirty = sum.dirty || row.dirty
		if row.evicted {
			evictions++
		}
	}
	sum.age /= uint64(a.window)
	return sum, evictions
}

// pickSource names the class that misses a page least: one with a whole page's
// worth of free chunks (the one with most), else the one with the oldest tail;
// of equals, the one with most pages. A class with less than pagesMin pages is
// no source, nor is dst. 0 if there is none.
func pickSource(now *sights, dst int, pagesMin uint32) int {
	best := 0
	for class := 1; class <= classMax; class++ {
		if class == dst || now[class].Pages < pagesMin {
			continue
		}
		if best == 0 || lessMissed(&now[class], &now[best]) {
			best = class
		}
	}
	return best
}

// lessMissed reports whether a would miss a page less than b.
func lessMissed(a, b *classSight) bool {
	aSpare, bSpare := a.sparePages(), b.sparePages()
	switch {
	case aSpare != bSpare:
		return aSpare > bSpare
	case a.TailAge != b.TailAge:
		return a.TailAge > b.TailAge
	}
	return a.Pages > b.Pages
}

// sparePages is how many pages the free chunks would fill.
func (c *classSight) sparePages() uint64 {
	if c.ChunksPerPage == 0 {
		return 0
	}
	return c.FreeChunks / uint64(c.ChunksPerPage)
}
