package slab

import "math"

const (
	// classMax is the highest class id. Ids fit six bits and 0 is no class.
	classMax = 63

	// chunkAlignMin is what chunk sizes are a multiple of, at least.
	chunkAlignMin = 8

	// classHeaderBytes is what an item takes besides key, flags and value; the
	// smallest chunk has Config.MinItemSpace more.
	classHeaderBytes = 24

	// stepEven is the even step from which on classes grow faster than asked,
	// so that the ids reach as far as ChunkMax.
	stepEven = 1.25

	// Where no other factor is asked for, classes of common sizes grow by
	// fineStep up to fineMax bytes: rounding up to memcached's steps of 1.25
	// costs a tenth of the memory.
	fineStep = 1.1
	fineMax  = 2 << 10
)

// classTable holds the chunk sizes: classes 1 to n, ascending. It is built
// once and never changes, so it needs no lock.
type classTable struct {
	n       int
	size    [classMax + 1]uint32 // chunk size in bytes
	perPage [classMax + 1]uint32 // chunks in a page
	align   int
	// bySize maps (size+align-1)/align to the smallest class that fits.
	bySize []uint8
}

// newClassTable computes the classes of a resolved Config. Chunk sizes are
// multiples of align, a power of two not below chunkAlignMin.
//
// Sizes grow by GrowthFactor. Unlike memcached's, a size is then rounded up to
// what divides the page best, which costs no item and wastes no page end; and
// where a small factor would use up all 63 ids long before ChunkMax, later
// steps grow faster, so that no gap of many times is left before the last one.
func newClassTable(c *Config, align int) *classTable {
	t := &classTable{align: align}
	last := c.ChunkMax &^ (align - 1)
	if len(c.ClassSizes) > 0 {
		for _, size := range c.ClassSizes {
			if size = roundUp(size, align); size < last && uint32(size) > t.size[t.n] {
				t.add(size, c.PageBytes)
			}
		}
	} else {
		t.grow(c, last)
	}
	t.add(last, c.PageBytes)
	t.bySize = make([]uint8, last/align+1)
	class := uint8(1)
	for i := range t.bySize {
		for uint32(i*align) > t.size[class] {
			class++
		}
		t.bySize[i] = class
	}
	return t
}

// grow adds the classes below last.
func (t *classTable) grow(c *Config, last int) {
	size := float64(classHeaderBytes + c.MinItemSpace)
	for t.n < classMax-1 {
		exact := roundUp(int(math.Ceil(size)), t.align)
		if float64(exact) >= float64(last)/c.GrowthFactor {
			return
		}
		fitted := (c.PageBytes / (c.PageBytes / exact)) &^ (t.align - 1)
		if fitted >= last {
			return
		}
		t.add(fitted, c.PageBytes)
		// The even step with which the ids left would just reach last.
		step := c.GrowthFactor
		if step == defaultFactor && fitted < fineMax {
			step = fineStep
		}
		even := math.Pow(float64(last)/float64(fitted), 1/float64(classMax-t.n))
		if even >= stepEven && even > step {
			step = even
		}
		size = max(float64(fitted)*step, float64(fitted+t.align))
	}
}

func (t *classTable) add(size, pageBytes int) {
	t.n++
	t.size[t.n] = uint32(size)
	t.perPage[t.n] = uint32(pageBytes / size)
}

// class returns the smallest class whose chunks hold size bytes, 0 if none does.
func (t *classTable) class(size int) uint8 {
	i := uint(size+t.align-1) / uint(t.align)
	if i >= uint(len(t.bySize)) {
		return 0
	}
	return t.bySize[i]
}

func roundUp(n, align int) int {
	return (n + align - 1) &^ (align - 1)
}

// ClassSizes returns the chunk size of every class by id, in bytes; there is
// no class 0.
func (s *Store) ClassSizes() []int {
	sizes := make([]int, s.table.n+1)
	for id := 1; id < len(sizes); id++ {
		sizes[id] = int(s.table.size[id])
	}
	return sizes
}
