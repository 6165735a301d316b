package server

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// value is n bytes that do not repeat soon, line ends among them.
func value(n int) []byte {
	v := make([]byte, n)
	for i := range v {
		v[i] = byte(i*7 + i/251)
	}
	return v
}

// setOf is a storage request and its reply.
func setOf(key string, n int) (request, reply string) {
	v := value(n)
	return fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, n, v), fmt.Sprintf("stored %d %x\r\n", n, crc32.ChecksumIEEE(v))
}

// conversation is requests of every kind a session tells apart, and the replies.
func conversation() (in, want string) {
	var q, a strings.Builder
	add := func(request, reply string) {
		q.WriteString(request)
		a.WriteString(reply)
	}
	add("get a b\r\n", "[a b]\r\n")
	add(setOf("k", 10))
	add(setOf("k", 0))
	add("get pin:100\r\n", strings.Repeat("x", 100)+"\r\n")
	add(setOf("k", inlineMax+1))
	add(setOf("k", 3*directMin))
	add("nonsense\r\n", "ERROR\r\n")
	add(fmt.Sprintf("set refused 0 0 %d\r\n%s\r\n", 2*inlineMax, value(2*inlineMax)), "refused\r\n")
	add(fmt.Sprintf("set starved 0 0 %d\r\n%s\r\n", 2*inlineMax, value(2*inlineMax)), "bad\r\n")
	add(fmt.Sprintf("set long 0 0 %d\r\n%s++", 2*inlineMax, value(2*inlineMax)), "bad\r\n")
	add("stats more 2\r\n", strings.Repeat(strings.Repeat("m", 60000)+"\r\n", 2)+"done\r\n")
	for range 50 {
		add("get c\r\n", "[c]\r\n")
	}
	add("quit\r\n", "")
	return q.String() + "get never\r\n", a.String()
}

// differ says where got departs from want.
func differ(t *testing.T, got []byte, want string) {
	t.Helper()
	if string(got) == want {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	t.Fatalf("%d bytes, want %d; at %d: %.60q, want %.60q", len(got), len(want), i, got[i:], want[i:])
}

// A streaming request is one whose value is not there yet; refused and starved
// behave like that only then.
func TestSessionWholeAndBytewise(t *testing.T) {
	in, want := conversation()
	for _, step := range []int{1, 2, 3, 7, 100, 1000, 4096, 16384} {
		c := newToySession(t)
		for i := 0; i < len(in) && c.v != verdictClose; i += step {
			c.feed([]byte(in[i:min(i+step, len(in))]))
		}
		got := c.out
		if c.v != verdictClose {
			t.Fatalf("step %d: not closed", step)
		}
		if step > 8192 {
			// Values that came whole are stored, not streamed.
			continue
		}
		differ(t, got, want)
		c.idle()
	}
}

func TestSessionEverySplit(t *testing.T) {
	in := "get a b\r\nset k 0 0 5\r\nhello\r\nget pin:9\r\nset k 0 0 3\r\nab\r\n\r\nget a\r\nversion\r\nquit\r\n"
	whole := newToySession(t)
	whole.feed([]byte(in))
	for i := range in {
		for j := i; j < len(in); j++ {
			c := newToySession(t)
			c.feed([]byte(in[:i]))
			c.feed([]byte(in[i:j]))
			c.feed([]byte(in[j:]))
			if c.v != verdictClose {
				t.Fatalf("split at %d and %d: not closed", i, j)
			}
			differ(t, c.out, string(whole.out))
			c.idle()
		}
	}
}

// However slowly the output is taken, it is the same, and bounded meanwhile.
func TestSessionSlowReader(t *testing.T) {
	const reply = 30000
	in := []byte(strings.Repeat(fmt.Sprintf("get big:%d\r\nget pin:%d\r\n", reply, reply), 100))
	want := strings.Repeat(strings.Repeat("x", reply)+"\r\n", 200)
	c := newToySession(t)
	c.take = 9973
	for turns := 0; len(in) > 0 || c.Out.Pending() > 0 || c.v == verdictDrain; turns++ {
		in = c.turn(in, false)
		if n := c.Out.Pending(); n > outputMax+20*(reply+2) {
			t.Fatalf("%d bytes of output wait", n)
		}
		if n := c.l.buffers.bytes.Load(); n > 3*outputMax+20*reply+inputMax {
			t.Fatalf("the session holds %d bytes", n)
		}
		if turns > 10000 {
			t.Fatal("the session does not get on")
		}
	}
	differ(t, c.out, want)
	c.idle()
}

func TestSessionNeverRead(t *testing.T) {
	c := newToySession(t)
	c.take = 0
	in := []byte(strings.Repeat("get big:1000\r\n", 100000))
	for range 1000 {
		rest := c.turn(in, false)
		if len(rest) == len(in) && c.v == verdictDrain {
			break
		}
		in = rest
	}
	if c.v != verdictDrain || c.wantsInput(c.v) {
		t.Fatalf("verdict %d: the session still reads", c.v)
	}
	if n := c.l.buffers.bytes.Load(); n > 4*outputMax {
		t.Errorf("the session holds %d bytes", n)
	}
	c.abort(c.l)
	c.idle()
}

func TestSessionYields(t *testing.T) {
	c := newToySession(t)
	in := []byte(strings.Repeat("get a\r\n", 50))
	c.turn(in, true)
	if c.v != verdictYield || string(c.out) != strings.Repeat("[a]\r\n", 20) {
		t.Fatalf("verdict %d after %d bytes", c.v, len(c.out))
	}
	c.turn(nil, false)
	if c.v != verdictRead || string(c.out) != strings.Repeat("[a]\r\n", 50) {
		t.Fatalf("verdict %d after %d bytes", c.v, len(c.out))
	}
	if n := c.l.n.yields.Load(); n != 1 {
		t.Errorf("%d yields", n)
	}
	c.idle()
}

func TestSessionWakes(t *testing.T) {
	c := newToySession(t)
	c.feed([]byte("get a\r\nstats wait\r\nget b\r\n"))
	if c.v != verdictWait || string(c.out) != "[a]\r\nwaiting\r\n" {
		t.Fatalf("verdict %d, %q", c.v, c.out)
	}
	c.feed([]byte("get c\r\n"))
	if c.v != verdictWait || string(c.out) != "[a]\r\nwaiting\r\n" {
		t.Fatalf("verdict %d, %q", c.v, c.out)
	}
	c.Wake()
	c.feed(nil)
	if c.v != verdictRead || string(c.out) != "[a]\r\nwaiting\r\ndone\r\n[b]\r\n[c]\r\n" {
		t.Fatalf("verdict %d, %q", c.v, c.out)
	}
	c.idle()
}

func TestSessionInputEnds(t *testing.T) {
	c := newToySession(t)
	c.feed([]byte("stats wait\r\nget b\r\n"))
	c.eof = true
	c.feed(nil)
	if c.v != verdictWait {
		t.Fatalf("verdict %d: a late answer was not waited for", c.v)
	}
	c.Wake()
	c.feed(nil)
	if c.v != verdictClose || string(c.out) != "waiting\r\ndone\r\n[b]\r\n" {
		t.Fatalf("verdict %d, %q", c.v, c.out)
	}

	c = newToySession(t)
	c.feed([]byte("stats watch\r\n"))
	c.eof = true
	c.feed(nil)
	if c.v != verdictClose || !c.h.waiting[0].aborted.Load() {
		t.Fatalf("verdict %d: the watch did not end with the input", c.v)
	}

	c = newToySession(t)
	c.feed([]byte("stats close\r\nget b\r\n"))
	if c.v != verdictClose || string(c.out) != "closing\r\n" {
		t.Fatalf("verdict %d, %q", c.v, c.out)
	}
	c.idle()
}

func TestSessionAborts(t *testing.T) {
	for _, in := range []string{
		"set k 0 0 100000\r\nabc", "set k 0 0 100000\r\n" + strings.Repeat("x", 50000),
		"stats wait\r\nget a", "get pin:1000\r\nget part", "set k 0 0 10\r\nabc",
	} {
		c := newToySession(t)
		c.take = 10
		c.turn([]byte(in), false)
		c.abort(c.l)
		c.idle()
		for _, p := range c.h.waiting {
			if !p.aborted.Load() {
				t.Errorf("%.20q: the producer was not aborted", in)
			}
		}
	}
}

func TestSessionMemoryLimit(t *testing.T) {
	c := newToySession(t)
	c.l.buffers.limit = 1000
	c.feed([]byte("get a\r\n"))
	c.feed([]byte("set k 0 0 5000\r\n" + strings.Repeat("x", 2000)))
	if want := "[a]\r\nSERVER_ERROR out of memory reading request\r\n"; string(c.out) != want || c.v != verdictClose {
		t.Fatalf("verdict %d, %q", c.v, c.out)
	}
	if c.l.buffers.oom.Load() != 1 {
		t.Error("not counted")
	}
	c.idle()

	c = newToySession(t)
	c.l.buffers.limit = 1000
	c.take = 0
	c.begin(c.l)
	c.fed(copy(c.space(), "get big:5000\r\n"))
	c.run(false)
	if c.end() {
		t.Error("unwritten output over the limit was kept")
	}
	c.abort(c.l)
	c.idle()
}

func TestSessionRubbish(t *testing.T) {
	c := newToySession(t)
	rubbish := bytes.Repeat([]byte("x"), 3000)
	for range 100 {
		if c.v == verdictClose {
			break
		}
		c.feed(rubbish)
	}
	if c.v != verdictClose {
		t.Fatal("endless rubbish is read for ever")
	}
}

func TestSessionVerbose(t *testing.T) {
	var log bytes.Buffer
	c := newToySession(t)
	c.l.conf.log = zerolog.New(&log)
	c.feed([]byte("get quiet\r\n"))
	c.l.conf.verbosity.Store(2)
	c.feed([]byte("get a\r\nset k 0 0 3\r\nabc\r\nfoo\r\n"))
	want := ""
	for _, line := range []string{"<1 get a", ">1 [a]", "<1 set k 0 0 3", ">1 stored 3 352441c2", "<1 foo", ">1 ERROR"} {
		want += `{"level":"debug","message":"` + line + "\"}\n"
	}
	if log.String() != want {
		t.Errorf("log:\n%s\nwant:\n%s", log.String(), want)
	}
}

// An idle session and the requests of a busy one allocate nothing.
func TestSessionAllocs(t *testing.T) {
	c := newToySession(t)
	c.l.exec = quietExecutor{}
	in := []byte("get a\r\nset k 0 0 3\r\nabc\r\nget b\r\n")
	n := testing.AllocsPerRun(100, func() {
		c.begin(c.l)
		c.fed(copy(c.space(), in))
		c.v = c.run(false)
		c.Out.wrote(c.Out.Pending())
		c.end()
	})
	if n != 0 {
		t.Errorf("%v allocations a turn", n)
	}
}

// Output is what it says, however it is gathered, taken and moved.
func TestOutput(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		h := &toyHandler{}
		var o Output
		var want, got []byte
		vec := make([][]byte, 2+r.IntN(6))
		for range 200 {
			b := value(r.IntN(50))
			switch r.IntN(5) {
			case 0, 1:
				want = append(want, b...)
				o.Buf = append(o.Buf, b...)
			case 2:
				want = append(want, b...)
				h.pins.Add(1)
				cut := r.IntN(len(b) + 1)
				o.Pin([][]byte{b[:cut], b[cut:]}, toyPin{h})
			case 3:
				if o.Pending() == 0 {
					continue
				}
				flat := bytes.Join(o.gather(vec), nil)
				flat = flat[:r.IntN(len(flat)+1)]
				got = append(got, flat...)
				o.wrote(len(flat))
			case 4:
				s := Session{Out: o}
				s.shift()
				o = s.Out
				if r.IntN(2) == 0 {
					o.compact(nil, nil)
				}
			}
			if len(want)-len(got) != o.Pending() {
				t.Fatalf("seed %d: %d pending, want %d", seed, o.Pending(), len(want)-len(got))
			}
		}
		for o.Pending() > 0 {
			flat := bytes.Join(o.gather(vec), nil)
			got = append(got, flat...)
			o.wrote(len(flat))
		}
		if !bytes.Equal(got, want) || h.pins.Load() != 0 {
			t.Fatalf("seed %d: output differs, or %d pins left", seed, h.pins.Load())
		}
	}
}

func BenchmarkTurn(b *testing.B) {
	h := &toyHandler{}
	l := newLane(h, &bufferPool{}, &laneConfig{reqs: 20})
	l.exec = quietExecutor{}
	var s Session
	s.init(1, false, nil)
	in := []byte("get a\r\n")
	v := verdictRead
	for b.Loop() {
		s.begin(l)
		if s.wantsInput(v) {
			s.fed(copy(s.space(), in))
		}
		v = s.run(false)
		s.Out.wrote(s.Out.Pending())
		s.end()
		s.note(v)
	}
}
