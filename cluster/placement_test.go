package cluster

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func mustPlace(t testing.TB, slots []Slot, o PlacementOptions) Placement {
	t.Helper()
	p, err := NewPlacement(slots, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func someKeys(n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = []byte("user:" + strconv.Itoa(i*7919) + ":profile")
	}
	return keys
}

func equalSlots(n int) []Slot {
	var slots []Slot
	for i := range n {
		slots = append(slots, Slot{Name: fmt.Sprintf("slot-%d", i), Address: "127.0.0.1:11211", Weight: 1})
	}
	return slots
}

// K1: every placement answers every key, always the same slot.
func TestOwnerIsTotalAndSteady(t *testing.T) {
	for _, name := range DistributionNames() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				n := rapid.IntRange(1, 8).Draw(t, "slots")
				p, err := NewPlacement(equalSlots(n), PlacementOptions{Distribution: name})
				if err != nil {
					t.Fatal(err)
				}
				key := rapid.SliceOf(rapid.Byte()).Draw(t, "key")
				owner := p.Owner(key)
				if owner < 0 || owner >= n {
					t.Fatalf("owner %d of %d", owner, n)
				}
				if name == "random" {
					return
				}
				if again := p.Owner(slices.Clone(key)); again != owner {
					t.Fatalf("owner %d, then %d", owner, again)
				}
				if why := p.Why(key); why.Owner != owner || why.Text == "" {
					t.Fatalf("Why says %+v, Owner %d", why, owner)
				}
			})
		})
	}
}

// K4: one slot more moves about 1/(n+1) of the keys, all of them to it.
func TestGrowthMovesKeysToTheNewSlotOnly(t *testing.T) {
	const keyCount = 4_000
	keys := someKeys(keyCount)
	for _, name := range []string{"jump", "rendezvous", "ch3"} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				n := rapid.IntRange(1, 64).Draw(t, "slots")
				o := PlacementOptions{Distribution: name}
				before, err := NewPlacement(equalSlots(n), o)
				if err != nil {
					t.Fatal(err)
				}
				after, err := NewPlacement(equalSlots(n+1), o)
				if err != nil {
					t.Fatal(err)
				}
				moved := 0
				for _, key := range keys {
					was, is := before.Owner(key), after.Owner(key)
					if was == is {
						continue
					}
					if is != n {
						t.Fatalf("%q moved from %d to %d, the new slot is %d", key, was, is, n)
					}
					moved++
				}
				checkShare(t, "moved", moved, keyCount, 1/float64(n+1))
			})
		})
	}
}

// checkShare lets a count be six standard deviations from what chance makes of it.
func checkShare(t interface{ Fatalf(string, ...any) }, what string, count, of int, share float64) {
	mean := float64(of) * share
	if deviation := math.Sqrt(mean * (1 - share)); math.Abs(float64(count)-mean) > 6*deviation+1 {
		t.Fatalf("%s: %d of %d, about %.0f expected", what, count, of, mean)
	}
}

func TestEqualWeightsAreBalanced(t *testing.T) {
	const keyCount = 10_000
	keys := someKeys(keyCount)
	for _, name := range []string{"jump", "rendezvous", "ch3", "modula", "pymemcache", "random"} {
		hash := map[string]string{"modula": "murmur3"}[name] // not the default: it has a bias of its own
		for _, n := range []int{2, 3, 5, 16, 50} {
			p := mustPlace(t, equalSlots(n), PlacementOptions{Distribution: name, Hash: hash})
			count := make([]int, n)
			for _, key := range keys {
				count[p.Owner(key)]++
			}
			for i, c := range count {
				checkShare(t, fmt.Sprintf("%s, slot %d of %d", name, i, n), c, keyCount, 1/float64(n))
			}
		}
	}
}

func TestWeightsAreShares(t *testing.T) {
	const keyCount = 10_000
	keys := someKeys(keyCount)
	slots := equalSlots(4)
	for i, w := range []int{1, 2, 3, 10} {
		slots[i].Weight = w
	}
	for _, o := range []PlacementOptions{{Distribution: "rendezvous"}, {Distribution: "modula", Hash: "murmur3"}} {
		p := mustPlace(t, slots, o)
		count := make([]int, len(slots))
		for _, key := range keys {
			count[p.Owner(key)]++
		}
		for i, c := range count {
			checkShare(t, fmt.Sprintf("%s, slot %d", o.Distribution, i), c, keyCount, float64(slots[i].Weight)/16)
		}
	}
	// A ring is only about fair: a point's stretch varies.
	for _, name := range []string{"ketama", "perl-ketama", "dalli"} {
		p := mustPlace(t, slots, PlacementOptions{Distribution: name})
		count := make([]int, len(slots))
		for _, key := range keys {
			count[p.Owner(key)]++
		}
		for i, c := range count {
			want := float64(keyCount*slots[i].Weight) / 16
			if float64(c) < want*0.5 || float64(c) > want*1.6 {
				t.Errorf("%s, slot %d: %d keys, about %.0f expected", name, i, c, want)
			}
		}
	}
}

// K4: a slot that leaves in the middle of a weighted rendezvous takes its own keys only.
func TestRendezvousLosesOneSlot(t *testing.T) {
	keys := someKeys(5000)
	rapid.Check(t, func(t *rapid.T) {
		slots := equalSlots(rapid.IntRange(2, 12).Draw(t, "slots"))
		for i := range slots {
			slots[i].Weight = rapid.IntRange(1, 9).Draw(t, "weight")
		}
		gone := rapid.IntRange(0, len(slots)-1).Draw(t, "gone")
		left := slices.Delete(slices.Clone(slots), gone, gone+1)
		before, err := NewPlacement(slots, PlacementOptions{Distribution: "rendezvous"})
		if err != nil {
			t.Fatal(err)
		}
		after, err := NewPlacement(left, PlacementOptions{Distribution: "rendezvous"})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			was := before.Owner(key)
			if is := after.Owner(key); was != gone && left[is].Name != slots[was].Name {
				t.Fatalf("%q moved from %s to %s though %s left", key, slots[was].Name, left[is].Name, slots[gone].Name)
			}
		}
	})
}

func TestMinusLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.Uint64().Draw(t, "d") >> rapid.IntRange(0, 63).Draw(t, "shift")
		want := -math.Log((float64(d>>12) + 0.5) / (1 << 52))
		if got := minusLog(d); got <= 0 || math.Abs(got-want) > 1e-13*math.Max(want, 1) {
			t.Fatalf("minusLog(%#x) = %v, want %v", d, got, want)
		}
	})
}

// K2: names own keys, addresses do not.
func TestNewAddressMovesNothing(t *testing.T) {
	keys := someKeys(2000)
	for _, name := range DistributionNames() {
		if name == "random" {
			continue
		}
		slots := equalSlots(7)
		before := mustPlace(t, slots, PlacementOptions{Distribution: name})
		for i := range slots {
			slots[i].Address = fmt.Sprintf("10.1.2.%d:4711", i)
		}
		after := mustPlace(t, slots, PlacementOptions{Distribution: name})
		for _, key := range keys {
			if was, is := before.Owner(key), after.Owner(key); was != is {
				t.Fatalf("%s: %q moved from %d to %d with the address", name, key, was, is)
			}
		}
	}
}

// The sizes at which libmemcached's floats make 39 digests of equal servers, not 40.
func TestKetamaRounding(t *testing.T) {
	var short []int
	for n := 1; n <= 107; n++ {
		switch digests := ketamaDigests(equalSlots(n), 1); digests {
		case 40:
		case 39:
			short = append(short, n)
		default:
			t.Errorf("%d servers: %d digests", n, digests)
		}
	}
	if want := []int{25, 47, 50, 55, 61, 71, 94, 100, 107}; !slices.Equal(short, want) {
		t.Errorf("39 digests at %v servers, want %v", short, want)
	}
}

func TestRingMemory(t *testing.T) {
	r := mustPlace(t, equalSlots(5), PlacementOptions{Distribution: "ketama"}).(*ring)
	if got := 4*cap(r.values) + 4*cap(r.owners); got != 5*1280 {
		t.Errorf("a ring of 5 takes %d bytes, doc.go says %d", got, 5*1280)
	}
}

func TestUnsignedChar(t *testing.T) {
	for _, name := range charHashes {
		x86, err := LookupHash(name, HashOptions{})
		if err != nil {
			t.Fatal(err)
		}
		arm, err := LookupHash(name, HashOptions{UnsignedChar: true})
		if err != nil {
			t.Fatal(err)
		}
		if key := []byte("plain:1"); x86.Sum(key) != arm.Sum(key) {
			t.Errorf("%s differs for ASCII", name)
		}
		if key := []byte("abcd" + "ab\xc3"); x86.Sum(key) == arm.Sum(key) {
			t.Errorf("%s does not differ for a high byte", name)
		}
	}
}

func TestPythonSpelling(t *testing.T) {
	for _, c := range []struct{ key, str, bytes string }{
		{"abc", "abc", "b'abc'"},
		{"ü€", "\xfc\xac", `b'\xc3\xbc\xe2\x82\xac'`},
		{"it's", "it's", `b"it's"`},
		{`a"b`, `a"b`, `b'a"b'`},
		{`'"\`, `'"\`, `b'\'"\\'`},
		{"\t\n\r\x00\x7f", "\t\n\r\x00\x7f", `b'\t\n\r\x00\x7f'`},
		{"\xff", "\xff", `b'\xff'`},
	} {
		if got := string(pyStr(nil, []byte(c.key))); got != c.str {
			t.Errorf("%q as str is %q, want %q", c.key, got, c.str)
		}
		if got := string(pyBytes(nil, []byte(c.key))); got != c.bytes {
			t.Errorf("%q as bytes is %q, want %q", c.key, got, c.bytes)
		}
	}
}

func TestPlacementRefuses(t *testing.T) {
	heavy := equalSlots(2)
	heavy[1].Weight = 2
	for _, c := range []struct {
		slots []Slot
		o     PlacementOptions
	}{
		{nil, PlacementOptions{}},
		{[]Slot{{Name: "a"}}, PlacementOptions{}}, // weight 0
		{heavy, PlacementOptions{}},
		{equalSlots(1), PlacementOptions{Distribution: "nonsense"}},
		{equalSlots(1), PlacementOptions{Hash: "nonsense"}},
		{equalSlots(1), PlacementOptions{PointHash: "md5"}},
		{equalSlots(1), PlacementOptions{Points: 160}},
		{equalSlots(1), PlacementOptions{Distribution: "proxy-ketama", Points: 30}},
		{equalSlots(1), PlacementOptions{Distribution: "proxy-xxh3", Points: -1}},
		{equalSlots(200), PlacementOptions{Distribution: "proxy-xxh3", Points: pointsMax}},
		{equalSlots(1), PlacementOptions{Distribution: "ch3", Hash: "md5"}},
		{equalSlots(1), PlacementOptions{Distribution: "ch3", HashOptions: HashOptions{Seed: "x"}}},
		{equalSlots(1), PlacementOptions{Hash: "md5", HashOptions: HashOptions{Seed: "x"}}},
		{equalSlots(1), PlacementOptions{HashOptions: HashOptions{UnsignedChar: true}}},
		{equalSlots(1), PlacementOptions{Distribution: "libmemcached-consistent", PointHash: "nonsense"}},
	} {
		if p, err := NewPlacement(c.slots, c.o); err == nil {
			t.Errorf("%+v over %d slots is %T, want an error", c.o, len(c.slots), p)
		}
	}
}

func TestKeyPart(t *testing.T) {
	for _, c := range []struct {
		part      KeyPart
		key, want string
	}{
		{KeyPart{}, "user:{42}:x", "user:{42}:x"},
		{KeyPart{Tag: "{}"}, "user:{42}:x", "42"},
		{KeyPart{Tag: "{}"}, "user:{42", "user:{42"},
		{KeyPart{Tag: "{}"}, "}user{", "}user{"},
		{KeyPart{Tag: "{}"}, "a{}b{c}", "a{}b{c}"}, // only the first tag is looked at
		{KeyPart{Tag: "{}", EmptyTag: true}, "a{}b", ""},
		{KeyPart{Tag: "{}"}, "{a{b}", "a{b"},
		{KeyPart{Tag: "||"}, "x|y|z", "y"},
		{KeyPart{Tag: "$$"}, "$", "$"},
		{KeyPart{Stop: "|#|"}, "a|#|b|#|c", "a"},
		{KeyPart{Stop: "|#|"}, "|#|b", ""},
		{KeyPart{Stop: "|#|"}, "a||#|b", "a|"},
		{KeyPart{Stop: "|#|"}, "a|#", "a|#"},
		{KeyPart{Prefix: "app:"}, "app:key", "key"},
		{KeyPart{Prefix: "app:"}, "ap:key", "ap:key"},
		{KeyPart{Prefix: "app:"}, "app:", "app:"}, // no key is empty
		{KeyPart{Prefix: "app{", Tag: "{}"}, "app{x{y}z", "y"},
	} {
		if got := string(c.part.Of([]byte(c.key))); got != c.want {
			t.Errorf("%+v of %q is %q, want %q", c.part, c.key, got, c.want)
		}
	}
}
