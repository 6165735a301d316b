package protocol

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// feeder plays the session: it feeds a parser in parts, takes streamed values
// itself, and writes down every request as text. A get that came in pieces is
// written as one; a streamed value as if it had been in the buffer. So the text
// must not depend on the splits.
type feeder struct {
	t      testing.TB
	p      Parser
	b      *Batch
	buf    []byte
	stream int    // bytes of a streamed value still to come, line end included
	value  []byte // of the streamed request so far
	held   string // the streamed request, or the pieces of a get so far
	keys   []string
	out    []string
	closed bool
}

func newFeeder(t testing.TB, inlineMax int) *feeder {
	return &feeder{t: t, p: Parser{InlineMax: inlineMax}, b: new(Batch)}
}

// feed gives the parser more bytes, in a buffer of their own each time: what was
// used up is overwritten, so that nobody can look at it any longer.
func (f *feeder) feed(part []byte) {
	f.buf = append(f.buf, part...)
	for !f.closed {
		if f.stream > 0 {
			n := min(f.stream, len(f.buf))
			f.value = append(f.value, f.buf[:n]...)
			f.stream -= n
			f.buf = f.buf[n:]
			if f.stream > 0 {
				return
			}
			f.endStream()
		}
		before := bytes.Clone(f.buf)
		n := f.p.Fill(f.buf, f.b)
		if n < 0 || n > len(f.buf) {
			f.t.Fatalf("Fill used %d of %d bytes", n, len(f.buf))
		}
		if !bytes.Equal(before, f.buf) {
			f.t.Fatal("Fill changed the buffer")
		}
		if need := f.p.Need(); need > 0 && len(f.buf)-n >= need {
			f.t.Fatalf("Fill needs %d bytes and had %d", need, len(f.buf)-n)
		}
		f.batch()
		if n == 0 && len(f.b.Requests) == 0 {
			return
		}
		for i := range n {
			f.buf[i] = '#'
		}
		f.buf = bytes.Clone(f.buf[n:])
	}
}

// batch checks the batch and writes its requests down.
func (f *feeder) batch() {
	if len(f.b.Requests) > BatchRequestsMax || len(f.b.Keys) > BatchKeysMax {
		f.t.Fatalf("batch of %d requests, %d keys", len(f.b.Requests), len(f.b.Keys))
	}
	keys := 0
	for i := range f.b.Requests {
		r := &f.b.Requests[i]
		last := i == len(f.b.Requests)-1
		for _, key := range r.Keys {
			if &key[0] != &f.b.Keys[keys][0] {
				f.t.Fatal("Batch.Keys is not the keys of the requests in order")
			}
			if len(key) == 0 || len(key) > KeyLenMax {
				f.t.Fatalf("key of %d bytes", len(key))
			}
			keys++
		}
		if (r.Op == OpError) != (r.Err != nil) {
			f.t.Fatalf("op %d with error %v", r.Op, r.Err)
		}
		if !last && (r.Streaming || r.More || r.Op == OpClose || r.Op == OpQuit || r.Op == OpStats) {
			f.t.Fatalf("op %d does not stand last", r.Op)
		}
		f.request(r)
	}
	if keys != len(f.b.Keys) {
		f.t.Fatalf("%d keys in the requests, %d in the batch", keys, len(f.b.Keys))
	}
}

func (f *feeder) request(r *Request) {
	if r.Continued != (len(f.keys) > 0) {
		f.t.Fatalf("Continued %v after %d keys", r.Continued, len(f.keys))
	}
	if r.Op >= OpGet && r.Op <= OpGats {
		for _, key := range r.Keys {
			f.keys = append(f.keys, string(key))
		}
		if r.More {
			return
		}
		f.emit(fmt.Sprintf("%v exp=%d %q", r.Op, r.Exptime, f.keys))
		f.keys = nil
		return
	}
	f.keys = nil
	if r.Streaming {
		if r.Value != nil {
			f.t.Fatal("a streaming request with a value")
		}
		f.held, f.value, f.stream = describe(r), nil, r.ValueLen+2
		return
	}
	s := describe(r)
	if r.Value != nil {
		s += describeValue(r.Value, r.BadChunk)
	}
	f.emit(s)
	f.closed = r.Op == OpClose || r.Op == OpBinary
}

func (f *feeder) endStream() {
	n := len(f.value) - 2
	f.emit(f.held + describeValue(f.value[:n], string(f.value[n:]) != "\r\n"))
}

func (f *feeder) emit(s string) { f.out = append(f.out, s) }

func describeValue(v []byte, bad bool) string {
	s := fmt.Sprintf(" %q", v)
	if bad {
		s += " bad"
	}
	return s
}

// describe writes down what is not zero.
func describe(r *Request) string {
	var s strings.Builder
	switch r.Op {
	case OpClose:
		return "close"
	case OpBinary:
		s.WriteString("binary")
	case OpError:
		fmt.Fprintf(&s, "error(%v) %s", r.FailedOp, r.Err.Text)
	default:
		s.WriteString(r.Op.String())
	}
	if len(r.Keys) > 0 {
		fmt.Fprintf(&s, " %q", r.Keys)
	}
	for _, n := range []struct {
		name string
		v    any
		show bool
	}{
		{"flags", r.Flags, r.Err == nil && r.Flags != 0},
		{"exp", r.Exptime, r.Err == nil && r.Exptime != 0},
		{"cas", r.CAS, r.Err == nil && r.CAS != 0},
		{"delta", r.Delta, r.Err == nil && r.Delta != 0},
		{"len", r.ValueLen, r.ValueLen != 0},
	} {
		if n.show {
			fmt.Fprintf(&s, " %s=%v", n.name, n.v)
		}
	}
	if len(r.Args) > 0 {
		fmt.Fprintf(&s, " %q", r.Args)
	}
	if r.NoReply {
		s.WriteString(" silent")
	}
	if shapes[r.Op] == shapeMeta {
		m := &r.Meta
		fmt.Fprintf(&s, " %s", m.Order[:m.N])
		if m.Has('O') {
			fmt.Fprintf(&s, " O%s", m.Opaque)
		}
		if m.Mode != 0 {
			fmt.Fprintf(&s, " M%c", m.Mode)
		}
		if m.Binary {
			fmt.Fprintf(&s, " text=%s", m.KeyText)
		}
		if m.TTL|m.Vivify|m.Recache != 0 || m.CAS|m.NewCAS|m.Initial != 0 || m.Delta != 1 {
			fmt.Fprintf(&s, " T%d N%d R%d C%d E%d D%d J%d", m.TTL, m.Vivify, m.Recache, m.CAS, m.NewCAS, m.Delta, m.Initial)
		}
	}
	return s.String()
}

// parseWhole is what the parser makes of in when it comes at once.
func parseWhole(t testing.TB, in string) []string {
	f := newFeeder(t, 1<<30)
	f.feed([]byte(in))
	return f.out
}

// parseSplit is what it makes of in when it comes in random parts, at most
// partMax bytes long.
func parseSplit(t testing.TB, in string, inlineMax, partMax int, rng *rand.Rand) []string {
	f := newFeeder(t, inlineMax)
	for len(in) > 0 {
		n := min(len(in), 1+rng.IntN(partMax))
		f.feed([]byte(in[:n]))
		in = in[n:]
	}
	return f.out
}

// check parses in whole, byte by byte and at random splits and wants the same
// requests each time.
func check(t *testing.T, in string, want ...string) {
	t.Helper()
	compare := func(how string, got []string) {
		t.Helper()
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%.200q %s:\n got %q\nwant %q", in, how, got, want)
		}
	}
	compare("whole", parseWhole(t, in))
	rng := rand.New(rand.NewPCG(1, uint64(len(in))))
	compare("byte by byte", parseSplit(t, in, 1<<20, 1, rng))
	compare("byte by byte, streaming", parseSplit(t, in, 0, 1, rng))
	for range 8 {
		compare("at random splits", parseSplit(t, in, rng.IntN(8), 1+rng.IntN(40), rng))
	}
}
