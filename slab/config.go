package slab

import (
	"errors"
	"fmt"
	"math/bits"
)

// Limits of a Config. They are memcached's where memcached has one.
const (
	// pagesWanted is how many pages a store should have at least: several for
	// each class, or the classes take them from each other all the time. Small
	// limits therefore have small pages, of pageBytesLeast to pageBytesMost.
	pagesWanted    = 256
	pageBytesLeast = 32 << 10
	pageBytesMost  = 1 << 20

	pageBytesMin    = 4 << 10  // what the system can give back
	pageBytesMax    = 64 << 20 // a page table entry counts chunks in 32 bits
	itemSizeLower   = 1 << 10
	itemSizeUpper   = 1 << 30
	limitBytesUpper = 1 << 40 // refs are 32 bits wide, in units of at most 256 bytes
	hashPowerLower  = 4
	hashPowerUpper  = 32
	lruPctSumMax    = 80
	chunkMaxLower   = 512 // the header and the key of any item fit a chunk
	windowLower     = 3
	windowUpper     = 1800
	crawlerSleepMax = 1_000_000
	factorUpper     = 100
	defaultFactor   = 1.25
)

// The policies of Config.Eviction.
const (
	EvictionAdaptive = "adaptive" // learns from what comes back: see adaptive.go
	EvictionLRU      = "lru"      // memcached's segmented LRU, with its knobs
)

// Config is how a Store is built. Start from DefaultConfig and change fields;
// the zero Config is not valid. The knobs that can be turned while the store
// runs have a method each: see SetAutomove and the ones beside it.
type Config struct {
	// LimitBytes bounds items and index together, in bytes.
	LimitBytes int64
	// ItemSizeMax is the longest item, in bytes, counted as memcached counts:
	// its header, the key and the value.
	ItemSizeMax int
	// GrowthFactor is the ratio of a class's chunk size to the one before.
	GrowthFactor float64
	// MinItemSpace is the room for key, flags and value in the smallest chunk, in bytes.
	MinItemSpace int
	// ChunkMax is the largest chunk, in bytes: longer items are chains of
	// chunks. 0 chooses half a page, or ItemSizeMax if that is less. Where the
	// page size follows the limit, a chunk is no larger than a page.
	ChunkMax int
	// ClassSizes names the chunk sizes one by one instead of GrowthFactor, in
	// ascending order, in bytes. A last class of ChunkMax is always added.
	ClassSizes []int
	// PageBytes is the unit in which classes get memory, a power of two.
	// 0 lets it follow LimitBytes: a MiB from 128 MiB on, less below.
	PageBytes int
	// NoEvict fails a store when memory is used up.
	NoEvict bool
	// NoCAS keeps no compare values: every one shown is 0.
	NoCAS bool
	// HashPower is the number of index slots to start with, as a power of two.
	HashPower int

	// SlabReassign lets pages move between classes. Automove says when that
	// happens unasked: 0 never, 1 when it pays, 2 at every eviction.
	SlabReassign bool
	Automove     int
	// AutomoveRatio (above 0, at most 1): a page moves when the youngest
	// evicting class's tail is younger than the oldest's tail times this.
	AutomoveRatio float64
	// AutomoveWindow is how many seconds of history Automove 1 looks at.
	AutomoveWindow int

	// Segmented keeps hot, warm and cold lists per class; otherwise one list.
	Segmented bool
	// Maintainer says that Store.Maintain is called all the time. Without it
	// the LRU is flat and nothing happens in the background.
	Maintainer bool
	// Eviction chooses what leaves first: EvictionAdaptive or EvictionLRU. It
	// is of no effect where there is one list.
	Eviction string
	// HotPct and WarmPct are for EvictionLRU. They bound the hot and warm lists in percent of a class's
	// bytes; the factors bound the age of their tails, as a multiple of the
	// cold tail's age.
	HotPct, WarmPct             int
	HotMaxFactor, WarmMaxFactor float64
	// TempTTL: items that live at most so many seconds go to the temp list,
	// which is never evicted. Negative is off.
	TempTTL int64

	// Crawler looks for expired items in the background; CrawlerSleepMicros is
	// its pause after every thousand items, CrawlerToCrawl the most items it
	// looks at per list and run (0: all).
	Crawler            bool
	CrawlerSleepMicros int
	CrawlerToCrawl     uint32

	// TrackSizes counts items by size for SizesHistogram.
	TrackSizes bool
	// HugePages asks the system for large pages, Prealloc for all memory at
	// the start (the limit can then not be changed).
	HugePages bool
	Prealloc  bool
	// Seed seeds the key hash; 0 draws one at random. Memory with items in it
	// has its own.
	Seed uint64
	// Memory is where items live instead of memory of the store's own: of
	// MemoryBytes or more, aligned to 8, a whole number of pages, and zero or
	// what an earlier store left there, however it ended (see memory.go). It is
	// the caller's again after Close.
	Memory []byte
	// Now is what the store's clock starts at, in seconds.
	Now uint32
}

// DefaultConfig returns what memcached does when started without flags.
func DefaultConfig() Config {
	return Config{
		LimitBytes:         64 << 20,
		ItemSizeMax:        1 << 20,
		GrowthFactor:       defaultFactor,
		MinItemSpace:       48,
		HashPower:          16,
		SlabReassign:       true,
		Automove:           1,
		AutomoveRatio:      0.8,
		AutomoveWindow:     10,
		Segmented:          true,
		Maintainer:         true,
		Eviction:           EvictionAdaptive,
		HotPct:             20,
		WarmPct:            40,
		HotMaxFactor:       0.2,
		WarmMaxFactor:      2.0,
		TempTTL:            -1,
		Crawler:            true,
		CrawlerSleepMicros: 100,
	}
}

// resolved returns the Config with every default filled in, or the first
// reason why it cannot be built. It does not change c.
func (c Config) resolved() (Config, error) {
	if c.PageBytes == 0 {
		c.PageBytes = pageBytesLeast
		for c.PageBytes < pageBytesMost && c.LimitBytes >= 2*pagesWanted*int64(c.PageBytes) {
			c.PageBytes *= 2
		}
		c.ChunkMax = min(c.ChunkMax, c.PageBytes)
	}
	if c.ChunkMax == 0 {
		c.ChunkMax = min(c.PageBytes/2, c.ItemSizeMax) &^ (chunkAlignMin - 1)
	}
	if !c.Maintainer {
		c.Segmented = false
	}
	for _, check := range []func(*Config) error{
		(*Config).checkMemory, (*Config).checkClasses, (*Config).checkLRU, (*Config).checkBackground,
	} {
		if err := check(&c); err != nil {
			return Config{}, fmt.Errorf("slab: %w", err)
		}
	}
	c.ClassSizes = append([]int(nil), c.ClassSizes...)
	return c, nil
}

func (c *Config) checkMemory() error {
	switch {
	case bits.OnesCount(uint(c.PageBytes)) != 1 || c.PageBytes < pageBytesMin || c.PageBytes > pageBytesMax:
		return fmt.Errorf("page size must be a power of two from %d to %d bytes, not %d", pageBytesMin, pageBytesMax, c.PageBytes)
	case c.LimitBytes > limitBytesUpper:
		return fmt.Errorf("memory limit cannot be higher than %d bytes", int64(limitBytesUpper))
	case c.ItemSizeMax < itemSizeLower:
		return fmt.Errorf("item max size cannot be less than %d bytes", itemSizeLower)
	case c.ItemSizeMax > itemSizeUpper:
		return errors.New("cannot set item size limit higher than a gigabyte")
	case int64(c.ItemSizeMax) > c.LimitBytes/2:
		return errors.New("cannot set item size limit higher than 1/2 of memory max")
	case c.LimitBytes < 4*int64(c.PageBytes) && c.LimitBytes < 2<<20:
		return fmt.Errorf("memory limit of %d bytes does not hold four pages of %d bytes", c.LimitBytes, c.PageBytes)
	case c.HashPower < hashPowerLower || c.HashPower > hashPowerUpper:
		return fmt.Errorf("hash power must be from %d to %d, not %d", hashPowerLower, hashPowerUpper, c.HashPower)
	}
	return nil
}

func (c *Config) checkClasses() error {
	switch {
	case c.ChunkMax < chunkMaxLower:
		return fmt.Errorf("slab_chunk_max (bytes: %d) cannot be less than %d", c.ChunkMax, chunkMaxLower)
	case c.ChunkMax > c.ItemSizeMax:
		return fmt.Errorf("slab_chunk_max (bytes: %d) cannot be larger than -I (item_size_max %d)", c.ChunkMax, c.ItemSizeMax)
	case c.ChunkMax > c.PageBytes:
		return fmt.Errorf("slab_chunk_max (bytes: %d) cannot be larger than a page (%d)", c.ChunkMax, c.PageBytes)
	case c.MinItemSpace <= 0:
		return errors.New("chunk size must be greater than 0")
	case classHeaderBytes+c.MinItemSpace > c.ChunkMax:
		return fmt.Errorf("chunk size (%d) cannot be larger than slab_chunk_max (bytes: %d)", c.MinItemSpace, c.ChunkMax)
	case len(c.ClassSizes) > 0:
		return c.checkClassSizes()
	case !(c.GrowthFactor > 1 && c.GrowthFactor <= factorUpper): // false for NaN too
		return errors.New("factor must be greater than 1")
	}
	return nil
}

func (c *Config) checkClassSizes() error {
	if len(c.ClassSizes) >= classMax {
		return fmt.Errorf("too many slab_sizes: at most %d", classMax-1)
	}
	last := 0
	for _, size := range c.ClassSizes {
		switch {
		case size < classHeaderBytes+chunkAlignMin || size > c.ChunkMax:
			return fmt.Errorf("slab_sizes: size %d must be from %d to slab_chunk_max (%d)", size, classHeaderBytes+chunkAlignMin, c.ChunkMax)
		case size < last+chunkAlignMin && last > 0:
			return fmt.Errorf("slab_sizes: %d must be at least %d more than the size before it", size, chunkAlignMin)
		}
		last = size
	}
	return nil
}

func (c *Config) checkLRU() error {
	if c.Eviction != EvictionAdaptive && c.Eviction != EvictionLRU {
		return fmt.Errorf("eviction must be %s or %s, not %q", EvictionAdaptive, EvictionLRU, c.Eviction)
	}
	if c.HotPct < 1 || c.WarmPct < 1 {
		return errors.New("hot and warm pcts must be at least 1")
	}
	return checkTune(c.HotPct, c.WarmPct, c.HotMaxFactor, c.WarmMaxFactor)
}

// checkTune reports what is wrong with LRU limits, if anything.
func checkTune(hotPct, warmPct int, hotFactor, warmFactor float64) error {
	switch {
	case hotPct < 0 || warmPct < 0 || hotPct+warmPct > lruPctSumMax:
		return ErrPctSum
	case !(hotFactor > 0 && warmFactor > 0):
		return ErrAgeFactor
	}
	return nil
}

func (c *Config) checkBackground() error {
	switch {
	case c.Automove < 0 || c.Automove > 2:
		return fmt.Errorf("slab_automove must be 0, 1 or 2, not %d", c.Automove)
	case !(c.AutomoveRatio > 0 && c.AutomoveRatio <= 1):
		return errors.New("slab_automove_ratio must be > 0 and <= 1")
	case c.AutomoveWindow < windowLower || c.AutomoveWindow > windowUpper:
		return ErrWindow
	case c.CrawlerSleepMicros < 0 || c.CrawlerSleepMicros > crawlerSleepMax:
		return ErrCrawlerSleep
	}
	return nil
}

// Errors of the knobs; the texts are for the operator.
var (
	ErrPctSum       = errors.New("hot and warm pcts must not exceed 80")
	ErrAgeFactor    = errors.New("hot/warm age factors must be greater than 0")
	ErrWindow       = errors.New("automove window too low or too high")
	ErrRatio        = errors.New("automove ratio must be above 0 and at most 1")
	ErrCrawlerSleep = errors.New("sleep must be one second or less")
)
