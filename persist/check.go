package persist

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Report is what Check found in a file.
type Report struct {
	Name   string
	Err    error // why the file cannot be read at all, nil if it can
	Header Header
	Size   int64 // of the file, in bytes

	// Complete says that a snapshot has its trailer, and that the file ends where
	// it says. A journal segment has no such mark and is always complete.
	Complete bool
	Snapshot SnapshotInfo // what the trailer says

	Blocks, Items    uint64 // blocks of entries that are whole, and their entries
	Raw, Stored      uint64 // bytes of their payloads, before and after compression
	Puts, Touches    uint64
	Removes, Flushes uint64
	MinVer, MaxVer   uint64 // of the entries
	Lost             uint64 // entries that a complete snapshot should have and has not
	BadBlocks        uint64 // whole by their checksum, and yet not to be understood
	Gaps             []Gap  // at most a thousand of them
	GapCount         int
	// TornTail says that the last gap is what a journal that was being written to
	// may end with: nothing valid follows it and nothing in it was promised to be
	// synced. It is no damage.
	TornTail bool
	Unused   int64 // bytes of zeros at the end, which were never written
}

// Gap is a stretch of a file without a valid block.
type Gap struct {
	At, Bytes int64
	Zero      bool  // it holds nothing but zeros
	Err       error // of reading it, if that failed
}

// BlockReport is what Check tells of a block.
type BlockReport struct {
	At          int64 // offset in the file
	Type        string
	Codec       Codec
	Lane        uint16
	Seq         uint64
	Entries     uint32
	Raw, Stored uint32
	Synced      int64 // bytes of the file that were synced when the block was written
	Err         error // why its payload cannot be understood
}

// Damaged reports whether something in the file is not as it was written.
func (r *Report) Damaged() bool {
	damage := r.Err != nil || !r.Complete || r.BadBlocks > 0 || r.Lost > 0
	for i, g := range r.Gaps {
		last := i == len(r.Gaps)-1 && r.GapCount == len(r.Gaps)
		damage = damage || !(last && (r.TornTail || r.Unused > 0 && g.Zero))
	}
	return damage || r.GapCount > len(r.Gaps)
}

// Check reads the file at path, or each file of Holdfast's in the directory at
// path, and tells what is in them. each, which may be nil, is called for every
// block. Files are damaged by Damaged; the error is one of finding them.
func Check(fs FS, path string, each func(file string, b BlockReport)) ([]Report, error) {
	paths := []string{path}
	if names, err := fs.List(path); err == nil {
		paths = paths[:0]
		for _, name := range names {
			if isData(name) {
				paths = append(paths, filepath.Join(path, name))
			}
		}
		if len(paths) == 0 {
			return nil, fmt.Errorf("%s: no snapshot and no journal is there", path)
		}
	}
	var reports []Report
	for _, p := range paths {
		r := checkFile(fs, p, each)
		if p != path && errors.Is(r.Err, os.ErrNotExist) {
			continue // the server that uses the directory has removed it meanwhile
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// isData reports whether a file's name is one of a snapshot or a journal segment.
func isData(name string) bool {
	return strings.HasPrefix(name, "snap-") && strings.HasSuffix(name, ".hfs") ||
		strings.HasPrefix(name, "journal-") && strings.HasSuffix(name, ".hfj")
}

// looks is how many times a segment is read that seems to be damaged.
const looks = 5

// steady reads a file. A segment that a server writes to may be met in the midst of
// a write, or when its unused end is cut off, and then has a hole that is none: it is
// read again until it has none or still has the one that it had before.
func steady(read func() Report) Report {
	r := read()
	for n := 1; n < looks && r.Header.Kind == KindJournal && r.Damaged(); n++ {
		before := r
		r = read()
		if before.Err == nil && r.Err == nil && before.BadBlocks == r.BadBlocks && before.firstGap() == r.firstGap() {
			break
		}
	}
	return r
}

// firstGap is where the first gap begins, -1 if there is none.
func (r *Report) firstGap() int64 {
	if len(r.Gaps) == 0 {
		return -1
	}
	return r.Gaps[0].At
}

func checkFile(fs FS, path string, each func(string, BlockReport)) Report {
	return steady(func() Report {
		r := readFile(fs, path, each)
		each = nil // it is told once
		return r
	})
}

func readFile(fs FS, path string, each func(string, BlockReport)) Report {
	if r, is := readArena(fs, path, nil); is {
		return r
	}
	r, err := openReader(fs, path)
	if err != nil {
		return Report{Name: path, Err: err}
	}
	c := checker{r: r, report: Report{Name: path, Header: r.head, Size: r.size}, each: each}
	err = errors.Join(c.blocks(), r.close())
	c.report.Err = err
	c.finish()
	return c.report
}

// checker reads one file for its Report.
type checker struct {
	r       *reader
	unpack  unpacker
	report  Report
	each    func(string, BlockReport)
	synced  int64
	trailer bool
	end     int64 // after the last block
}

func (c *checker) blocks() error {
	defer c.unpack.close()
	var b block
	for {
		if err := c.r.read(&b); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		err := c.block(&b)
		c.end = b.end()
		c.synced = max(c.synced, int64(b.synced)*headerBytes)
		if c.each != nil {
			c.each(c.report.Name, BlockReport{
				At: b.at, Type: b.typ.String(), Codec: b.codec, Lane: b.lane, Seq: b.seq, Entries: b.entries,
				Raw: b.raw, Stored: b.stored, Synced: int64(b.synced) * headerBytes, Err: err,
			})
		}
	}
}

// block counts what is in a block.
func (c *checker) block(b *block) error {
	if c.r.head.Kind == KindSnapshot && (b.typ == blockFooter || b.typ == blockEnd) {
		info, err := c.r.trailer(b, &c.unpack)
		if err == nil && !c.trailer {
			c.report.Snapshot, c.trailer = info, true
		}
		if err != nil {
			c.report.BadBlocks++
		}
		return err
	}
	if b.typ != blockEntries {
		return nil // the end of a segment, or of a later minor version
	}
	payload, err := c.unpack.unpack(b)
	if err == nil {
		err = eachEntry(payload, b.entries, new(Entry), c.entry)
	}
	if err != nil {
		c.report.BadBlocks++
		return err
	}
	c.report.Blocks++
	c.report.Raw += uint64(b.raw)
	c.report.Stored += uint64(b.stored)
	return nil
}

func (c *checker) entry(e *Entry) error {
	r := &c.report
	r.Items++
	if r.Items == 1 {
		r.MinVer = e.Ver
	}
	r.MinVer, r.MaxVer = min(r.MinVer, e.Ver), max(r.MaxVer, e.Ver)
	switch e.Op {
	case OpPut:
		r.Puts++
	case OpTouch:
		r.Touches++
	case OpRemove:
		r.Removes++
	case OpFlush:
		r.Flushes++
	}
	return nil
}

// finish judges what was counted.
func (c *checker) finish() {
	r := &c.report
	for _, g := range c.r.gaps {
		r.Gaps = append(r.Gaps, Gap{At: g.at, Bytes: g.bytes, Zero: g.zero, Err: g.err})
	}
	r.GapCount = c.r.gapCount
	tail := c.r.tail()
	if tail.zero && r.Header.Kind == KindJournal {
		r.Unused = tail.bytes
	}
	if r.Header.Kind == KindJournal {
		r.Complete = true
		r.TornTail = tail.bytes > 0 && !tail.zero && tail.err == nil && tail.at >= c.synced
		return
	}
	r.Complete = c.trailer
	if c.trailer {
		r.Snapshot.Name = filepath.Base(r.Name)
		r.Lost = uint64(max(int64(r.Snapshot.Items-r.Items), 0))
		r.Complete = r.Snapshot.FileBytes == uint64(r.Size) && c.end == r.Size
	}
}

// String returns the name of a block's type.
func (t blockType) String() string {
	switch t {
	case blockEntries:
		return "entries"
	case blockFooter:
		return "footer"
	case blockEnd:
		return "end"
	}
	return fmt.Sprint("type ", uint8(t))
}
