package persist

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
)

const (
	// versionStep is how far above what was found a store's versions go on: more
	// than any process gives out between two files that say how far it has come.
	versionStep = 1 << 32
	// versionMark is after how many versions a snapshot is made to say so.
	versionMark = 1 << 31
	// grownMin is how much the journal may take before a snapshot shortens it.
	grownMin = 1 << 30

	pollEvery     = time.Second
	retryAfter    = 5 * time.Second
	retryAfterMax = 5 * time.Minute
)

// errLoading: a snapshot of a store that is not loaded yet would be one of a part.
var errLoading = errors.New("the items are still being loaded")

// errStopped: the keeper is closed.
var errStopped = errors.New("the server is stopping")

// Keeper keeps the items of one store by way of a driver: it restores what an
// earlier process left, has snapshots made, knows whether keeping works and
// tries again when it does not. Its methods may be called by any goroutine, in
// the order Open, ClockStart, Start, Restore, Close.
type Keeper struct {
	o      Options
	d      Driver
	found  Found
	opened Stamp

	store   *slab.Store
	journal Journal // nil: none

	restored atomic.Bool // Restore is done
	progress atomic.Pointer[RestoreProgress]
	refusal  atomic.Pointer[string]
	wanted   atomic.Bool // a snapshot is to be made soon

	quit   chan struct{}
	wake   chan struct{} // there may be something to do
	cancel context.CancelFunc
	ctx    context.Context
	done   sync.WaitGroup // the loop and a snapshot that is being made

	mu struct {
		sync.Mutex
		closed bool
		making bool // a snapshot
		began  time.Time
		state  state
		last   lastSnapshot
		rec    Recovery
		took   time.Duration // of Restore
		err    error         // of Restore
	}
}

// lastSnapshot is what is known of the snapshots of this process.
type lastSnapshot struct {
	info     SnapshotInfo
	at       time.Time // when it ended; zero: there was none
	took     time.Duration
	made     uint64
	failed   uint64
	ver      uint64        // versions given out up to the last one, or the start
	next     time.Time     // not before, after a failure
	pause    time.Duration // between two attempts
	schedule time.Time     // when the next is due; zero: never by the clock
}

// Open opens the place where items are kept and looks at what is there. An error
// means that the process should not start.
func Open(o Options) (*Keeper, error) {
	if o.Driver == "" {
		o.Driver = DriverDir
	}
	if o.FS == nil {
		o.FS = OS
	}
	if o.Clock == nil {
		o.Clock = System
	}
	if o.pollEvery == 0 {
		o.pollEvery = pollEvery
	}
	if o.retryAfter == 0 {
		o.retryAfter = retryAfter
	}
	k := &Keeper{o: o, quit: make(chan struct{}), wake: make(chan struct{}, 1)}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.refusal.Store(new(string))
	var err error
	if k.d, err = openDriver(&k.o); err != nil {
		return nil, err
	}
	if k.found, err = k.d.Find(); err != nil {
		return nil, errors.Join(err, k.d.Close())
	}
	k.opened = o.Clock.World()
	return k, nil
}

// Found returns what there was when the Keeper was opened.
func (k *Keeper) Found() Found { return k.found }

// Origin tells whether there are items of an earlier process, a time before which
// no change that it made is missing, zero if that is not known, and whether all could
// be read that it has kept. Before Restore it tells what is known by then: the time may
// be later afterwards, and damage be found.
func (k *Keeper) Origin() (complete time.Time, items, whole bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.rec.Source != "" {
		return k.mu.rec.Complete, k.mu.rec.Items > 0, k.mu.err == nil && len(k.mu.rec.Problems) == 0
	}
	return k.found.Complete, k.found.Items > 0 || k.found.Begin != 0, !k.found.Damaged
}

// Kept says that nothing that was acknowledged is lost, whenever the process ends:
// replies wait for the journal, and it has had no trouble since the start, or since
// a snapshot that has all. A change that is late is no loss, for its client is told;
// but others may have read it, and a file that has vanished had been synced.
func (k *Keeper) Kept() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &k.mu.state
	return k.o.Journal == PolicyAlways && s.journal == "" && s.healed == s.troubles
}

// ClockStart returns the store's clock at this moment, in seconds, so that it
// goes on where the one of the earlier process stopped; 0 if there was none.
func (k *Keeper) ClockStart() uint32 {
	if k.found.Stamp.Now == 0 {
		return 0
	}
	now := k.o.Clock.World()
	if k.o.FreezeTTL {
		return now.Continue(Stamp{Now: k.found.Last, WallNs: k.opened.WallNs, BootNs: k.opened.BootNs, Boot: k.opened.Boot})
	}
	return max(now.Continue(k.found.Stamp), k.found.Last)
}

// Start has the keeper keep the changes of s. It must come before any operation
// on s, and before the server has its first client. serving says that clients come before Restore is
// done, kept that the items are in s already, by other means than this keeper: Restore is not called then.
func (k *Keeper) Start(s *slab.Store, serving, kept bool) {
	k.store = s
	if !kept {
		now := k.ClockStart()
		if k.found.Begin != 0 && !serving {
			now = min(now, k.found.Begin)
		}
		s.Tick(now)
		s.BeginRestore(k.found.Ver+versionStep, int(k.found.Items))
	}
	if serving || kept {
		k.startSink()
	}
	if kept {
		k.loaded(true)
	}
}

// startSink has the driver take the changes from now on. The store has the
// right time and its versions are above all that there were.
func (k *Keeper) startSink() {
	if k.journal = k.d.Start(k.store, Events{Trouble: k.journalTrouble, Wanted: k.want}); k.journal != nil {
		k.store.SetJournal(k.journal)
	}
	k.mu.Lock()
	k.mu.last.ver = k.store.Version()
	k.mu.Unlock()
}

// Restore puts back what the earlier process kept. If serving was said, clients
// may be served meanwhile. An error with a Recovery of nothing means that the process should not
// start (Strict); otherwise what could be restored is there.
func (k *Keeper) Restore(ctx context.Context, serving bool) (Recovery, error) {
	began := time.Now()
	o := RestoreOptions{Progress: func(p RestoreProgress) { k.progress.Store(&p) }}
	if gap := k.ClockStart() - min(k.found.Last, k.ClockStart()); k.o.AsStale > 0 && k.found.Last > 0 && time.Duration(gap)*time.Second > k.o.AsStale {
		o.Marks = slab.MarkStale
	}
	rec, err := k.d.Restore(ctx, k.store, o)
	if ctx.Err() != nil || err != nil && k.o.Strict {
		return rec, err
	}
	if err != nil {
		rec.Problems = append(rec.Problems, err.Error())
	}
	k.store.EndRestore(!serving)
	if !serving {
		k.store.Tick(k.ClockStart())
		k.startSink()
	}
	k.mu.Lock()
	k.mu.rec, k.mu.took, k.mu.err = rec, time.Since(began), err
	k.mu.Unlock()
	k.loaded(rec.Rebase || err != nil)
	return rec, nil
}

// Progress returns how far Restore has come.
func (k *Keeper) Progress() RestoreProgress {
	if p := k.progress.Load(); p != nil {
		return *p
	}
	return RestoreProgress{}
}

// loaded begins the regular work. rebase asks for a snapshot soon.
func (k *Keeper) loaded(rebase bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.scheduleLocked(time.Now())
	k.restored.Store(true)
	if rebase {
		k.wanted.Store(true)
	}
	if !k.mu.closed {
		k.done.Add(1)
		go k.run()
	}
}

// want asks for a snapshot soon.
func (k *Keeper) want() {
	k.wanted.Store(true)
	ring(k.wake)
}

// run is the keeper's goroutine: it has snapshots made when they are due.
func (k *Keeper) run() {
	defer k.done.Done()
	tick := time.NewTicker(k.o.pollEvery)
	defer tick.Stop()
	for {
		if k.due(time.Now()) {
			k.begin(nil)
		}
		select {
		case <-k.quit:
			return
		case <-tick.C:
		case <-k.wake:
		}
	}
}

// due reports whether a snapshot is to be made now.
func (k *Keeper) due(now time.Time) bool {
	grown := int64(0)
	if k.journal != nil {
		grown = k.journal.Grown()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	l := &k.mu.last
	switch {
	case k.mu.making || now.Before(l.next):
		return false
	case k.wanted.Load(), k.mu.state.snapshot != "":
		return true
	case !l.schedule.IsZero() && !now.Before(l.schedule):
		return true
	case grown > max(grownMin, int64(l.info.FileBytes)):
		return true
	}
	return k.store.Version()-l.ver > versionMark
}

// Snapshot starts a snapshot and calls done, from another goroutine, when it is
// published or has failed. It reports false if one is being made.
func (k *Keeper) Snapshot(done func(error)) bool {
	if !k.restored.Load() {
		go done(errLoading)
		return true
	}
	return k.begin(done)
}

// begin starts a snapshot, unless one is being made. done may be nil.
func (k *Keeper) begin(done func(error)) bool {
	k.mu.Lock()
	if k.mu.making || k.mu.closed {
		closed := k.mu.closed
		k.mu.Unlock()
		if closed && done != nil {
			go done(errStopped)
		}
		return closed
	}
	k.mu.making, k.mu.began = true, time.Now()
	k.done.Add(1)
	k.mu.Unlock()
	go func() {
		defer k.done.Done()
		err := k.make(k.ctx, false)
		if done != nil {
			done(err)
		}
		ring(k.wake)
	}()
	return true
}

// make makes a snapshot. making is set, and not any more afterwards.
func (k *Keeper) make(ctx context.Context, last bool) error {
	k.wanted.Store(false)
	began, ver := time.Now(), k.store.Version()
	k.mu.Lock()
	ailing, troubles := k.mu.state.snapshot != "", k.mu.state.troubles
	k.mu.Unlock()
	var info SnapshotInfo
	var err error
	if ailing && !last {
		err = k.d.Probe() // cheaper than to find out by a snapshot
	}
	if err == nil {
		info, err = k.d.Snapshot(ctx, k.store, last)
	}
	now := time.Now()
	k.mu.Lock()
	l := &k.mu.last
	k.mu.making = false
	switch {
	case err == nil:
		l.info, l.at, l.took, l.ver = info, now, now.Sub(began), ver
		l.made++
		l.pause, l.next = 0, time.Time{}
	case ctx.Err() == nil:
		l.failed++
		l.pause = min(max(2*l.pause, k.o.retryAfter), retryAfterMax)
		l.next = now.Add(l.pause)
	}
	k.scheduleLocked(now)
	k.mu.Unlock()
	switch {
	case err == nil:
		k.snapshotMade(troubles)
		k.o.Log.Info().Uint64("items", info.Items).Uint64("bytes", info.FileBytes).Dur("took", now.Sub(began)).Str("file", info.Name).Msg("snapshot made")
	case ctx.Err() == nil:
		k.snapshotTrouble(err.Error())
	}
	return err
}

// scheduleLocked says when the next snapshot is due by the clock. The caller holds mu.
func (k *Keeper) scheduleLocked(now time.Time) {
	k.mu.last.schedule = time.Time{}
	if k.o.SnapshotInterval > 0 {
		k.mu.last.schedule = now.Add(k.o.SnapshotInterval)
	}
}

// Close makes a last snapshot, unless ctx ends before it is done or the items were not even
// loaded, and lets everything go. The store must not be used by anyone else any more.
func (k *Keeper) Close(ctx context.Context) error {
	k.mu.Lock()
	if k.mu.closed {
		k.mu.Unlock()
		return nil
	}
	k.mu.closed = true
	k.mu.Unlock()
	close(k.quit)
	k.cancel()
	k.done.Wait()
	var err error
	if k.restored.Load() && ctx.Err() == nil {
		if err = k.make(ctx, true); err != nil {
			err = fmt.Errorf("last snapshot: %w", err)
		}
	}
	if k.store != nil {
		k.store.SetJournal(nil)
	}
	return errors.Join(err, k.d.Close())
}

// SnapshotProgress returns how many items the snapshot that is being made has,
// false if there is none or the driver does not say.
func (k *Keeper) SnapshotProgress() (items uint64, ok bool) {
	p, is := k.d.(interface{ Progress() (items uint64) })
	k.mu.Lock()
	defer k.mu.Unlock()
	if !is || !k.mu.making {
		return 0, false
	}
	return p.Progress(), true
}

// Appended, Synced, NotifySynced and Holds are the journal's; without one
// nothing is waited for.

// Appended returns the position after the last change that the journal was told of.
func (k *Keeper) Appended() uint64 {
	if k.journal == nil {
		return 0
	}
	return k.journal.Appended()
}

// Synced reports whether all before pos is as safe as was promised.
func (k *Keeper) Synced(pos uint64) bool { return k.journal == nil || k.journal.Synced(pos) }

// NotifySynced has wake called once, when Synced(pos) or when the time for it is over.
func (k *Keeper) NotifySynced(pos uint64, wake func()) {
	if k.journal == nil {
		wake()
		return
	}
	k.journal.NotifySynced(pos, wake)
}

// Holds reports whether replies to changes wait for Synced.
func (k *Keeper) Holds() bool { return k.o.Journal == PolicyAlways }
