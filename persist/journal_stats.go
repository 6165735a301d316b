package persist

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// journalCounts are what the journal counts while it works.
type journalCounts struct {
	written, writtenEntries atomic.Uint64 // once in a file, however often that took
	fileBytes               atomic.Uint64
	syncs, errors           atomic.Uint64
	gaps, dropped           atomic.Uint64
	timeouts                atomic.Uint64
	segments, segmentSeq    atomic.Uint64
	oldest                  atomic.Int64 // when the oldest change that is taken and not synced came, 0 if there is none
	syncTimes               timeCounts
}

// journalStats are the figures of a journal at one moment.
type journalStats struct {
	State journalState
	// Bytes and entries that changes took. Appended were told of; Written are in
	// a file; Synced are durable. Positions count dropped changes too, Appended does not.
	AppendedEntries            uint64
	AppendedBytes              uint64
	WrittenEntries             uint64
	WrittenBytes               uint64
	SyncedBytes, UnsyncedBytes uint64
	// UnsyncedAge is how long the oldest change has waited to be durable: what a
	// power cut at this moment would cost.
	UnsyncedAge time.Duration
	FileBytes   uint64 // written to files, headers included, after compression
	Syncs       uint64
	SyncMax     time.Duration
	SyncP99     time.Duration // within an eighth
	Errors      uint64        // operations on the disk that failed
	Gaps        uint64
	Dropped     uint64 // changes not taken
	Timeouts    uint64 // waits that ended without a sync
	Segments    uint64 // begun
	Segment     uint64 // number of the one that is written
	Waiters     int
}

// stats returns the figures.
func (j *journal) stats() journalStats {
	c := &j.counts
	// What comes later in the life of a change is read first.
	s := journalStats{
		SyncedBytes: j.flush.durable.Load(),
		State:       j.state(), Waiters: j.waiters.count(),
		WrittenBytes: c.written.Load(), WrittenEntries: c.writtenEntries.Load(), FileBytes: c.fileBytes.Load(),
		Syncs: c.syncs.Load(), SyncMax: c.syncTimes.longest(), SyncP99: c.syncTimes.quantile(0.99), Errors: c.errors.Load(),
		Gaps: c.gaps.Load(), Dropped: c.dropped.Load(), Timeouts: c.timeouts.Load(),
		Segments: c.segments.Load(), Segment: c.segmentSeq.Load(),
	}
	for at := range j.lanes {
		l := &j.lanes[at]
		l.mu.Lock()
		s.AppendedEntries += l.mu.entries
		s.AppendedBytes += l.mu.bytes
		l.mu.Unlock()
	}
	s.UnsyncedBytes = s.AppendedBytes - min(s.SyncedBytes, s.AppendedBytes)
	oldest := c.oldest.Load()
	if oldest == 0 && j.pending.Load() {
		oldest = j.since.Load()
	}
	if oldest != 0 && s.UnsyncedBytes > 0 {
		s.UnsyncedAge = time.Duration(max(j.now()-oldest, 0))
	}
	return s
}

// timeCounts counts durations in steps of an eighth of their power of two.
type timeCounts struct {
	counts [64 * 8]atomic.Uint64
	max    atomic.Int64
}

// add counts a duration in nanoseconds. One goroutine at a time may do so.
func (t *timeCounts) add(ns int64) {
	ns = max(ns, 1)
	t.counts[timeStep(uint64(ns))].Add(1)
	t.max.Store(max(ns, t.max.Load()))
}

func timeStep(ns uint64) int {
	top := bits.Len64(ns) - 1
	return top*8 + int(ns<<(63-top)>>60&7)
}

// longest returns the longest duration.
func (t *timeCounts) longest() time.Duration { return time.Duration(t.max.Load()) }

// quantile returns the duration that so great a share of all does not exceed,
// 0 if there is none.
func (t *timeCounts) quantile(q float64) time.Duration {
	total := uint64(0)
	for i := range t.counts {
		total += t.counts[i].Load()
	}
	left := uint64(float64(total) * (1 - q))
	for i := len(t.counts) - 1; i >= 0; i-- {
		n := t.counts[i].Load()
		if n > left {
			return min(time.Duration(uint64(9+i%8)<<(i/8)/8), t.longest())
		}
		left -= n
	}
	return 0
}
