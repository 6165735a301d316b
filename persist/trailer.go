package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A snapshot ends in two blocks. Either proves that it is complete, since no item
// follows them: damage to one of them costs nothing.
//
//	Footer and end, their payload
//	 0  items    u64
//	 8  blocks   u64  of items
//	16  raw      u64  bytes of their payloads before compression
//	24  ver      u64  highest version given out when the snapshot was done
//	32  flushed  u64  items of this version and lower ones are dead
//	40  stamp    36 bytes
//	76  footer   u64  offset of the footer
//	84  file     u64  length of the file; 0 in the footer
//	footer alone, for each block of items: length uvarint | entries uvarint
const (
	trailerBytes = 92
	endBytes     = blockBytes + trailerBytes
)

func appendTrailer(dst []byte, i *SnapshotInfo, footer int64) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, trailerBytes)...)
	p := dst[at:]
	le := binary.LittleEndian
	for n, v := range []uint64{i.Items, i.Blocks, i.RawBytes, i.Ver, i.Flushed} {
		le.PutUint64(p[8*n:], v)
	}
	i.End.put(p[40:])
	le.PutUint64(p[76:], uint64(footer))
	le.PutUint64(p[84:], i.FileBytes)
	return dst
}

// parseTrailer reads the part that footer and end have in common.
func parseTrailer(p []byte) (i SnapshotInfo, footer int64, err error) {
	if len(p) < trailerBytes {
		return i, 0, fmt.Errorf("the trailer is short: %w", ErrDamaged)
	}
	le := binary.LittleEndian
	for n, to := range []*uint64{&i.Items, &i.Blocks, &i.RawBytes, &i.Ver, &i.Flushed} {
		*to = le.Uint64(p[8*n:])
	}
	i.End = parseStamp(p[40:])
	i.FileBytes = le.Uint64(p[84:])
	if i.Ver > verMax || i.Flushed > i.Ver {
		return i, 0, fmt.Errorf("the trailer's versions are %w", ErrDamaged)
	}
	return i, int64(le.Uint64(p[76:])), nil
}

// errIncomplete: the writer did not come to the end.
var errIncomplete = errors.New("the snapshot is incomplete")

// snapshotTrailer returns what the trailer of a snapshot says. It looks where the
// end should be first, and else through the whole file, which costs a read of it.
// The reader is at the start of the blocks again afterwards.
func snapshotTrailer(r *reader) (SnapshotInfo, error) {
	var u unpacker
	defer u.close()
	var b block
	at := r.size - endBytes
	if at < headerBytes {
		return SnapshotInfo{}, errIncomplete
	}
	info, err := SnapshotInfo{}, errIncomplete
	ok, e := r.take(at, &b)
	if ok && e == nil && b.typ == blockEnd {
		info, err = r.trailer(&b, &u)
	}
	for r.rewind(); err != nil; {
		if e = r.read(&b); e != nil {
			if !errors.Is(e, io.EOF) {
				err = e
			}
			break
		}
		if b.typ == blockFooter || b.typ == blockEnd {
			info, err = r.trailer(&b, &u)
		}
	}
	r.rewind()
	return info, err
}

// trailer reads a block as a trailer of this file.
func (r *reader) trailer(b *block, u *unpacker) (SnapshotInfo, error) {
	p, err := u.unpack(b)
	if err != nil {
		return SnapshotInfo{}, err
	}
	info, _, err := parseTrailer(p)
	info.Seq = r.head.Seq
	if info.FileBytes == 0 {
		info.FileBytes = uint64(b.end()) + endBytes
	}
	return info, err
}

// rewind has the reader start anew.
func (r *reader) rewind() {
	*r = reader{f: r.f, name: r.name, head: r.head, size: r.size, at: headerBytes, window: r.window, from: r.from, room: r.room}
}
