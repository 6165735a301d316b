package main

import (
	"math"
	"math/rand/v2"
	"strconv"
)

// sequence is a Stream of the keys 0, 1, 2, …, all with values of one length.
type sequence struct {
	next, valueBytes, ttl int
	key                   []byte
}

// Next is the next key, its value's length and its TTL as in Wire.AppendSet.
func (s *sequence) Next() (key []byte, valueLen, ttl int) {
	s.key = appendKey(s.key[:0], s.next)
	s.next++
	return s.key, s.valueBytes, s.ttl
}

// production is a Stream of ever new keys with sizes as large sites see them:
// keys of 20 to 60 bytes, values log-normal around a median of 230 bytes.
type production struct {
	rng  *rand.Rand
	next int
	key  []byte
}

const (
	productionMedian = 230     // bytes
	productionSigma  = 1.0     // of the value length's logarithm: a mean of 380 bytes
	productionMax    = 100_000 // bytes; longer ones are too rare to average out in a run
)

func newProduction() *production {
	return &production{rng: rand.New(rand.NewPCG(3, 5))}
}

// Next is a new key, its value's length, and no TTL.
func (p *production) Next() (key []byte, valueLen, ttl int) {
	p.key = strconv.AppendInt(append(p.key[:0], "object:"...), int64(p.next), 10)
	p.next++
	for n := 20 + p.rng.IntN(41); len(p.key) < n; {
		p.key = append(p.key, '.')
	}
	v := productionMedian * math.Exp(productionSigma*p.rng.NormFloat64())
	return p.key, int(min(v, productionMax)), 0
}

// appendKey makes keys of 16 bytes, the length the tables speak of.
func appendKey(dst []byte, i int) []byte {
	dst = append(dst, "key:000000000000"...)
	for at := len(dst) - 1; i > 0; at, i = at-1, i/10 {
		dst[at] = '0' + byte(i%10)
	}
	return dst
}

// newValue makes n bytes that are not all the same.
func newValue(n int) []byte {
	v := make([]byte, n)
	for i := range v {
		v[i] = 'a' + byte(i%26)
	}
	return v
}

// newNoise makes n random bytes, the same ones each time.
func newNoise(n int) []byte {
	v := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(v) // never fails
	return v
}
