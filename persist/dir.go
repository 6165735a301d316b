package persist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/slab"
	"github.com/rs/zerolog"
)

// dirDriver keeps items in the files of a directory: snapshots, and segments of
// a journal between them. Files are numbered in one ascending order. A snapshot
// takes a number and then has the journal begin a segment with a higher one, so
// that what is there is restored from the newest snapshot that is complete and
// the segments above it.
//
// Without a journal every start leaves an empty segment: it says how far versions and
// the clock had come, so that neither begins again if the process dies before its first snapshot.
type dirDriver struct {
	o    *Options
	fs   FS
	dir  string
	log  zerolog.Logger
	lock io.Closer // nil if it could not be made

	seq     atomic.Uint64 // the highest number given out
	base    *snapshotSource
	found   Found
	files   dirFiles
	foreign map[uint64]bool // numbers of files that are left alone
	marks   []uint64        // empty segments: a newer one says more
	trouble []string        // of Find
	unread  bool            // it could not even be listed

	journal  *journal
	progress snapshotProgress

	mu struct {
		sync.Mutex
		good    []uint64        // snapshots that are complete, ascending
		damaged map[uint64]bool // numbers of files to be set aside rather than removed
		base    uint64          // bytes that the journal had written at the last snapshot
		before  int64           // bytes of segments from earlier processes
	}
}

// openDir opens the directory that o names.
func openDir(o *Options) (Driver, error) {
	d := &dirDriver{o: o, fs: o.FS, dir: filepath.Clean(o.Dir), log: o.Log, foreign: map[uint64]bool{}}
	d.mu.damaged = map[uint64]bool{}
	if err := prepareDir(d.fs, d.dir); err != nil {
		return nil, fmt.Errorf("data directory %s: %w", d.dir, err)
	}
	if err := d.takeLock(); errors.Is(err, ErrInUse) {
		return nil, fmt.Errorf("data directory %s: %w", d.dir, err)
	} else if err != nil {
		d.log.Error().Err(err).Str("dir", d.dir).Msg("the data directory cannot be locked; nothing can be kept in it")
	}
	return d, nil
}

// takeLock takes the directory. Only the system's own can be shared with others.
func (d *dirDriver) takeLock() error {
	if d.fs != OS {
		return nil
	}
	lock, err := lockDir(d.dir)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.lock = lock
	d.mu.Unlock()
	return nil
}

// keepLock sees, before anything is written, that the directory is the one that was
// taken. What lies in its place if it was moved away is taken anew, unless another
// process has it; its files are not written over.
func (d *dirDriver) keepLock() error {
	d.mu.Lock()
	lock := d.lock
	d.mu.Unlock()
	if lock == nil || isFile(lock, d.path(lockName)) {
		return nil
	}
	if err := d.takeLock(); err != nil {
		return fmt.Errorf("data directory %s: %w", d.dir, err)
	}
	_ = lock.Close()
	files, err := listFiles(d.fs, d.dir, false)
	for seq := d.seq.Load(); err == nil && seq < files.highest && !d.seq.CompareAndSwap(seq, files.highest); {
		seq = d.seq.Load()
	}
	return err
}

// next gives out the number of a new file.
func (d *dirDriver) next() uint64 { return d.seq.Add(1) }

func (d *dirDriver) path(name string) string { return filepath.Join(d.dir, name) }

// problem notes what is wrong with what was found.
func (d *dirDriver) problem(format string, args ...any) {
	d.trouble = append(d.trouble, fmt.Sprintf(format, args...))
	d.found.Damaged = true
}

// Find opens the newest snapshot that is complete and looks at the segments above it.
func (d *dirDriver) Find() (Found, error) {
	var err error
	if d.files, err = listFiles(d.fs, d.dir, true); err != nil {
		d.unread = true
		d.problem("the directory cannot be read: %v", err)
	}
	d.seq.Store(d.files.highest)
	for i := len(d.files.snapshots) - 1; i >= 0; i-- {
		d.findSnapshot(d.files.snapshots[i])
	}
	after := uint64(0)
	if d.base != nil {
		after = d.base.info.Seq
	}
	for i, seq := range d.files.segments {
		if seq > after {
			d.findSegment(seq, i == len(d.files.segments)-1)
		}
	}
	if d.o.Strict && len(d.trouble) > 0 {
		return d.found, fmt.Errorf("data directory %s: %s (--restore=strict)", d.dir, d.trouble[0])
	}
	return d.found, nil
}

// note raises what is known to what a file says.
func (d *dirDriver) note(ver uint64, stamps ...Stamp) {
	d.found.Ver = max(d.found.Ver, ver)
	for _, s := range stamps {
		if s.Now >= d.found.Stamp.Now {
			d.found.Stamp = s
		}
		d.found.Last = max(d.found.Last, s.Now)
	}
}

// findSnapshot looks at a snapshot. The first that is complete becomes the base;
// older ones are looked at too, for they are what a later start may fall back on.
func (d *dirDriver) findSnapshot(seq uint64) {
	name := snapshotName(seq)
	src, err := openSnapshot(d.fs, d.path(name))
	if err == nil {
		d.note(max(src.head.Ver, src.info.Ver), src.head.Stamp, src.info.End)
		if src.complete {
			d.mu.good = append([]uint64{seq}, d.mu.good...)
			if d.base == nil {
				d.base, d.found.Items = src, src.info.Items
				d.found.Complete = src.head.Stamp.Time(src.head.Stamp.Now)
				return
			}
		} else {
			err = fmt.Errorf("%s: %w", name, errIncomplete)
		}
		_ = src.close()
		if src.complete {
			return
		}
	}
	d.problem("%v", err)
	switch {
	case isForeign(d.fs, d.path(name)):
		d.foreign[seq] = true
	case d.o.Strict:
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrForeign), errors.Is(err, errIncomplete):
		d.setAside(name)
	default:
		d.mu.damaged[seq] = true // perhaps it can be read another day
	}
}

// findSegment looks at a segment above the base.
func (d *dirDriver) findSegment(seq uint64, last bool) {
	name := segmentName(seq)
	r, err := openSegment(d.fs, d.path(name), seq)
	if err != nil {
		// What that means is for the replay to say.
		if isForeign(d.fs, d.path(name)) {
			d.foreign[seq] = true
		}
		return
	}
	defer func() { _ = r.close() }()
	d.note(r.head.Ver, r.head.Stamp)
	if r.size > headerBytes+blockBytes { // more than a mark
		d.mu.before += r.size
		if d.found.Begin == 0 {
			d.found.Begin = r.head.Stamp.Now
			if d.base != nil {
				d.found.Begin = d.base.head.Stamp.Now
			}
		}
	} else if r.head.File != 0 {
		d.marks = append(d.marks, seq)
	}
	if last {
		d.found.Last = max(d.found.Last, lastNow(r))
	}
}

// setAside gives a file the name of evidence, and drops the oldest evidence.
func (d *dirDriver) setAside(name string) {
	if err := d.fs.Rename(d.path(name), d.path(name+badSuffix)); err != nil {
		d.log.Error().Err(err).Str("file", name).Msg("a damaged file could not be set aside")
		return
	}
	d.log.Warn().Str("file", name+badSuffix).Msg("a damaged file was set aside, as evidence")
	d.files.bad = append(d.files.bad, name+badSuffix)
	for ; len(d.files.bad) > badMax; d.files.bad = d.files.bad[1:] {
		_ = d.fs.Remove(d.path(d.files.bad[0]))
	}
}

// Restore puts back the base and what the journal says above it.
func (d *dirDriver) Restore(ctx context.Context, s *slab.Store, o RestoreOptions) (Recovery, error) {
	rec := Recovery{Problems: d.trouble, Rebase: len(d.trouble) > 0, Complete: d.found.Complete}
	done, total := int64(0), d.mu.before
	if d.base != nil {
		total += d.base.size
	}
	progress := func(p RestoreProgress) {
		if o.Progress != nil {
			o.Progress(RestoreProgress{Items: rec.Items + p.Items, Done: done + p.Done, Total: total})
		}
	}
	after := uint64(0)
	if d.base != nil {
		after = d.base.info.Seq
		rec.Source = "snapshot " + strconv.FormatUint(after, 10)
		r, err := d.base.restore(ctx, s, restoreOptions{marks: o.Marks, progress: progress})
		if damage := err != nil || r.BadBlocks > 0 || r.BadBytes > 0; damage {
			d.spoilt(&rec, after, fmt.Sprintf("%s: %s with %d items cannot be read", d.base.info.Name, plural(int(r.BadBlocks), "block"), r.Lost))
		}
		rec.add(&r)
		done = int64(r.Bytes)
		if err = errors.Join(err, d.base.close()); err != nil {
			return rec, err
		}
	}
	if d.unread || d.files.highest == 0 {
		return rec, nil
	}
	n, err := replayJournal(ctx, d.fs, d.dir, s, replayOptions{after: after, until: d.files.highest, ver: d.found.Ver, marks: o.Marks, progress: progress})
	d.replayed(&rec, &n)
	if err == nil && n.Complete.After(rec.Complete) { // what gaps are about has been removed
		rec.Complete = n.Complete
	}
	if err == nil && d.o.Strict && len(rec.Problems) > 0 {
		err = fmt.Errorf("data directory %s: %s (--restore=strict)", d.dir, rec.Problems[0])
	}
	return rec, err
}

// spoilt notes damage of a file that was found only when it was read.
func (d *dirDriver) spoilt(rec *Recovery, seq uint64, what string) {
	d.mu.Lock()
	d.mu.damaged[seq] = true
	d.mu.Unlock()
	rec.Problems = append(rec.Problems, what)
	rec.Rebase = true
}

// replayed adds to rec what the journal has given.
func (d *dirDriver) replayed(rec *Recovery, n *Replayed) {
	rec.add(&n.Restored)
	rec.Distrusted += n.Distrusted
	if n.Segments > 0 {
		if rec.Source != "" {
			rec.Source += " and "
		}
		rec.Source += plural(n.Segments, "journal segment")
	}
	if n.Gaps > 0 || n.Foreign > 0 {
		d.spoilt(rec, n.Seq, fmt.Sprintf("journal: changes are missing in %s, %d items that they may be about were dropped", plural(n.Gaps, "place"), n.Distrusted))
	}
	if n.Torn > 0 {
		d.log.Info().Int("segments", n.Torn).Int64("bytes", n.TornBytes).Msg("the journal ends as after a crash: the torn end is left out")
	}
	d.found.Ver = max(d.found.Ver, n.Ver)
}

// Start begins the journal, or leaves a mark if there is none.
func (d *dirDriver) Start(s *slab.Store, e Events) Journal {
	if d.o.Journal == PolicyOff {
		if err := d.mark(s); err != nil {
			d.log.Error().Err(err).Str("dir", d.dir).Msg("nothing can be written to the data directory")
			e.Wanted() // a snapshot says as much, and when it works again
		}
		return nil
	}
	d.journal = newJournal(journalConfig{
		fs: d.fs, dir: d.dir, store: s, clock: d.o.Clock, policy: d.o.Journal,
		interval: d.o.JournalInterval, timeout: d.o.JournalTimeout, next: d.next, mayWrite: func() error { return d.mayWrite(e) }, segment: d.o.segment,
		onState: func(s journalState) { e.Trouble(s.reason) }, onGap: e.Wanted,
	})
	d.journal.start()
	return dirJournal{d.journal, d}
}

// mayWrite is keepLock for the journal. A directory that has gone is made anew by the
// Probe that follows a failed Snapshot, so one is asked for.
func (d *dirDriver) mayWrite(e Events) error {
	err := d.keepLock()
	if errors.Is(err, os.ErrNotExist) {
		e.Wanted()
	}
	return err
}

// mark leaves an empty segment: see dirDriver.
func (d *dirDriver) mark(s *slab.Store) error {
	stamp := d.o.Clock.World()
	stamp.Now = s.Now()
	g, err := createSegment(d.fs, d.dir, Header{Kind: KindJournal, File: rand.Uint64(), Seq: d.next(), Ver: s.Version(), Stamp: stamp}, headerBytes+blockBytes, make([]byte, 0, headerBytes+blockBytes))
	if err != nil {
		return err
	}
	if err := g.close(s.Now()); err != nil {
		return err
	}
	for _, seq := range d.marks { // or a server that never lives to its first snapshot leaves ever more
		if err := d.fs.Remove(d.path(segmentName(seq))); err != nil {
			return err
		}
	}
	return d.fs.SyncDir(d.dir)
}

// dirJournal is the journal as the Keeper sees it.
type dirJournal struct {
	*journal
	d *dirDriver
}

// Grown counts what earlier processes have left as well.
func (j dirJournal) Grown() int64 {
	written := j.counts.written.Load()
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	return j.d.mu.before + int64(written-min(j.d.mu.base, written))
}

// Snapshot writes a snapshot, and then removes what is not needed any more.
func (d *dirDriver) Snapshot(ctx context.Context, s *slab.Store, last bool) (SnapshotInfo, error) {
	if err := d.keepLock(); err != nil {
		return SnapshotInfo{}, err
	}
	d.progress.longest.Store(0)
	seq := d.next()
	rotated, written := uint64(0), uint64(0)
	if d.journal != nil {
		rotated, written = d.next(), d.journal.counts.written.Load()
		if err := d.journal.rotate(rotated); err != nil && !last {
			return SnapshotInfo{}, fmt.Errorf("journal: %w", err)
		}
	}
	o := snapshotOptions{rate: d.o.SnapshotRate, clock: d.o.Clock, progress: &d.progress}
	if last {
		o.rate = 0
	}
	info, err := writeSnapshot(ctx, d.fs, d.dir, Header{Seq: seq, Codec: d.o.Codec}, s, o)
	if err != nil {
		return info, err
	}
	if d.journal != nil {
		d.journal.publishedSnapshot(rotated)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.good = append(d.mu.good, seq)
	d.mu.base, d.mu.before = written, 0
	d.retainLocked()
	return info, nil
}

// retainLocked removes the snapshots that are more than shall be kept and the
// segments below the oldest that is kept. What it cannot remove now it finds the next time.
// The caller holds mu.
func (d *dirDriver) retainLocked() {
	keep := max(d.o.SnapshotKeep, 1)
	if n := len(d.mu.good) - keep; n > 0 {
		d.mu.good = append(d.mu.good[:0], d.mu.good[n:]...)
	}
	oldest := d.mu.good[0]
	files, err := listFiles(d.fs, d.dir, false)
	if err != nil {
		d.log.Error().Err(err).Msg("old snapshots could not be looked for")
		return
	}
	d.files.bad = files.bad
	for _, seq := range files.snapshots {
		if seq < oldest || d.mu.damaged[seq] {
			d.dropLocked(seq, snapshotName(seq))
		}
	}
	for _, seq := range files.segments {
		if seq < oldest {
			d.dropLocked(seq, segmentName(seq))
		}
	}
}

// dropLocked removes a file, or sets it aside if it is damaged. The caller holds mu.
func (d *dirDriver) dropLocked(seq uint64, name string) {
	switch {
	case d.foreign[seq]:
	case d.mu.damaged[seq]:
		d.setAside(name)
		delete(d.mu.damaged, seq)
		d.mu.good = slices.DeleteFunc(d.mu.good, func(good uint64) bool { return good == seq })
	default:
		if err := d.fs.Remove(d.path(name)); err != nil {
			d.log.Error().Err(err).Str("file", name).Msg("an old file could not be removed")
		}
	}
}

// Probe writes something, after it has made the directory anew if that has gone.
func (d *dirDriver) Probe() error {
	if err := prepareDir(d.fs, d.dir); err != nil {
		return err
	}
	lock := d.keepLock
	d.mu.Lock()
	if d.lock == nil {
		lock = d.takeLock
	}
	d.mu.Unlock()
	if err := lock(); err != nil {
		return err
	}
	return probe(d.fs, d.dir)
}

// Close ends the journal and lets the directory go.
func (d *dirDriver) Close() error {
	var err error
	if d.journal != nil {
		err = d.journal.close()
	}
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}
