package server

import (
	"math"
	"testing"
	"time"
)

// testClock is a clock whose passing of time is *elapsed.
func testClock(elapsed *time.Duration) *clock {
	c := newClock(0)
	c.mu.elapsed = func() time.Duration { return *elapsed }
	return c
}

func TestClockStoreTime(t *testing.T) {
	c := newClock(0)
	c.base = 1_700_000_000
	const now = 1000
	for _, tt := range []struct {
		exptime int64
		want    uint32
	}{
		{0, 0},
		{1, now + 1},
		{-1, storeExpired},
		{math.MinInt64, storeExpired},
		{exptimeRelativeMax, now + exptimeRelativeMax},
		{exptimeRelativeMax + 1, storeExpired},
		{c.base, storeExpired},
		{c.base + 1, storeExpired},
		{c.base + 2, 2},
		{c.base + now, now},
		{c.base + 5000, 5000},
		{math.MaxInt32, math.MaxInt32 - 1_700_000_000},
		{math.MaxInt64, math.MaxUint32},
	} {
		if got := c.storeTime(tt.exptime, now); got != tt.want {
			t.Errorf("storeTime(%d) = %d, want %d", tt.exptime, got, tt.want)
		}
	}
	if got := c.storeTime(100, math.MaxUint32-10); got != math.MaxUint32 {
		t.Errorf("a relative time wraps round to %d", got)
	}
}

func TestClockStartsAboveExpired(t *testing.T) {
	if now := newClock(0).now(); now <= storeExpired {
		t.Fatalf("now = %d: an item born dead would live", now)
	}
}

func TestClockPauseAndShift(t *testing.T) {
	var elapsed time.Duration
	c := testClock(&elapsed)
	want := func(what string, exp uint32) {
		t.Helper()
		if got := c.now(); got != exp {
			t.Fatalf("%s: now = %d, want %d", what, got, exp)
		}
	}
	want("start", clockStart)
	elapsed = 2500 * time.Millisecond
	want("running", clockStart+2)
	c.pause()
	elapsed = 5 * time.Second
	want("paused", clockStart+2)
	c.shift(10)
	want("moved while paused", clockStart+12)
	c.resume()
	want("resumed", clockStart+15)
	c.shift(-7)
	want("told to go back", clockStart+15)
	elapsed = 13 * time.Second
	want("caught up", clockStart+16)
	c.shift(math.MaxInt64)
	want("to the end of time", math.MaxUint32)
	c.shift(math.MinInt64)
	want("no way back", math.MaxUint32)
}

func TestClockUnix(t *testing.T) {
	c := newClock(0)
	wall := time.Now().Unix()
	if got := c.unix(c.now()); got < wall-1 || got > wall+1 {
		t.Fatalf("unix(now) = %d at %d", got, wall)
	}
}

func TestDebugTime(t *testing.T) {
	n := testNode(t, nil, nil)
	c := newClient(t, n, 0)
	want(t, c, "set a 0 100 1\r\nx\r\n", "STORED\r\n")
	want(t, c, "debugtime\r\ndebugtime x\r\ndebugtime p\r\n", "ERROR\r\nERROR\r\nOK\r\n")
	want(t, c, "debugtime 99\r\nget a\r\n", "OK\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
	want(t, c, "debugtime 1\r\nget a\r\n", "OK\r\nEND\r\n")
	want(t, c, "debugtime r\r\ndebugtime -5\r\n", "OK\r\nOK\r\n")

	n = testNode(t, func(cfg *Config) { cfg.DebugClock = false }, nil)
	want(t, newClient(t, n, 0), "debugtime 5\r\n", "ERROR\r\n")
}

// The maintainer ticks the store and ends when told to, however often.
func TestMaintainer(t *testing.T) {
	n := testNode(t, nil, nil)
	n.Attach(&fakeHost{})
	n.Attach(&fakeHost{})
	n.Close()
	n.Close()
	n.Attach(&fakeHost{}) // too late: nothing starts, nothing hangs
}
