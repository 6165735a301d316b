package persist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
)

// Restored counts what became of the entries and blocks of files that were read
// back.
type Restored struct {
	Items    uint64 // put back
	Expired  uint64 // dead by their exptime
	Flushed  uint64 // dead by a flush
	Older    uint64 // the store had something later of the key
	TooLarge uint64 // longer than the store takes
	NoMemory uint64 // the store had no room

	Bytes     uint64 // of files read
	BadBlocks uint64 // blocks that could not be read, as far as that is known
	BadBytes  uint64 // bytes of files that are no valid block
	Lost      uint64 // entries in the bad blocks, as far as that is known
	Took      time.Duration
}

// add adds o to c, but for Took.
func (c *Restored) add(o *Restored) {
	c.Items += o.Items
	c.Expired += o.Expired
	c.Flushed += o.Flushed
	c.Older += o.Older
	c.TooLarge += o.TooLarge
	c.NoMemory += o.NoMemory
	c.Bytes += o.Bytes
	c.BadBlocks += o.BadBlocks
	c.BadBytes += o.BadBytes
	c.Lost += o.Lost
}

// snapshotSource is a snapshot to be read.
type snapshotSource struct {
	*reader
	// info is what the trailer says, or, if the snapshot is incomplete, what
	// the header does.
	info     SnapshotInfo
	complete bool
}

// openSnapshot opens a snapshot. It fails if the file's header is of no use, or
// of a journal, or if the file cannot be read. An incomplete snapshot is no
// error: its items are as true as any, only some are missing.
func openSnapshot(fs FS, name string) (*snapshotSource, error) {
	r, err := openReader(fs, name)
	if err != nil {
		return nil, err
	}
	src := &snapshotSource{reader: r}
	if r.head.Kind != KindSnapshot {
		err = fmt.Errorf("%s: no snapshot: %w", name, ErrForeign)
	} else {
		src.info, err = snapshotTrailer(r)
		src.complete = err == nil
		if errors.Is(err, errIncomplete) {
			src.info = SnapshotInfo{Seq: r.head.Seq, FileBytes: uint64(r.size), Ver: r.head.Ver, End: r.head.Stamp}
			err = nil
		}
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	src.info.Name = filepath.Base(name)
	return src, nil
}

// restoreOptions are how files are read back.
type restoreOptions struct {
	marks    slab.Marks // set on every item
	workers  int        // goroutines that decode; 0 is GOMAXPROCS
	progress func(RestoreProgress)
}

// RestoreProgress is how far a restore has come.
type RestoreProgress struct {
	Items       uint64 // entries looked at
	Done, Total int64  // bytes of files
}

const (
	// restoreAhead is how many blocks are read ahead of those who decode.
	restoreAhead = 4
	// progressEvery is how often progress is told.
	progressEvery = 100 * time.Millisecond
)

// restore puts the items of a snapshot into the store, whose BeginRestore has
// been called, and counts them. Damage is passed over and counted. The error is
// ctx's, or that of a file that cannot be read any further; what was restored
// before stays, and is counted. It may be called once.
func (src *snapshotSource) restore(ctx context.Context, s *slab.Store, o restoreOptions) (Restored, error) {
	start := time.Now()
	if o.workers == 0 {
		o.workers = runtime.GOMAXPROCS(0)
	}
	if src.info.Flushed > 0 {
		s.RestoreFlushed(src.info.Flushed)
	}
	full := make(chan *block, restoreAhead+o.workers)
	empty := make(chan *block, restoreAhead+o.workers)
	for range cap(empty) {
		empty <- new(block)
	}
	var total struct {
		sync.Mutex
		Restored
		blocks, entries uint64
	}
	var entries atomic.Uint64
	var group sync.WaitGroup
	for range o.workers {
		group.Go(func() {
			l := newLoader(s, o.marks, src.info.Flushed)
			defer l.unpack.close()
			for b := range full {
				l.load(b)
				entries.Add(uint64(b.entries))
				empty <- b
			}
			total.Lock()
			defer total.Unlock()
			total.add(&l.counts)
			total.blocks += l.blocks
			total.entries += l.entries
		})
	}
	err := src.feed(ctx, full, empty, &entries, o.progress)
	close(full)
	group.Wait()
	c := total.Restored
	c.Bytes, c.Took = uint64(src.at), time.Since(start)
	if err == nil {
		c.BadBytes = uint64(src.gapBytes)
		c.BadBlocks += uint64(max(int64(src.info.Blocks-total.blocks-c.BadBlocks), 0))
		c.Lost = uint64(max(int64(src.info.Items-total.entries), 0))
	}
	return c, err
}

// feed reads blocks for those who decode them, until the file or ctx is over.
func (src *snapshotSource) feed(ctx context.Context, full chan<- *block, empty <-chan *block, entries *atomic.Uint64, progress func(RestoreProgress)) error {
	told := time.Now()
	tell := func() {
		if progress != nil {
			progress(RestoreProgress{Items: entries.Load(), Done: src.at, Total: src.size})
		}
	}
	b := <-empty
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := src.read(b); err != nil {
			tell()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if b.typ != blockEntries {
			continue
		}
		full <- b
		b = <-empty
		if now := time.Now(); now.Sub(told) > progressEvery {
			tell()
			told = now
		}
	}
}

// loader puts entries back. It is one goroutine's.
type loader struct {
	w       *slab.Worker
	s       *slab.Store
	marks   slab.Marks
	flushed uint64
	unpack  unpacker
	counts  Restored
	blocks  uint64 // that were whole
	entries uint64 // that were read

	// Entries of which the store is told at a time.
	batch [slab.RestoreMax]Entry
	due   []*slab.Record
	keys  []slab.Key
	res   [slab.RestoreMax]slab.Result
}

func newLoader(s *slab.Store, marks slab.Marks, flushed uint64) *loader {
	return &loader{
		w: s.NewWorker(), s: s, marks: marks, flushed: flushed,
		due: make([]*slab.Record, 0, slab.RestoreMax), keys: make([]slab.Key, 0, slab.RestoreMax),
	}
}

// load puts back the entries of a block.
func (l *loader) load(b *block) {
	payload, err := l.unpack.unpack(b)
	if err != nil {
		l.counts.BadBlocks++
		return
	}
	l.w.Lock()
	defer l.w.Unlock()
	now := l.s.Now()
	for left := int(b.entries); left > 0 && err == nil; {
		n := 0
		for n < min(left, len(l.batch)) {
			var size int
			if size, err = parseEntry(payload, &l.batch[n]); err != nil {
				break
			}
			payload = payload[size:]
			l.take(&l.batch[n], now)
			n++
		}
		l.put()
		l.entries += uint64(n)
		left -= n
	}
	if err != nil || len(payload) > 0 {
		l.counts.BadBlocks++
		return
	}
	l.blocks++
}

// take has an entry put back by the next put, if it is to be.
func (l *loader) take(e *Entry, now uint32) {
	c := &l.counts
	switch {
	case e.Op != OpPut: // nothing else belongs in a snapshot
		return
	case e.Ver <= l.flushed:
		c.Flushed++
		return
	case e.Exptime != 0 && e.Exptime <= now:
		c.Expired++
		return
	}
	e.Marks |= l.marks
	l.due = append(l.due, &e.Record)
	l.keys = append(l.keys, l.s.Key(e.Key))
}

// put puts back what was taken.
func (l *loader) put() {
	c := &l.counts
	l.w.Prefetch(l.keys)
	l.w.RestoreAll(l.due, l.keys, l.res[:len(l.due)])
	for _, res := range l.res[:len(l.due)] {
		switch res {
		case slab.Stored:
			c.Items++
		case slab.TooLarge:
			c.TooLarge++
		case slab.NoMemory:
			c.NoMemory++
		default:
			c.Older++
		}
	}
	l.due, l.keys = l.due[:0], l.keys[:0]
}
