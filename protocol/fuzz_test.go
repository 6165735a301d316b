package protocol

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// FuzzParser feeds bytes whole and at splits drawn from seed. The feeder checks
// each batch; the requests must be the same either way. Lines longer than
// LineLenMax are left out of the comparison: whether they are taken depends on
// whether their end is already there.
func FuzzParser(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 0))
		whole := parseWhole(t, string(in))
		split := parseSplit(t, string(in), rng.IntN(20), 1+rng.IntN(64), rng)
		if longestLine(in) > LineLenMax {
			return
		}
		if strings.Join(whole, "\n") != strings.Join(split, "\n") {
			t.Errorf("whole %q\nsplit %q", whole, split)
		}
	})
}

func longestLine(in []byte) (longest int) {
	for line := range bytes.SplitSeq(in, []byte("\n")) {
		longest = max(longest, len(line)+1)
	}
	return longest
}

// FuzzResponse parses bytes as a server's answers. A response must be the same
// when nothing follows it, and no shorter buffer may give an error or another answer.
func FuzzResponse(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		p := ResponseParser{ValueMax: 1 << 20}
		for len(in) > 0 {
			var r Response
			n, err := p.Next(in, &r)
			if n < 0 || n > len(in) || err != nil && n != 0 {
				t.Fatalf("n %d of %d, error %v", n, len(in), err)
			}
			if n == 0 {
				if need := p.Need(); need != 0 && need <= len(in) {
					t.Fatalf("needs %d bytes and has %d", need, len(in))
				}
				return
			}
			want := describeResponse(&r)
			for _, m := range []int{n, n - 1, n / 2} {
				got, err := p.Next(in[:m], &r)
				if m == n && (got != n || err != nil || describeResponse(&r) != want) {
					t.Fatalf("%q alone: n %d, error %v, %s, want %s", in[:m], got, err, describeResponse(&r), want)
				}
				if m < n && (got != 0 || err != nil) {
					t.Fatalf("%q of %q: n %d, error %v", in[:m], in[:n], got, err)
				}
			}
			in = in[n:]
		}
	})
}
