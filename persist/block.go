package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// blockWriter turns payloads into blocks of one file. It is used by one
// goroutine at a time.
type blockWriter struct {
	codec Codec
	file  uint64
	seq   uint64 // of the next block
	out   []byte
	zstd  *zstd.Encoder
}

// newBlockWriter makes a blockWriter for the file that a header begins.
func newBlockWriter(h *Header) (*blockWriter, error) {
	w := &blockWriter{codec: h.Codec, file: h.File}
	if h.Codec == CodecZstd {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		w.zstd = enc
	}
	return w, nil
}

// beginBlock empties buf and leaves room for a block's header, after which
// entries are appended.
func beginBlock(buf []byte) []byte {
	if cap(buf) < blockBytes {
		buf = make([]byte, blockBytes, blockBytes+blockRawMax+blockRawMax/8)
	}
	return buf[:blockBytes]
}

// frame makes a block of a buffer that beginBlock began and returns its bytes,
// which are valid until the next call and until buf is reused. Of h the caller
// sets typ, lane, entries, now and synced. It is compressed if that saves a
// tenth at least: less is not worth the time that reading it takes.
func (w *blockWriter) frame(h blockHeader, buf []byte) []byte {
	raw := buf[blockBytes:]
	h.raw, h.stored = uint32(len(raw)), uint32(len(raw))
	h.codec, h.file, h.seq = CodecRaw, w.file, w.seq
	w.seq++
	if packed := w.pack(raw); packed != nil && len(packed)-blockBytes <= len(raw)-len(raw)/10 && len(raw) >= 10 {
		h.codec, h.stored = w.codec, uint32(len(packed)-blockBytes)
		buf = packed
	}
	h.put(buf)
	return buf
}

// pack compresses raw into w.out, behind the room for a header. nil is no gain.
func (w *blockWriter) pack(raw []byte) []byte {
	switch w.codec {
	case CodecS2:
		n := s2.MaxEncodedLen(len(raw))
		if n < 0 {
			return nil
		}
		if cap(w.out) < blockBytes+n {
			w.out = make([]byte, blockBytes+n)
		}
		packed := s2.Encode(w.out[blockBytes:cap(w.out)], raw)
		return w.out[:blockBytes+len(packed)]
	case CodecZstd:
		w.out = w.zstd.EncodeAll(raw, beginBlock(w.out))
		return w.out
	}
	return nil
}

// unpacker gives back the payloads of blocks. It is used by one goroutine at a
// time.
type unpacker struct {
	raw  []byte
	zstd *zstd.Decoder
}

// unpack returns the payload of a block as it was before it was compressed. It
// is valid until the next call and until the block is reused. Memory is taken
// for no more than the block's checked header says.
func (u *unpacker) unpack(b *block) ([]byte, error) {
	if b.codec == CodecRaw {
		if b.raw != b.stored {
			return nil, fmt.Errorf("lengths of block %d differ: %w", b.seq, ErrDamaged)
		}
		return b.payload, nil
	}
	if b.codec == CodecS2 {
		if n, err := s2.DecodedLen(b.payload); err != nil || n != int(b.raw) {
			return nil, fmt.Errorf("length of block %d: %w", b.seq, ErrDamaged)
		}
	}
	if cap(u.raw) < int(b.raw) {
		u.raw = make([]byte, max(int(b.raw), blockRawMax+blockRawMax/8))
	}
	var got []byte
	var err error
	switch b.codec {
	case CodecS2:
		got, err = s2.Decode(u.raw[:b.raw], b.payload)
	case CodecZstd:
		if u.zstd == nil {
			u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(entryMax), zstd.WithDecodeAllCapLimit(true))
			if err != nil {
				return nil, fmt.Errorf("zstd: %w", err)
			}
		}
		got, err = u.zstd.DecodeAll(b.payload, u.raw[:0:b.raw])
	}
	if err != nil || len(got) != int(b.raw) {
		return nil, fmt.Errorf("block %d cannot be decompressed: %w", b.seq, errors.Join(ErrDamaged, err))
	}
	return got, nil
}

// close lets go of what the unpacker holds.
func (u *unpacker) close() {
	if u.zstd != nil {
		u.zstd.Close()
	}
}

// eachEntry calls visit for the entries of a payload, which must be count. e is
// reused and aliases the payload. It stops at the first error, visit's own
// included; entries before it have been visited.
func eachEntry(payload []byte, count uint32, e *Entry, visit func(e *Entry) error) error {
	for ; count > 0; count-- {
		n, err := parseEntry(payload, e)
		if err != nil {
			return err
		}
		if err := visit(e); err != nil {
			return err
		}
		payload = payload[n:]
	}
	if len(payload) > 0 {
		return fmt.Errorf("%d bytes follow the last entry: %w", len(payload), ErrDamaged)
	}
	return nil
}

// magicBytes are a block's first four bytes.
var magicBytes = binary.LittleEndian.AppendUint32(nil, blockMagic)

// frameParts makes a block, not compressed, of parts that are written one after
// the other. The first was begun by beginBlock.
func (w *blockWriter) frameParts(h blockHeader, parts [][]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	h.raw, h.stored = uint32(n-blockBytes), uint32(n-blockBytes)
	h.codec, h.file, h.seq = CodecRaw, w.file, w.seq
	w.seq++
	h.put(parts[0])
	sum := binary.LittleEndian.Uint32(parts[0][44:])
	for _, p := range parts[1:] {
		sum = crc32.Update(sum, castagnoli, p)
	}
	binary.LittleEndian.PutUint32(parts[0][44:], sum)
}
