package slab

import (
	"encoding/binary"
	"fmt"
	"testing"
)

// benchKeys makes n keys of 16 bytes.
func benchKeys(s *Store, n int) []Key {
	buf := make([]byte, 16*n)
	keys := make([]Key, n)
	for i := range keys {
		b := buf[16*i : 16*i+16]
		copy(b, "key:")
		binary.BigEndian.PutUint64(b[8:], uint64(i)*0x9e3779b97f4a7c15)
		keys[i] = s.Key(b)
	}
	return keys
}

// benchStore holds items items of 100 bytes of value.
func benchStore(b *testing.B, items int) (*Store, *Worker, []Key) {
	b.Helper()
	s, w := newStore(b, func(c *Config) { c.LimitBytes = 64<<20 + int64(items)*220; c.HashPower = 16 })
	keys := benchKeys(s, items)
	value := make([]byte, 100)
	for _, k := range keys {
		if r := w.Set(k, &SetOp{}, value); r.Result != Stored {
			b.Fatal(r)
		}
	}
	return s, w, keys
}

var benchSizes = []int{10_000, 4_000_000}

// next walks the keys in an order that no prefetcher guesses.
func next(i, n int) int { return int(uint64(i) * 0x9e3779b97f4a7c15 >> 20 % uint64(n)) }

func BenchmarkGetHit(b *testing.B) {
	for _, items := range benchSizes {
		b.Run(fmt.Sprint(items), func(b *testing.B) {
			_, w, keys := benchStore(b, items)
			sum := 0
			visit := func(v *View) { sum += len(v.Value()) }
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				w.Get(keys[next(i, items)], nil, visit)
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
			s, w, _ := benchStore(b, items)
			var k [16]byte
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				binary.LittleEndian.PutUint64(k[:], uint64(i))
				w.Get(s.Key(k[:]), nil, nil)
			}
		})
	}
}

// BenchmarkSet overwrites items.
func BenchmarkSet(b *testing.B) {
	for _, items := range benchSizes {
		b.Run(fmt.Sprint(items), func(b *testing.B) {
			_, w, keys := benchStore(b, items)
			value := make([]byte, 100)
			op := &SetOp{}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				w.Set(keys[next(i, items)], op, value)
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
				_, w, keys := benchStore(b, items)
				sum := 0
				visit := func(v *View) { sum += int(v.Value()[0]) }
				var some [batch]Key
				b.ReportAllocs()
				b.ResetTimer()
				for i := 0; i < b.N; i += batch {
					for j := range some {
						some[j] = keys[next(i+j, items)]
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
