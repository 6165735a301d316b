package slab

// When to crawl a list again for expired items is decided here, by pure
// functions over what the last run saw; crawling is in crawler.go.

const (
	crawlMinute      = 60
	crawlMinutes     = 60   // how far ahead the histogram looks
	crawlWaitMax     = 3600 // every list is crawled at least hourly
	crawlPause       = 5    // seconds between two runs of a list, at least
	crawlReadyShare  = 100  // a run pays when more than one in so many can be reclaimed
	crawlHistoBucket = crawlMinutes + 1
)

// CrawlRun is what one run over one list saw. Times are in seconds of the
// store's clock.
type CrawlRun struct {
	Seen      uint64 // live items
	NoExpiry  uint64 // of them: never expire
	HourPlus  uint64 // of them: expire in an hour or more
	Reclaimed uint64 // expired or flushed ones taken out
	// Minutes counts the others by the minute in which they expire.
	Minutes    [crawlHistoBucket]uint64
	Start, End uint32
}

// note counts a live item that expires at exptime (0: never).
func (r *CrawlRun) note(exptime, now uint32) {
	r.Seen++
	switch {
	case exptime == 0:
		r.NoExpiry++
	case exptime <= now:
		r.Minutes[0]++
	case exptime-now >= crawlMinutes*crawlMinute:
		r.HourPlus++
	default:
		r.Minutes[(exptime-now)/crawlMinute]++
	}
}

// crawlSchedule says when a list is due. The zero value is due at once.
type crawlSchedule struct {
	next uint32 // second in which the list is due
	wait uint32 // pause that has proved right, in seconds
}

// plan sets the next run from what the last one saw: sooner when more than one
// item in a hundred of those that expire will be ready by then, a minute later
// each time when there is nothing to expect. It returns the low mark and the
// number of items that will be ready.
func (s *crawlSchedule) plan(run *CrawlRun, now uint32) (lowMark, ready uint64) {
	lowMark = (run.Seen-run.NoExpiry)/crawlReadyShare + 1
	for minute := range uint32(crawlMinutes) {
		ready += run.Minutes[minute]
		if ready <= lowMark {
			continue
		}
		if at := minute * crawlMinute; s.wait < at {
			s.wait += crawlMinute
		} else if s.wait >= crawlMinute {
			s.wait -= crawlMinute
		}
		break
	}
	if ready == 0 {
		s.wait += crawlMinute
	}
	s.wait = min(s.wait, crawlWaitMax)
	s.next = now + s.wait + crawlPause
	return lowMark, ready
}

// due reports whether the list is to be crawled now; if so, the next try is a
// short while off in case the run cannot be made.
func (s *crawlSchedule) due(now uint32) bool {
	if now < s.next {
		return false
	}
	s.next = now + crawlPause
	return true
}
