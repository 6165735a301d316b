package main

import "math/rand/v2"

// skewedAlpha is the skew of the synthetic traces, that of a middling cluster.
const skewedAlpha = 0.9

// Synthetic returns the made-up traces: what caches are known to be bad at.
func Synthetic(requests int) []*Trace {
	keys := requests / 10
	return []*Trace{
		skewed("skewed", requests, keys, 0, false),
		skewed("one-hit wonders", requests, keys, 0.2, false),
		skewed("wonders and scans", requests, keys, 0.2, true),
		loop("loop", requests, keys),
		mixedLoop("loop under skew", requests, keys),
		shifting("shifting set", requests, keys),
		jumping("jumping set", requests, keys),
		growing("sizes 100 B to 5 KB", requests, keys/5),
	}
}

const syntheticValue = 230 // bytes

func newTrace(name string, seed uint64, requests int) *Trace {
	return &Trace{Name: name, KeyLen: 32, Rate: 20_000, Requests: requests, rng: rand.New(rand.NewPCG(seed, 11))}
}

// skewed asks for keys by a Zipf distribution; a share of the requests goes to
// keys that nobody asks for again. With scans, every now and then all keys of a
// range are read once, between other requests.
func skewed(name string, requests, keys int, wonders float64, scans bool) *Trace {
	t := newTrace(name, 1, requests)
	t.Footprint = int64(keys) * int64(syntheticValue+t.KeyLen)
	z, length := newZipf(t.rng, keys, skewedAlpha), newSizes(syntheticValue, 1)
	fresh, n, scan := uint64(freshIDs), 0, uint64(scanIDs)
	t.next = func(a *Access) {
		n++
		switch {
		case scans && n%(requests/8) < keys/2 && n&1 == 0: // a scan as large as a quarter of the keys
			a.ID = scan
			scan++
		case t.rng.Float64() < wonders:
			a.ID = fresh
			fresh++
		default:
			a.ID = uint64(z.next())
		}
		a.ValueLen = length.of(a.ID)
	}
	return t
}

// loop reads keys in turn, over and over.
func loop(name string, requests, keys int) *Trace {
	t := newTrace(name, 2, requests)
	t.Footprint = int64(keys) * int64(syntheticValue+t.KeyLen)
	at := 0
	t.next = func(a *Access) {
		a.ID, a.ValueLen = uint64(at), syntheticValue
		at = (at + 1) % keys
	}
	return t
}

// mixedLoop is half a loop, half skewed requests for other keys.
func mixedLoop(name string, requests, keys int) *Trace {
	t := skewed(name, requests, keys/2, 0, false)
	hot, round := t.next, loop(name, requests, keys/2)
	t.Footprint *= 2
	t.next = func(a *Access) {
		if t.rng.Uint32()&1 == 0 {
			hot(a)
			return
		}
		round.next(a)
		a.ID += scanIDs
	}
	return t
}

// shifting is skewed over a window of keys that moves on all the time: at the
// end none of the first keys is left.
func shifting(name string, requests, keys int) *Trace {
	t := newTrace(name, 3, requests)
	window := keys / 4
	t.Footprint = int64(window) * int64(syntheticValue+t.KeyLen)
	z, length := newZipf(t.rng, window, skewedAlpha), newSizes(syntheticValue, 1)
	n := 0
	t.next = func(a *Access) {
		n++
		first := n * 3 / 40 // of the window's keys
		// A key keeps its rank while the window passes over it.
		rank := int(mix(uint64(z.next())) % uint64(window))
		a.ID = uint64(first + (rank-first%window+window)%window)
		a.ValueLen = length.of(a.ID)
	}
	return t
}

// jumping is skewed over a set of keys that is replaced as a whole, eight times.
func jumping(name string, requests, keys int) *Trace {
	t := newTrace(name, 4, requests)
	set := keys / 4
	t.Footprint = int64(set) * int64(syntheticValue+t.KeyLen)
	z, length := newZipf(t.rng, set, skewedAlpha), newSizes(syntheticValue, 1)
	n := 0
	t.next = func(a *Access) {
		n++
		a.ID = uint64(n/(requests/8)*set + z.next())
		a.ValueLen = length.of(a.ID)
	}
	return t
}

// growing is skewed; in the middle every key's value grows from 100 bytes to
// 5 KB: the keys are new ones.
func growing(name string, requests, keys int) *Trace {
	const small, large = 100, 5 << 10
	t := newTrace(name, 5, requests)
	t.Footprint = int64(keys) * int64(large+t.KeyLen)
	z := newZipf(t.rng, keys, skewedAlpha)
	few := newZipf(t.rng, keys*30, skewedAlpha) // as much memory in small values
	n := 0
	t.next = func(a *Access) {
		n++
		if n <= requests/2 {
			a.ID, a.ValueLen = uint64(few.next()), small
			return
		}
		a.ID, a.ValueLen = uint64(z.next())|scanIDs, large
	}
	return t
}
