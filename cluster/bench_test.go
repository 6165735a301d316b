package cluster

import (
	"fmt"
	"testing"
)

// benchPool is the pool whose owner the benchmarks and the allocation test ask for.
func benchPlacement(tb testing.TB, name string, n int) Placement {
	return mustPlace(tb, equalSlots(n), PlacementOptions{Distribution: name})
}

func BenchmarkOwner(b *testing.B) {
	keys := someKeys(1024)
	for _, name := range DistributionNames() {
		for _, n := range []int{5, 50} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				p := benchPlacement(b, name, n)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					p.Owner(keys[i&1023])
				}
			})
		}
	}
}

func BenchmarkHash(b *testing.B) {
	keys := someKeys(1024)
	for _, name := range HashNames() {
		b.Run(name, func(b *testing.B) {
			h, err := LookupHash(name, HashOptions{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				h.Sum(keys[i&1023])
			}
		})
	}
}

// K1: asking for an owner allocates nothing, whatever the placement, the hash
// and the part of the key.
func TestOwnerAllocatesNothing(t *testing.T) {
	long := make([]byte, 250)
	for i := range long {
		long[i] = 0x80 | byte(i)
	}
	keys := append(someKeys(3), []byte("app:a{b}|#|c"), long)
	check := func(what string, f func(key []byte)) {
		t.Helper()
		for _, key := range keys {
			if n := testing.AllocsPerRun(20, func() { f(key) }); n != 0 {
				t.Errorf("%s: %v allocations for %q", what, n, key)
			}
		}
	}
	for _, name := range DistributionNames() {
		p := benchPlacement(t, name, 50)
		check(name, func(key []byte) { p.Owner(key) })
	}
	for _, name := range HashNames() {
		p := mustPlace(t, equalSlots(5), PlacementOptions{Distribution: "jump", Hash: name})
		check(name, func(key []byte) { p.Owner(key) })
	}
	for _, pool := range []PoolConfig{{HashTag: "{}"}, {HashStop: "|#|"}, {SkipPrefix: "app:", HashTag: "{}"}, {Seed: "x"}} {
		pool.Servers = []ServerConfig{{Address: "a"}, {Address: "b"}, {Address: "c"}}
		m, err := NewMap(1, &pool)
		if err != nil {
			t.Fatal(err)
		}
		check(fmt.Sprintf("%+v", pool), func(key []byte) { m.Owner(key) })
	}
}
