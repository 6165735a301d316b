package persist

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
)

// Reading a journal back. Segments are read in the order of their numbers, by
// one goroutine; a few others put the entries back, each those of some lanes. So
// the changes of a key come in order. The one entry that is about more keys
// than its lane has, a flush, needs no order: it names a version, and items up to
// it are dead whether they are put back before or after. Puts and removes go by
// versions too, so that reading a part twice, or what a snapshot has
// already, changes nothing.
//
// Nothing may count as expired meanwhile, or an item whose life was prolonged
// later in the journal would be gone by then: the store's clock must not be
// beyond that of the oldest file that is read. It is set when all is read.
//
// What a crash leaves of the changes that were not synced may have holes: the
// system writes pages in any order. So the first block that is missing where
// nobody was promised anything ends a segment, and what is there is a state that
// was. It need not be cut off, since a new segment is begun at every start; for
// the same reason it may be found in any segment. What was promised is said by
// blocks, and by the header of the next segment (Prev) of all of this one.
//
// A block that is missing below that, or a whole segment, is damage: changes are
// lost that somebody relies on. What they changed is not known, so all that was
// put back before is distrusted, in the lane of the block or, if that cannot be
// told for certain, in all: such items are removed at the end.

// Replayed counts what became of a journal.
type Replayed struct {
	Restored
	Segments   int    // read
	Foreign    int    // of another program or version, or not what their name says
	Entries    uint64 // all
	Touched    uint64 // entries that change an exptime
	Removed    uint64 // entries that remove a key
	Flushes    uint64
	Torn       int               // segments that end as after a crash
	TornBytes  int64             // that were written there and are not used
	Gaps       int               // places where changes are missing that were promised
	Distrusted uint64            // items that were removed for that
	Ver        uint64            // highest version seen
	Now        uint32            // the store's clock at the last block
	Seq        uint64            // number of the last segment
	Complete   time.Time         // no change of the last process before it is missing; zero: not known
	lanes      [laneCount]uint64 // by lane: items of a lower version are distrusted
}

// replayOptions are how a journal is read back.
type replayOptions struct {
	after    uint64     // segments up to this number are left out
	until    uint64     // so are those above this one: they are being written; 0 is no limit
	ver      uint64     // nothing in the store has a higher version
	marks    slab.Marks // set on every item
	workers  int        // goroutines that put back; 0 is GOMAXPROCS
	progress func(RestoreProgress)
}

// segmentSeq returns the number of the segment with that name.
func segmentSeq(name string) (uint64, bool) {
	hex, ok := strings.CutPrefix(name, "journal-")
	hex, is := strings.CutSuffix(hex, ".hfj")
	seq, err := strconv.ParseUint(hex, 16, 64)
	return seq, ok && is && err == nil && segmentName(seq) == name
}

// listSegments returns the numbers of the segments above after, in order.
func listSegments(fs FS, dir string, after uint64) ([]uint64, error) {
	names, err := fs.List(dir) // in ascending order, and so are the numbers
	if err != nil {
		return nil, err
	}
	var seqs []uint64
	for _, name := range names {
		if seq, ok := segmentSeq(name); ok && seq > after {
			seqs = append(seqs, seq)
		}
	}
	return seqs, nil
}

// readHeader reads the header of a file, and nothing else.
func readHeader(fs FS, name string) (Header, error) {
	f, err := fs.Open(name)
	if err != nil {
		return Header{}, err
	}
	page := make([]byte, headerBytes)
	n, err := f.ReadAt(page, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return Header{}, err
	}
	return parseHeader(page[:n])
}

// openSegment opens a segment. If only its header is damaged its blocks can be
// read all the same: each names the file. The error is ErrForeign or ErrDamaged
// if there is nothing of use, or one of the file system's.
func openSegment(fs FS, name string, seq uint64) (*reader, error) {
	r, err := openReader(fs, name)
	switch {
	case err == nil && (r.head.Kind != KindJournal || r.head.Seq != seq):
		return nil, errors.Join(fmt.Errorf("%s: not that segment: %w", name, ErrForeign), r.close())
	case err == nil || !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign):
		return r, err
	}
	f, e := fs.Open(name)
	if e != nil {
		return nil, e
	}
	r = &reader{f: f, name: name, room: make([]byte, windowBytes)}
	_ = r.begin() // what it says is known
	switch {
	case r.wellSigned():
		return nil, errors.Join(err, r.close())
	case !r.adopt(seq):
		return nil, errors.Join(fmt.Errorf("%s: the header is %w, and no block is whole", name, ErrDamaged), r.close())
	}
	return r, nil
}

// wellSigned reports whether the header is whole: then it is not damage that
// keeps it from being read.
func (r *reader) wellSigned() bool {
	page, err := r.peek(0, headerBytes)
	if err != nil || len(page) < headerBytes {
		return false
	}
	sum := binary.LittleEndian.Uint32(page[headerBytes-4:])
	return [8]byte(page[:8]) == fileMagic && blockSum(page[:headerBytes-4], nil) == sum
}

// adopt takes the file's id from the first block that is whole. It reports
// false if there is none.
func (r *reader) adopt(seq uint64) bool {
	var b block
	for at, err := int64(headerBytes), error(nil); err == nil; at, err = r.find(at + 1) {
		p, e := r.peek(at, blockBytes)
		if e != nil || len(p) < blockBytes {
			continue
		}
		r.head = Header{Kind: KindJournal, Seq: seq, File: binary.LittleEndian.Uint64(p[24:])}
		if ok, _ := r.take(at, &b); ok {
			r.at, r.next, r.seen, r.blocks = headerBytes, 0, nil, 0
			return true
		}
	}
	return false
}

// replay is a journal being read.
type replay struct {
	fs      FS
	dir     string
	o       replayOptions
	n       Replayed
	workers []*replayer
	empty   chan *block
	done    int64 // bytes of segments that are done
	total   int64
	told    time.Time

	latest time.Time // of the blocks so far

	last  uint64 // file of the segment before, 0 if there is none
	ended bool   // and it has an end block
	prev  uint64 // what the next segment names as the one before it
}

// replayJournal puts what the journal in dir says into the store, whose
// BeginRestore has been called and which has what the snapshot before the journal
// says. Damage is dealt with and counted. The error is ctx's, or that of a
// directory that cannot be read; then too the counts hold.
func replayJournal(ctx context.Context, fs FS, dir string, s *slab.Store, o replayOptions) (Replayed, error) {
	start := time.Now()
	seqs, err := listSegments(fs, dir, o.after)
	seqs = slices.DeleteFunc(seqs, func(seq uint64) bool { return o.until > 0 && seq > o.until })
	if err != nil || len(seqs) == 0 {
		return Replayed{}, err
	}
	if o.workers == 0 {
		o.workers = runtime.GOMAXPROCS(0)
	}
	o.workers = min(o.workers, laneCount)
	p := &replay{fs: fs, dir: dir, o: o, empty: make(chan *block, o.workers+restoreAhead)}
	for range cap(p.empty) {
		p.empty <- new(block)
	}
	var group sync.WaitGroup
	for range o.workers {
		r := newReplayer(s, &o, cap(p.empty))
		p.workers = append(p.workers, r)
		group.Go(func() { r.run(p.empty) })
	}
	err = p.segments(ctx, seqs)
	for _, r := range p.workers {
		close(r.work)
	}
	group.Wait()
	for _, r := range p.workers {
		p.n.merge(&r.n)
	}
	if err == nil {
		p.n.Distrusted = removeDistrusted(s, &p.n.lanes)
	}
	p.n.Took = time.Since(start)
	return p.n, err
}

// merge adds what a worker has counted.
func (n *Replayed) merge(o *Replayed) {
	n.add(&o.Restored)
	n.Entries += o.Entries
	n.Touched += o.Touched
	n.Removed += o.Removed
	n.Flushes += o.Flushes
	n.Gaps += o.Gaps
	n.Ver = max(n.Ver, o.Ver)
	for lane, ver := range o.lanes {
		n.lanes[lane] = max(n.lanes[lane], ver)
	}
}

func (p *replay) segments(ctx context.Context, seqs []uint64) error {
	for _, seq := range seqs {
		if f, err := p.fs.Open(filepath.Join(p.dir, segmentName(seq))); err == nil {
			size, _ := f.Size()
			p.total += size
			_ = f.Close()
		}
	}
	for i, seq := range seqs {
		p.prev = 0
		if i+1 < len(seqs) {
			if h, err := readHeader(p.fs, filepath.Join(p.dir, segmentName(seqs[i+1]))); err == nil {
				p.prev = h.Prev
			}
		}
		if err := p.segment(ctx, seq); err != nil {
			return err
		}
	}
	p.tell(0)
	return nil
}

// tell tells how far it has come.
func (p *replay) tell(at int64) {
	p.told = time.Now()
	if p.o.progress != nil {
		p.o.progress(RestoreProgress{Items: p.entries(), Done: p.done + at, Total: p.total})
	}
}

func (p *replay) entries() (n uint64) {
	for _, r := range p.workers {
		n += r.seen.Load()
	}
	return n
}

// segment reads one. Its error is ctx's alone.
func (p *replay) segment(ctx context.Context, seq uint64) error {
	r, err := openSegment(p.fs, filepath.Join(p.dir, segmentName(seq)), seq)
	switch {
	case err == nil:
	case errors.Is(err, ErrDamaged):
		// Nothing in it: a start that came to nothing. If there was more, the
		// next segment says so.
		p.n.Torn++
		return nil
	default:
		p.n.Foreign++
		p.distrust(allLanes, 0)
		p.last, p.ended = 0, false
		return nil
	}
	defer func() { _ = r.close() }()
	p.n.Segments++
	p.n.Seq = seq
	p.n.Ver = max(p.n.Ver, r.head.Ver)
	// Who cannot be asked (a first segment, or one after a start) tells nothing.
	if r.head.Prev != 0 && p.last != 0 && (p.last != r.head.Prev || !p.ended) {
		p.distrust(allLanes, r.head.Ver)
	}
	p.last, p.ended = r.head.File, false
	err = p.blocks(ctx, r)
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err != nil || r.errors > 0 {
		p.distrust(allLanes, r.head.Ver) // it is there, but cannot be read
	}
	p.n.Bytes += uint64(r.size)
	p.n.BadBytes += uint64(r.gapBytes)
	p.done += r.size
	return nil
}

// blocks reads the blocks of a segment, and hands them out.
func (p *replay) blocks(ctx context.Context, r *reader) error {
	b := <-p.empty
	defer func() { p.empty <- b }()
	for end := int64(headerBytes); ; end = r.at {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		want := r.next
		if err := r.read(b); errors.Is(err, io.EOF) {
			if !p.ended {
				p.n.Torn++
			}
			if tail := r.tail(); !p.ended && !tail.zero {
				p.n.TornBytes += tail.bytes
			}
			return nil
		} else if err != nil {
			return err
		}
		if b.seq > want && end >= p.promised(r) {
			p.n.Torn++
			p.n.TornBytes += r.size - end
			return nil
		}
		if b.seq > want {
			p.n.BadBlocks += b.seq - want
			p.distrust(gapLanes(r, end, b, want), r.head.Ver)
		}
		p.n.Now = max(p.n.Now, b.now)
		p.met(r, b)
		switch b.typ {
		case blockEnd:
			p.ended = true
		case blockEntries:
			p.workers[int(b.lane)%len(p.workers)].work <- replayWork{b: b}
			b = <-p.empty
		}
		if time.Since(p.told) > progressEvery {
			p.tell(r.at)
		}
	}
}

// met notes up to when changes are there. All lanes are written in each round, and
// rounds in order, so a block of a later second says that all there was in the
// second of the block or header before is there; the end says so of itself. A mark
// says nothing: changes were not written down.
func (p *replay) met(r *reader, b *block) {
	if r.size <= headerBytes+blockBytes || r.head.Stamp.WallNs == 0 {
		return
	}
	for _, now := range []uint32{r.head.Stamp.Now, b.now} {
		if at := r.head.Stamp.Time(now); at.After(p.latest) {
			p.n.Complete, p.latest = p.latest, at
		}
	}
	if b.typ == blockEnd {
		p.n.Complete = p.latest
	}
}

// promised returns how many bytes of a segment somebody relies on, as far as
// that is known. It reads the rest of the file for that.
func (p *replay) promised(r *reader) int64 {
	if p.prev != 0 && p.prev == r.head.File {
		return r.size
	}
	r, err := openSegment(p.fs, r.name, r.head.Seq)
	if err != nil {
		return 0
	}
	defer func() { _ = r.close() }()
	promised := int64(0)
	for b := new(block); r.read(b) == nil; {
		promised = max(promised, int64(b.synced)*headerBytes)
		if b.typ == blockEnd {
			promised = b.at
		}
	}
	return promised
}

// distrust tells the workers that changes are missing here, in these lanes. What
// was put back so far has no version above those that the workers have met, or ver.
func (p *replay) distrust(lanes laneSet, ver uint64) {
	p.n.Gaps++
	for _, r := range p.workers {
		r.work <- replayWork{lost: lanes, ver: ver}
	}
}

// laneSet is a set of lanes.
type laneSet uint8

const allLanes laneSet = 1<<laneCount - 1

// gapLanes returns the lanes of the blocks that are missing between end and b,
// the first of which has the number want: one, if what is there is the whole
// length of one damaged block whose first key agrees with what it says of its lane.
func gapLanes(r *reader, end int64, b *block, want uint64) laneSet {
	if b.seq != want+1 || b.gap < blockBytes || b.gap > trustBytes {
		return allLanes
	}
	p := make([]byte, b.gap)
	if r.readAt(p, end) != nil {
		return allLanes
	}
	h, ok := parseBlockHeader(p, r.head.File)
	if !ok || h.seq != want || h.typ != blockEntries || h.codec != CodecRaw || int64(h.stored) != b.gap-blockBytes {
		return allLanes
	}
	for p = p[blockBytes:]; ; {
		var e Entry
		n, err := parseEntry(p, &e)
		switch {
		case err != nil || e.Op != OpFlush && laneOf(e.Key) != h.lane:
			return allLanes
		case e.Op != OpFlush:
			return 1 << h.lane
		}
		p = p[n:]
	}
}
