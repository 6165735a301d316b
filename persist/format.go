package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/holdfast-cache/holdfast/slab"
)

// What snapshots and journal segments have in common: a header of one page, then
// blocks, each with a checksum of its own, of entries. All numbers are
// little-endian; uvarint is encoding/binary's.
//
//	Header, 4096 bytes, zero where nothing is said
//	 0  magic     "HOLDFAST"
//	 8  kind      u16  1 snapshot, 2 journal segment
//	10  major     u16  a reader that does not know it leaves the file alone
//	12  minor     u16  a reader that does not know it reads on
//	14  codec     u8   0 raw, 1 s2, 2 zstd: what blocks are compressed with, if that pays
//	16  file      u64  random; every block of the file repeats it
//	24  seq       u64  number of the file in its directory, ascending over both kinds
//	32  ver       u64  highest version given out when the file was begun
//	40  stamp     36 bytes, see Stamp
//	76  prev      u64  journal: file of the segment before if it has an end block, else 0
//	4092 crc      u32  of the bytes before
//
//	Block, 48 bytes and its payload
//	 0  magic     u32
//	 4  type      u8   1 entries, 2 footer (snapshots), 3 end
//	 5  codec     u8   of this block
//	 6  lane      u16  journal: the lane that wrote it
//	 8  entries   u32
//	12  raw       u32  bytes of the payload when it is not compressed
//	16  stored    u32  bytes of the payload in the file
//	20  now       u32  the store's clock when the block was closed
//	24  file      u64  as in the header: a block of an earlier file at this place is none
//	32  seq       u64  of the block in the file, from 0
//	40  synced    u32  journal: bytes of the file that are known to be synced, in pages of 4096
//	44  crc       u32  of the 44 bytes before and the stored payload
//
//	Entry
//	 op u8, then by op
//	 put      marks u8 | klen uvarint | vlen uvarint | flags uvarint | exptime u32 | access u32 | ver u64 | cas uvarint | key | value
//	 touch    klen uvarint | exptime u32 | ver u64 | key
//	 remove   klen uvarint | ver u64 | key
//	 flush    ver u64
const (
	headerBytes = 4096
	blockBytes  = 48
	formatMajor = 1
	formatMinor = 0

	// blockRawMax is how much a block holds when it is closed, unless a single
	// entry is longer: such an entry has a block of its own.
	blockRawMax = 256 << 10
	// entryMax is the longest entry that a reader believes in: an item of the
	// largest size that a server can be given.
	entryMax = 1<<30 + 1<<20

	keyLenMax = 250
	verMax    = 1<<48 - 1
)

var fileMagic = [8]byte{'H', 'O', 'L', 'D', 'F', 'A', 'S', 'T'}

const blockMagic = 0x4b4c4248 // "HBLK"

// Kind is what a file is.
type Kind uint16

// The kinds.
const (
	KindSnapshot Kind = 1
	KindJournal  Kind = 2
)

// Codec is how the payload of a block is compressed.
type Codec uint8

// The codecs.
const (
	CodecRaw Codec = iota
	CodecS2
	CodecZstd
	codecCount
)

var codecNames = [codecCount]string{"none", "s2", "zstd"}

// String returns the name by which a codec is chosen.
func (c Codec) String() string {
	if c < codecCount {
		return codecNames[c]
	}
	return fmt.Sprint("codec ", uint8(c))
}

// blockType says what a block holds.
type blockType uint8

const (
	blockEntries blockType = 1
	blockFooter  blockType = 2
	blockEnd     blockType = 3
)

// Op is what an entry says.
type Op uint8

// The ops.
const (
	OpPut    Op = 1 // the key has this item
	OpTouch  Op = 2 // the item of this version has this exptime
	OpRemove Op = 3 // the key has no item of this version or a lower one
	OpFlush  Op = 4 // no item of this version or a lower one is alive
)

// Entry is one statement of a file. Touch uses Key, Ver and Exptime of the
// record, remove Key and Ver, flush Ver.
type Entry struct {
	Op Op
	slab.Record
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Errors of reading. They are wrapped with what was read and where.
var (
	// ErrForeign: not a file of Holdfast's, or of a kind or major version that
	// this program does not know.
	ErrForeign = errors.New("not a file that this version can read")
	// ErrDamaged: a checksum or a length is wrong.
	ErrDamaged = errors.New("damaged")
	errEntry   = fmt.Errorf("an entry is malformed: %w", ErrDamaged)
)

// Header is the first page of a file.
type Header struct {
	Kind  Kind
	Minor uint16
	Codec Codec
	File  uint64
	Seq   uint64
	Ver   uint64
	Stamp Stamp
	Prev  uint64
}

// append adds the header to dst, as a page.
func (h *Header) append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, headerBytes)...)
	p := dst[at:]
	copy(p, fileMagic[:])
	le := binary.LittleEndian
	le.PutUint16(p[8:], uint16(h.Kind))
	le.PutUint16(p[10:], formatMajor)
	le.PutUint16(p[12:], formatMinor)
	p[14] = byte(h.Codec)
	le.PutUint64(p[16:], h.File)
	le.PutUint64(p[24:], h.Seq)
	le.PutUint64(p[32:], h.Ver)
	h.Stamp.put(p[40:])
	le.PutUint64(p[76:], h.Prev)
	le.PutUint32(p[headerBytes-4:], crc32.Checksum(p[:headerBytes-4], castagnoli))
	return dst
}

// parseHeader reads a header from the first page of a file.
func parseHeader(p []byte) (Header, error) {
	if len(p) < headerBytes || [8]byte(p[:8]) != fileMagic {
		return Header{}, ErrForeign
	}
	le := binary.LittleEndian
	if crc32.Checksum(p[:headerBytes-4], castagnoli) != le.Uint32(p[headerBytes-4:]) {
		return Header{}, fmt.Errorf("the header is %w", ErrDamaged)
	}
	h := Header{
		Kind: Kind(le.Uint16(p[8:])), Minor: le.Uint16(p[12:]), Codec: Codec(p[14]),
		File: le.Uint64(p[16:]), Seq: le.Uint64(p[24:]), Ver: le.Uint64(p[32:]), Stamp: parseStamp(p[40:]),
		Prev: le.Uint64(p[76:]),
	}
	if major := le.Uint16(p[10:]); major != formatMajor || h.Kind != KindSnapshot && h.Kind != KindJournal {
		return Header{}, fmt.Errorf("kind %d of version %d.%d: %w", h.Kind, major, h.Minor, ErrForeign)
	}
	if h.Ver > verMax {
		return Header{}, fmt.Errorf("the header's version is %w", ErrDamaged)
	}
	return h, nil
}

// blockHeader is what precedes a payload.
type blockHeader struct {
	typ         blockType
	codec       Codec
	lane        uint16
	entries     uint32
	raw, stored uint32
	now         uint32
	file        uint64
	seq         uint64
	synced      uint32
	crc         uint32
}

// put writes the header in front of its stored payload: p is both.
func (b *blockHeader) put(p []byte) {
	le := binary.LittleEndian
	le.PutUint32(p, blockMagic)
	p[4], p[5] = byte(b.typ), byte(b.codec)
	le.PutUint16(p[6:], b.lane)
	le.PutUint32(p[8:], b.entries)
	le.PutUint32(p[12:], b.raw)
	le.PutUint32(p[16:], b.stored)
	le.PutUint32(p[20:], b.now)
	le.PutUint64(p[24:], b.file)
	le.PutUint64(p[32:], b.seq)
	le.PutUint32(p[40:], b.synced)
	b.crc = blockSum(p[:44], p[blockBytes:])
	le.PutUint32(p[44:], b.crc)
}

func blockSum(head, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, payload)
}

// parseBlockHeader reads the header of a block of that file. It reports false
// if there is none; the checksum is still to be compared.
func parseBlockHeader(p []byte, file uint64) (b blockHeader, ok bool) {
	le := binary.LittleEndian
	if len(p) < blockBytes || le.Uint32(p) != blockMagic {
		return b, false
	}
	b = blockHeader{
		typ: blockType(p[4]), codec: Codec(p[5]), lane: le.Uint16(p[6:]), entries: le.Uint32(p[8:]),
		raw: le.Uint32(p[12:]), stored: le.Uint32(p[16:]), now: le.Uint32(p[20:]),
		file: le.Uint64(p[24:]), seq: le.Uint64(p[32:]), synced: le.Uint32(p[40:]), crc: le.Uint32(p[44:]),
	}
	return b, b.file == file && b.codec < codecCount && b.raw <= entryMax && b.stored <= b.raw
}

// appendPut adds the entry that says that r is its key's item. A value that is
// not in r (a Chunked item's) is appended by value, which may be nil.
func appendPut(dst []byte, r *slab.Record, valueLen int, value func(dst []byte) []byte) []byte {
	dst = append(dst, byte(OpPut), byte(r.Marks))
	dst = binary.AppendUvarint(dst, uint64(len(r.Key)))
	dst = binary.AppendUvarint(dst, uint64(valueLen))
	dst = binary.AppendUvarint(dst, uint64(r.Flags))
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, r.Exptime)
	dst = le.AppendUint32(dst, r.LastAccess)
	dst = le.AppendUint64(dst, r.Ver)
	dst = binary.AppendUvarint(dst, r.CAS)
	dst = append(dst, r.Key...)
	if value != nil {
		return value(dst)
	}
	return append(dst, r.Value...)
}

func appendTouch(dst, key []byte, ver uint64, exptime uint32) []byte {
	dst = append(dst, byte(OpTouch))
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = binary.LittleEndian.AppendUint32(dst, exptime)
	dst = binary.LittleEndian.AppendUint64(dst, ver)
	return append(dst, key...)
}

func appendRemove(dst, key []byte, ver uint64) []byte {
	dst = append(dst, byte(OpRemove))
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = binary.LittleEndian.AppendUint64(dst, ver)
	return append(dst, key...)
}

func appendFlush(dst []byte, ver uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, byte(OpFlush)), ver)
}

// parseEntry reads the entry at the start of p into e, whose slices then alias
// p, and returns its length. Nothing is believed that p does not hold.
func parseEntry(p []byte, e *Entry) (n int, err error) {
	c := cursor{p: p}
	*e = Entry{Op: Op(c.byte())}
	var klen, vlen uint64
	switch e.Op {
	case OpPut:
		e.Marks = slab.Marks(c.byte()) & slab.MarksAll
		klen, vlen = c.uvarint(), c.uvarint()
		flags := c.uvarint()
		c.bad = c.bad || flags > 1<<32-1
		e.Flags = uint32(flags)
		e.Exptime, e.LastAccess, e.Ver = c.u32(), c.u32(), c.u64()
		e.CAS = c.uvarint()
	case OpTouch:
		klen = c.uvarint()
		e.Exptime, e.Ver = c.u32(), c.u64()
	case OpRemove:
		klen = c.uvarint()
		e.Ver = c.u64()
	case OpFlush:
		e.Ver = c.u64()
		c.bad = c.bad || e.Ver > verMax
		return c.n, c.err()
	default:
		return 0, errEntry
	}
	if klen == 0 || klen > keyLenMax {
		return 0, errEntry
	}
	e.Key = c.bytes(klen)
	e.Value = c.bytes(vlen)
	c.bad = c.bad || e.Ver > verMax
	return c.n, c.err()
}

// cursor reads from p without going beyond it.
type cursor struct {
	p   []byte
	n   int
	bad bool
}

func (c *cursor) err() error {
	if c.bad {
		return errEntry
	}
	return nil
}

func (c *cursor) bytes(n uint64) []byte {
	if c.bad || n > uint64(len(c.p)-c.n) {
		c.bad = true
		return nil
	}
	b := c.p[c.n : c.n+int(n)]
	c.n += int(n)
	return b
}

func (c *cursor) byte() byte {
	if b := c.bytes(1); !c.bad {
		return b[0]
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.bytes(4); !c.bad {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.bytes(8); !c.bad {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.p[c.n:])
	if c.bad || n <= 0 {
		c.bad = true
		return 0
	}
	c.n += n
	return v
}
