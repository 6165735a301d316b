package persist

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	// syncBytes is how much may be written before it is synced though it is not
	// time yet: a batch stays in memory until then.
	syncBytes = 16 << 20
	// failuresMax is how many failures in a row are no trouble yet.
	failuresMax = 3
	backoffMin  = 100 * time.Millisecond
	backoffMax  = 5 * time.Second
	// lookPeriod is how often the flusher looks whether its file is still there.
	lookPeriod = time.Second
	// askPeriod is the first pause between two calls of onGap.
	askPeriod = time.Second
	askMax    = time.Minute
)

// flusher is what the goroutine of that name knows. Times are the journal's.
type flusher struct {
	seg     *segment
	out     []byte // for segments, one after the other
	prev    uint64 // file of the segment before, if it was ended well
	held    []*batch
	written int      // so many of held are in seg
	kept    retained // what these hold, if they are held for long
	dirty   int64    // bytes written and not synced
	pos     uint64   // before it everything is in held or let go
	durable atomic.Uint64
	// gone are the bytes and entries that were let go.
	gone, goneEntries uint64
	ended             uint64 // bytes of the segments before seg

	frozen bool   // positions stand still until a snapshot makes up for a gap
	resume uint64 // segment with which changes were taken again, 0 if not yet

	due      int64 // when to write, 0 if there is nothing to
	syncAt   int64 // when to sync, 0 if there is nothing to
	retryAt  int64 // no operation before that
	lookAt   int64
	askAt    int64
	askPause time.Duration
	failures int
}

// run is the flusher.
func (j *journal) run() {
	defer j.done.Done()
	f := &j.flush
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	_ = j.round(false)
	for {
		timer.Reset(j.rest())
		hurry := j.hurry
		if f.retryAt > j.now() {
			hurry = nil
		}
		select {
		case r := <-j.requests:
			if r.seq == 0 {
				r.done <- j.finish()
				return
			}
			r.done <- j.turn(r.seq)
		case <-j.kick:
			if f.due == 0 {
				f.due = j.now() + int64(gather)
			}
		case <-hurry:
			_ = j.round(false)
		case <-timer.C:
			_ = j.round(false)
		}
	}
}

// rest returns how long there is nothing to do.
func (j *journal) rest() time.Duration {
	f := &j.flush
	next := int64(1 << 62)
	for _, at := range [...]int64{f.due, f.syncAt, f.askAt} {
		if at != 0 {
			next = min(next, at)
		}
	}
	if f.failures > 0 {
		next = f.retryAt
	} else {
		next = max(next, f.retryAt)
	}
	return time.Duration(max(next-j.now(), 0))
}

// round takes what the lanes hold, writes it, and syncs if it is time. It
// returns an error when that is seen to already.
func (j *journal) round(sync bool) error {
	j.take()
	err := j.write()
	if err == nil && (sync || j.syncDue()) {
		err = j.sync()
	}
	if err == nil {
		err = j.look()
	}
	if err != nil {
		j.failed(err)
		return err
	}
	j.worked()
	return nil
}

// take moves the lanes' batches to held.
func (j *journal) take() {
	f := &j.flush
	f.due = 0
	since := j.since.Load()
	if j.pending.Swap(false) && j.counts.oldest.Load() == 0 {
		j.counts.oldest.Store(since)
	}
	f.pos = j.appended.Load()
	// After the position: see J7.
	if j.stopped.Load() {
		f.frozen, f.resume = true, 0
	}
	for at := range j.lanes {
		l := &j.lanes[at]
		l.mu.Lock()
		f.held = l.takeLocked(f.held)
		l.mu.Unlock()
	}
}

// write writes what is held to the segment, and to new ones as they fill.
func (j *journal) write() error {
	f := &j.flush
	if f.seg == nil {
		if err := j.begin(j.conf.next()); err != nil {
			return err
		}
	}
	if f.written == len(f.held) {
		return nil
	}
	now := j.conf.store.Now()
	j.beginIO()
	defer j.endIO()
	for f.written < len(f.held) {
		b := f.held[f.written]
		if !f.seg.fits(b) {
			if err := j.end(); err != nil {
				return err
			}
			if err := j.begin(j.conf.next()); err != nil {
				return err
			}
		}
		j.beginIO()
		if err := f.seg.add(b, now); err != nil {
			return err
		}
		f.dirty += int64(len(b.buf))
		f.written++
	}
	j.beginIO()
	if err := f.seg.flush(); err != nil {
		return err
	}
	j.countWritten()
	if j.conf.policy == PolicyInterval {
		f.kept.compact(f.held[:f.written], &j.spares)
		if f.syncAt == 0 {
			f.syncAt = j.now() + int64(j.conf.interval)
		}
	}
	if j.conf.policy == PolicyOS {
		j.letGo()
		j.released.Store(f.pos)
	}
	return nil
}

// begin begins a segment with that number.
func (j *journal) begin(seq uint64) error {
	f := &j.flush
	if f.out == nil {
		f.out = make([]byte, 0, gatherBytes)
	}
	stamp := j.conf.clock.World()
	stamp.Now = j.conf.store.Now()
	j.beginIO()
	defer j.endIO()
	if j.conf.mayWrite != nil {
		if err := j.conf.mayWrite(); err != nil {
			return fmt.Errorf("new journal segment: %w", err)
		}
	}
	g, err := createSegment(j.conf.fs, j.conf.dir, Header{
		Kind: KindJournal, Codec: j.conf.codec, File: rand.Uint64(), Seq: seq,
		Ver: j.conf.store.Version(), Stamp: stamp, Prev: f.prev,
	}, j.conf.segment, f.out)
	if err != nil {
		return fmt.Errorf("new journal segment: %w", err)
	}
	f.seg, f.prev = g, 0
	f.lookAt = j.now() + int64(lookPeriod)
	j.counts.segments.Add(1)
	j.counts.segmentSeq.Store(seq)
	return nil
}

// end ends the segment. What was written to it is durable then.
func (j *journal) end() error {
	f := &j.flush
	began := j.beginIO()
	defer j.endIO()
	if err := f.seg.close(j.conf.store.Now()); err != nil {
		if j.conf.policy == PolicyOS {
			j.gap() // what may be lost is not in memory any more
		}
		return fmt.Errorf("end of a journal segment: %w", err)
	}
	j.countWritten()
	j.counts.syncs.Add(1)
	j.counts.syncTimes.add(j.now() - began)
	f.ended += uint64(f.seg.used)
	f.prev, f.seg, f.dirty = f.seg.head.File, nil, 0
	j.letGo()
	f.durable.Store(f.gone)
	if j.conf.policy == PolicyOS {
		j.counts.oldest.Store(0)
	}
	return nil
}

// gap begins one that is not for want of memory.
func (j *journal) gap() {
	if !j.stopped.Swap(true) {
		j.counts.gaps.Add(1)
	}
	j.flush.frozen, j.flush.resume = true, 0
}

// syncDue reports whether what is written is to be synced now.
func (j *journal) syncDue() bool {
	f := &j.flush
	switch j.conf.policy {
	case PolicyAlways:
		return true
	case PolicyInterval:
		return f.dirty >= syncBytes || f.syncAt != 0 && f.syncAt <= j.now()
	}
	return false
}

// sync makes durable what is written, lets it go and moves the positions.
func (j *journal) sync() error {
	f := &j.flush
	if f.dirty > 0 {
		began := j.beginIO()
		err := f.seg.sync()
		j.endIO()
		if err != nil {
			if j.conf.policy == PolicyOS {
				j.gap()
			}
			return fmt.Errorf("sync: %w", err)
		}
		j.counts.syncs.Add(1)
		j.counts.syncTimes.add(j.now() - began)
	}
	f.dirty, f.syncAt = 0, 0
	j.letGo()
	f.durable.Store(f.gone)
	j.counts.oldest.Store(0)
	j.released.Store(f.pos)
	return nil
}

// countWritten counts what is in files. What has to be written again stays counted.
func (j *journal) countWritten() {
	f := &j.flush
	bytes, entries := f.gone, f.goneEntries
	for _, b := range f.held[:f.written] {
		bytes += uint64(len(b.buf) - blockBytes)
		entries += uint64(b.entries)
	}
	j.counts.written.Store(max(bytes, j.counts.written.Load()))
	j.counts.writtenEntries.Store(max(entries, j.counts.writtenEntries.Load()))
	j.counts.fileBytes.Store(f.ended + uint64(f.seg.used))
}

// letGo gives back the batches that are written (J3).
func (j *journal) letGo() {
	f := &j.flush
	for _, b := range f.held[:f.written] {
		f.gone += uint64(len(b.buf) - blockBytes)
		f.goneEntries += uint64(b.entries)
		if big := int64(cap(b.buf)); big > int64(j.conf.bound)/2 {
			j.oversize.Store(0)
		}
		j.spares.give(b)
	}
	n := copy(f.held, f.held[f.written:])
	clear(f.held[n:])
	f.kept.forget(f.written)
	f.held, f.written = f.held[:n], 0
}

// look finds out from time to time whether the file is still there. If not,
// nothing that was written to it is, and perhaps no snapshot either.
func (j *journal) look() error {
	f := &j.flush
	if f.lookAt > j.now() {
		return nil
	}
	f.lookAt = j.now() + int64(lookPeriod)
	j.beginIO()
	err := f.seg.present()
	j.endIO()
	if err != nil {
		j.gap()
		return fmt.Errorf("the journal's file has vanished: %w", err)
	}
	return nil
}

// failed lets the segment go (J4). All that is held is written to the next one.
func (j *journal) failed(err error) {
	f := &j.flush
	j.counts.errors.Add(1)
	if f.seg != nil {
		f.ended += uint64(f.seg.used)
		j.beginIO()
		f.seg.abandon()
		j.endIO()
	}
	f.seg, f.prev, f.written, f.dirty, f.syncAt = nil, 0, 0, 0, 0
	f.failures++
	pause := time.Duration(0) // once it is tried again at once
	if n := f.failures - 2; n >= 0 {
		pause = min(backoffMin<<min(n, 10), backoffMax)
	}
	f.retryAt = j.now() + int64(pause)
	if f.failures >= failuresMax {
		j.setTrouble(troubleDisk, err.Error())
	}
}

// worked notes that the disk works, ends what a snapshot has made up for, and
// asks for one if changes are missing.
func (j *journal) worked() {
	f := &j.flush
	if f.failures > 0 {
		f.failures, f.retryAt = 0, 0
		j.setTrouble(troubleDisk, "")
	}
	if f.frozen && f.resume != 0 && j.published.Load() >= f.resume && !j.stopped.Load() {
		f.frozen, f.resume, f.askAt = false, 0, 0
		j.setTrouble(troubleGap, "")
	}
	if f.frozen {
		j.askSnapshot()
	} else if j.conf.policy == PolicyAlways && len(f.held) == 0 {
		j.synced.Store(f.pos)
		j.wakeWaiters(false)
	}
}

// askSnapshot asks for the snapshot that ends a gap, again if it does not come.
func (j *journal) askSnapshot() {
	f := &j.flush
	if f.askAt == 0 {
		f.askPause = askPeriod
		j.setTrouble(troubleGap, gapReason)
	} else if f.askAt > j.now() {
		return
	}
	f.askAt = j.now() + int64(f.askPause)
	f.askPause = min(2*f.askPause, askMax)
	if j.conf.onGap != nil && !j.closed.Load() {
		j.conf.onGap()
	}
}

// turn is rotate.
func (j *journal) turn(seq uint64) error {
	f := &j.flush
	j.take()
	if f.seg != nil {
		err := j.write()
		if err == nil && f.seg.head.Seq < seq {
			err = j.end()
		}
		if err != nil {
			j.failed(err) // a new segment is what was asked for anyway
		}
	}
	if f.seg == nil {
		err := j.begin(seq)
		if err == nil {
			err = j.write()
		}
		if err != nil {
			j.failed(err)
			return err
		}
	}
	if j.stopped.Load() && !j.closed.Load() {
		// What comes from now on is in this segment, what was dropped before is
		// for the snapshot.
		f.frozen, f.resume = true, f.seg.head.Seq
		j.released.Store(j.appended.Load())
		j.stopped.Store(false)
	}
	return nil
}

// finish is close.
func (j *journal) finish() error {
	f := &j.flush
	err := j.round(true)
	for range failuresMax {
		if err == nil {
			break
		}
		err = j.round(true) // on a new segment
	}
	j.closed.Store(true)
	j.stopped.Store(true)
	if f.seg != nil {
		if e := j.end(); e != nil {
			f.seg.abandon()
			err = errors.Join(err, e)
		}
		f.seg = nil
	}
	close(j.stop)
	j.wakeWaiters(true)
	if f.frozen && err == nil {
		err = errors.New("changes are missing in the journal")
	}
	return err
}
