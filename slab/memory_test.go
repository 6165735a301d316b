package slab

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// memoryConfig is a small store whose memory outlives it.
func memoryConfig(change func(*Config)) Config {
	c := DefaultConfig()
	c.LimitBytes = 4 << 20
	c.ItemSizeMax = 300 << 10
	c.PageBytes = 32 << 10
	c.HashPower = 6
	c.Seed = 1
	c.Now = 1000
	if change != nil {
		change(&c)
	}
	return c
}

// newMemory makes memory for a Config, as a fresh file would be.
func newMemory(t testing.TB, c Config) []byte {
	t.Helper()
	n, err := MemoryBytes(c)
	if err != nil {
		t.Fatal(err)
	}
	return alignedBytes(int(n))
}

func alignedBytes(n int) []byte {
	words := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), n)
}

func cloneMemory(mem []byte) []byte {
	c := alignedBytes(len(mem))
	copy(c, mem)
	return c
}

// openOn opens a store on memory.
func openOn(t testing.TB, c Config, mem []byte) (*Store, *Worker) {
	t.Helper()
	c.Memory = mem
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, s.NewWorker()
}

// details is contents with what only memory keeps: marks and access times.
func details(s *Store) map[string]string {
	all := map[string]string{}
	var c Cursor
	for done := false; !done; {
		done = s.Walk(&c, AllClasses, 1000, func(i Item) {
			r := copyRecord(i)
			all[string(r.Key)] = fmt.Sprintf("%d %d %d %d %d %d %x", r.Flags, r.Exptime, r.Ver, r.CAS, r.Marks, r.LastAccess, r.Value)
		})
	}
	return all
}

// play changes and reads items at random, with upkeep and page moves between.
func play(s *Store, w *Worker, rng *rand.Rand, n int) {
	for range n {
		change(w, rng)
		w.Get(s.Key([]byte(fmt.Sprintf("key%d", rng.IntN(60)))), &GetOp{Meta: true}, nil)
		if rng.IntN(50) == 0 {
			s.Tick(s.Now() + 1)
			s.Maintain()
		}
		if rng.IntN(100) == 0 {
			s.Reassign(-1, 1+rng.IntN(len(s.classes)-1))
		}
	}
}

// A store finds everything in memory that another one left there without a word.
func TestMemoryOutlivesTheStore(t *testing.T) {
	seeds := uint64(10)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			conf := memoryConfig(func(c *Config) { c.NoEvict, c.TrackSizes = seed%2 == 0, seed%2 == 1 })
			mem := newMemory(t, conf)
			s, w := openOn(t, conf, mem)
			for life := range 5 {
				play(s, w, rng, 1500)
				ver := s.Version()
				if life%2 == 1 {
					if err := s.Seal(); err != nil {
						t.Fatal(err)
					}
				}
				next, worker := openOn(t, conf, cloneMemory(mem))
				if rec := next.Recovered(); rec.Sealed != (life%2 == 1) || rec.Damaged != 0 || rec.NoRoom != 0 || rec.Items != next.countItems() {
					t.Fatalf("recovered %+v", rec)
				}
				checkStore(t, next)
				wantContents(t, details(next), details(s))
				got, _ := next.SizesHistogram()
				if want, _ := s.SizesHistogram(); life%2 == 1 && fmt.Sprint(got) != fmt.Sprint(want) { // a scan leaves the dead out
					t.Errorf("sizes %v, want %v", got, want)
				}
				if next.Version() != ver || next.Now() != s.Now() || next.flushVer.Load() != s.flushVer.Load() {
					t.Errorf("version %d, clock %d, flush %d; want %d, %d, %d", next.Version(), next.Now(), next.flushVer.Load(), ver, s.Now(), s.flushVer.Load())
				}
				if t.Failed() {
					t.FailNow()
				}
				mem, s, w = next.cfg.Memory, next, worker
			}
		})
	}
}

// What is written down when a store ends is not believed if a byte of it is wrong.
func TestDamagedSealIsNotBelieved(t *testing.T) {
	conf := memoryConfig(func(c *Config) { c.HashPower = 14 }) // more than a page
	mem := newMemory(t, conf)
	s, w := openOn(t, conf, mem)
	play(s, w, rand.New(rand.NewPCG(1, 1)), 1000)
	want := details(s)
	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	first := superOf(mem).sealPage
	for name, damage := range map[string]func(mem []byte){
		"a byte":    func(mem []byte) { mem[int(first)*conf.PageBytes+100]++ },
		"the link":  func(mem []byte) { mem[int(first)*conf.PageBytes]++ },
		"the page":  func(mem []byte) { superOf(mem).sealPage = 1 << 30 },
		"the size":  func(mem []byte) { superOf(mem).sealSize = 1 << 60 },
		"the state": func(mem []byte) { superOf(mem).state.Store(77) },
	} {
		t.Run(name, func(t *testing.T) {
			mem := cloneMemory(mem)
			damage(mem)
			next, _ := openOn(t, conf, mem)
			if next.Recovered().Sealed {
				t.Error("believed")
			}
			checkStore(t, next)
			wantContents(t, details(next), want)
		})
	}
}

// A store with values on their way is not sealed.
func TestSealRefusesABusyStore(t *testing.T) {
	conf := memoryConfig(nil)
	s, w := openOn(t, conf, newMemory(t, conf))
	p, _ := w.Reserve(s.Key([]byte("k")), &SetOp{}, 100)
	if err := s.Seal(); !errors.Is(err, ErrBusy) {
		t.Errorf("while a value is received: %v", err)
	}
	p.Abort()
	w.Set(s.Key([]byte("k")), &SetOp{}, make([]byte, 200_000))
	var pin Pin
	w.Get(s.Key([]byte("k")), nil, func(v *View) { _, pin = v.Pin(nil) })
	if err := s.Seal(); !errors.Is(err, ErrBusy) {
		t.Errorf("while a value is sent: %v", err)
	}
	pin.Unpin()
	if err := s.Seal(); err != nil {
		t.Error(err)
	}
}

// Pins of a process that was killed hold nothing in the next.
func TestPinsDieWithTheirProcess(t *testing.T) {
	conf := memoryConfig(nil)
	s, w := openOn(t, conf, newMemory(t, conf))
	for _, key := range []string{"live", "replaced"} {
		w.Set(s.Key([]byte(key)), &SetOp{}, make([]byte, 200_000))
		w.Get(s.Key([]byte(key)), nil, func(v *View) { v.Pin(nil) })
	}
	w.Set(s.Key([]byte("replaced")), &SetOp{}, []byte("short"))
	next, w := openOn(t, conf, cloneMemory(s.cfg.Memory))
	checkStore(t, next)
	w.Delete(next.Key([]byte("live")), nil)
	checkStore(t, next)
	used := uint64(0)
	for id := range next.classes {
		used += next.classes[id].used
	}
	if used != 1 {
		t.Errorf("%d chunks in use by one small item", used)
	}
}

// Memory may become more or less between two lives.
func TestMemoryOfAnotherSize(t *testing.T) {
	conf := memoryConfig(nil)
	s, w := openOn(t, conf, newMemory(t, conf))
	play(s, w, rand.New(rand.NewPCG(2, 2)), 2000)
	for i := range 4000 {
		w.Set(s.Key([]byte(fmt.Sprint("fill", i))), &SetOp{}, make([]byte, 500))
	}
	want := details(s)

	larger := memoryConfig(func(c *Config) { c.LimitBytes *= 2 })
	mem := newMemory(t, larger)
	copy(mem, s.cfg.Memory)
	big, w := openOn(t, larger, mem)
	wantContents(t, details(big), want)
	for i := range 16000 {
		w.Set(big.Key([]byte(fmt.Sprint("more", i))), &SetOp{}, make([]byte, 500))
	}
	checkStore(t, big)
	if used := big.usedBytesLocked(); used < conf.LimitBytes*3/2 {
		t.Errorf("only %d bytes in use of a limit of %d", used, larger.LimitBytes)
	}

	small, _ := openOn(t, conf, cloneMemory(mem))
	checkStore(t, small)
	maintain(t, small, "shrink", func() bool { return small.usedBytesLocked() <= conf.LimitBytes })
	checkStore(t, small)
	if len(details(small)) < 1000 {
		t.Errorf("%d items left", len(details(small)))
	}
}

// Memory with other classes is refused, and read as a source.
func TestSalvageMemoryOfOtherClasses(t *testing.T) {
	conf := memoryConfig(nil)
	s, w := openOn(t, conf, newMemory(t, conf))
	play(s, w, rand.New(rand.NewPCG(4, 4)), 2000)
	other := memoryConfig(func(c *Config) { c.GrowthFactor = 1.5; c.PageBytes = 64 << 10; c.LimitBytes = 8 << 20; c.Now = s.Now() })
	other.Memory = cloneMemory(s.cfg.Memory)
	other.Memory = append(other.Memory, alignedBytes(8<<20)...)[:8<<20]
	if _, err := New(other); !errors.Is(err, ErrGeometry) {
		t.Fatalf("New says %v", err)
	}
	next, w := openOn(t, other, newMemory(t, other))
	next.BeginRestore(s.Version(), 0)
	before := bytes.Clone(s.cfg.Memory)
	n, err := Salvage(s.cfg.Memory, func(r *Record) { w.Restore(r) })
	if err != nil || n.Damaged != 0 {
		t.Fatalf("%+v, %v", n, err)
	}
	next.EndRestore(true)
	checkStore(t, next)
	wantContents(t, details(next), details(s))
	if !bytes.Equal(before, s.cfg.Memory) {
		t.Error("salvage has changed the memory")
	}
}

// Whatever is in the memory, nothing worse comes of it than missing items.
func TestDamagedMemory(t *testing.T) {
	conf := memoryConfig(nil)
	s, w := openOn(t, conf, newMemory(t, conf))
	play(s, w, rand.New(rand.NewPCG(5, 5)), 3000)
	rng := rand.New(rand.NewPCG(6, 6))
	times := 200
	if testing.Short() {
		times = 10
	}
	for range times {
		mem := cloneMemory(s.cfg.Memory)
		for range 1 + rng.IntN(2000) {
			at := superBytes + rng.IntN(len(mem)-superBytes)
			if rng.IntN(2) == 0 {
				at = superBytes + rng.IntN(200) // the page table
			}
			mem[at] = byte(rng.IntN(256))
		}
		c := conf
		c.Memory = mem
		next, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := next.Check(); err != nil {
			t.Fatal(err)
		}
		play(next, next.NewWorker(), rng, 100)
		if err := next.Check(); err != nil {
			t.Fatal(err)
		}
		if _, err := Salvage(mem, func(*Record) {}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInspect(t *testing.T) {
	conf := memoryConfig(nil)
	mem := newMemory(t, conf)
	if f, err := Inspect(mem); err != nil || !f.Empty {
		t.Errorf("fresh: %+v, %v", f, err)
	}
	s, _ := openOn(t, conf, mem)
	MemoryNote(mem)[0] = 42
	s.Tick(1234)
	if f, err := Inspect(mem); err != nil || f.Empty || f.Sealed || f.Now != 1234 || f.Failures != 0 || f.Bytes != int64(len(mem)) {
		t.Errorf("in use: %+v, %v", f, err)
	}
	superOf(mem).streak.Add(2) // as New does before it looks at items
	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	if f, err := Inspect(mem); err != nil || !f.Sealed || f.Failures != 2 {
		t.Errorf("sealed: %+v, %v", f, err)
	}
	for name, damage := range map[string]func(m []byte) []byte{
		"cut":     func(m []byte) []byte { return m[:len(m)-1] },
		"short":   func(m []byte) []byte { return m[:100] },
		"foreign": func(m []byte) []byte { copy(m, "something else"); return m },
		"layout":  func(m []byte) []byte { superOf(m).layout++; return m },
		"sizes":   func(m []byte) []byte { superOf(m).sizes[3]++; return m },
	} {
		if f, err := Inspect(damage(cloneMemory(mem))); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}
