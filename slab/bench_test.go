package slab

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
)

// benchKey is a key of 16 bytes, made from a number without touching memory.
type benchKey [16]byte

func (k *benchKey) key(s *Store, n int) Key {
	binary.LittleEndian.PutUint64(k[:], 0x3a79656b)
	binary.BigEndian.PutUint64(k[8:], uint64(n)*0x9e3779b97f4a7c15)
	return s.Key(k[:])
}

// benchStore holds items items of 100 bytes of value.
func benchStore(b *testing.B, items int) (*Store, *Worker) {
	b.Helper()
	s, w := newStore(b, func(c *Config) { c.LimitBytes = 64<<20 + int64(items)*220; c.HashPower = 16 })
	value := make([]byte, 100)
	var k benchKey
	for i := range items {
		if r := w.Set(k.key(s, i), &SetOp{}, value); r.Result != Stored {
			b.Fatal(r)
		}
	}
	return s, w
}

// cpuTime starts a clock of the process's CPU time and returns what reports
// it: on a busy machine that says more than the time on the wall.
func cpuTime(b *testing.B) func() {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := used()
	return func() { b.ReportMetric(float64(used()-start)/float64(b.N), "cpu-ns/op") }
}

var benchSizes = []int{10_000, 4_000_000}

// shuffle walks the numbers below n in an order that no prefetcher guesses.
func shuffle(i, n int) int { return int(uint64(i) * 0x9e3779b97f4a7c15 >> 20 % uint64(n)) }

func BenchmarkGetHit(b *testing.B) {
	for _, items := range benchSizes {
		b.Run(fmt.Sprint(items), func(b *testing.B) {
			s, w := benchStore(b, items)
			sum := 0
			visit := func(v *View) { sum += len(v.Value()) }
			var k benchKey
			b.ReportAllocs()
			b.ResetTimer()
			defer cpuTime(b)()
			for i := range b.N {
				w.Get(k.key(s, shuffle(i, items)), nil, visit)
			}
			if sum != 100*b.N {
				b.Fatalf("%d bytes of %d hits", sum, b.N)
			}
		})
	}
}

func BenchmarkGetMiss(b *testing.B) {
	for _, items := range benchSizes {
		b.Run(fmt.Sprint(items), func(b *testing.B) {
			s, w := benchStore(b, items)
			var k benchKey
			b.ReportAllocs()
			b.ResetTimer()
			defer cpuTime(b)()
			for i := range b.N {
				w.Get(k.key(s, items+i), nil, nil)
			}
		})
	}
}

// BenchmarkSet overwrites items.
func BenchmarkSet(b *testing.B) { benchSets(b, 0) }

// BenchmarkSetExpiring overwrites items, all of which expire.
func BenchmarkSetExpiring(b *testing.B) { benchSets(b, 3600) }

// benchSets overwrites items with ones that expire within so many seconds, or
// never with 0.
func benchSets(b *testing.B, within int) {
	for _, items := range benchSizes {
		b.Run(fmt.Sprint(items), func(b *testing.B) {
			s, w := benchStore(b, items)
			value := make([]byte, 100)
			op := &SetOp{}
			var k benchKey
			b.ReportAllocs()
			b.ResetTimer()
			defer cpuTime(b)()
			for i := range b.N {
				if within > 0 {
					op.Exptime = 2000 + uint32(i*7919%within)
				}
				if r := w.Set(k.key(s, shuffle(i, items)), op, value); r.Result != Stored {
					b.Fatal(r)
				}
			}
		})
	}
}

// BenchmarkSetEvict stores new items in a full store.
func BenchmarkSetEvict(b *testing.B) {
	for _, mb := range []int64{64, 1024} {
		b.Run(fmt.Sprint(mb, "MB"), func(b *testing.B) {
			s, w := newStore(b, func(c *Config) { c.LimitBytes = mb << 20 })
			value := make([]byte, 100)
			op := &SetOp{}
			var k [16]byte
			n := uint64(0)
			set := func() {
				n++
				binary.LittleEndian.PutUint64(k[:], n)
				w.Set(s.Key(k[:]), op, value)
			}
			for range mb << 20 / 120 {
				set()
			}
			b.ReportAllocs()
			b.ResetTimer()
			defer cpuTime(b)()
			for range b.N {
				set()
			}
		})
	}
}

// BenchmarkMultiget reads 50 keys at a time; the time is that of one key.
func BenchmarkMultiget(b *testing.B) {
	const batch = 50
	for _, items := range benchSizes {
		for _, ahead := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/prefetch=%t", items, ahead), func(b *testing.B) {
				s, w := benchStore(b, items)
				var reply [128]byte
				visit := func(v *View) { copy(reply[:], v.Value()) }
				var some [batch]Key
				var bytes [batch]benchKey
				b.ReportAllocs()
				b.ResetTimer()
				defer cpuTime(b)()
				for i := 0; i < b.N; i += batch {
					for j := range some {
						some[j] = bytes[j].key(s, shuffle(i+j, items))
					}
					if ahead {
						w.Prefetch(some[:])
					}
					for _, k := range some {
						w.Get(k, nil, visit)
					}
				}
			})
		}
	}
}
