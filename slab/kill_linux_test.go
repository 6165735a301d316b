//go:build linux && !race && !heaparena

package slab

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Killing a process with SIGKILL at random moments while it changes a store in
// a file, and comparing what the next finds with what was acknowledged. The
// process is this test binary again, in killedProcess. What it has begun and
// what was acknowledged it notes in a second file, which survives it too.

const (
	killKeys    = 400
	killWorkers = 4
	killEnv     = "HOLDFAST_TEST_KILLED"
	// killPatience is how long a process may take to open its memory before it
	// is asked where it hangs.
	killPatience = time.Minute
)

// A fate is what became of a key: 0 it is not there; else its kind, the seed of
// its value and the value's length, or the number that it holds.
type fate uint64

const (
	fateValue  = 1
	fateNumber = 2
)

func valueFate(seed uint32, n int) fate {
	return fateValue<<56 | fate(seed&0xffffff)<<32 | fate(n)
}
func numberFate(n uint64) fate      { return fateNumber<<56 | fate(n) }
func (f fate) kind() int            { return int(f >> 56) }
func (f fate) length() int          { return int(uint32(f)) }
func (f fate) seed() uint32         { return uint32(f>>32) & 0xffffff }
func (f fate) number() uint64       { return uint64(f) & (1<<56 - 1) }
func killKey(i int) []byte          { return fmt.Appendf(nil, "key:%d", i) }
func (f fate) value(key int) []byte { return killValue(key, f.seed(), f.length()) }
func (f fate) is(key int, v []byte) bool {
	if f.kind() == fateNumber {
		n, ok := parseNumber(v)
		return ok && n == f.number()
	}
	return f != 0 && bytes.Equal(v, f.value(key))
}

// killValue is a value whose every byte depends on key, seed and place, and whose
// beginning does not depend on its length: it can be appended to.
func killValue(key int, seed uint32, n int) []byte {
	v := make([]byte, n)
	x := uint64(key)<<32 | uint64(seed) | 1
	for i := range v {
		if i%8 == 0 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		v[i] = byte(x >> (i % 8 * 8))
	}
	return v
}

// notes is the second file.
type notes struct {
	flushing atomic.Uint64 // 1 while everything is being flushed
	cas      atomic.Uint64 // the highest acknowledged
	ops      atomic.Uint64
	keys     [killKeys]struct{ begun, acked atomic.Uint64 }
}

// killFiles maps the two files of a test.
func killFiles(dir string, conf *Config) (*notes, error) {
	need, err := MemoryBytes(*conf)
	if err != nil {
		return nil, err
	}
	if conf.Memory, err = mapFile(filepath.Join(dir, "memory"), int(need)); err != nil {
		return nil, err
	}
	mem, err := mapFile(filepath.Join(dir, "notes"), int(unsafe.Sizeof(notes{})))
	if err != nil {
		return nil, err
	}
	return (*notes)(unsafe.Pointer(unsafe.SliceData(mem))), nil
}

func mapFile(path string, n int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, int64(n))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return mem, errors.Join(err, f.Close())
}

// killConfig is a store that has room for everything, or, evicting, has not.
func killConfig(evicting bool) Config {
	c := memoryConfig(nil)
	c.LimitBytes = 32 << 20
	c.NoEvict = !evicting
	if evicting {
		c.LimitBytes = 4 << 20
	}
	return c
}

// TestKilledProcess is no test but the process that is killed. It never ends by
// itself, except for a mistake.
func TestKilledProcess(t *testing.T) {
	dir := os.Getenv(killEnv)
	if dir == "" {
		return
	}
	conf := killConfig(os.Getenv(killEnv+"_EVICT") != "")
	n, err := killFiles(dir, &conf)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("opening")
	s, err := New(conf)
	if err != nil {
		t.Fatal(err)
	}
	p := killed{t: t, s: s, n: n, broken: os.Getenv(killEnv + "_BROKEN")}
	fmt.Println("serving")
	seed, err := strconv.ParseUint(os.Getenv(killEnv+"_SEED"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for i := range killWorkers {
		go p.work(i, rand.New(rand.NewPCG(seed, uint64(i))))
	}
	for rng := rand.New(rand.NewPCG(seed, 99)); ; {
		s.Maintain()
		if rng.IntN(3) == 0 {
			s.Reassign(-1, 1+rng.IntN(len(s.classes)-1))
		}
		if rng.IntN(2000) == 0 {
			p.flush()
		}
	}
}

// killed is the process that is going to be killed.
type killed struct {
	t      *testing.T
	s      *Store
	n      *notes
	broken string
	mu     sync.RWMutex // held for writing while everything is flushed
}

// flush kills all items, and notes it.
func (p *killed) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n.flushing.Store(1)
	p.s.FlushAll(0)
	for i := range p.n.keys {
		p.n.keys[i].begun.Store(0)
		p.n.keys[i].acked.Store(0)
	}
	p.n.flushing.Store(0)
}

// work changes keys of its own for ever.
func (p *killed) work(worker int, rng *rand.Rand) {
	w := p.s.NewWorker()
	for {
		p.mu.RLock()
		for range 20 {
			p.change(w, worker+killWorkers*rng.IntN(killKeys/killWorkers), rng)
		}
		p.mu.RUnlock()
	}
}

// change does one operation on a key: says what is going to be, does it, says
// that it was done.
func (p *killed) change(w *Worker, key int, rng *rand.Rand) {
	k := p.s.Key(killKey(key))
	now := fate(p.n.keys[key].acked.Load())
	next := valueFate(rng.Uint32(), rng.IntN(600))
	if rng.IntN(30) == 0 {
		next = valueFate(rng.Uint32(), rng.IntN(80_000))
	}
	if p.broken != "" { // all of one length, so that one fits in another's place
		next = valueFate(rng.Uint32(), 500)
	}
	begin := func(f fate) fate { p.n.keys[key].begun.Store(uint64(f)); return f }
	var res SetResult
	switch op := rng.IntN(10); {
	case op < 2:
		next = begin(0)
		w.Delete(k, nil)
	case op == 2 && now.kind() == fateNumber:
		next = begin(numberFate(now.number() + 7))
		if r := w.Arith(k, &ArithOp{Delta: 7}); r.Result != Hit {
			next = p.lost(w, k)
		} else {
			res.CAS = r.CAS
		}
	case op == 2:
		next = begin(numberFate(uint64(rng.IntN(1000))))
		res = w.Set(k, &SetOp{}, strconv.AppendUint(nil, next.number(), 10))
	case op == 3 && now.kind() == fateValue && p.broken == "":
		next = begin(valueFate(now.seed(), now.length()+rng.IntN(300)))
		if res = w.Set(k, &SetOp{Mode: ModeAppend}, next.value(key)[now.length():]); res.Result != Stored {
			next = p.lost(w, k)
		}
	case op == 4 && now != 0:
		next = begin(now)
		w.Get(k, &GetOp{Touch: true, Exptime: p.s.Now() + 1000}, nil)
	case op == 5:
		begin(next)
		v := next.value(key)
		pend, r := w.Reserve(k, &SetOp{DropOnFail: true}, len(v))
		if r != Stored {
			next = begin(0)
			break
		}
		if res.Result = NoMemory; feedBytes(pend, v) {
			res = pend.Commit(w)
		} else {
			pend.Fail(w)
		}
	default:
		begin(next)
		res = p.set(w, k, next.value(key))
	}
	if next.kind() != 0 && res.Result != Stored && res.CAS == 0 && next != now {
		next = p.lost(w, k)
	}
	p.n.keys[key].acked.Store(uint64(next))
	p.n.ops.Add(1)
	for cas := res.CAS; ; {
		if old := p.n.cas.Load(); old >= cas || p.n.cas.CompareAndSwap(old, cas) {
			return
		}
	}
}

// lost removes a key that an eviction, or a lack of memory, has made unsure.
func (p *killed) lost(w *Worker, k Key) fate {
	w.Drop(k)
	return 0
}

func feedBytes(p *Pending, v []byte) bool {
	for len(v) > 0 {
		span := p.Span()
		if span == nil {
			return false
		}
		n := copy(span, v)
		p.Advance(n)
		v = v[n:]
	}
	return true
}

// set stores a value, in a wrong order if that is asked for.
func (p *killed) set(w *Worker, k Key, v []byte) SetResult {
	s := p.s
	op := SetOp{DropOnFail: true}
	st := s.stripe(k.Hash)
	sp := op.spec(s, k, len(v))
	if p.broken == "" || sp.facts&factLarge != 0 {
		return w.Set(k, &op, v)
	}
	st.mu.Lock()
	old, oldRef, at := s.findLocked(st, &k)
	st.mu.Unlock()
	switch p.broken {
	case "live before filled":
		ref, id := s.alloc(s.classFor(sp.bytes()), hold{})
		if ref == 0 {
			return SetResult{}
		}
		h := s.header(ref)
		h.fill(&sp)
		h.word = s.nextVer()<<wordVerShift | uint64(id)
		h.setState(stamp(sp.facts, s.Now()))
		slowCopy(h.inline(len(v)), v)
		h.setState(sp.facts)
		s.freeItem(h, ref, sp.facts)
	case "old one gone first":
		if old != nil {
			st.mu.Lock()
			s.removeLocked(st, at)
			s.discardLocked(old, oldRef)
			st.mu.Unlock()
			time.Sleep(brokenPause)
		}
	case "in place":
		if old == nil || old.valueLen() != len(v) {
			break
		}
		if expired, flushed := s.dead(old, old.loadState(), s.Now()); !expired && !flushed {
			slowCopy(old.inline(len(v)), v)
			return SetResult{Result: Stored, CAS: old.ver()}
		}
	case "reply first":
		p.n.keys[keyOf(k)].acked.Store(p.n.keys[keyOf(k)].begun.Load())
	}
	return w.Set(k, &op, v)
}

// brokenPause is how long the wrong orders take over it: any moment will do for a
// kill, and few kills shall do.
const brokenPause = 20 * time.Microsecond

func slowCopy(dst, src []byte) {
	n := copy(dst, src[:len(src)/2])
	time.Sleep(brokenPause)
	copy(dst[n:], src[n:])
}

func keyOf(k Key) int {
	n, err := strconv.Atoi(string(k.Bytes[len("key:"):]))
	if err != nil {
		panic(err)
	}
	return n
}

// kills runs the process again and again and kills it. It returns the first
// thing that was wrong with what it left behind.
func kills(t *testing.T, times int, evicting bool, broken string) (err error) {
	dir := t.TempDir()
	if shm, e := os.MkdirTemp("/dev/shm", "holdfast-test-"); e == nil { // a disk is slow for this
		dir = shm
		t.Cleanup(func() { _ = os.RemoveAll(shm) })
	}
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	conf := killConfig(evicting)
	n, err := killFiles(dir, &conf)
	if err != nil {
		t.Fatal(err)
	}
	var opening, items int
	for i := range times {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilledProcess$")
		cmd.Env = append(os.Environ(), killEnv+"="+dir, killEnv+"_BROKEN="+broken, fmt.Sprintf("%s_SEED=%d", killEnv, rng.Uint64()))
		if evicting {
			cmd.Env = append(cmd.Env, killEnv+"_EVICT=1")
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, e := cmd.StdoutPipe()
		if e == nil {
			e = cmd.Start()
		}
		if e != nil {
			t.Fatal(e)
		}
		stuck := time.AfterFunc(killPatience, func() { _ = cmd.Process.Signal(unix.SIGQUIT) })
		var said bytes.Buffer
		for said.Len() == 0 || i%4 != 0 && !bytes.Contains(said.Bytes(), []byte("serving")) {
			b := make([]byte, 100)
			got, e := out.Read(b)
			if said.Write(b[:got]); e != nil {
				_ = cmd.Wait()
				t.Fatalf("the process ended by itself: %s\n%s", &said, &stderr)
			}
		}
		stuck.Stop()
		wait := time.Duration(rng.IntN(40_000)) * time.Microsecond
		if i%4 == 0 { // while it opens the memory, perhaps
			wait = time.Duration(rng.IntN(2_000)) * time.Microsecond
		}
		time.Sleep(wait)
		if e := errors.Join(cmd.Process.Kill()); e != nil {
			t.Fatal(e)
		}
		_ = cmd.Wait()
		if superOf(conf.Memory).streak.Load() > 0 {
			opening++
		}
		if items, err = killedFine(conf, n, evicting); err != nil {
			return fmt.Errorf("seed %d, kill %d: %w", seed, i, err)
		}
	}
	t.Logf("%d kills, %d of them while the memory was opened, %d operations, %d items in the end", times, opening, n.ops.Load(), items)
	return nil
}

// killedFine compares memory with notes. It works on a copy, so that the next
// process finds what this one left.
func killedFine(conf Config, n *notes, evicting bool) (items int, err error) {
	conf.Memory = cloneMemory(conf.Memory)
	s, err := New(conf)
	if err != nil {
		return 0, err
	}
	if err := s.Check(); err != nil {
		return 0, err
	}
	if s.Recovered().Damaged != 0 {
		return 0, fmt.Errorf("recovered %+v", s.Recovered())
	}
	if v := s.Version(); v < n.cas.Load() {
		return 0, fmt.Errorf("version %d after a CAS of %d", v, n.cas.Load())
	}
	w := s.NewWorker()
	for i := range n.keys {
		acked, begun := fate(n.keys[i].acked.Load()), fate(n.keys[i].begun.Load())
		var got []byte
		there := w.Get(s.Key(killKey(i)), nil, func(v *View) { got = v.AppendValue(nil) }) == Hit
		switch {
		case there && (acked.is(i, got) || begun.is(i, got)):
			items++
		case !there && (acked == 0 || begun == 0 || evicting || n.flushing.Load() == 1):
		default:
			return 0, fmt.Errorf("key %d: there: %t, %d bytes %.20q; acknowledged %x, begun %x", i, there, len(got), got, acked, begun)
		}
	}
	return items, s.Close()
}

func killTimes(t *testing.T, short int) int {
	if long := os.Getenv("HOLDFAST_LONG"); long != "" {
		return 20 * short
	}
	return short
}

// No kill loses, tears or raises anything.
func TestKillLosesNothing(t *testing.T) {
	if err := kills(t, killTimes(t, 40), false, ""); err != nil {
		t.Error(err)
	}
}

// A store that evicts forgets, but is never wrong.
func TestKillWhileEvicting(t *testing.T) {
	if err := kills(t, killTimes(t, 40), true, ""); err != nil {
		t.Error(err)
	}
}

// The loop finds wrong orders.
func TestKillHasTeeth(t *testing.T) {
	for _, broken := range []string{"live before filled", "old one gone first", "in place", "reply first"} {
		t.Run(broken, func(t *testing.T) {
			err := kills(t, 300, false, broken)
			if err == nil {
				t.Error("not noticed in 300 kills")
			}
			t.Log(err)
		})
	}
}
