package protocol

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// manyKeys is a list of n keys, each with a space before it.
func manyKeys(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, " key-%d", i)
	}
	return s.String()
}

func TestBinary(t *testing.T) {
	header := "\x80\x0b" + strings.Repeat("\x00", 10) + "\x01\x02\x03\x04" + strings.Repeat("\x00", 8)
	check(t, header, fmt.Sprintf("binary %q", header))
	check(t, "mn\r\n\x80\x0b\r\n", "mn", "error() ERROR")

	want := "\x81\x0b\x00\x00\x00\x00\x00\x81\x00\x00\x00\x0f\x01\x02\x03\x04" + strings.Repeat("\x00", 8) + "Unknown command"
	if got := AppendBinaryUnknown(nil, []byte(header)); string(got) != want {
		t.Errorf("binary reply %q, want %q", got, want)
	}
}

// TestUnended shows which lines may go on without end.
func TestUnended(t *testing.T) {
	for _, c := range []struct {
		in    string
		close bool
	}{
		{strings.Repeat("x", LineLenMax), false},
		{strings.Repeat("x", LineLenMax+1), true},
		{"set" + strings.Repeat(" ", LineLenMax), true},
		{"get" + strings.Repeat(" ", LineLenMax), false},
		{"get\t" + strings.Repeat(" ", LineLenMax), true},
		{"get" + manyKeys(400), false},
		{"gets" + manyKeys(400), false},
		{"gat 0" + manyKeys(400), false},
		{"gats 0" + manyKeys(400), false},
		{strings.Repeat(" ", 100) + "get" + manyKeys(400), false},
		{strings.Repeat(" ", 101) + "get" + manyKeys(400), true},
	} {
		f := newFeeder(t, 0)
		f.feed([]byte(c.in))
		if f.closed != c.close {
			t.Errorf("%.20q…: closed %v, want %v", c.in, f.closed, c.close)
		}
		if len(f.buf) > LineLenMax {
			t.Errorf("%.20q…: %d bytes left in the buffer", c.in, len(f.buf))
		}
	}
}

// TestLongGet feeds gets of many keys, with their line end in sight and without.
func TestLongGet(t *testing.T) {
	all := func(n int) string {
		keys := strings.Fields(manyKeys(n))
		return fmt.Sprintf("%q", keys)
	}
	for _, n := range []int{1, BatchKeysMax - 1, BatchKeysMax, BatchKeysMax + 1, 3 * BatchKeysMax, 5000} {
		check(t, "mn\r\nget"+manyKeys(n)+"  \r\nmn\r\n", "mn", "get exp=0 "+all(n), "mn")
		check(t, "get a\r\ngats -5 "+manyKeys(n)+"\nget b\r\n", `get exp=0 ["a"]`, "gats exp=-5 "+all(n), `get exp=0 ["b"]`)
		// A mistake ends this get and nothing else.
		bad := "mn\r\nget" + manyKeys(n) + " " + key251 + manyKeys(n) + "\r\nversion\r\n"
		check(t, bad, "mn", "error(get) "+badFormat, "version")
	}
	spaces := strings.Repeat(" ", 3*LineLenMax)
	check(t, "get"+spaces+"a"+spaces+"b"+spaces+"\r\nmn\r\n", `get exp=0 ["a" "b"]`, "mn")
	check(t, "get"+spaces+"\r\nmn\r\n", "error(get) "+badFormat, "mn")
	check(t, "get"+spaces+key250+"\r\nmn\r\n", `get exp=0 ["`+key250+`"]`, "mn")
	check(t, "  get"+manyKeys(1000)+"\r\nmn\r\n", "error() ERROR", "mn")
	check(t, "gat x"+manyKeys(1000)+"\r\nmn\r\n", "error(gat) "+badExptime, "mn")
}

// TestPieces shows what the pieces of one get look like.
func TestPieces(t *testing.T) {
	var p Parser
	b := new(Batch)
	in := []byte("version\r\nget" + manyKeys(BatchKeysMax+2) + "\r\nversion\r\n")
	type piece struct {
		op              Op
		keys            int
		more, continued bool
	}
	var got []piece
	for len(in) > 0 {
		in = in[p.Fill(in, b):]
		for _, r := range b.Requests {
			got = append(got, piece{r.Op, len(r.Keys), r.More, r.Continued})
		}
		got = append(got, piece{})
	}
	want := []piece{
		{op: OpVersion},
		{},
		{OpGet, BatchKeysMax, true, false},
		{},
		{OpGet, 2, false, true},
		{op: OpVersion},
		{},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestBatchLimits shows that a batch is never overfull, whatever comes.
func TestBatchLimits(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	parts := []string{
		"get" + manyKeys(7) + "\r\n", "mn\r\n", "delete a\r\n", "mg YWI= b\r\n", "slabs" + manyKeys(30) + "\r\n",
		"set a 0 0 1\r\nx\r\n", "verbosity 1\r\n", "foo\r\n", "get" + manyKeys(70) + "\r\n",
	}
	for range 50 {
		var in strings.Builder
		for range 300 {
			in.WriteString(parts[rng.IntN(len(parts))])
		}
		whole := parseWhole(t, in.String())
		split := parseSplit(t, in.String(), 0, 1+rng.IntN(3000), rng)
		if strings.Join(whole, "\n") != strings.Join(split, "\n") {
			t.Fatal("the splits made a difference")
		}
	}
	p := Parser{RequestsMax: 3}
	b := new(Batch)
	if n := p.Fill([]byte(strings.Repeat("mn\r\n", 10)), b); n != 12 || len(b.Requests) != 3 {
		t.Errorf("RequestsMax 3 gave %d requests of %d bytes", len(b.Requests), n)
	}
}

// TestStandLast lists the requests after which a batch ends.
func TestStandLast(t *testing.T) {
	for in, last := range map[string]bool{
		"quit\r\n": true, "shutdown\r\n": true, "watch\r\n": true, "lru_crawler enable\r\n": true, "stats\r\n": true,
		"flush_all\r\n": true, "x HTTP/1.0\r\n": true,
		"version\r\n": false, "get a\r\n": false, "mn\r\n": false, "verbosity 1\r\n": false, "foo\r\n": false, "set a 0 0 1\r\nx\r\n": false,
	} {
		var p Parser
		b := new(Batch)
		p.Fill([]byte("mn\r\n"+in+"mn\r\n"), b)
		if got := len(b.Requests) == 2; got != last {
			t.Errorf("%q stands last: %v, want %v", in, got, last)
		}
	}
}

func TestStreaming(t *testing.T) {
	const line = "set a 5 6 10 noreply\r\n"
	var p Parser
	p.InlineMax = 9
	b := new(Batch)
	if n := p.Fill([]byte("mn\r\n"+line+"0123"), b); n != 4+len(line) || !b.Last().Streaming {
		t.Errorf("a long block not all there: n %d, %+v", n, b.Last())
	}
	if n := p.Fill([]byte(line+"0123456789\r\n"), b); n != len(line)+12 || b.Last().Streaming {
		t.Errorf("a long block all there: n %d, %+v", n, b.Last())
	}
	p.InlineMax = 10
	if n := p.Fill([]byte("mn\r\n"+line+"0123"), b); n != 4 || p.Need() != len(line)+12 {
		t.Errorf("a short block not all there: n %d, Need %d", n, p.Need())
	}
	// A refused block is skipped, however long.
	p.InlineMax = 0
	if n := p.Fill([]byte("ms a 10 Tx\r\n0123"), b); n != 16 || b.Last().Op != OpError || b.Last().Streaming {
		t.Errorf("a refused block: n %d, %+v", n, b.Last())
	}
	if n := p.Fill([]byte("456789\r"), b); n != 7 || len(b.Requests) != 0 {
		t.Errorf("the rest of a refused block: n %d, %d requests", n, len(b.Requests))
	}
	if n := p.Fill([]byte("\nmn\r\n"), b); n != 5 || b.Last().Op != OpMetaNoop {
		t.Errorf("after a refused block: n %d, %+v", n, b.Last())
	}
	p.Skip(3)
	if n := p.Fill([]byte("xyzmn\r\n"), b); n != 7 || b.Last().Op != OpMetaNoop {
		t.Errorf("after Skip: n %d, %+v", n, b.Last())
	}
}

// TestAliases shows that nothing is copied but base64 keys.
func TestAliases(t *testing.T) {
	in := []byte("set key 0 0 5\r\nvalue\r\nmg YWJj b Oxyz\r\n")
	var p Parser
	b := new(Batch)
	p.Fill(in, b)
	copy(in, bytes.ToUpper(in))
	if set := b.Requests[0]; string(set.Key()) != "KEY" || string(set.Value) != "VALUE" {
		t.Errorf("set holds %q %q", set.Key(), set.Value)
	}
	if mg := b.Requests[1]; string(mg.Key()) != "abc" || string(mg.Meta.Opaque) != "XYZ" {
		t.Errorf("mg holds %q %q", mg.Key(), mg.Meta.Opaque)
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	for _, in := range []string{
		"get a\r\n", "gets" + manyKeys(50) + "\r\n", "get" + manyKeys(200) + "\r\n", "set a 0 0 3\r\nfoo\r\n",
		"mg YWI= b v O123 k\r\n", "ms a 3 T0 F5\r\nfoo\r\n", "incr a 1\r\n", "stats items\r\n", "set a x 0 3\r\nfoo\r\n", "foo\r\n",
	} {
		var p Parser
		b := new(Batch)
		buf := []byte(strings.Repeat(in, 10))
		if n := testing.AllocsPerRun(20, func() {
			for rest := buf; len(rest) > 0; {
				rest = rest[p.Fill(rest, b):]
			}
		}); n != 0 {
			t.Errorf("%.20q: %v allocations", in, n)
		}
	}
}
