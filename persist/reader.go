package persist

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	windowBytes = 256 << 10
	// trustBytes is how long a block may be to get memory before its checksum is
	// known to be right.
	trustBytes = 4 << 20
	// readErrorsMax is how many places of a file may be unreadable before the
	// rest is given up.
	readErrorsMax = 16
	// gapsMax is how many gaps are kept one by one.
	gapsMax = 1000
)

// gap is a stretch of a file that holds no valid block.
type gap struct {
	at, bytes int64
	zero      bool  // every byte is 0: room that was never written
	err       error // of reading it, nil if it could be read
}

// block is a block as it was read. Its checksum is right.
type block struct {
	blockHeader
	at      int64  // of its first byte in the file
	payload []byte // as stored; belongs to the block, which may be reused
	// gap is how many bytes before the block are none, and jump says that its
	// seq is not the one after that of the block before.
	gap  int64
	jump bool
}

// end returns the offset after the block.
func (b *block) end() int64 { return b.at + blockBytes + int64(b.stored) }

// reader reads the blocks of a file, in the order in which they are there. What
// is no valid block of the file is passed over: the next one is looked for, and
// the gap noted. A block that was there before, by its seq, is taken for
// damage too; one that is early or late is handed out and marked.
type reader struct {
	f    File
	name string
	head Header
	size int64

	at     int64 // where the next block should be
	next   uint64
	seen   bitset
	window []byte // bytes of the file from windowAt on
	from   int64
	room   []byte

	gaps     []gap // the first gapsMax, in ascending order
	lastGap  gap
	gapCount int
	gapBytes int64 // without those that are zero
	errors   int   // of reading
	failure  error // the last of them, until a gap has it
	spent    int64 // bytes looked at in vain
	blocks   uint64
}

// openReader opens a file and reads its header. The error is ErrForeign or
// ErrDamaged if that cannot be used, or one of the file system's.
func openReader(fs FS, name string) (*reader, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	r := &reader{f: f, name: name, room: make([]byte, windowBytes)}
	if err := r.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return r, nil
}

func (r *reader) begin() error {
	size, err := r.f.Size()
	if err != nil {
		return err
	}
	r.size = size
	page, err := r.peek(0, headerBytes)
	if err != nil {
		return err
	}
	if len(page) < headerBytes && len(page) >= 8 && [8]byte(page[:8]) == fileMagic {
		return fmt.Errorf("the header is cut: %w", ErrDamaged)
	}
	r.head, err = parseHeader(page)
	r.at = headerBytes
	return err
}

// close closes the file.
func (r *reader) close() error { return r.f.Close() }

// read reads the next block into b. io.EOF is the end of the file, where gaps
// tells what the tail was; another error is of a file that cannot be read.
func (r *reader) read(b *block) error {
	from := r.at
	for at := from; ; {
		ok, err := r.take(at, b)
		switch {
		case err != nil:
			r.note(from, r.size)
			return err
		case ok:
			r.note(from, at)
			b.gap = at - from
			return nil
		}
		if at, err = r.find(at + 1); err != nil {
			r.note(from, r.size)
			r.at = r.size
			return err
		}
	}
}

// take reads the block at an offset. It reports false if there is none.
func (r *reader) take(at int64, b *block) (bool, error) {
	head, err := r.peek(at, blockBytes)
	if err != nil {
		return false, r.failed(err)
	}
	h, ok := parseBlockHeader(head, r.head.File)
	left := r.size - at - blockBytes
	if !ok || int64(h.stored) > left || h.seq > uint64(r.size)/blockBytes || r.seen.has(h.seq) {
		return false, nil
	}
	sum := crc32.Checksum(head[:44], castagnoli)
	if h.stored > trustBytes {
		if ok, err := r.sumIs(sum, at+blockBytes, int64(h.stored), h.crc); !ok {
			return false, err
		}
	}
	if cap(b.payload) < int(h.stored) {
		b.payload = make([]byte, max(int(h.stored), blockRawMax+blockRawMax/8))
	}
	b.payload = b.payload[:h.stored]
	n := copy(b.payload, r.windowed(at+blockBytes))
	if n < len(b.payload) {
		if err := r.readAt(b.payload[n:], at+blockBytes+int64(n)); err != nil {
			return false, r.failed(err)
		}
	}
	if crc32.Update(sum, castagnoli, b.payload) != h.crc {
		r.spent += int64(h.stored)
		return false, nil
	}
	b.blockHeader, b.at, b.jump = h, at, h.seq != r.next
	r.next = h.seq + 1
	r.seen.add(h.seq)
	r.blocks++
	r.at = b.end()
	return true, nil
}

// sumIs reports whether n bytes of the file have a checksum, without holding them.
func (r *reader) sumIs(sum uint32, at, n int64, want uint32) (bool, error) {
	r.spent += n
	for n > 0 {
		p, err := r.peek(at, int(min(n, windowBytes)))
		if err != nil || len(p) == 0 {
			return false, r.failed(err)
		}
		p = p[:min(int64(len(p)), n)]
		sum = crc32.Update(sum, castagnoli, p)
		at, n = at+int64(len(p)), n-int64(len(p))
	}
	return sum == want, nil
}

// find returns the next offset from at on where a block may begin, or io.EOF.
// What it costs to look at such places in vain is bounded: a file made to have
// very many of them is given up.
func (r *reader) find(at int64) (int64, error) {
	for at+blockBytes <= r.size {
		if r.spent > 8*r.size+64<<20 {
			return 0, io.EOF
		}
		p, err := r.peek(at, blockBytes)
		if err != nil {
			if err := r.failed(err); err != nil {
				return 0, err
			}
			at = (at/windowBytes + 1) * windowBytes
			continue
		}
		if i := bytes.Index(p, magicBytes); i >= 0 {
			return at + int64(i), nil
		}
		at += int64(len(p) - len(magicBytes) + 1)
	}
	return 0, io.EOF
}

// failed counts an error of reading, and returns it if there have been too many.
func (r *reader) failed(err error) error {
	if err == nil {
		return nil
	}
	r.failure = err
	if r.errors++; r.errors > readErrorsMax {
		return fmt.Errorf("%s: cannot be read: %w", r.name, err)
	}
	return nil
}

// note keeps a gap, if there is one.
func (r *reader) note(from, to int64) {
	if from >= to {
		return
	}
	g := gap{at: from, bytes: to - from, err: r.failure}
	g.zero = g.err == nil && r.isZero(from, to)
	r.failure = nil
	if !g.zero {
		r.gapBytes += g.bytes
	}
	r.lastGap = g
	if r.gapCount++; len(r.gaps) < gapsMax {
		r.gaps = append(r.gaps, g)
	}
}

// isZero reports whether every byte is 0.
func (r *reader) isZero(from, to int64) bool {
	for from < to {
		p, err := r.peek(from, 1)
		if err != nil || len(p) == 0 {
			return false
		}
		p = p[:min(int64(len(p)), to-from)]
		for len(p) >= 8 {
			if [8]byte(p) != [8]byte{} {
				return false
			}
			p, from = p[8:], from+8
		}
		for _, c := range p {
			if c != 0 {
				return false
			}
			from++
		}
	}
	return true
}

// tail returns the gap at the end of the file, the zero gap if there is none.
// It is known after io.EOF.
func (r *reader) tail() gap {
	if r.lastGap.at+r.lastGap.bytes == r.size {
		return r.lastGap
	}
	return gap{}
}

// peek returns at least n bytes of the file from an offset on, fewer only at
// its end. They are valid until the next call. n is at most windowBytes.
func (r *reader) peek(at int64, n int) ([]byte, error) {
	n = int(max(min(int64(n), r.size-at), 0))
	if p := r.windowed(at); len(p) >= n {
		return p, nil
	}
	want := r.room[:min(windowBytes, r.size-at)]
	if err := r.readAt(want, at); err != nil {
		r.window = nil
		return nil, err
	}
	r.window, r.from = want, at
	return r.windowed(at), nil
}

// windowed returns what of the window is at an offset and after.
func (r *reader) windowed(at int64) []byte {
	if at < r.from || at > r.from+int64(len(r.window)) {
		return nil
	}
	return r.window[at-r.from:]
}

// readAt fills p. That the file has become shorter is an error.
func (r *reader) readAt(p []byte, at int64) error {
	n, err := r.f.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// bitset is a set of small numbers.
type bitset []uint64

func (s bitset) has(n uint64) bool { return n>>6 < uint64(len(s)) && s[n>>6]>>(n&63)&1 != 0 }

func (s *bitset) add(n uint64) {
	for uint64(len(*s)) <= n>>6 {
		*s = append(*s, 0)
	}
	(*s)[n>>6] |= 1 << (n & 63)
}
