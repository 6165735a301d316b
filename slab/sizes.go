package slab

import "sync/atomic"

// sizeStep is the width of a bucket of the size histogram, in bytes.
const sizeStep = 32

// sizeCounts counts items by size, in memcached's notion of it. It costs an
// atomic add per item stored or removed and is empty unless asked for.
type sizeCounts struct {
	buckets []atomic.Int64
}

// newSizeCounts makes counts for items of up to itemSizeMax bytes.
func newSizeCounts(itemSizeMax int) sizeCounts {
	return sizeCounts{buckets: make([]atomic.Int64, itemSizeMax/sizeStep+2)}
}

func (c *sizeCounts) on() bool { return c.buckets != nil }

// add counts n more items (or fewer, if negative) of so many bytes.
func (c *sizeCounts) add(totalBytes int, n int64) {
	i := (totalBytes + sizeStep - 1) / sizeStep
	c.buckets[min(i, len(c.buckets)-1)].Add(n)
}

// SizeCount is a row of the size histogram: Count items are at most UpTo bytes
// long, and longer than the row before says.
type SizeCount struct {
	UpTo  int
	Count int64
}

// SizesHistogram returns the sizes that occur, ascending. It reports false if
// Config.TrackSizes is off.
func (s *Store) SizesHistogram() ([]SizeCount, bool) {
	if !s.sizes.on() {
		return nil, false
	}
	var rows []SizeCount
	for i := range s.sizes.buckets {
		if n := s.sizes.buckets[i].Load(); n > 0 {
			rows = append(rows, SizeCount{UpTo: i * sizeStep, Count: n})
		}
	}
	return rows, true
}
