package persist

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-cache/holdfast/slab"
)

// fixedClock is a Clock that stands still.
type fixedClock Stamp

func (c fixedClock) World() Stamp { return Stamp(c) }

func newStore(t testing.TB, change func(*slab.Config)) (*slab.Store, *slab.Worker) {
	t.Helper()
	c := slab.DefaultConfig()
	c.LimitBytes = 16 << 20
	c.HashPower = 8
	if change != nil {
		change(&c)
	}
	s, err := slab.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.Tick(1000)
	return s, s.NewWorker()
}

func set(t testing.TB, w *slab.Worker, key string, value []byte, op slab.SetOp) {
	t.Helper()
	if r := w.Set(w.Store().Key([]byte(key)), &op, value); r.Result != slab.Stored {
		t.Fatalf("set %s: %v", key, r.Result)
	}
}

// fillStore stores items of all sorts.
func fillStore(t testing.TB, w *slab.Worker, items int, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range items {
		value := []byte(strings.Repeat(fmt.Sprint(i, "-"), 1+rng.IntN(12)))
		switch {
		case i%97 == 0:
			value = bytes.Repeat(value, 1+20_000/len(value))
		case i%301 == 0:
			value = bytes.Repeat(value, 1+700_000/len(value))
		}
		op := slab.SetOp{Flags: uint32(rng.IntN(3)), Binary: rng.IntN(8) == 0}
		if rng.IntN(3) == 0 {
			op.Exptime = 1001 + uint32(rng.IntN(1000))
		}
		if rng.IntN(5) == 0 {
			op.NewCAS = rng.Uint64() >> 8
		}
		key := fmt.Sprint("key-", i)
		set(t, w, key, value, op)
		switch rng.IntN(10) {
		case 0:
			w.Get(w.Store().Key([]byte(key)), nil, nil)
		case 1:
			w.Delete(w.Store().Key([]byte(key)), &slab.DeleteOp{Invalidate: true})
		}
	}
}

// contents returns all that a store would keep of each of its items.
func contents(s *slab.Store) map[string]string {
	all := map[string]string{}
	var c slab.Cursor
	for done := false; !done; {
		done = s.Walk(&c, slab.AllClasses, 1000, func(i slab.Item) {
			var r slab.Record
			i.Record(&r)
			key, value := string(r.Key), i.AppendValue(nil)
			r.Key, r.Value = nil, nil
			all[key] = fmt.Sprintf("%+v %x", r, value)
		})
	}
	return all
}

func wantContents(t testing.TB, got, want map[string]string) {
	t.Helper()
	bad := 0
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: %.200q, want %.200q", k, got[k], v)
			bad++
		}
		if bad > 10 {
			t.FailNow()
		}
	}
	for k := range got {
		if _, is := want[k]; !is {
			t.Errorf("%s is there, and should not be", k)
		}
	}
}

func testOptions() snapshotOptions { return snapshotOptions{clock: fixedClock{WallNs: 1e18}} }

// mustSnapshot makes a snapshot.
func mustSnapshot(t testing.TB, fs FS, dir string, s *slab.Store, seq uint64, codec Codec) SnapshotInfo {
	t.Helper()
	info, err := writeSnapshot(context.Background(), fs, dir, Header{Seq: seq, Codec: codec}, s, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// restoreFile restores a snapshot into a new store.
func restoreFile(t testing.TB, fs FS, name string) (*slab.Store, SnapshotInfo, Restored) {
	t.Helper()
	src, err := openSnapshot(fs, name)
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, src)
	if !src.complete {
		t.Fatal("the snapshot is incomplete")
	}
	s, _ := newStore(t, nil)
	s.BeginRestore(src.info.Ver, int(src.info.Items))
	c, err := src.restore(context.Background(), s, restoreOptions{workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	s.EndRestore(true)
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s, src.info, c
}

func TestSnapshotKeepsEverything(t *testing.T) {
	for codec := range codecCount {
		for _, fs := range []FS{newMemFS(1), OS} {
			dir := t.TempDir()
			if err := fs.MkdirAll(dir); err != nil {
				t.Fatal(err)
			}
			s, w := newStore(t, nil)
			fillStore(t, w, 5000, 1)
			want := contents(s)
			var p snapshotProgress
			o := testOptions()
			o.progress = &p
			info, err := writeSnapshot(context.Background(), fs, dir, Header{Seq: 3, Codec: codec}, s, o)
			if err != nil {
				t.Fatal(err)
			}
			if info.Items != uint64(len(want)) || info.Items != p.items.Load() || info.Name != "snap-0000000000000003.hfs" || p.longest.Load() == 0 {
				t.Errorf("%+v for %d items", info, len(want))
			}
			if names, err := fs.List(dir); err != nil || fmt.Sprint(names) != "[snap-0000000000000003.hfs]" {
				t.Errorf("files %v, %v", names, err)
			}
			s2, info2, c := restoreFile(t, fs, filepath.Join(dir, info.Name))
			wantContents(t, contents(s2), want)
			if info2 != info {
				t.Errorf("read %+v, wrote %+v", info2, info)
			}
			c.Took = 0
			if want := (Restored{Items: info.Items, Bytes: info.FileBytes}); c != want {
				t.Errorf("counts %+v, want %+v", c, want)
			}
			if s2.Version() < s.Version() {
				t.Errorf("version %d, was %d", s2.Version(), s.Version())
			}
		}
	}
}

func TestSnapshotOfNothing(t *testing.T) {
	fs := newMemFS(1)
	s, _ := newStore(t, nil)
	info := mustSnapshot(t, fs, ".", s, 1, CodecS2)
	s2, _, c := restoreFile(t, fs, info.Name)
	if n := len(contents(s2)); n != 0 || c.Items != 0 || info.Blocks != 0 {
		t.Errorf("%d items of nothing, %+v", n, info)
	}
}

// A value longer than what is ever copied.
func TestSnapshotOfHugeValues(t *testing.T) {
	big := func(c *slab.Config) { c.LimitBytes, c.ItemSizeMax = 128<<20, 64<<20 }
	for codec := range codecCount {
		fs := newMemFS(1)
		s, w := newStore(t, big)
		value := make([]byte, 21<<20)
		for i := range value {
			value[i] = byte(i ^ i>>8 ^ i>>16)
		}
		set(t, w, "huge", value, slab.SetOp{Flags: 7})
		set(t, w, "small", []byte("x"), slab.SetOp{})
		set(t, w, "packed", value[:3<<20], slab.SetOp{})
		info := mustSnapshot(t, fs, ".", s, 1, codec)
		src, err := openSnapshot(fs, info.Name)
		if err != nil || !src.complete {
			t.Fatal(err)
		}
		s2, _ := newStore(t, big)
		s2.BeginRestore(src.info.Ver, 3)
		if _, err := src.restore(context.Background(), s2, restoreOptions{}); err != nil {
			t.Fatal(err)
		}
		s2.EndRestore(true)
		closeNow(t, src)
		wantContents(t, contents(s2), contents(s))
		if info.Blocks < 2 {
			t.Errorf("%d blocks", info.Blocks)
		}
	}
}

func TestRestoreLeavesOutTheDead(t *testing.T) {
	fs := newMemFS(1)
	s, w := newStore(t, nil)
	set(t, w, "flushed", []byte("v"), slab.SetOp{})
	s.FlushAll(0)
	set(t, w, "stays", []byte("v"), slab.SetOp{Exptime: 5000})
	set(t, w, "expires", []byte("v"), slab.SetOp{Exptime: 1500})
	set(t, w, "newer", []byte("v"), slab.SetOp{})
	set(t, w, "long", make([]byte, 100_000), slab.SetOp{})
	info := mustSnapshot(t, fs, ".", s, 1, CodecS2)
	if info.Items != 4 || info.Flushed == 0 {
		t.Errorf("%+v", info)
	}
	s2, w2 := newStore(t, func(c *slab.Config) { c.ItemSizeMax = 50_000 })
	s2.Tick(2000)
	src, err := openSnapshot(fs, info.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, src)
	s2.BeginRestore(src.info.Ver, 0)
	set(t, w2, "newer", []byte("from a client"), slab.SetOp{})
	c, err := src.restore(context.Background(), s2, restoreOptions{marks: slab.MarkStale})
	if err != nil {
		t.Fatal(err)
	}
	s2.EndRestore(true)
	c.Took, c.Bytes = 0, 0
	if want := (Restored{Items: 1, Expired: 1, Older: 1, TooLarge: 1}); c != want {
		t.Errorf("counts %+v, want %+v", c, want)
	}
	got := contents(s2)
	if len(got) != 2 || !strings.HasSuffix(got["newer"], fmt.Sprintf("%x", "from a client")) {
		t.Errorf("the store holds %v", got)
	}
	if want := fmt.Sprint("Marks:", slab.MarkStale); !strings.Contains(got["stays"], want) {
		t.Errorf("%q, want %s", got["stays"], want)
	}
}

func TestSnapshotAndRestoreAreCancelled(t *testing.T) {
	mem := newMemFS(1)
	fs := newErrFS(mem)
	s, w := newStore(t, nil)
	fillStore(t, w, 5000, 1)
	info := mustSnapshot(t, fs, ".", s, 1, CodecRaw)
	ctx, cancel := context.WithCancel(context.Background())
	entered, release := fs.block(opWrite, tmpSuffix, 5)
	done := make(chan error)
	go func() {
		_, err := writeSnapshot(ctx, fs, ".", Header{Seq: 2}, s, testOptions())
		done <- err
	}()
	<-entered
	cancel()
	release()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("snapshot: %v", err)
	}
	if names, err := fs.List("."); err != nil || fmt.Sprint(names) != "["+info.Name+"]" {
		t.Errorf("files %v, %v", names, err)
	}
	// One that is slowed down to a crawl is cancelled as well.
	ctx, cancel = context.WithCancel(context.Background())
	o := testOptions()
	o.rate, o.progress = 100_000, new(snapshotProgress)
	go func() {
		_, err := writeSnapshot(ctx, fs, ".", Header{Seq: 2}, s, o)
		done <- err
	}()
	for o.progress.items.Load() == 0 {
		select {
		case err := <-done:
			t.Fatal(err)
		default:
		}
	}
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("snapshot: %v", err)
	}
	if n := mem.openFiles(); n != 0 {
		t.Errorf("%d files are left open", n)
	}

	src, err := openSnapshot(fs, info.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, src)
	s2, _ := newStore(t, nil)
	s2.BeginRestore(src.info.Ver, 0)
	if c, err := src.restore(ctx, s2, restoreOptions{}); err == nil || c.Items != 0 {
		t.Errorf("restored %d items, %v", c.Items, err)
	}
}

// Items that change during the walk are there as they were or as they are.
func TestSnapshotOfABusyStore(t *testing.T) {
	s, w := newStore(t, func(c *slab.Config) { c.LimitBytes = 64 << 20 })
	const keys = 3000
	value := func(k, n int) []byte {
		size := 20
		switch k % 50 {
		case 0:
			size = 30_000
		case 1:
			size = 5_000
		}
		return bytes.Repeat(fmt.Appendf(nil, "%d:%d;", k, n), size/8)
	}
	for k := range keys {
		set(t, w, fmt.Sprint("key-", k), value(k, 0), slab.SetOp{})
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		w := s.NewWorker()
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			k := n * 7 % keys
			w.Set(s.Key(fmt.Appendf(nil, "key-%d", k)), &slab.SetOp{}, value(k, n))
		}
	}()
	fs := newMemFS(1)
	for seq := range uint64(5) {
		mustSnapshot(t, fs, ".", s, seq, CodecS2)
	}
	close(stop)
	<-stopped
	for seq := range uint64(5) {
		src, err := openSnapshot(fs, snapshotName(seq))
		if err != nil {
			t.Fatal(err)
		}
		s2, w2 := newStore(t, func(c *slab.Config) { c.LimitBytes = 64 << 20 })
		s2.BeginRestore(src.info.Ver, 0)
		if _, err := src.restore(context.Background(), s2, restoreOptions{}); err != nil {
			t.Fatal(err)
		}
		s2.EndRestore(true)
		closeNow(t, src)
		for k := range keys {
			found := false
			w2.Get(s2.Key(fmt.Appendf(nil, "key-%d", k)), nil, func(v *slab.View) {
				found = true
				var n int
				got := v.AppendValue(nil)
				if _, err := fmt.Sscanf(string(got[:min(20, len(got))]), fmt.Sprint(k, ":%d;"), &n); err != nil || !bytes.Equal(got, value(k, n)) {
					t.Errorf("key %d holds %.40q, %v", k, got, err)
				}
			})
			if !found {
				t.Errorf("key %d is missing", k)
			}
		}
	}
}

// benchStore holds items of 100 bytes under keys of 16.
func benchStore(b *testing.B, items int) *slab.Store {
	b.Helper()
	s, w := newStore(b, func(c *slab.Config) { c.LimitBytes = 64<<20 + int64(items)*220; c.HashPower = 16 })
	value := make([]byte, 100)
	rng := rand.New(rand.NewPCG(1, 2))
	var k [16]byte
	copy(k[:], "key:")
	for i := range items {
		binary.BigEndian.PutUint64(k[8:], uint64(i)*0x9e3779b97f4a7c15)
		for j := range value {
			value[j] = "0123456789abcdef"[rng.IntN(16)]
		}
		if r := w.Set(s.Key(k[:]), &slab.SetOp{}, value); r.Result != slab.Stored {
			b.Fatal(r)
		}
	}
	return s
}

const benchItems = 4_000_000

// cpuTime starts a clock of the process's CPU time and returns what gives it in
// ns: on a busy machine that says more than the time on the wall.
func cpuTime(b *testing.B) func() float64 {
	b.Helper()
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := used()
	return func() float64 { return float64(used() - start) }
}

// BenchmarkSnapshot saves 4 M items; the time of one is what counts.
func BenchmarkSnapshot(b *testing.B) {
	s := benchStore(b, benchItems)
	for _, codec := range []Codec{CodecRaw, CodecS2, CodecZstd} {
		b.Run(codec.String(), func(b *testing.B) {
			dir := b.TempDir()
			var bytes uint64
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime(b)
			for range b.N {
				var p snapshotProgress
				o := snapshotOptions{clock: System, progress: &p}
				info, err := writeSnapshot(context.Background(), OS, dir, Header{Seq: 1, Codec: codec}, s, o)
				if err != nil || info.Items != benchItems {
					b.Fatal(err)
				}
				bytes = info.FileBytes
				b.ReportMetric(float64(p.longest.Load())/1e3, "longest-µs")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchItems, "ns/item")
			b.ReportMetric(cpu()/float64(b.N)/benchItems, "cpu-ns/item")
			b.ReportMetric(float64(bytes)/benchItems, "B/item")
		})
	}
}

// BenchmarkRestore loads them.
func BenchmarkRestore(b *testing.B) {
	s := benchStore(b, benchItems)
	for _, codec := range []Codec{CodecRaw, CodecS2, CodecZstd} {
		b.Run(codec.String(), func(b *testing.B) {
			dir := b.TempDir()
			info := mustSnapshot(b, OS, dir, s, 1, codec)
			b.ReportAllocs()
			b.ResetTimer()
			spent := 0.0
			for range b.N {
				b.StopTimer()
				s2, _ := newStore(b, func(c *slab.Config) { c.LimitBytes = 64<<20 + int64(benchItems)*220; c.HashPower = 16 })
				b.StartTimer()
				cpu := cpuTime(b)
				src, err := openSnapshot(OS, filepath.Join(dir, info.Name))
				if err != nil {
					b.Fatal(err)
				}
				s2.BeginRestore(src.info.Ver, int(src.info.Items))
				c, err := src.restore(context.Background(), s2, restoreOptions{})
				if err != nil || c.Items != benchItems {
					b.Fatalf("%+v, %v", c, err)
				}
				s2.EndRestore(false)
				spent += cpu()
				b.StopTimer()
				closeNow(b, src)
				b.StartTimer()
			}
			b.ReportMetric(spent/float64(b.N)/benchItems, "cpu-ns/item")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchItems, "ns/item")
		})
	}
}
