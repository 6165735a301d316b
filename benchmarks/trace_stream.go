package main

import (
	"math"
	"math/rand/v2"
)

// Access is one request of a Trace: a read, after whose miss the client stores
// the key, or a write.
type Access struct {
	ID       uint64 // names the key
	Write    bool
	ValueLen int // bytes; the same for every access to a key between two writes
	TTL      int // seconds, 0 for never
}

// Trace is an endless stream of requests, the same for the same name and
// length. It is not safe for concurrent use.
type Trace struct {
	Name   string
	KeyLen int     // bytes
	Rate   float64 // requests in a second of the trace's time
	// Requests is the length that the trace was made for: it has as many phases
	// and new keys as shall be seen in so many requests.
	Requests int
	// Footprint is about how many bytes the keys and values have that can be
	// asked for again: what a cache would have to hold to miss nothing.
	Footprint int64

	rng  *rand.Rand
	next func(*Access)
}

// Next fills in the next request.
func (t *Trace) Next(a *Access) { t.next(a) }

// AppendKey appends the name of a key: digits, after dots up to KeyLen bytes.
func (t *Trace) AppendKey(dst []byte, id uint64) []byte {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	for range t.KeyLen - 7 {
		dst = append(dst, '.')
	}
	for shift := 36; shift >= 0; shift -= 6 {
		dst = append(dst, digits[id>>shift&63])
	}
	return dst
}

// zipf draws ranks 0 to n-1 with odds that fall by rank^-alpha, by inversion
// with rejection (Hörmann, Derflinger 1996): no table, any alpha.
type zipf struct {
	rng                 *rand.Rand
	n, alpha            float64
	atOne, atEnd, sure2 float64
}

func newZipf(rng *rand.Rand, n int, alpha float64) *zipf {
	z := &zipf{rng: rng, n: float64(n), alpha: alpha}
	z.atOne = z.area(1.5) - 1
	z.atEnd = z.area(z.n + 0.5)
	z.sure2 = 2 - z.areaInverse(z.area(2.5)-math.Pow(2, -alpha))
	return z
}

// area is the integral of x^-alpha from 1.
func (z *zipf) area(x float64) float64 {
	l := math.Log(x)
	e := (1 - z.alpha) * l
	if math.Abs(e) < 1e-8 {
		return l * (1 + e/2)
	}
	return math.Expm1(e) / (1 - z.alpha)
}

func (z *zipf) areaInverse(a float64) float64 {
	t := max(a*(1-z.alpha), -1)
	if math.Abs(t) < 1e-8 {
		return math.Exp(a * (1 - t/2))
	}
	return math.Exp(math.Log1p(t) / (1 - z.alpha))
}

func (z *zipf) next() int {
	for {
		u := z.atEnd + z.rng.Float64()*(z.atOne-z.atEnd)
		x := z.areaInverse(u)
		k := min(max(math.Floor(x+0.5), 1), z.n)
		if k-x <= z.sure2 || u >= z.area(k+0.5)-math.Pow(k, -z.alpha) {
			return int(k) - 1
		}
	}
}

// sizes gives every key a length drawn from a log-normal distribution, by the
// key alone.
type sizes struct{ table [4096]int32 }

// newSizes makes lengths with that mean; sigma is that of their logarithm.
func newSizes(mean, sigma float64) *sizes {
	s := new(sizes)
	sum := 0.0
	length := make([]float64, len(s.table))
	for i := range length {
		quantile := (float64(i) + 0.5) / float64(len(s.table))
		length[i] = math.Exp(sigma * math.Sqrt2 * math.Erfinv(2*quantile-1))
		sum += length[i]
	}
	for i := range length {
		s.table[i] = int32(max(1, math.Round(length[i]*mean*float64(len(s.table))/sum)))
	}
	return s
}

func (s *sizes) of(id uint64) int { return int(s.table[mix(id)>>52]) }

// mix is a hash of an id (the last steps of MurmurHash3).
func mix(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Ids of keys by where they come from, so that no two sources share one.
const (
	freshIDs = 1 << 40 // never asked for before
	scanIDs  = 1 << 39
)
