package server

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-cache/holdfast/slab"
)

// want has c say in and hear exactly out.
func want(t testing.TB, c *client, in, out string) {
	t.Helper()
	if got := c.say([]byte(in)); string(got) != out {
		t.Fatalf("%q\n got %q\nwant %q", clip([]byte(in)), clip(got), clip([]byte(out)))
	}
}

// A get of more keys than a batch holds has one END.
func TestGetManyKeys(t *testing.T) {
	c := newClient(t, testNode(t, nil, nil), 0)
	want(t, c, "set k7 0 0 1\r\nx\r\nset k150 0 0 1\r\ny\r\n", "STORED\r\nSTORED\r\n")
	line := []byte("get")
	for i := range 200 {
		line = fmt.Appendf(line, " k%d", i)
	}
	want(t, c, string(line)+"\r\n", "VALUE k7 0 1\r\nx\r\nVALUE k150 0 1\r\ny\r\nEND\r\n")
	want(t, c, strings.Replace(string(line), "get", "gats 0", 1)+"\r\nmn\r\n",
		"VALUE k7 0 1 2\r\nx\r\nVALUE k150 0 1 3\r\ny\r\nEND\r\nMN\r\n")
}

// A value written from item memory stays what it was when it was asked for,
// even if the item is gone by the time it is written.
func TestPinnedValueOutlivesItem(t *testing.T) {
	for _, size := range []int{pinMin, 300_000, 900_000} {
		c := newClient(t, testNode(t, nil, nil), 0)
		value := string(bytes.Repeat([]byte("0123456789"), size/10))
		store := fmt.Sprintf("set a 0 0 %d\r\n%s\r\n", len(value), value)
		want(t, c, store, "STORED\r\n")
		want(t, c, "get a\r\ndelete a\r\n"+strings.ToUpper("")+"get a\r\n",
			fmt.Sprintf("VALUE a 0 %d\r\n%s\r\nEND\r\nDELETED\r\nEND\r\n", len(value), value))
		if err := c.node.store.Check(); err != nil {
			t.Fatal(err)
		}
	}
}

// A streaming set whose connection ends gives its memory back.
func TestStreamAborted(t *testing.T) {
	n := testNode(t, nil, nil)
	c := newClient(t, n, 0)
	want(t, c, "set a 0 0 900000\r\nxxxx", "")
	c.s.abort(c.lane)
	c = newClient(t, n, 0)
	want(t, c, "get a\r\n", "END\r\n")
	if err := n.store.Check(); err != nil {
		t.Fatal(err)
	}
}

// Storage requests of either dialect, streamed, answer as short ones do.
func TestStreamReplies(t *testing.T) {
	value := strings.Repeat("x", 100_000)
	for _, tt := range []struct{ name, before, in, end, out, after string }{
		{"set", "", "set a 5 0 %d", "\r\n", "STORED\r\n", "VALUE"},
		{"noreply", "", "set a 5 0 %d noreply", "\r\n", "", "VALUE"},
		{"add", "set a 0 0 1\r\ny\r\n", "add a 5 0 %d", "\r\n", "NOT_STORED\r\n", "y"},
		{"cas", "", "cas a 5 0 %d 7", "\r\n", "NOT_FOUND\r\n", ""},
		{"replace", "", "replace a 5 0 %d", "\r\n", "NOT_STORED\r\n", ""},
		{"cas on another", "set a 0 0 1\r\ny\r\n", "cas a 5 0 %d 77", "\r\n", "EXISTS\r\n", "y"},
		{"append", "set a 0 0 1\r\ny\r\n", "append a 5 0 %d", "\r\n", "STORED\r\n", "yx"},
		{"prepend", "set a 0 0 1\r\ny\r\n", "prepend a 5 0 %d", "\r\n", "STORED\r\n", "xy"},
		{"bad chunk", "set a 0 0 1\r\ny\r\n", "set a 5 0 %d", "zz", "CLIENT_ERROR bad data chunk\r\n", "y"},
		{"silent bad chunk", "set a 0 0 1\r\ny\r\n", "set a 5 0 %d noreply", "zz", "", "y"},
		{"ms", "", "ms a %d s k O12 F5", "\r\n", "HD s100000 ka O12\r\n", "VALUE"},
		{"ms base64", "", "ms YQ== %d b k", "\r\n", "HD kYQ== b\r\n", "VALUE"},
		{"ms q", "", "ms a %d q", "\r\n", "", "VALUE"},
		{"ms add", "set a 0 0 1\r\ny\r\n", "ms a %d ME q k c", "\r\n", "NS ka c0\r\n", "y"},
		{"ms bad chunk", "", "ms a %d q", "zz", "CLIENT_ERROR bad data chunk\r\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, testNode(t, nil, nil), 0)
			c.say([]byte(tt.before))
			// In two parts, so that the value is not there with its command.
			want(t, c, fmt.Sprintf(tt.in, len(value))+"\r\n", "")
			want(t, c, value+tt.end+"mn\r\n", tt.out+"MN\r\n")
			got := string(c.say([]byte("get a\r\n")))
			if tt.after == "" && got != "END\r\n" || !strings.Contains(got, tt.after) {
				t.Fatalf("the item is then %q", clip([]byte(got)))
			}
			if err := c.node.store.Check(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A long value that is too large is refused once and skipped.
func TestStreamTooLarge(t *testing.T) {
	c := newClient(t, testNode(t, nil, nil), 0)
	want(t, c, "set a 0 0 1\r\ny\r\n", "STORED\r\n")
	want(t, c, "ms a 2000000 q\r\n", "SERVER_ERROR object too large for cache\r\n")
	want(t, c, strings.Repeat("x", 2_000_000)+"\r\nmn\r\nmg a\r\n", "MN\r\nEN\r\n")
}

// Without eviction a full store refuses, and a refused set takes the old value
// with it.
func TestNoMemory(t *testing.T) {
	n := testNode(t, nil, func(c *slab.Config) { c.NoEvict = true; c.LimitBytes = 8 << 20 })
	c := newClient(t, n, 0)
	value := strings.Repeat("x", 8000)
	want(t, c, "set first 0 0 1\r\nx\r\nset other 0 0 1\r\nx\r\n", "STORED\r\nSTORED\r\n")
	const full = "SERVER_ERROR out of memory storing object\r\n"
	for i := 0; ; i++ {
		got := string(c.say(fmt.Appendf(nil, "set k%d 0 0 8000\r\n%s\r\n", i, value)))
		if got == full {
			break
		}
		if got != "STORED\r\n" || i > 10000 {
			t.Fatalf("set %d: %q", i, got)
		}
	}
	want(t, c, "add first 0 0 8000\r\n"+value+"\r\nget first\r\n", full+"VALUE first 0 1\r\nx\r\nEND\r\n")
	want(t, c, "set first 0 0 8000\r\n"+value+"\r\nget first\r\n", full+"END\r\n")
	want(t, c, "ms other 8000 ME\r\n"+value+"\r\nmg other\r\n", full+"EN\r\n")
	want(t, c, "set new 0 0 8000 noreply\r\n"+value+"\r\nmn\r\n", "MN\r\n")
	if got := n.counters().storeNoMemory; got != 5 {
		t.Fatalf("store_no_memory = %d, want 5", got)
	}
}

// Without CAS all versions are 0 and none matches.
func TestNoCAS(t *testing.T) {
	n := testNode(t, nil, func(c *slab.Config) { c.NoCAS = true })
	c := newClient(t, n, 0)
	want(t, c, "set a 0 0 1\r\nx\r\ngets a\r\n", "STORED\r\nVALUE a 0 1 0\r\nx\r\nEND\r\n")
	want(t, c, "cas a 0 0 1 0\r\nx\r\ncas b 0 0 1 1\r\nx\r\n", "EXISTS\r\nNOT_FOUND\r\n")
	want(t, c, "ms a 1 c\r\ny\r\nmg a c\r\nms a 1 E7 c\r\nz\r\n", "HD c0\r\nHD c0\r\nHD c0\r\n")
}

// Counters follow the rules of the real server.
func TestCounters(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want counters
	}{
		{"get a b a\r\n", counters{cmdGet: 3, getHits: 2, getMisses: 1}},
		{"gat 0 a b\r\n", counters{cmdTouch: 2, touchHits: 1, touchMisses: 1}},
		{"touch a 0\r\ntouch b 0\r\n", counters{cmdTouch: 2, touchHits: 1, touchMisses: 1}},
		{"add a 0 0 1\r\nx\r\nadd c 0 0 1\r\nx\r\n", counters{cmdSet: 2}},
		{"set a 0 0 1\r\nxyz\r\n", counters{cmdSet: 1}},
		{"set a 0 0 2000000\r\n" + strings.Repeat("x", 2000002), counters{storeTooLarge: 1}},
		{"cas b 0 0 1 1\r\nx\r\n", counters{cmdSet: 1, casMisses: 1}},
		{"cas a 0 0 1 99\r\nx\r\n", counters{cmdSet: 1, casBadval: 1}},
		{"cas a 0 0 1 2\r\nx\r\n", counters{cmdSet: 1, casHits: 1}},
		{"ms a 1 C2\r\nx\r\nms b 1 MR C2\r\nx\r\n", counters{cmdSet: 2, casHits: 1, casMisses: 1}},
		{"ms a 1 MA C2\r\nx\r\nms a 1 ME C2\r\nx\r\n", counters{cmdSet: 2}},
		{"delete a\r\ndelete a\r\n", counters{deleteHits: 1, deleteMisses: 1}},
		{"md a C99\r\nmd b\r\nmd a I\r\nmd a x\r\n", counters{deleteHits: 1, deleteMisses: 2}},
		{"incr n 1\r\nincr b 1\r\nincr a 1\r\n", counters{incrHits: 1, incrMisses: 1}},
		{"decr n 1\r\ndecr b 1\r\nma n MD\r\n", counters{decrHits: 2, decrMisses: 1}},
		{"ma b N0\r\nma b\r\nma c\r\n", counters{incrHits: 1, incrMisses: 1}},
		{"mg a\r\nmg b\r\nmg a T0\r\nmg b T0\r\nmg b N0\r\n", counters{cmdGet: 4, getHits: 2, getMisses: 2, cmdTouch: 1, touchHits: 1}},
		{"me a\r\nme b\r\nmn\r\n", counters{cmdMeta: 2}},
	} {
		n := testNode(t, nil, nil)
		c := newClient(t, n, 0)
		want(t, c, "set a 0 0 1\r\nx\r\nset n 0 0 1\r\n5\r\n", "STORED\r\nSTORED\r\n")
		n.resetCounters()
		c.say([]byte(tt.in))
		if got := n.counters(); got != tt.want {
			t.Errorf("%q\n got %+v\nwant %+v", clip([]byte(tt.in)), got, tt.want)
		}
	}
}

// The sum runs over all executors.
func TestCountersSum(t *testing.T) {
	n := testNode(t, nil, nil)
	a, b := newClient(t, n, 0), newClient(t, n, 0)
	want(t, a, "set k 0 0 1\r\nx\r\n", "STORED\r\n")
	want(t, b, "get k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n")
	if got, exp := n.counters(), (counters{cmdSet: 1, cmdGet: 1, getHits: 1}); got != exp {
		t.Fatalf("got %+v, want %+v", got, exp)
	}
}

// A binary client is told that its protocol is not spoken.
func TestBinaryRefused(t *testing.T) {
	c := newClient(t, testNode(t, nil, nil), 0)
	request := make([]byte, 24)
	request[0], request[1] = 0x80, 0x0a
	got := c.say(request)
	if len(got) < 24 || got[0] != 0x81 || got[1] != 0x0a || got[7] != 0x81 {
		t.Fatalf("got %q", got)
	}
	if !c.s.closing {
		t.Fatal("the connection stays open")
	}
}
