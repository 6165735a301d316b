package server

import (
	"math"
	"strconv"
	"sync"
	"time"
)

// How client expiry times are read.
const (
	// exptimeRelativeMax is the longest exptime, in seconds, that counts from
	// now; a larger one is a unix time.
	exptimeRelativeMax = 60 * 60 * 24 * 30
	// clockStart is the least store time at the start of a process, in seconds.
	// It is above storeExpired, so that an item can be born dead.
	clockStart = 2
	// storeExpired is a store time that has always passed.
	storeExpired = 1
)

// clock tells the store's time: whole seconds since a little before the process
// started, or, if the items have come from an earlier process, since a little
// before the first of them did. It is taken from the monotonic clock, so setting
// the wall clock neither expires items nor keeps dead ones.
type clock struct {
	// base is the unix time of store time 0, start the store time at which the
	// clock began, both in seconds; they never change.
	base, start int64

	mu struct {
		sync.Mutex
		elapsed func() time.Duration // since the process started; replaced in tests
		paused  bool
		shift   int64  // what debugtime has added, in seconds
		last    uint32 // what now answered last
	}
}

// newClock returns a clock that starts now, at store time start.
func newClock(start uint32) *clock {
	started := time.Now()
	c := &clock{start: max(int64(start), clockStart)}
	c.base = started.Unix() - c.start
	c.mu.elapsed = func() time.Duration { return time.Since(started) }
	return c
}

// now is the store time in seconds. It never goes back.
func (c *clock) now() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mu.paused {
		c.advanceLocked()
	}
	return c.mu.last
}

// advanceLocked moves last up to the present. The caller holds mu.
func (c *clock) advanceLocked() {
	t := c.start + int64(c.mu.elapsed()/time.Second) + c.mu.shift
	c.mu.last = max(c.mu.last, uint32(min(max(t, 0), math.MaxUint32)))
}

// pause stops the clock; resume has it jump to where it would be.
func (c *clock) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.paused = true
}

func (c *clock) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.paused = false
}

// shift moves the clock by sec seconds, paused or not. A clock told to go back
// stands until the time has caught up.
func (c *clock) shift(sec int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sec = min(max(sec, -math.MaxUint32), math.MaxUint32)
	c.mu.shift = min(max(c.mu.shift+sec, -math.MaxUint32), math.MaxUint32)
	if c.mu.paused {
		c.mu.last = uint32(min(max(int64(c.mu.last)+sec, int64(c.mu.last)), math.MaxUint32))
		return
	}
	c.advanceLocked()
}

// unix is the unix time of store time t, in seconds.
func (c *clock) unix(t uint32) int64 { return c.base + int64(t) }

// storeTime turns an exptime as clients write it into store time, given the
// store time now: 0 is never, a negative one is past, up to 30 days count from
// now, more is a unix time.
func (c *clock) storeTime(exptime int64, now uint32) uint32 {
	switch {
	case exptime == 0:
		return 0
	case exptime < 0:
		return storeExpired
	case exptime <= exptimeRelativeMax:
		return uint32(min(int64(now)+exptime, math.MaxUint32))
	case exptime <= c.base+storeExpired:
		return storeExpired
	default:
		return uint32(min(exptime-c.base, math.MaxUint32))
	}
}

// debugTime carries out the words after debugtime (p, r or a number of seconds)
// and tells the store. It reports false if the words make no sense.
func (n *Node) debugTime(args [][]byte) bool {
	if len(args) == 0 {
		return false
	}
	switch string(args[0]) {
	case "p":
		n.clock.pause()
	case "r":
		n.clock.resume()
	default:
		sec, err := strconv.ParseInt(string(args[0]), 10, 64)
		if err != nil {
			return false
		}
		n.clock.shift(sec)
	}
	n.tick()
	return true
}

// tick tells the store the time.
func (n *Node) tick() { n.store.Tick(n.clock.now()) }
