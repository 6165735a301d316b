package slab

import (
	"math"
	"sync/atomic"
)

// knobs are the settings that may change while the store runs. Everyone reads
// them without a lock; a change shows at each reader's next look.
type knobs struct {
	segmented atomic.Bool
	tempTTL   atomic.Int64 // below 0: no temp list

	hotPct, warmPct       atomic.Int32
	hotFactor, warmFactor atomicFloat

	automove      atomic.Int32
	automoveRatio atomicFloat
	window        atomic.Int32

	crawler        atomic.Bool
	crawlerSleep   atomic.Int32 // microseconds
	crawlerToCrawl atomic.Uint32
}

// set takes the knobs' positions from a resolved Config.
func (k *knobs) set(c *Config) {
	k.segmented.Store(c.Segmented)
	k.tempTTL.Store(c.TempTTL)
	k.hotPct.Store(int32(c.HotPct))
	k.warmPct.Store(int32(c.WarmPct))
	k.hotFactor.Store(c.HotMaxFactor)
	k.warmFactor.Store(c.WarmMaxFactor)
	k.automove.Store(int32(c.Automove))
	k.automoveRatio.Store(c.AutomoveRatio)
	k.window.Store(int32(c.AutomoveWindow))
	k.crawler.Store(c.Crawler)
	k.crawlerSleep.Store(int32(c.CrawlerSleepMicros))
	k.crawlerToCrawl.Store(c.CrawlerToCrawl)
}

// Config returns the configuration in force: what the store was built with,
// every default filled in, and the knobs as they stand.
func (s *Store) Config() Config {
	c := s.cfg
	k := &s.knobs
	c.LimitBytes = s.limit.Load()
	c.ClassSizes = append([]int(nil), c.ClassSizes...)
	c.Segmented = k.segmented.Load()
	c.TempTTL = k.tempTTL.Load()
	c.HotPct, c.WarmPct = int(k.hotPct.Load()), int(k.warmPct.Load())
	c.HotMaxFactor, c.WarmMaxFactor = k.hotFactor.Load(), k.warmFactor.Load()
	c.Automove = int(k.automove.Load())
	c.AutomoveRatio = k.automoveRatio.Load()
	c.AutomoveWindow = int(k.window.Load())
	c.Crawler = k.crawler.Load()
	c.CrawlerSleepMicros = int(k.crawlerSleep.Load())
	c.CrawlerToCrawl = k.crawlerToCrawl.Load()
	return c
}

// SetAutomove says when pages move between classes unasked (Config.Automove).
// It reports whether mode is 0, 1 or 2.
func (s *Store) SetAutomove(mode int) bool {
	if mode < 0 || mode > 2 {
		return false
	}
	s.knobs.automove.Store(int32(mode))
	return true
}

// SetAutomoveRatio changes Config.AutomoveRatio; the window starts afresh.
func (s *Store) SetAutomoveRatio(ratio float64) error {
	if !(ratio > 0 && ratio <= 1) {
		return ErrRatio
	}
	s.knobs.automoveRatio.Store(ratio)
	s.moverStale.Store(true)
	return nil
}

// SetAutomoveWindow changes Config.AutomoveWindow, in seconds; the window
// starts afresh.
func (s *Store) SetAutomoveWindow(seconds int) error {
	if seconds < windowLower || seconds > windowUpper {
		return ErrWindow
	}
	s.knobs.window.Store(int32(seconds))
	s.moverStale.Store(true)
	return nil
}

// TuneLRU changes the limits of the hot and warm lists (Config.HotPct …). With
// EvictionAdaptive they are kept and shown, and nothing follows them.
func (s *Store) TuneLRU(hotPct, warmPct int, hotFactor, warmFactor float64) error {
	if err := checkTune(hotPct, warmPct, hotFactor, warmFactor); err != nil {
		return err
	}
	k := &s.knobs
	k.hotPct.Store(int32(hotPct))
	k.warmPct.Store(int32(warmPct))
	k.hotFactor.Store(hotFactor)
	k.warmFactor.Store(warmFactor)
	return nil
}

// SetSegmented switches between hot, warm and cold lists (true) and one flat
// list. It reports false, and changes nothing, if the store was configured
// without a maintainer: the lists need one.
func (s *Store) SetSegmented(on bool) bool {
	if !s.cfg.Maintainer {
		return false
	}
	s.knobs.segmented.Store(on)
	return true
}

// SetTempTTL changes Config.TempTTL, in seconds; negative is off. It reports
// false, and changes nothing, if the store was configured without a maintainer.
func (s *Store) SetTempTTL(seconds int64) bool {
	if !s.cfg.Maintainer {
		return false
	}
	s.knobs.tempTTL.Store(max(seconds, -1))
	return true
}

// SetCrawler starts or stops the search for expired items. It reports false if
// the crawler was in that state already.
func (s *Store) SetCrawler(on bool) bool {
	return s.knobs.crawler.CompareAndSwap(!on, on)
}

// SetCrawlerSleep changes the crawler's pause, in microseconds.
func (s *Store) SetCrawlerSleep(micros int) error {
	if micros < 0 || micros > crawlerSleepMax {
		return ErrCrawlerSleep
	}
	s.knobs.crawlerSleep.Store(int32(micros))
	return nil
}

// SetCrawlerToCrawl changes how many items a run looks at per list; 0 is all.
func (s *Store) SetCrawlerToCrawl(items uint32) {
	s.knobs.crawlerToCrawl.Store(items)
}

// atomicFloat is a float64 that may be read while it is written.
type atomicFloat struct {
	bits atomic.Uint64
}

// Load returns the number.
func (f *atomicFloat) Load() float64 { return math.Float64frombits(f.bits.Load()) }

// Store sets the number.
func (f *atomicFloat) Store(v float64) { f.bits.Store(math.Float64bits(v)) }
