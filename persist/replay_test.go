package persist

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/holdfast-cache/holdfast/slab"
)

// written is a journal of small segments, with what the store was at the end of
// each block.
type written struct {
	k     *journalled
	files map[uint64][]byte
	// ends and states are, by segment, where each block ends and what keys had
	// which values then.
	ends   map[uint64][]int64
	states map[uint64][]map[string]string
	keys   map[string]*history
}

// writeSegments makes so many segments of eight blocks, one change each.
func writeSegments(t testing.TB, segments int, seed uint64) *written {
	t.Helper()
	k := newJournalled(t, PolicyInterval, nil)
	o := newOracle(k, seed)
	o.short = true
	x := &written{
		k: k, files: map[uint64][]byte{}, ends: map[uint64][]int64{},
		states: map[uint64][]map[string]string{}, keys: o.keys,
	}
	for range segments {
		seq := k.seq.Add(1)
		if err := k.j.turn(seq); err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			o.step()
			if err := k.j.round(i%4 == 0); err != nil {
				t.Fatal(err)
			}
			x.ends[seq] = append(x.ends[seq], k.j.flush.seg.used)
			x.states[seq] = append(x.states[seq], values(k.s, o.keys))
		}
	}
	if err := k.j.finish(); err != nil {
		t.Fatal(err)
	}
	names, err := k.mem.List("d")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		seq, ok := segmentSeq(name)
		if !ok {
			t.Fatal(name)
		}
		x.files[seq] = k.mem.get("d/" + name)
	}
	return x
}

// with returns a file system with the segments, one of them in another form;
// nil is without it.
func (x *written) with(seq uint64, data []byte) *memFS {
	fs := newMemFS(1)
	fs.put("d/x", nil)
	for s, file := range x.files {
		switch {
		case s != seq:
			fs.put("d/"+segmentName(s), file)
		case data != nil:
			fs.put("d/"+segmentName(s), data)
		}
	}
	return fs
}

// wantTrueOrMissing checks that each key has its last value or none, and returns
// how many have theirs.
func (x *written) wantTrueOrMissing(t *testing.T, fs *memFS, what string) (found int, n Replayed) {
	t.Helper()
	s, n := startAgain(t, fs, "d")
	defer closeStore(t, s)
	for key, value := range values(s, x.keys) {
		last := x.keys[key].last()
		if value != "" && value != last {
			t.Errorf("%s: %s is %.60q, not %.60q: %+v", what, key, value, last, n)
		}
		if value == last && last != "" {
			found++
		}
	}
	return found, n
}

// Every byte of a segment in the middle and of the last one is changed in turn. No key has an old value, and
// where it can be told which lane lost a block the others stay.
func TestReplayOfFlippedBytes(t *testing.T) {
	x := writeSegments(t, 3, 1)
	all, _ := x.wantTrueOrMissing(t, x.k.mem, "unchanged")
	kept, cases := 0, 0
	for seq, file := range x.files {
		if seq == 1 {
			continue
		}
		for at := range file {
			if at > 100 && at < headerBytes-8 && at%512 != 0 {
				continue // zeros of the header
			}
			data := bytes.Clone(file)
			data[at] ^= byte(1 + (at*7)%255)
			found, n := x.wantTrueOrMissing(t, x.with(seq, data), fmt.Sprintf("byte %d of segment %d", at, seq))
			if t.Failed() {
				t.FailNow()
			}
			kept += found
			cases++
			if at < headerBytes && found != all {
				t.Errorf("byte %d of the header of segment %d: %d keys of %d: %+v", at, seq, found, all, n)
			}
		}
	}
	if kept < cases*all*6/10 {
		t.Errorf("on average %.1f keys of %d are kept", float64(kept)/float64(cases), all)
	}
	t.Logf("%d cases, %.1f keys of %d are kept", cases, float64(kept)/float64(cases), all)
}

// The last segment is cut at every length: what is whole counts. An earlier one
// that is cut is damage, for the next one knows better.
func TestReplayOfCutSegments(t *testing.T) {
	x := writeSegments(t, 2, 2)
	last := x.files[2]
	for cut := range len(last) {
		if cut < headerBytes && cut%64 != 0 {
			continue
		}
		s, n := startAgain(t, x.with(2, last[:cut]), "d")
		want := x.states[1][len(x.states[1])-1]
		for i, end := range x.ends[2] {
			if int64(cut) >= end {
				want = x.states[2][i]
			}
		}
		got := values(s, x.keys)
		closeStore(t, s)
		for key := range want {
			if got[key] != want[key] {
				t.Fatalf("cut to %d bytes: %s is %.50q, want %.50q: %+v", cut, key, got[key], want[key], n)
			}
		}
		if n.Gaps != 0 || n.Torn != 1 {
			t.Fatalf("cut to %d bytes: %+v", cut, n)
		}
	}
	first := x.files[1]
	for cut := headerBytes; cut < len(first)-1; cut += 11 {
		if _, n := x.wantTrueOrMissing(t, x.with(1, first[:cut]), fmt.Sprint("cut to ", cut)); n.Gaps == 0 && !t.Failed() {
			t.Errorf("cut to %d bytes, and nothing noticed: %+v", cut, n)
		}
	}
}

// A segment is missing, or is another one under its name, or of a later version.
func TestReplayOfMissingSegments(t *testing.T) {
	x := writeSegments(t, 3, 1)
	later := bytes.Clone(x.files[2])
	later[10]++
	h := Header{Kind: KindJournal, Seq: 2, File: 1}
	page := h.append(nil)
	page[10]++ // the major version, with a checksum that is right
	copy(page[headerBytes-4:], le32(blockSum(page[:headerBytes-4], nil)))
	for what, data := range map[string][]byte{
		"missing": nil, "another": x.files[1], "of a later version": append(page, later[headerBytes:]...),
		"empty": {}, "text": []byte(strings.Repeat("text", 5000)),
	} {
		if found, n := x.wantTrueOrMissing(t, x.with(2, data), what); n.Gaps == 0 || found == 0 {
			t.Errorf("%s: %d keys, %+v", what, found, n)
		}
	}
}

func le32(n uint32) []byte { return []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)} }

// What follows the last block is of no interest: noise, or blocks that an earlier
// file has left in the same place.
func TestReplayOfGarbageTails(t *testing.T) {
	x := writeSegments(t, 2, 4)
	want := x.states[2][len(x.states[2])-1]
	noise := make([]byte, 3000)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	last := x.files[2]
	open := last[:len(last)-blockBytes] // as after a crash, without the end block
	for what, tail := range map[string][]byte{
		"noise": noise, "blocks of another file": x.files[1][headerBytes:], "zeros": make([]byte, 20_000),
		"its own blocks": last[headerBytes:], "a magic": bytes.Repeat(magicBytes, 100),
	} {
		for _, end := range [][]byte{open, last} {
			fs := x.with(2, append(bytes.Clone(end), tail...))
			s, n := startAgain(t, fs, "d")
			got := values(s, x.keys)
			closeStore(t, s)
			for key := range want {
				if got[key] != want[key] {
					t.Errorf("%s: %s is %.50q, want %.50q: %+v", what, key, got[key], want[key], n)
				}
			}
			if n.Gaps != 0 {
				t.Errorf("%s: %+v", what, n)
			}
		}
	}
}

// Whatever a file says, reading it ends, and leaves a store that is in order.
func FuzzReplay(f *testing.F) {
	x := writeSegments(f, 2, 5)
	f.Add(x.files[1], x.files[2])
	f.Add(x.files[2][:len(x.files[2])-70], []byte{})
	k := newJournalled(f, PolicyOS, func(c *journalConfig) { c.codec = CodecS2 })
	newOracle(k, 6).work(60)
	if err := k.j.finish(); err != nil {
		f.Fatal(err)
	}
	f.Add(k.mem.get("d/"+segmentName(1)), k.mem.get("d/"+segmentName(2)))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		fs := newMemFS(1)
		fs.put("d/"+segmentName(1), one)
		fs.put("d/"+segmentName(2), resum(two))
		c := slab.DefaultConfig()
		smallStore(&c)
		s, err := slab.New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer closeStore(t, s)
		s.BeginRestore(1<<47, 0)
		if _, err := replayJournal(context.Background(), fs, "d", s, replayOptions{}); err != nil {
			t.Fatal(err)
		}
		s.EndRestore(true)
	})
}

// resum gives the header and the blocks of a file checksums that are right, so
// that a fuzzer gets beyond them.
func resum(p []byte) []byte {
	p = bytes.Clone(p)
	if len(p) < headerBytes {
		return p
	}
	copy(p[headerBytes-4:], le32(blockSum(p[:headerBytes-4], nil)))
	for at := headerBytes; at+blockBytes <= len(p); {
		b, _ := parseBlockHeader(p[at:], 0)
		end := int(min(int64(at)+blockBytes+int64(b.stored), int64(len(p))))
		copy(p[at+44:], le32(blockSum(p[at:at+44], p[at+blockBytes:end])))
		at = end
	}
	return p
}
