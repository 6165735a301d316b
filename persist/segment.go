package persist

import (
	"errors"
	"fmt"
	"path/filepath"
)

const (
	// segmentBytes is how long a segment gets, unless one entry is longer. It is
	// reserved when the segment is begun: a sync need not write down a new length.
	segmentBytes = 64 << 20
	// gatherBytes is how much of blocks is gathered for one write.
	gatherBytes = 1 << 20
)

// segmentName returns the name of the segment with that number.
func segmentName(seq uint64) string { return fmt.Sprintf("journal-%016x.hfj", seq) }

// segment is a file of the journal that is being written. Only the flusher uses it.
type segment struct {
	fs   FS
	f    File
	name string
	head Header
	size int64 // that it should not exceed
	w    *blockWriter
	out  []byte // blocks that are still to be written
	used int64  // bytes written
	// synced is how many bytes a sync has made durable; every block says it.
	synced int64
}

// createSegment makes a segment that h describes. out is where it gathers blocks,
// of which it uses the capacity. The file is there after a power cut
// when it returns: nothing in a file that is not can be called synced. A failed
// one is removed if that can be done.
func createSegment(fs FS, dir string, h Header, size int64, out []byte) (*segment, error) {
	w, err := newBlockWriter(&h)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, segmentName(h.Seq))
	f, err := fs.Create(name)
	if err != nil {
		return nil, err
	}
	g := &segment{fs: fs, f: f, name: name, head: h, size: size, w: w, out: out[:0]}
	if err = g.begin(); err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		g.abandon()
		return nil, err
	}
	return g, nil
}

// begin writes the header. Without room for a whole segment it goes on: what
// there is may do, and writing finds out.
func (g *segment) begin() error {
	if g.f.Reserve(g.size) != nil {
		if err := g.f.Truncate(0); err != nil {
			return err
		}
	}
	g.out = g.head.append(g.out)
	if err := g.flush(); err != nil {
		return err
	}
	return g.sync()
}

// fits reports whether a batch still belongs into this segment.
func (g *segment) fits(b *batch) bool {
	at := g.used + int64(len(g.out))
	return at == headerBytes || at+int64(len(b.buf))+blockBytes <= g.size
}

// add frames a batch. It is written by a later call, or by flush.
func (g *segment) add(b *batch, now uint32) error {
	return g.append(blockHeader{typ: blockEntries, lane: b.lane, entries: b.entries, now: now}, b.buf)
}

func (g *segment) append(h blockHeader, buf []byte) error {
	h.synced = uint32(g.synced / headerBytes)
	p := g.w.frame(h, buf)
	if len(g.out)+len(p) > cap(g.out) {
		if err := g.flush(); err != nil {
			return err
		}
	}
	if len(p) > cap(g.out) {
		return g.write(p)
	}
	g.out = append(g.out, p...)
	return nil
}

// flush writes what has been gathered.
func (g *segment) flush() error {
	if len(g.out) == 0 {
		return nil
	}
	err := g.write(g.out)
	g.out = g.out[:0]
	return err
}

func (g *segment) write(p []byte) error {
	n, err := g.f.Write(p)
	if err == nil && n < len(p) {
		err = fmt.Errorf("%s: %d of %d bytes written", g.name, n, len(p))
	}
	if err == nil {
		g.used += int64(len(p))
	}
	return err
}

// sync makes durable what has been written.
func (g *segment) sync() error {
	err := g.f.Sync()
	if err == nil {
		g.synced = g.used
	}
	return err
}

// close ends the segment: nothing follows, and the room that it did not need is
// given back. All of it is durable afterwards. The end block is written when all
// before it is synced, which a reader takes it to say.
func (g *segment) close(now uint32) error {
	err := g.flush()
	if err == nil && g.used > g.synced {
		err = g.sync()
	}
	if err == nil {
		err = g.append(blockHeader{typ: blockEnd, now: now}, beginBlock(nil))
	}
	if err == nil {
		err = g.flush()
	}
	if err == nil {
		err = g.f.Truncate(g.used)
	}
	if err == nil {
		err = g.sync()
	}
	return errors.Join(err, g.f.Close())
}

// abandon lets a segment go after an error, as well as can be: what was
// written stays, room does not, and an empty file is of no use.
func (g *segment) abandon() {
	_ = g.f.Truncate(g.used)
	_ = g.f.Close()
	if g.used <= headerBytes {
		_ = g.fs.Remove(g.name)
	}
}

// present returns an error if the file has lost its name: somebody has removed
// it or its directory, and what is written goes nowhere.
func (g *segment) present() error {
	f, err := g.fs.Open(g.name)
	if err != nil {
		return err
	}
	return f.Close()
}
