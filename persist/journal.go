package persist

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
)

// The journal writes down what a store tells of its changes.
//
//	store ──Stored──▶ lane 0 |open|  |full|full|─┐             segment N
//	 under a stripe   lane 1 |open|              ├─▶ flusher ─▶ header|block|block|…|end|
//	                  …                          │   frames,      segment N+1
//	                  lane 7 |open|  |full|──────┘   writes,    ─▶ header|block|…
//	                   memory, never waits           syncs
//	                                                   │
//	NotifySynced ◀────────── waiters ◀─────────────────┘ position
//
// A position counts the bytes of entries told so far. The flusher reads the
// counter first and takes the lanes' batches after that, so what it has then
// taken is at least everything before the position that it read.
//
// What is not durable yet stays in memory (with PolicyOS: not written), at most
// boundBytes of it, so a file that fails costs nothing: it is let go, never
// synced again, and the batches are written anew to the next one.
//
// If memory does not suffice, changes are dropped and there is a gap. From then
// on nothing is taken, until the disk works and the keeper has begun a segment
// for a new snapshot: the walk of the snapshot comes later, so it sees what was
// dropped. Positions stand still until that snapshot is published.
//
// # Invariants
//
//   - J1: the changes of one key are in one lane, and in the files in the order in
//     which they happened. Nothing is said of two keys.
//
//   - J2: Synced(pos) under PolicyAlways: every change before pos is in a synced
//     file whose name is synced, or in a published snapshot.
//
//   - J3: a batch is let go only when its bytes are durable (PolicyOS: written).
//
//   - J4: no file is written to after an operation on it has failed.
//
//   - J5: telling the journal of a change waits for nothing but memory, and
//     allocates nothing as long as the flusher keeps up.
//
//   - J6: a flush is in every lane, so that a lane that lost a block can be
//     distrusted alone.
//
//   - J7: a change that is dropped is seen as a gap before its position can be
//     reached: stopped is set first, then the position moves.
//
//   - J8: every waiter is woken exactly once.
//
//   - J9: a segment whose header names the one before (Prev) follows it without
//     loss. A start always begins a segment, so a torn end is never written behind.
//
// # Locks
//
// In this order: stripe of the store, lane, then one of spares, waiters and
// health, which are held for moments and not together. What the flusher alone
// uses has none.
//
// # Goroutines
//
//	flusher    newJournal .start → close   the only one that touches files
//	watchdog   newJournal .start → close   ends waits that last too long, notices a disk that hangs
//	any        Stored, Touched, …          under the stripe of the key
type journal struct {
	conf  journalConfig
	epoch time.Time // times are nanoseconds since then

	lanes  [laneCount]lane
	spares spares

	_        [64]byte
	appended atomic.Uint64 // position after the last change
	_        [64]byte
	released atomic.Uint64 // before it nothing is in memory any more
	synced   atomic.Uint64 // see J2
	oversize atomic.Int64  // bytes of an entry that the bound has no room for
	stopped  atomic.Bool   // changes are dropped
	pending  atomic.Bool   // lanes hold something
	since    atomic.Int64  // when pending was last set

	waiters waiters
	health  health
	counts  journalCounts
	flush   flusher

	kick      chan struct{} // there is something to write
	hurry     chan struct{} // now
	watch     chan struct{} // there is something to watch
	requests  chan request
	published atomic.Uint64 // see publishedSnapshot
	closed    atomic.Bool
	stop      chan struct{} // closed at the end
	done      sync.WaitGroup
}

const (
	// boundBytes is how much may be in memory that is not durable yet.
	boundBytes = 64 << 20
	// gather is how long the first change waits for others.
	gather = time.Millisecond
)

// journalConfig is what a journal needs.
type journalConfig struct {
	fs       FS
	dir      string
	store    *slab.Store
	clock    Clock
	policy   Policy
	interval time.Duration // of syncs, for PolicyInterval
	timeout  time.Duration // of waiters
	codec    Codec
	// next gives out the number of a new segment. The flusher calls it.
	next func() uint64
	// mayWrite, unless it is nil, says why no segment may be begun at present.
	mayWrite func() error
	// onState is told when the state changes, one call at a time. It may ask for
	// stats, nothing else.
	onState func(journalState)
	// onGap is called when changes have been dropped and the disk works: a
	// snapshot must be begun, that is, rotate, walk, publishedSnapshot. It
	// returns at once, and is called again from time to time until that is done.
	onGap func()
	// bound, segment and stall are boundBytes, segmentBytes and stallAfter, but
	// for tests.
	bound   uint64
	segment int64
	stall   time.Duration
}

var errClosed = errors.New("the journal is closed")

// newJournal makes a journal that no goroutine serves yet: see start.
func newJournal(c journalConfig) *journal {
	if c.bound == 0 {
		c.bound = boundBytes
	}
	if c.segment == 0 {
		c.segment = segmentBytes
	}
	if c.stall == 0 {
		c.stall = stallAfter
	}
	return &journal{
		conf: c, epoch: time.Now(),
		kick: make(chan struct{}, 1), hurry: make(chan struct{}, 1), watch: make(chan struct{}, 1),
		requests: make(chan request), stop: make(chan struct{}),
	}
}

// start begins the first segment and serves until close. A disk that does not
// work is no error: the state says so.
func (j *journal) start() {
	j.done.Add(2)
	go j.run()
	go j.watchdog()
}

func (j *journal) now() int64 { return int64(time.Since(j.epoch)) }

// Stored implements slab.Journal.
func (j *journal) Stored(i slab.Item) {
	var r slab.Record
	i.Record(&r)
	n := i.ValueLen()
	at := laneOf(r.Key)
	l := &j.lanes[at]
	l.mu.Lock()
	if b := j.roomLocked(l, at, putMax+len(r.Key)+n); b != nil {
		had := len(b.buf)
		if i.Chunked() {
			b.buf = appendPut(b.buf, &r, n, i.AppendValue)
		} else {
			b.buf = appendPut(b.buf, &r, n, nil)
		}
		j.tookLocked(l, b, had)
	}
	l.mu.Unlock()
}

// Touched implements slab.Journal.
func (j *journal) Touched(i slab.Item) {
	key := i.Key()
	at := laneOf(key)
	l := &j.lanes[at]
	l.mu.Lock()
	if b := j.roomLocked(l, at, putMax+len(key)); b != nil {
		had := len(b.buf)
		b.buf = appendTouch(b.buf, key, i.Ver(), i.Exptime())
		j.tookLocked(l, b, had)
	}
	l.mu.Unlock()
}

// Removed implements slab.Journal.
func (j *journal) Removed(key []byte, _, ver uint64) {
	at := laneOf(key)
	l := &j.lanes[at]
	l.mu.Lock()
	if b := j.roomLocked(l, at, putMax+len(key)); b != nil {
		had := len(b.buf)
		b.buf = appendRemove(b.buf, key, ver)
		j.tookLocked(l, b, had)
	}
	l.mu.Unlock()
}

// Flushed implements slab.Journal. Every lane gets it (J6).
func (j *journal) Flushed(ver uint64) {
	for at := range j.lanes {
		l := &j.lanes[at]
		l.mu.Lock()
		if b := j.roomLocked(l, uint16(at), putMax); b != nil {
			had := len(b.buf)
			b.buf = appendFlush(b.buf, ver)
			j.tookLocked(l, b, had)
		}
		l.mu.Unlock()
	}
}

// roomLocked returns the lane's open batch with room for n bytes, or nil if the
// change is dropped, which it then sees to. Caller holds the lane.
func (j *journal) roomLocked(l *lane, at uint16, n int) *batch {
	if j.stopped.Load() || !j.mayHold(n) {
		j.counts.dropped.Add(1)
		j.appended.Add(uint64(n)) // after stopped: J7
		return nil
	}
	b := l.mu.open
	if b != nil && len(b.buf)+n <= cap(b.buf) {
		return b
	}
	if b != nil {
		l.closeLocked()
		ring(j.hurry)
	}
	b = j.spares.take(at, n)
	l.mu.open = b
	return b
}

// mayHold reports whether n bytes more may be in memory. If not, a gap begins.
// An entry so large that the bound has hardly room for it may be there beside
// the others, one at a time.
func (j *journal) mayHold(n int) bool {
	released := j.released.Load() // before appended, which is never less
	held := int64(j.appended.Load()-released) - j.oversize.Load()
	bound := int64(j.conf.bound)
	if held+int64(n) <= bound || int64(n) > bound/2 && held <= bound && j.oversize.CompareAndSwap(0, int64(n)) {
		return true
	}
	if j.stopped.CompareAndSwap(false, true) {
		j.counts.gaps.Add(1)
		ring(j.hurry)
	}
	return false
}

// tookLocked counts an entry that has been appended behind the first had bytes
// of a batch. Caller holds the lane.
func (j *journal) tookLocked(l *lane, b *batch, had int) {
	b.entries++
	l.mu.entries++
	l.mu.bytes += uint64(len(b.buf) - had)
	j.appended.Add(uint64(len(b.buf) - had))
	if !j.pending.Load() && j.pending.CompareAndSwap(false, true) {
		j.since.Store(j.now())
		ring(j.kick)
	}
}

// ring makes a channel of one place readable.
func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Appended returns the position after the last change told so far.
func (j *journal) Appended() uint64 { return j.appended.Load() }

// Holds reports whether replies to changes wait for Synced.
func (j *journal) Holds() bool { return j.conf.policy == PolicyAlways }

// Synced reports whether every change before pos is as durable as the policy
// promises before a reply: always, unless that is PolicyAlways.
func (j *journal) Synced(pos uint64) bool {
	return j.conf.policy != PolicyAlways || j.synced.Load() >= pos
}

// Failed reports, when a wake has come, whether it came for the timeout.
func (j *journal) Failed(pos uint64) bool { return !j.Synced(pos) }

// NotifySynced has wake called once, from any goroutine and perhaps before it
// returns, when Synced(pos) or when the timeout is over.
func (j *journal) NotifySynced(pos uint64, wake func()) {
	if !j.Synced(pos) && j.waiters.add(j, pos, wake) {
		ring(j.hurry)
		return
	}
	wake()
}

// request asks the flusher for something.
type request struct {
	seq  uint64 // of the segment to begin, 0 to close
	done chan error
}

func (j *journal) ask(seq uint64) error {
	r := request{seq: seq, done: make(chan error, 1)}
	select {
	case j.requests <- r:
		return <-r.done
	case <-j.stop:
		return errClosed
	}
}

// rotate has changes from now on go to a segment with that number, or a higher
// one if it has come to that already. It ends a gap; an error leaves everything
// as it was. It waits for the disk.
func (j *journal) rotate(seq uint64) error { return j.ask(seq) }

// publishedSnapshot says that a snapshot is durable whose walk began after
// rotate(seq).
func (j *journal) publishedSnapshot(seq uint64) {
	j.published.Store(max(seq, j.published.Load()))
	ring(j.hurry)
}

// close writes and syncs what there is, ends the segment and wakes all waiters.
// Later changes are dropped. An error means that some may not be in the file.
func (j *journal) close() error {
	err := j.ask(0)
	j.done.Wait()
	return err
}
