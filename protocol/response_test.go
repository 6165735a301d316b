package protocol

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// describeResponse writes down what is not zero.
func describeResponse(r *Response) string {
	s := fmt.Sprintf("%d", r.Status)
	for _, f := range []struct {
		name string
		v    []byte
	}{{"key", r.Key}, {"value", r.Value}, {"args", r.Args}} {
		if len(f.v) > 0 {
			s += fmt.Sprintf(" %s=%q", f.name, f.v)
		}
	}
	if r.HasCAS {
		s += fmt.Sprintf(" cas=%d", r.CAS)
	}
	if r.Flags != 0 || r.Number != 0 {
		s += fmt.Sprintf(" flags=%d number=%d", r.Flags, r.Number)
	}
	return s
}

func TestResponse(t *testing.T) {
	for _, c := range []struct {
		in, want string
	}{
		{"VALUE a\tb 7 3\r\nfoo\r\n", `2 key="a\tb" value="foo" args="a\tb 7 3" flags=7 number=0`},
		{"VALUE a 0 0 18446744073709551615\r\n\r\n", `2 key="a" args="a 0 0 18446744073709551615" cas=18446744073709551615`},
		{"VALUE a 0 2\r\n\r\n\r\n", `2 key="a" value="\r\n" args="a 0 2"`},
		{"END\r\n", "3"},
		{"STORED\r\n", "4"},
		{"NOT_STORED\r\n", "5"},
		{"EXISTS\r\n", "6"},
		{"NOT_FOUND\r\n", "7"},
		{"DELETED\r\n", "8"},
		{"TOUCHED\r\n", "9"},
		{"OK\r\n", "10"},
		{"RESET\r\n", "11"},
		{"18446744073709551615\r\n", fmt.Sprintf("12 flags=0 number=%d", uint64(1<<64-1))},
		{"STAT evictions 0\r\n", `13 key="evictions" value="0" args="0"`},
		{"STAT x\r\n", `13 key="x"`},
		{"STAT version 1 2 3\r\n", `13 key="version" value="1 2 3" args="1 2 3"`},
		{"VERSION 1.6.45\r\n", `14 value="1.6.45" args="1.6.45"`},
		{"HD\r\n", "15"},
		{"HD c5 Oabc\r\n", `15 args="c5 Oabc"`},
		{"VA 3 c5 ka2V5 b\r\nfoo\r\n", `16 value="foo" args="c5 ka2V5 b"`},
		{"VA 0\r\n\r\n", "16"},
		{"EN\r\n", "17"},
		{"NF Oabc\r\n", `18 args="Oabc"`},
		{"NS\r\n", "19"},
		{"EX\r\n", "20"},
		{"MN\r\n", "21"},
		{"ME a exp=-1 la=0\r\n", `22 key="a" args="exp=-1 la=0"`},
		{"ERROR\r\n", "23"},
		{"ERROR Too many open connections\r\n", `23 args="Too many open connections"`},
		{"CLIENT_ERROR bad data chunk\r\n", `24 args="bad data chunk"`},
		{"SERVER_ERROR out of memory\r\n", `25 args="out of memory"`},
		{"SERVER_ERROR: shutdown not enabled\r\n", `25 args="shutdown not enabled"`},
		{"key=a exp=-1 \n", `1 args="exp=-1 "`},
		{"BUSY currently processing\r\n", `1 args="currently processing"`},
		{"\r\n", "1"},
	} {
		var p ResponseParser
		var r Response
		in := []byte(c.in)
		if n, err := p.Next(append(in, "MN\r\n"...), &r); n != len(c.in) || err != nil || describeResponse(&r) != c.want {
			t.Errorf("%q: n %d, error %v, got %s, want %s", c.in, n, err, describeResponse(&r), c.want)
		}
		// Incomplete is an answer too.
		for i := range in {
			if n, err := p.Next(in[:i], &r); n != 0 || err != nil {
				t.Errorf("%q: n %d, error %v", in[:i], n, err)
			}
			if need := p.Need(); need != 0 && need != len(in) {
				t.Errorf("%q: Need %d, want %d", in[:i], need, len(in))
			}
		}
	}
}

func TestBadResponse(t *testing.T) {
	for _, in := range []string{
		"VALUE\r\n", "VALUE a\r\n", "VALUE a 0\r\n", "VALUE a x 1\r\nx\r\n", "VALUE a 0 x\r\nx\r\n", "VALUE a 0 -1\r\nx\r\n",
		"VALUE a 0 1 x\r\nx\r\n", "VALUE a 0 1 2 3\r\nx\r\n", "VALUE a 4294967296 1\r\nx\r\n", "VALUE a 0 1\r\nxyz\r\n",
		"VALUE a 0 99999999999\r\n", "VA\r\n", "VA x\r\n", "VA 1\r\nxx\r\n", "VALUE a 0 11\r\n",
		strings.Repeat("x", responseLineMax+1),
	} {
		p := ResponseParser{ValueMax: 10}
		var r Response
		if n, err := p.Next([]byte(in), &r); n != 0 || !errors.Is(err, ErrBadResponse) {
			t.Errorf("%.30q: n %d, error %v", in, n, err)
		}
	}
}

func TestResponseFlag(t *testing.T) {
	r := Response{Args: []byte("c55  Oxyz t-1 W")}
	for c, want := range map[byte]string{'c': "55", 'O': "xyz", 't': "-1", 'W': "", 'x': "no"} {
		arg, ok := r.Flag(c)
		if got := string(arg); ok != (want != "no") || ok && got != want {
			t.Errorf("flag %c is %q, %v", c, got, ok)
		}
	}
}

// TestRequestWriters has the parser read what the writers write.
func TestRequestWriters(t *testing.T) {
	a, v := []byte("a"), []byte("foo")
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{AppendGet(nil, OpGets, a, []byte("b")), `gets exp=0 ["a" "b"]`},
		{AppendGat(nil, OpGat, -1, a), `gat exp=-1 ["a"]`},
		{AppendStore(nil, OpAppend, a, 5, 6, v, true), `append ["a"] flags=5 exp=6 len=3 silent "foo"`},
		{AppendCas(nil, a, 5, 6, 7, v, false), `cas ["a"] flags=5 exp=6 cas=7 len=3 "foo"`},
		{AppendDelete(nil, a, true), `delete ["a"] silent`},
		{AppendDelete(nil, []byte("noreply"), false), `delete ["noreply"]`},
		{AppendDelete(nil, []byte("noreply"), true), `delete ["noreply"] silent`},
		{AppendArith(nil, OpDecr, a, 1<<64-1, false), `decr ["a"] delta=18446744073709551615`},
		{AppendTouch(nil, a, 60, false), `touch ["a"] exp=60`},
		{AppendMeta(nil, OpMetaGet, a, "v q"), `mg ["a"] vq`},
		{AppendMeta(nil, OpMetaDelete, a, ""), `md ["a"] `},
		{AppendMetaSet(nil, a, v, "c"), `ms ["a"] len=3 c "foo"`},
		{AppendCommand(nil, OpMetaNoop), "mn"},
		{AppendCommand(nil, OpStats, "slabs"), `stats ["slabs"]`},
	} {
		check(t, string(c.got), c.want)
	}
	for key, ok := range map[string]bool{"a": true, key250: true, "\x80": true, "": false, key251: false, "a b": false, "\t": false, "\x7f": false} {
		if KeyOK([]byte(key)) != ok {
			t.Errorf("KeyOK(%q) is %v", key, !ok)
		}
	}
}

// TestNames checks that every command parses under the name it has.
func TestNames(t *testing.T) {
	for op := range NumOps {
		if name := op.String(); name != "" && verb([]byte(name)) != op && tableVerb([]byte(name)) != op {
			t.Errorf("%s is not op %d", name, op)
		}
		if (op.String() != "") != (shapes[op] != shapeOther) {
			t.Errorf("op %d has a name or a shape, not both", op)
		}
	}
	if NumOps.String() != "" {
		t.Error("NumOps has a name")
	}
}
