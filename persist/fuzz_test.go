package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/holdfast-cache/holdfast/slab"
)

// mend makes the checksums of everything that looks like a block right, so that
// the fuzzer gets behind them.
func mend(all []byte) []byte {
	for at := headerBytes; at+blockBytes <= len(all); {
		i := bytes.Index(all[at:], magicBytes)
		if i < 0 || at+i+blockBytes > len(all) {
			return all
		}
		at += i
		head := all[at : at+blockBytes]
		if stored := binary.LittleEndian.Uint32(head[16:]); uint64(stored) <= uint64(len(all)-at-blockBytes) {
			binary.LittleEndian.PutUint64(head[24:], fuzzFile)
			sum := blockSum(head[:44], all[at+blockBytes:at+blockBytes+int(stored)])
			binary.LittleEndian.PutUint32(head[44:], sum)
		}
		at += 4
	}
	return all
}

const fuzzFile = 77

// FuzzReader reads a file whose blocks are anything at all, with checksums that
// are right: no panic, no hang, nothing beyond the file.
func FuzzReader(f *testing.F) {
	for codec := range codecCount {
		all, _ := tinySnapshot(f, codec)
		f.Add(all[headerBytes:])
		f.Add(all[headerBytes : len(all)-endBytes])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		h := Header{Kind: KindSnapshot, File: fuzzFile}
		all := mend(append(h.append(nil), body...))
		for i := range all[headerBytes:] {
			// A raw length that costs a gigabyte each time would only slow the fuzzer.
			if p := all[headerBytes+i:]; len(p) >= blockBytes && bytes.HasPrefix(p, magicBytes) && binary.LittleEndian.Uint32(p[12:]) > 16<<20 {
				return
			}
		}
		fs := newMemFS(1)
		fs.put("f", all)
		r, err := openReader(fs, "f")
		if err != nil {
			t.Fatal(err)
		}
		var u unpacker
		defer u.close()
		var b block
		covered := int64(headerBytes)
		for {
			if err := r.read(&b); err != nil {
				if !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				break
			}
			if b.at != covered+b.gap || b.end() > int64(len(all)) {
				t.Fatalf("a block at %d with a gap of %d, want one at %d", b.at, b.gap, covered)
			}
			covered = b.end()
			if payload, err := u.unpack(&b); err == nil {
				// An error is as good as none here.
				_ = eachEntry(payload, b.entries, new(Entry), func(*Entry) error { return nil })
			}
		}
		if covered+r.tail().bytes != int64(len(all)) {
			t.Fatalf("blocks end at %d, the tail has %d bytes, the file %d", covered, r.tail().bytes, len(all))
		}
		closeNow(t, r)
		if src, err := openSnapshot(fs, "f"); err == nil {
			closeNow(t, src)
		}
		if _, err := Check(fs, "f", nil); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzEntry parses anything as an entry. What parses is within the bytes, and is
// the same again when it is written and read.
func FuzzEntry(f *testing.F) {
	r := slab.Record{Key: []byte("key"), Value: []byte("value"), Flags: 5, Exptime: 6, LastAccess: 7, Ver: 8, CAS: 9, Marks: slab.MarksAll}
	f.Add(appendPut(nil, &r, len(r.Value), nil))
	f.Add(appendTouch(nil, r.Key, 5, 6))
	f.Add(appendRemove(nil, r.Key, 5))
	f.Add(appendFlush(nil, 5))
	f.Fuzz(func(t *testing.T, p []byte) {
		var e, again Entry
		n, err := parseEntry(p, &e)
		if err != nil {
			return
		}
		if n > len(p) || n == 0 {
			t.Fatalf("an entry of %d bytes in %d", n, len(p))
		}
		var out []byte
		switch e.Op {
		case OpPut:
			out = appendPut(nil, &e.Record, len(e.Value), nil)
		case OpTouch:
			out = appendTouch(nil, e.Key, e.Ver, e.Exptime)
		case OpRemove:
			out = appendRemove(nil, e.Key, e.Ver)
		case OpFlush:
			out = appendFlush(nil, e.Ver)
		}
		if m, err := parseEntry(out, &again); err != nil || m != len(out) {
			t.Fatalf("%+v cannot be read back: %v", e, err)
		}
		if !bytes.Equal(e.Key, again.Key) || !bytes.Equal(e.Value, again.Value) {
			t.Fatalf("%+v became %+v", e, again)
		}
		e.Key, e.Value, again.Key, again.Value = nil, nil, nil, nil
		if e.Op != again.Op || e.Flags != again.Flags || e.Exptime != again.Exptime || e.Ver != again.Ver || e.CAS != again.CAS || e.Marks != again.Marks {
			t.Fatalf("%+v became %+v", e, again)
		}
	})
}
