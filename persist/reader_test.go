package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-cache/holdfast/slab"
)

// testFile returns a file of so many blocks of a few entries, and the offsets
// of the blocks.
func testFile(t testing.TB, codec Codec, file uint64, blocks int) (all []byte, at []int) {
	t.Helper()
	h := Header{Kind: KindSnapshot, Codec: codec, File: file, Seq: 7, Ver: 99, Stamp: Stamp{Now: 5}}
	w, err := newBlockWriter(&h)
	if err != nil {
		t.Fatal(err)
	}
	all = h.append(nil)
	var buf []byte
	for i := range blocks {
		buf = beginBlock(buf)
		for j := range 3 {
			r := slab.Record{Key: fmt.Appendf(nil, "key-%d-%d", i, j), Value: bytes.Repeat([]byte("v"), 40), Ver: uint64(10*i + j + 2)}
			buf = appendPut(buf, &r, len(r.Value), nil)
		}
		at = append(at, len(all))
		all = append(all, w.frame(blockHeader{typ: blockEntries, entries: 3}, buf)...)
	}
	return all, at
}

// readSeqs reads a file from memory and returns the seqs of its blocks, after
// proving that what they hold is right.
func readSeqs(t testing.TB, all []byte) (seqs []uint64, r *reader) {
	t.Helper()
	fs := newMemFS(1)
	fs.put("f", all)
	r, err := openReader(fs, "f")
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, r)
	var u unpacker
	defer u.close()
	var b block
	for {
		err := r.read(&b)
		if errors.Is(err, io.EOF) {
			return seqs, r
		}
		if err != nil {
			t.Fatal(err)
		}
		payload, err := u.unpack(&b)
		if err != nil {
			t.Fatal(err)
		}
		j := 0
		err = eachEntry(payload, b.entries, new(Entry), func(e *Entry) error {
			if want := fmt.Sprintf("key-%d-%d", b.seq, j); string(e.Key) != want || len(e.Value) != 40 {
				t.Errorf("entry %q, want %q", e.Key, want)
			}
			j++
			return nil
		})
		if err != nil || j != 3 {
			t.Fatalf("%d entries, %v", j, err)
		}
		seqs = append(seqs, b.seq)
	}
}

func closeNow(t testing.TB, c interface{ close() error }) {
	t.Helper()
	if err := c.close(); err != nil {
		t.Error(err)
	}
}

func TestReaderReadsWhatWasWritten(t *testing.T) {
	for codec := range codecCount {
		all, _ := testFile(t, codec, 1, 2000)
		seqs, r := readSeqs(t, all)
		if len(seqs) != 2000 || r.gapCount != 0 || r.tail() != (gap{}) {
			t.Fatalf("codec %d: %d blocks, gaps %v", codec, len(seqs), r.gaps)
		}
		if r.head.Ver != 99 || r.head.Seq != 7 || r.head.Stamp.Now != 5 {
			t.Fatalf("header %+v", r.head)
		}
		if size := len(all) / 2000; codec != CodecRaw && size > 150 {
			t.Errorf("codec %d: %d bytes a block: not compressed", codec, size)
		}
	}
}

func TestReaderPassesOverDamage(t *testing.T) {
	all, at := testFile(t, CodecRaw, 1, 10)
	other, otherAt := testFile(t, CodecRaw, 2, 10)
	size := at[1] - at[0]
	splice := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	one := func(i int) []byte { return all[at[i] : at[i]+size] }
	flip := bytes.Clone(all)
	flip[at[3]+60] ^= 1
	for _, tc := range []struct {
		name string
		all  []byte
		seqs string
		gaps string // offsets and lengths
	}{
		{"a flipped bit", flip, "[0 1 2 4 5 6 7 8 9]", fmt.Sprintf("[%d+%d]", at[3], size)},
		{"a block twice", splice(all[:at[2]], one(1), all[at[2]:]), "[0 1 2 3 4 5 6 7 8 9]", fmt.Sprintf("[%d+%d]", at[2], size)},
		{"two blocks exchanged", splice(all[:at[4]], one(5), one(4), all[at[6]:]), "[0 1 2 3 5 4 6 7 8 9]", "[]"},
		{"a block of another file", splice(all[:at[4]], other[otherAt[4]:otherAt[5]], all[at[5]:]), "[0 1 2 3 5 6 7 8 9]", fmt.Sprintf("[%d+%d]", at[4], size)},
		{"bytes between", splice(all[:at[4]], []byte("HBLKHBLKxxxx"), all[at[4]:]), "[0 1 2 3 4 5 6 7 8 9]", fmt.Sprintf("[%d+12]", at[4])},
		{"bytes missing", splice(all[:at[4]+5], all[at[5]:]), "[0 1 2 3 5 6 7 8 9]", fmt.Sprintf("[%d+5]", at[4])},
		{"zeros at the end", splice(all, make([]byte, 100_003)), "[0 1 2 3 4 5 6 7 8 9]", fmt.Sprintf("[%d+100003 zero]", len(all))},
		{"garbage at the end", splice(all, bytes.Repeat([]byte("HBLK"), 20_000)), "[0 1 2 3 4 5 6 7 8 9]", fmt.Sprintf("[%d+80000]", len(all))},
		{"cut", all[:at[9]+50], "[0 1 2 3 4 5 6 7 8]", fmt.Sprintf("[%d+50]", at[9])},
	} {
		seqs, r := readSeqs(t, tc.all)
		gaps := []string{}
		for _, g := range r.gaps {
			s := fmt.Sprintf("%d+%d", g.at, g.bytes)
			if g.zero {
				s += " zero"
			}
			gaps = append(gaps, s)
		}
		if fmt.Sprint(seqs) != tc.seqs || fmt.Sprint(gaps) != tc.gaps {
			t.Errorf("%s: blocks %v, gaps %v, want %s and %s", tc.name, seqs, gaps, tc.seqs, tc.gaps)
		}
	}
}

// A block far longer than the window, behind damage that claims to be as long.
func TestReaderReadsLongBlocks(t *testing.T) {
	for codec := range codecCount {
		h := Header{Kind: KindSnapshot, Codec: codec, File: 3}
		w, err := newBlockWriter(&h)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		value := make([]byte, 9<<20)
		for i := range value {
			value[i] = byte(rng.IntN(40))
		}
		r := slab.Record{Key: []byte("long"), Ver: 5}
		buf := appendPut(beginBlock(nil), &r, len(value), func(dst []byte) []byte { return append(dst, value...) })
		block0 := bytes.Clone(w.frame(blockHeader{typ: blockEntries, entries: 1}, buf))
		block1 := bytes.Clone(w.frame(blockHeader{typ: blockEntries, entries: 1}, buf))
		block0[1000] ^= 1
		fs := newMemFS(1)
		fs.put("f", bytes.Join([][]byte{h.append(nil), block0, block1}, nil))
		rd, err := openReader(fs, "f")
		if err != nil {
			t.Fatal(err)
		}
		var b block
		if err := rd.read(&b); err != nil || b.seq != 1 || b.gap != int64(len(block0)) || !b.jump {
			t.Fatalf("block %d, gap %d, %v", b.seq, b.gap, err)
		}
		var u unpacker
		payload, err := u.unpack(&b)
		if err != nil {
			t.Fatal(err)
		}
		var e Entry
		if _, err := parseEntry(payload, &e); err != nil || !bytes.Equal(e.Value, value) {
			t.Fatalf("another value, %v", err)
		}
		u.close()
		closeNow(t, rd)
	}
}

// Bytes that look like the starts of very many long blocks cost no more than a
// multiple of the file's length.
func TestReaderGivesUpOnBait(t *testing.T) {
	h := Header{Kind: KindSnapshot, File: 3}
	all := h.append(nil)
	bait := make([]byte, blockBytes)
	b := blockHeader{typ: blockEntries, raw: 1 << 20, stored: 1 << 20, file: 3}
	b.put(bait)
	all = append(all, bytes.Repeat(bait, 2<<20/blockBytes)...)
	seqs, r := readSeqs(t, all)
	if len(seqs) != 0 || r.gapBytes != int64(len(all)-headerBytes) {
		t.Fatalf("%d blocks, gaps of %d bytes", len(seqs), r.gapBytes)
	}
	if most := 9*int64(len(all)) + 66<<20; r.spent > most {
		t.Errorf("%d bytes looked at, want %d at most", r.spent, most)
	}
}

func TestReaderRefusesOtherFiles(t *testing.T) {
	h := Header{Kind: KindSnapshot, File: 3}
	good := h.append(nil)
	change := func(at int, to byte) []byte {
		p := bytes.Clone(good)
		p[at] = to
		return p
	}
	wrongKind := Header{Kind: 77}
	for _, tc := range []struct {
		name string
		all  []byte
		want error
	}{
		{"empty", nil, ErrForeign},
		{"short", []byte("HOLD"), ErrForeign},
		{"cut", good[:4000], ErrDamaged},
		{"text", bytes.Repeat([]byte("hello world\n"), 1000), ErrForeign},
		{"a flipped bit", change(2000, 1), ErrDamaged},
		{"a kind that is not known", wrongKind.append(nil), ErrForeign},
	} {
		fs := newMemFS(1)
		fs.put("f", tc.all)
		if _, err := openReader(fs, "f"); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if n := fs.openFiles(); n != 0 {
			t.Errorf("%s: %d files are left open", tc.name, n)
		}
	}
}

// Places that cannot be read are passed over, a disk that cannot is an error.
func TestReaderPassesOverReadErrors(t *testing.T) {
	all, _ := testFile(t, CodecRaw, 1, 30_000)
	mem := newMemFS(1)
	mem.put("f", all)
	fs := newErrFS(mem)
	r, err := openReader(fs, "f")
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, r)
	fs.failOnce(opRead, "f", 2, errTest)
	var b block
	n := 0
	for err = r.read(&b); err == nil; err = r.read(&b) {
		n++
	}
	if !errors.Is(err, io.EOF) || n < 26_000 || n == 30_000 || r.gapCount != 1 || !errors.Is(r.gaps[0].err, errTest) {
		t.Errorf("%d blocks, %d gaps, %v", n, r.gapCount, err)
	}
	fs.clear()
	r2, err := openReader(fs, "f")
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, r2)
	fs.failFrom(opRead, "f", 1, errTest)
	for err = r2.read(&b); err == nil; err = r2.read(&b) {
		n++
	}
	if !errors.Is(err, errTest) {
		t.Errorf("%v, want %v", err, errTest)
	}
}

func TestReaderReadsTheRealFileSystem(t *testing.T) {
	all, _ := testFile(t, CodecS2, 1, 5000)
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, all, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := openReader(OS, name)
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, r)
	var b block
	n := 0
	for err = r.read(&b); err == nil; err = r.read(&b) {
		n++
	}
	if n != 5000 || !errors.Is(err, io.EOF) {
		t.Errorf("%d blocks, %v", n, err)
	}
}
