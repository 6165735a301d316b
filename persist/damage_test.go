package persist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-cache/holdfast/slab"
)

// tinySnapshot returns the bytes of a snapshot of a few small blocks, and what
// is in it.
func tinySnapshot(t testing.TB, codec Codec) (all []byte, want map[string]string) {
	t.Helper()
	s, w := newStore(t, func(c *slab.Config) { c.LimitBytes = 2 << 20 })
	for i := range 60 {
		set(t, w, fmt.Sprint("key-", i), bytes.Repeat([]byte{byte(i)}, i), slab.SetOp{Flags: uint32(i), Exptime: uint32(i%3) * 3000})
	}
	fs := newMemFS(1)
	o := testOptions()
	o.block = 300
	info, err := writeSnapshot(context.Background(), fs, ".", Header{Seq: 1, Codec: codec, File: 77}, s, o)
	if err != nil {
		t.Fatal(err)
	}
	if info.Blocks < 4 {
		t.Fatalf("only %d blocks", info.Blocks)
	}
	return fs.get(info.Name), contents(s)
}

// entries reads a file by Dump, and proves that everything in it is true.
func entries(t testing.TB, all []byte, want map[string]string) (Report, bool) {
	t.Helper()
	fs := newMemFS(1)
	fs.put("f", all)
	n := uint64(0)
	r, err := Dump(fs, "f", func(e *DumpEntry) error {
		n++
		rec, key := e.Record, string(e.Key)
		rec.Key, rec.Value = nil, nil
		if got := fmt.Sprintf("%+v %x", rec, e.Value); e.Op != OpPut || want[key] != got {
			t.Errorf("%s: %.100s, want %.100s", key, got, want[key])
		}
		return nil
	})
	if n := fs.openFiles(); n != 0 {
		t.Errorf("%d files are left open", n)
	}
	if err != nil {
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) {
			t.Error(err)
		}
		return r, false
	}
	if n != r.Items || r.Snapshot.Items > 0 && r.Items+r.Lost != r.Snapshot.Items {
		t.Errorf("%d entries dumped, report %+v", n, r)
	}
	return r, true
}

// restoreTrue restores a file and proves that the store holds nothing but truth
// and that the counts are right.
func restoreTrue(t testing.TB, all []byte, want map[string]string) {
	t.Helper()
	fs := newMemFS(1)
	fs.put("f", all)
	src, err := openSnapshot(fs, "f")
	if err != nil {
		return
	}
	defer closeNow(t, src)
	s, _ := newStore(t, func(c *slab.Config) { c.LimitBytes = 2 << 20 })
	s.BeginRestore(src.info.Ver, int(min(src.info.Items, 1000)))
	c, err := src.restore(context.Background(), s, restoreOptions{workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	s.EndRestore(false)
	got := contents(s)
	for k, v := range got {
		if want[k] != v {
			t.Errorf("%s: %.100s, want %.100s", k, v, want[k])
		}
	}
	if uint64(len(got)) != c.Items || src.complete && c.Items+c.Lost != uint64(len(want)) {
		t.Errorf("%d items, complete %t, counts %+v, want %d", len(got), src.complete, c, len(want))
	}
}

func TestEveryByteFlipped(t *testing.T) {
	for _, codec := range []Codec{CodecRaw, CodecS2} {
		all, want := tinySnapshot(t, codec)
		if r, ok := entries(t, all, want); !ok || r.Damaged() || r.Items != uint64(len(want)) {
			t.Fatalf("undamaged: %+v", r)
		}
		for at := range all {
			bad := bytes.Clone(all)
			bad[at] ^= 1 << (at % 8)
			r, ok := entries(t, bad, want)
			if ok == (at < headerBytes) || !r.Damaged() {
				t.Errorf("byte %d: readable %t, %+v", at, ok, r)
			}
			if at >= headerBytes && r.Items+20 < uint64(len(want)) {
				t.Errorf("byte %d: only %d items are left", at, r.Items)
			}
			if at%64 == 0 && at >= headerBytes {
				restoreTrue(t, bad, want)
			}
		}
	}
}

func TestEveryLengthCut(t *testing.T) {
	for _, codec := range []Codec{CodecRaw, CodecS2} {
		all, want := tinySnapshot(t, codec)
		for n := range all {
			r, ok := entries(t, all[:n], want)
			if ok == (n < headerBytes) || !r.Damaged() || r.Complete {
				t.Errorf("cut to %d bytes: readable %t, %+v", n, ok, r)
			}
			if n%64 == 0 && n >= headerBytes {
				restoreTrue(t, all[:n], want)
			}
		}
	}
}

func TestSnapshotsMixedUp(t *testing.T) {
	all, want := tinySnapshot(t, CodecRaw)
	other := bytes.Clone(all)
	h, err := parseHeader(all)
	if err != nil {
		t.Fatal(err)
	}
	h.File++
	copy(other, h.append(nil)) // the same blocks, in a file that they are not of
	if r, ok := entries(t, other, want); !ok || r.Items != 0 || r.Complete {
		t.Errorf("blocks of another file: %+v", r)
	}
	for name, bad := range map[string][]byte{
		"a zero tail":     append(bytes.Clone(all), make([]byte, 5000)...),
		"a garbage tail":  append(bytes.Clone(all), bytes.Repeat([]byte("HBLKxyz"), 999)...),
		"itself again":    append(bytes.Clone(all), all...),
		"a hole of zeros": slicesConcat(all[:headerBytes+100], make([]byte, 700), all[headerBytes+800:]),
		"a lost page":     slicesConcat(all[:headerBytes+100], all[headerBytes+612:]),
	} {
		r, ok := entries(t, bad, want)
		if !ok || !r.Damaged() || r.Items < 30 {
			t.Errorf("%s: %+v", name, r)
		}
		restoreTrue(t, bad, want)
	}
}

func slicesConcat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// wholeSnapshot restores the newest snapshot that is complete and returns its number.
func wholeSnapshot(t *testing.T, fs FS, dir string) (seq uint64, got map[string]string) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(names) - 1; i >= 0; i-- {
		if !strings.HasSuffix(names[i], ".hfs") {
			continue
		}
		s, info, c := restoreFile(t, fs, filepath.Join(dir, names[i])) // fails if it is not complete
		if c.Lost != 0 || c.BadBlocks != 0 {
			t.Errorf("%s is damaged: %+v", names[i], c)
		}
		return info.Seq, contents(s)
	}
	t.Fatal("no snapshot is there")
	return 0, nil
}

// Whatever operation of the file system fails, and however, the old snapshot is
// there afterwards, and a new one only if it is whole.
func TestSnapshotWhenAnythingFails(t *testing.T) {
	s, w := newStore(t, nil)
	set(t, w, "old", []byte("v"), slab.SetOp{})
	base := newMemFS(1)
	mustSnapshot(t, base, "d", s, 1, CodecS2)
	want := map[uint64]map[string]string{1: contents(s)}
	fillStore(t, w, 400, 1)
	want[2] = contents(s)
	try := func(name string, arm func(fs *errFS)) (ops int) {
		mem := base.crash(100)
		fs := newErrFS(mem)
		arm(fs)
		o := testOptions()
		o.block = 20_000
		_, err := writeSnapshot(context.Background(), fs, "d", Header{Seq: 2, Codec: CodecS2}, s, o)
		ops = fs.count()
		fs.clear()
		seq, got := wholeSnapshot(t, fs, "d")
		wantContents(t, got, want[seq])
		if err == nil && seq != 2 {
			t.Errorf("%s: no error, and snapshot %d is the newest", name, seq)
		}
		if err != nil && seq == 2 && !strings.Contains(err.Error(), "sync directory") {
			t.Errorf("%s: %v, and yet the snapshot is there", name, err)
		}
		if n := mem.openFiles(); n != 0 {
			t.Errorf("%s: %d files are left open", name, n)
		}
		names, e := fs.List("d")
		if e != nil || strings.Contains(fmt.Sprint(names), tmpSuffix) && !strings.Contains(name, "from") {
			t.Errorf("%s: files %v, %v", name, names, e)
		}
		return ops
	}
	count := try("nothing", func(*errFS) {})
	for n := 1; n <= count; n++ {
		for _, err := range []error{syscall.EIO, io.ErrShortWrite} {
			try(fmt.Sprint(n, " fails once"), func(fs *errFS) { fs.failOnce(opAny, "", n, err) })
		}
		try(fmt.Sprint("all from ", n), func(fs *errFS) { fs.failFrom(opAny, "", n, syscall.EROFS) })
		try(fmt.Sprint("write ", n, " is short"), func(fs *errFS) { fs.shortWrite("", n, 100, syscall.EIO) })
	}
	size := len(base.get("d/" + snapshotName(1)))
	for room := 0; room < size+40_000; room += 1777 {
		try(fmt.Sprint("room for ", room), func(fs *errFS) { fs.limit(int64(room)) })
	}
	if count < 10 {
		t.Errorf("only %d operations", count)
	}
}

// Whenever the power is cut, the old snapshot or the new one is there, whole.
func TestSnapshotWhenThePowerIsCut(t *testing.T) {
	s, w := newStore(t, nil)
	set(t, w, "old", []byte("v"), slab.SetOp{})
	mem := newMemFS(1)
	mustSnapshot(t, mem, "d", s, 1, CodecS2)
	want := map[uint64]map[string]string{1: contents(s)}
	fillStore(t, w, 300, 1)
	want[2] = contents(s)
	fs := newErrFS(mem)
	var cuts []*memFS
	fs.before = func(fsOp, string) {
		for _, share := range []int{0, 30, 70, 100} {
			cuts = append(cuts, mem.crash(share))
		}
	}
	o := testOptions()
	o.block = 20_000
	if _, err := writeSnapshot(context.Background(), fs, "d", Header{Seq: 2, Codec: CodecS2}, s, o); err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]int{}
	for _, cut := range cuts {
		seq, got := wholeSnapshot(t, cut, "d")
		wantContents(t, got, want[seq])
		seen[seq]++
	}
	if seen[1] == 0 || seen[2] == 0 {
		t.Errorf("%v: all cuts were early, or late", seen)
	}
	if seq, _ := wholeSnapshot(t, mem.crash(0), "d"); seq != 2 {
		t.Errorf("after success and a power cut snapshot %d is the newest", seq)
	}
}

func TestCheckTellsAllOfADirectory(t *testing.T) {
	all, want := tinySnapshot(t, CodecS2)
	fs := newMemFS(1)
	fs.put("d/snap-1.hfs", all)
	bad := bytes.Clone(all)
	bad[headerBytes+60] ^= 1
	fs.put("d/snap-2.hfs", bad)
	fs.put("d/snap-3.hfs", []byte("something else"))
	fs.put("d/lock", nil)

	// A segment with a torn tail, one with a hole before what was synced, and one
	// with room that was never used.
	h := Header{Kind: KindJournal, File: 9, Seq: 4}
	w, err := newBlockWriter(&h)
	if err != nil {
		t.Fatal(err)
	}
	segment := h.append(nil)
	var at []int
	for i := range 3 {
		buf := appendRemove(beginBlock(nil), fmt.Appendf(nil, "k%d", i), uint64(i+5))
		at = append(at, len(segment))
		segment = append(segment, w.frame(blockHeader{typ: blockEntries, entries: 1, synced: uint32(i)}, buf)...)
	}
	fs.put("d/journal-4.hfj", segment[:len(segment)-1])
	hole := bytes.Clone(segment)
	hole[at[1]+10]++
	fs.put("d/journal-5.hfj", hole)
	fs.put("d/journal-6.hfj", append(bytes.Clone(segment), make([]byte, 9000)...))

	blocks := map[string]int{}
	reports, err := Check(fs, "d", func(file string, b BlockReport) {
		blocks[file]++
		if b.Err != nil || b.At < headerBytes || b.Type == "" {
			t.Errorf("%s: %+v", file, b)
		}
	})
	if err != nil || len(reports) != 6 {
		t.Fatalf("%d reports, %v", len(reports), err)
	}
	by := map[string]*Report{}
	for i := range reports {
		by[filepath.Base(reports[i].Name)] = &reports[i]
	}
	if r := by["snap-1.hfs"]; r.Damaged() || r.Items != uint64(len(want)) || r.Puts != r.Items || r.MinVer == 0 || r.MaxVer <= r.MinVer || blocks["d/snap-1.hfs"] != int(r.Blocks)+2 {
		t.Errorf("%+v", r)
	}
	if r := by["snap-2.hfs"]; !r.Damaged() || r.Lost == 0 || r.GapCount != 1 || r.Gaps[0].At != headerBytes || !r.Complete {
		t.Errorf("%+v", r)
	}
	if r := by["snap-3.hfs"]; !r.Damaged() || !errors.Is(r.Err, ErrForeign) {
		t.Errorf("%+v", r)
	}
	if r := by["journal-4.hfj"]; r.Damaged() || !r.TornTail || r.Removes != 2 {
		t.Errorf("%+v", r)
	}
	if r := by["journal-5.hfj"]; !r.Damaged() || r.TornTail || r.Removes != 2 || r.GapCount != 1 {
		t.Errorf("%+v", r)
	}
	if r := by["journal-6.hfj"]; r.Damaged() || r.Unused != 9000 || r.Removes != 3 {
		t.Errorf("%+v", r)
	}
	if _, err := Check(newMemFS(1), ".", nil); err == nil {
		t.Error("an empty directory is in order")
	}
	if reports, err := Check(fs, "d/snap-1.hfs", nil); err != nil || len(reports) != 1 || reports[0].Damaged() {
		t.Errorf("%+v, %v", reports, err)
	}
}

func TestDumpTellsTheTimesOfTheWorld(t *testing.T) {
	all, _ := tinySnapshot(t, CodecS2)
	fs := newMemFS(1)
	fs.put("f", all)
	never, later := 0, 0
	_, err := Dump(fs, "f", func(e *DumpEntry) error {
		if e.Accessed.Unix() != 1e9 { // the test's clock
			t.Errorf("accessed %v", e.Accessed)
		}
		switch {
		case e.Exptime == 0 && e.Expires.IsZero():
			never++
		case e.Expires.Unix() == 1e9+int64(e.Exptime)-1000:
			later++
		default:
			t.Errorf("expires %d, %v", e.Exptime, e.Expires)
		}
		return nil
	})
	if err != nil || never != 20 || later != 40 {
		t.Errorf("%d never, %d later, %v", never, later, err)
	}
	if _, err := Dump(fs, "f", func(*DumpEntry) error { return errTest }); !errors.Is(err, errTest) {
		t.Error(err)
	}
}

// vanishing is a file system whose directories list a file that is gone by the time
// it is opened.
type vanishing struct {
	FS
	name string
}

func (fs vanishing) List(dir string) ([]string, error) {
	all, err := fs.FS.List(dir)
	return append(all, fs.name), err
}

// A server removes old files while its directory is checked: that is no damage. A
// file that was asked for by its name must be there.
func TestCheckOfADirectoryInUse(t *testing.T) {
	mem := newMemFS(1)
	s, w := newStore(t, nil)
	set(t, w, "a", []byte("v"), slab.SetOp{})
	mustSnapshot(t, mem, ".", s, 1, CodecRaw)
	reports, err := Check(vanishing{mem, snapshotName(2)}, ".", nil)
	if err != nil || len(reports) != 1 || Damage(reports) != nil {
		t.Errorf("%+v, %v", reports, err)
	}
	if reports, err := Check(mem, snapshotName(2), nil); err != nil || Damage(reports) == nil {
		t.Errorf("%+v, %v", reports, err)
	}
}

// A journal that has filled several segments and gone on is as it was written.
func TestCheckOfAJournal(t *testing.T) {
	k := newJournalled(t, PolicyAlways, nil)
	k.j.start()
	for n := range 100 {
		set(t, k.w, fmt.Sprint("key", n), make([]byte, 1000), slab.SetOp{})
		if n%30 == 0 {
			if err := k.j.rotate(k.seq.Add(1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	until(t, "the sync", func() bool { return k.j.Synced(k.j.Appended()) })
	wantSound(t, k.fs, "d")
	if err := k.j.close(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, k.fs, "d")
}

// wantSound checks a directory in which nothing is wrong.
func wantSound(t *testing.T, fs FS, dir string) {
	t.Helper()
	reports, err := Check(fs, dir, nil)
	if err != nil || Damage(reports) != nil || len(reports) < 2 {
		t.Errorf("%+v, %v, %v", reports, Damage(reports), err)
	}
	reports, err = Export(fs, dir, func(*DumpEntry) error { return nil })
	if err != nil || Damage(reports) != nil {
		t.Errorf("%+v, %v, %v", reports, Damage(reports), err)
	}
}

// growing is a file system with a file that is in the midst of a write when it is
// opened first.
type growing struct {
	*memFS
	now, later []byte
}

func (fs *growing) Open(name string) (File, error) {
	fs.put(name, fs.now)
	fs.now = fs.later
	return fs.memFS.Open(name)
}

// What is seen of a segment while the server writes to it may have a hole where the
// write has not come to yet. It is looked at again; what stays is damage.
func TestCheckOfASegmentInUse(t *testing.T) {
	k := newJournalled(t, PolicyOS, nil)
	for n := range 8 {
		set(t, k.w, fmt.Sprint("key", n), make([]byte, 500), slab.SetOp{})
		if err := k.j.round(false); err != nil {
			t.Fatal(err)
		}
	}
	whole := k.mem.get("d/" + segmentName(1))
	half := bytes.Clone(whole)
	clear(half[headerBytes+1000 : headerBytes+1200])
	for _, c := range []struct {
		later   []byte
		damaged bool
	}{{whole, false}, {half, true}} {
		for _, what := range []string{"check", "export"} {
			fs := &growing{newMemFS(1), half, c.later}
			items := 0
			reports, err := Check(fs, "segment", nil)
			if what == "export" {
				fs = &growing{newMemFS(1), half, c.later}
				reports, err = Export(fs, "segment", func(*DumpEntry) error { items++; return nil })
			}
			if err != nil || len(reports) != 1 || (Damage(reports) != nil) != c.damaged {
				t.Errorf("%s, damaged: %t: %+v, %v", what, c.damaged, reports, err)
			}
			if what == "export" && !c.damaged && items != 8 {
				t.Errorf("%d items", items)
			}
		}
	}
}
