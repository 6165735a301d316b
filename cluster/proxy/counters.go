package proxy

import (
	"math/bits"
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/protocol"
)

// class is a kind of command that statistics tell apart.
type class uint8

const (
	classGet class = iota
	classStore
	classDelete
	classArith
	classTouch
	classes
)

var classNames = [classes]string{"get", "store", "delete", "arith", "touch"}

// classOf returns the class of a command that has one.
func classOf(op protocol.Op) class {
	switch op {
	case protocol.OpGet, protocol.OpGets, protocol.OpMetaGet, protocol.OpMetaDebug:
		return classGet
	case protocol.OpDelete, protocol.OpMetaDelete:
		return classDelete
	case protocol.OpIncr, protocol.OpDecr, protocol.OpMetaArith:
		return classArith
	case protocol.OpTouch, protocol.OpGat, protocol.OpGats:
		return classTouch
	}
	return classStore
}

// latencyBuckets are powers of two of microseconds, each cut in four: up to 32 s.
const latencyBuckets = 26 * 4

// histogram counts durations in buckets a quarter of a power of two wide, so that
// a quantile is off by at most a fifth. Several loops add to it.
type histogram [latencyBuckets]atomic.Uint64

// add counts a duration in nanoseconds.
func (h *histogram) add(ns int64) {
	h[bucketOf(uint64(max(ns, 0))/1000)].Add(1)
}

func bucketOf(us uint64) int {
	if us < 4 {
		return int(us)
	}
	e := bits.Len64(us) - 1 // 2 at least
	return min((e-1)*4+int(us>>(e-2)&3), latencyBuckets-1)
}

// quantile is the upper bound of the bucket in which the q-th part of the
// durations ends, in microseconds; 0 if there are none.
func (h *histogram) quantile(q float64) uint64 {
	var counts [latencyBuckets]uint64
	sum := uint64(0)
	for i := range h {
		counts[i] = h[i].Load()
		sum += counts[i]
	}
	if sum == 0 {
		return 0
	}
	want := uint64(q*float64(sum-1)) + 1
	for i, n := range counts {
		if want <= n {
			return upperBound(i)
		}
		want -= n
	}
	return upperBound(latencyBuckets - 1)
}

func upperBound(i int) uint64 {
	if i < 4 {
		return uint64(i)
	}
	e := i/4 + 1
	return uint64(4+i%4+1)<<(e-2) - 1
}

// backendStats is what is counted of one backend, by all loops.
type backendStats struct {
	commands    [classes]atomic.Uint64
	latency     [classes]histogram
	bytesIn     atomic.Uint64
	connects    atomic.Uint64
	failures    [hfKinds]atomic.Uint64
	errors      atomic.Uint64 // SERVER_ERROR and the like, of the backend's own
	retries     atomic.Uint64
	refused     atomic.Uint64 // hf-limit
	violations  atomic.Uint64
	lateReplies atomic.Uint64
	suspicions  atomic.Uint64 // of others that it does not answer
	newerMaps   atomic.Uint64 // answers that told of a newer map than ours
}

// served counts an answer.
func (s *backendStats) served(c *call, now int64) {
	k := classOf(c.op)
	s.commands[k].Add(1)
	s.latency[k].add(now - c.start)
}
