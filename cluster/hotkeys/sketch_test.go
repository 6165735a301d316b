package hotkeys

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"
	"pgregory.net/rapid"
)

// TestBounds compares a Sketch with exact counts: T1 and T2.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		keys := rapid.IntRange(1, 2000).Draw(t, "keys")
		skew := rapid.Float64Range(1.01, 3).Draw(t, "skew")
		zipf := rand.NewZipf(r, skew, 1, uint64(keys-1))
		var s Sketch
		exact := map[string]uint64{}
		samples := rapid.IntRange(1, 20_000).Draw(t, "samples")
		for range samples {
			key := fmt.Sprint("key", zipf.Uint64())
			exact[key]++
			s.Sample(xxh3.HashString(key), []byte(key))
		}
		if s.Total() != uint64(samples) {
			t.Fatalf("%d samples, want %d", s.Total(), samples)
		}
		top := s.Top(nil, Counters)
		has := map[string]bool{}
		for i, h := range top {
			has[h.Key] = true
			if n := exact[h.Key]; h.Count < n || h.Count > n+h.Over {
				t.Fatalf("%s came %d times: %+v", h.Key, n, h)
			}
			if i > 0 && h.Count > top[i-1].Count {
				t.Fatalf("%+v stands below %+v", h, top[i-1])
			}
		}
		for key, n := range exact {
			if n > uint64(samples/Counters) && !has[key] {
				t.Fatalf("%s came %d of %d times and has no place", key, n, samples)
			}
		}
	})
}

// TestNoteFindsHotKeys has one key in every ten requests, and another in every
// 64, as a client may ask: samples must not fall into step with it.
func TestNoteFindsHotKeys(t *testing.T) {
	var s Sketch
	const requests = 640_000
	for i := range requests {
		key := fmt.Sprint("cold", i)
		switch {
		case i%10 == 0:
			key = "hot"
		case i%Every == 1:
			key = "step"
		}
		s.Note(xxh3.HashString(key), []byte(key))
	}
	if n := s.Total(); n < requests/Every*9/10 || n > requests/Every*11/10 {
		t.Errorf("%d samples of %d requests, want one in %d", n, requests, Every)
	}
	top := s.Top(nil, 2)
	if len(top) != 2 || top[0].Key != "hot" || top[1].Key != "step" {
		t.Fatalf("%+v", top)
	}
	for i, want := range []float64{0.1, 0.9 / 64} {
		if share := float64(top[i].Count) / float64(s.Total()); share < want*0.8 || share > want*1.5 {
			t.Errorf("%s has a share of %.4f, want %.4f", top[i].Key, share, want)
		}
	}
}

func TestHalve(t *testing.T) {
	var s Sketch
	for _, key := range strings.Split("c a a b a a b a a b a a b a", " ") { // c, in the first place, is forgotten
		s.Sample(xxh3.HashString(key), []byte(key))
	}
	s.Halve()
	if got, want := s.Top(nil, 9), []Hot{{"a", 4, 0}, {"b", 2, 0}}; !slices.Equal(got, want) || s.Total() != 7 {
		t.Errorf("%+v of %d, want %+v of 7", got, s.Total(), want)
	}
	s.Sample(xxh3.HashString("d"), []byte("d"))
	s.Sample(xxh3.HashString("b"), []byte("b"))
	if got, want := s.Top(nil, 9), []Hot{{"a", 4, 0}, {"b", 3, 0}, {"d", 1, 0}}; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestMerge(t *testing.T) {
	got := Merge(2, []Hot{{"a", 5, 1}, {"b", 4, 0}}, nil, []Hot{{"b", 3, 1}, {"c", 6, 0}})
	if want := []Hot{{"b", 7, 1}, {"c", 6, 0}}; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestNoteAllocatesNothing(t *testing.T) {
	var s Sketch
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key%04d", i)
	}
	all := func() {
		for range 20 {
			for _, key := range keys {
				s.Note(xxh3.Hash(key), key)
			}
		}
	}
	all()
	if n := testing.AllocsPerRun(10, all); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNote(b *testing.B) {
	var s Sketch
	keys := make([][]byte, 1<<16)
	hashes := make([]uint64, len(keys))
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key%05d", i)
		hashes[i] = xxh3.Hash(keys[i])
	}
	for i := 0; b.Loop(); i++ {
		k := i & (len(keys) - 1)
		s.Note(hashes[k], keys[k])
	}
}
