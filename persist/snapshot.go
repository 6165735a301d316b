package persist

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
)

// Sizes of a snapshot's work.
const (
	// snapshotBlock is how much a block of a snapshot holds when it is closed:
	// less than blockRawMax, so that compressing one keeps a core for 100 µs.
	snapshotBlock = 64 << 10
	// stepItems and stepBytes bound what is copied while a stripe is locked.
	stepItems = 64
	stepBytes = 32 << 10
	// inlineMax is up to which length a value is copied with its stripe locked
	// even if it could be pinned.
	inlineMax = 4 << 10
	// packMax is up to which length a value is compressed. A longer one is
	// written from where it lies, so that no copy of it is ever needed.
	packMax = 4 << 20
	// snapshotAhead is how many blocks the walk may be ahead of the disk.
	snapshotAhead = 4

	// walkSpell is how long a walk that has a rate goes on before it rests for
	// walkRest. Where cores are few it shares one with a thread that serves: the
	// system would let it go on for milliseconds, however urgent a request is.
	walkSpell = 200 * time.Microsecond
	walkRest  = 100 * time.Microsecond

	writebackBytes = 8 << 20
	tmpSuffix      = ".tmp"
)

// SnapshotInfo is what is known of a snapshot.
type SnapshotInfo struct {
	Name      string // without its directory
	Seq       uint64 // number of the file in its directory
	Items     uint64
	Blocks    uint64 // blocks of items
	RawBytes  uint64 // the items' entries
	FileBytes uint64
	Ver       uint64 // highest version given out when it was done
	Flushed   uint64 // items of this version and lower ones are dead
	End       Stamp  // when it was done
}

// snapshotProgress counts while a snapshot is made. Anyone may read it.
type snapshotProgress struct {
	items, bytes atomic.Uint64
	longest      atomic.Int64 // longest step of the walk, in ns: no lock was held longer
}

// snapshotOptions are how a snapshot is made.
type snapshotOptions struct {
	rate     int64 // bytes of the file per second, 0 is no limit
	clock    Clock
	progress *snapshotProgress // may be nil
	block    int               // what a block holds when it is closed, 0 is snapshotBlock
}

// snapshotName returns the name of a snapshot's file.
func snapshotName(seq uint64) string { return fmt.Sprintf("snap-%016x.hfs", seq) }

// writeSnapshot makes a snapshot of a store that is in use, in a file of its own
// in dir. h says its Seq and Codec; the rest is filled in. The file has its name
// when it is complete and durable, not before; after an error nothing is left.
// The items are what they were at some instant during the call, each its own.
func writeSnapshot(ctx context.Context, fs FS, dir string, h Header, s *slab.Store, o snapshotOptions) (SnapshotInfo, error) {
	h.Kind, h.Minor, h.Ver = KindSnapshot, formatMinor, s.Version()
	if h.File == 0 {
		h.File = rand.Uint64()
	}
	h.Stamp = o.clock.World()
	h.Stamp.Now = s.Now()
	if o.progress == nil {
		o.progress = new(snapshotProgress)
	}
	if o.block == 0 {
		o.block = snapshotBlock
	}
	w := &snapshotWriter{ctx: ctx, s: s, o: o, name: snapshotName(h.Seq)}
	w.info.Name, w.info.Seq = w.name, h.Seq
	w.pace.rate = float64(o.rate)
	name := filepath.Join(dir, w.name)
	err := w.run(fs, name+tmpSuffix, &h)
	if err == nil {
		if err = fs.Rename(name+tmpSuffix, name); err != nil {
			err = fmt.Errorf("rename: %w", err)
		}
	}
	if err != nil {
		if w.created {
			if e := fs.Remove(name + tmpSuffix); e != nil {
				err = errors.Join(err, fmt.Errorf("remove %s: %w", w.name+tmpSuffix, e))
			}
		}
		return SnapshotInfo{}, fmt.Errorf("snapshot %s: %w", w.name, err)
	}
	if err := fs.SyncDir(dir); err != nil {
		// The file is whole, only its name may not last.
		return w.info, fmt.Errorf("snapshot %s: sync directory: %w", w.name, err)
	}
	return w.info, nil
}

// snapshotWriter is the state of a snapshot that is being made. The walk fills
// buffers, in the goroutine of the caller; another goroutine compresses and writes them.
type snapshotWriter struct {
	ctx     context.Context
	s       *slab.Store
	o       snapshotOptions
	name    string
	created bool

	full, empty chan *snapshotBuffer

	// Of the walk.
	buf    *snapshotBuffer
	rec    slab.Record
	spans  [][]byte
	larges []largeItem

	// Of the goroutine that writes.
	f      File
	blocks *blockWriter
	pace   pacer
	at     int64
	index  []byte
	info   SnapshotInfo
	behind int64 // up to where the system was asked to write to the disk
}

// snapshotBuffer is a block on its way to the file.
type snapshotBuffer struct {
	raw     []byte
	entries uint32
	now     uint32
	// spans are the rest of the payload if it is not copied, and done is then
	// closed when they are written.
	spans [][]byte
	done  chan struct{}
}

// largeItem is a pinned value and the entry in front of it.
type largeItem struct {
	head  []byte
	spans [][]byte
	pin   slab.Pin
	n     int
}

func (w *snapshotWriter) run(fs FS, name string, h *Header) (err error) {
	f, err := fs.Create(name)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	w.f, w.created = f, true
	defer func() {
		if e := f.Close(); e != nil && err == nil {
			err = fmt.Errorf("close: %w", e)
		}
	}()
	if w.blocks, err = newBlockWriter(h); err != nil {
		return err
	}
	if err := w.write(h.append(nil)); err != nil {
		return err
	}
	if err := w.items(); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// items writes the blocks of items.
func (w *snapshotWriter) items() error {
	ctx, cancel := context.WithCancelCause(w.ctx)
	defer cancel(nil)
	w.full = make(chan *snapshotBuffer, snapshotAhead)
	w.empty = make(chan *snapshotBuffer, snapshotAhead)
	for range snapshotAhead {
		w.empty <- &snapshotBuffer{raw: make([]byte, blockBytes, blockBytes+snapshotBlock+stepItems*inlineMax)}
	}
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		standBack()
		for b := range w.full {
			if ctx.Err() == nil {
				if err := w.writeBlock(ctx, b); err != nil {
					cancel(err)
				}
			}
			if b.done != nil {
				close(b.done)
			}
			w.empty <- b
		}
	}()
	w.walk(ctx)
	close(w.full)
	<-wrote
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// walk visits every item, until ctx is over.
func (w *snapshotWriter) walk(ctx context.Context) {
	w.buf = <-w.empty
	w.buf.begin(w.s.Now())
	visit := w.visit
	var c slab.Cursor
	last := time.Now()
	rested, rest := last, time.NewTimer(0)
	defer rest.Stop()
	step := 8
	for done := false; !done && ctx.Err() == nil; {
		before, items := len(w.buf.raw), int(w.buf.entries)
		done = w.s.Walk(&c, slab.AllClasses, step, visit)
		now := time.Now()
		if took := int64(now.Sub(last)); took > w.o.progress.longest.Load() {
			w.o.progress.longest.Store(took)
		}
		copied, pinned := len(w.buf.raw)-before, 0
		for i := range w.larges {
			pinned += w.larges[i].n
		}
		if n := int(w.buf.entries) - items + len(w.larges); n > 0 {
			step = min(max(min(stepBytes, w.o.block)*n/(copied+pinned), 1), stepItems)
		}
		if pinned > 0 {
			w.copyLarges(ctx)
		}
		if len(w.buf.raw) >= w.o.block {
			w.pass()
		}
		runtime.Gosched()
		last = time.Now()
		if w.o.rate > 0 && last.Sub(rested) > walkSpell {
			rest.Reset(walkRest)
			select {
			case <-rest.C:
			case <-ctx.Done():
			}
			last = time.Now()
			rested = last
		}
	}
	w.pass()
}

// pass hands the buffer on, if anything is in it, and takes an empty one.
func (w *snapshotWriter) pass() {
	if w.buf.entries == 0 {
		return
	}
	w.full <- w.buf
	w.buf = <-w.empty
	w.buf.begin(w.s.Now())
}

func (b *snapshotBuffer) begin(now uint32) {
	if cap(b.raw) > 2*packMax {
		b.raw = nil // one item's size must not stay for good
	}
	b.raw, b.entries, b.now, b.spans, b.done = beginBlock(b.raw), 0, now, nil, nil
}

// visit copies an item, with its stripe locked.
func (w *snapshotWriter) visit(i slab.Item) {
	i.Record(&w.rec)
	n := i.ValueLen()
	if i.Pinnable() && n > inlineMax {
		from := len(w.spans)
		var pin slab.Pin
		w.spans, pin = i.Pin(w.spans)
		w.rec.Value = nil
		w.larges = append(w.larges, largeItem{head: appendPut(nil, &w.rec, n, nil), spans: w.spans[from:], pin: pin, n: n})
		return
	}
	if i.Chunked() {
		w.buf.raw = appendPut(w.buf.raw, &w.rec, n, i.AppendValue)
	} else {
		w.buf.raw = appendPut(w.buf.raw, &w.rec, n, nil)
	}
	w.buf.entries++
}

// copyLarges copies the values that were pinned, no lock being held, and lets
// them go. One that is too long for a copy waits until it is written.
func (w *snapshotWriter) copyLarges(ctx context.Context) {
	for i := range w.larges {
		l := &w.larges[i]
		if ctx.Err() == nil {
			if len(w.buf.raw)+l.n > blockRawMax {
				w.pass()
			}
			w.buf.raw = append(w.buf.raw, l.head...)
			w.buf.entries++
			if l.n > packMax {
				done := make(chan struct{})
				w.buf.spans, w.buf.done = l.spans, done
				w.pass()
				<-done
			} else {
				for _, s := range l.spans {
					w.buf.raw = append(w.buf.raw, s...)
				}
			}
			if len(w.buf.raw) >= w.o.block {
				w.pass()
			}
		}
		l.pin.Unpin()
		*l = largeItem{}
	}
	clear(w.spans)
	w.larges, w.spans = w.larges[:0], w.spans[:0]
}

// writeBlock writes a block of items.
func (w *snapshotWriter) writeBlock(ctx context.Context, b *snapshotBuffer) error {
	h := blockHeader{typ: blockEntries, entries: b.entries, now: b.now}
	at, raw := w.at, len(b.raw)-blockBytes
	if b.spans == nil {
		if err := w.writePaced(ctx, w.blocks.frame(h, b.raw)); err != nil {
			return err
		}
	} else {
		parts := append([][]byte{b.raw}, b.spans...)
		w.blocks.frameParts(h, parts)
		for _, p := range parts {
			raw += len(p)
			for len(p) > 0 {
				n := min(len(p), blockRawMax)
				if err := w.writePaced(ctx, p[:n]); err != nil {
					return err
				}
				p = p[n:]
			}
		}
		raw -= len(b.raw)
	}
	w.info.Items += uint64(b.entries)
	w.info.Blocks++
	w.info.RawBytes += uint64(raw)
	w.index = binary.AppendUvarint(w.index, uint64(w.at-at))
	w.index = binary.AppendUvarint(w.index, uint64(b.entries))
	w.o.progress.items.Store(w.info.Items)
	w.o.progress.bytes.Store(uint64(w.at))
	return nil
}

func (w *snapshotWriter) writePaced(ctx context.Context, p []byte) error {
	if err := w.pace.wait(ctx, len(p)); err != nil {
		return err
	}
	return w.write(p)
}

// writebacker is a File that can be told to write to the disk early.
type writebacker interface {
	writeback(at, n int64) error
}

// write appends to the file, and sees that the disk is never far behind: one
// Sync at the end would stop everybody's writes for as long as it takes.
func (w *snapshotWriter) write(p []byte) error {
	n, err := w.f.Write(p)
	w.at += int64(n)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if w.at-w.behind < writebackBytes {
		return nil
	}
	at := w.behind
	w.behind += writebackBytes
	if f, ok := w.f.(writebacker); ok && f.writeback(at, writebackBytes) == nil {
		return nil
	}
	if err := w.f.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// finish writes what tells that the snapshot is complete.
func (w *snapshotWriter) finish() error {
	w.info.Flushed = w.s.Flushed()
	w.info.Ver = w.s.Version() // after what it bounds
	w.info.End = w.o.clock.World()
	w.info.End.Now = w.s.Now()
	footer := appendTrailer(beginBlock(nil), &w.info, w.at)
	footer = w.blocks.frame(blockHeader{typ: blockFooter, now: w.info.End.Now}, append(footer, w.index...))
	at := w.at
	w.info.FileBytes = uint64(w.at) + uint64(len(footer)) + endBytes
	if err := w.write(footer); err != nil {
		return err
	}
	w.blocks.codec = CodecRaw
	end := appendTrailer(beginBlock(nil), &w.info, at)
	return w.write(w.blocks.frame(blockHeader{typ: blockEnd, now: w.info.End.Now}, end))
}

// pacer spreads bytes over time.
type pacer struct {
	rate float64   // bytes per second, 0 is no limit
	next time.Time // when all that was let through is paid for
}

// pauseMin is the shortest pause worth making.
const pauseMin = 2 * time.Millisecond

// wait waits until n bytes more may be written, or ctx is over.
func (p *pacer) wait(ctx context.Context, n int) error {
	if p.rate <= 0 {
		return nil
	}
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(n) / p.rate * 1e9))
	pause := p.next.Sub(now)
	if pause < pauseMin {
		return nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
