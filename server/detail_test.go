package server

import (
	"fmt"
	"strings"
	"testing"
)

func TestDetailCounts(t *testing.T) {
	n := testNode(t, func(cfg *Config) { cfg.DetailEnabled = true }, nil)
	c := newClient(t, n, 0)
	c.say([]byte("set a:1 0 0 1\r\nx\r\nadd a:1 0 0 1\r\nx\r\nget a:1 a:2 plain b:1\r\ngat 0 a:1\r\n" +
		"delete a:1\r\ndelete b:9\r\nincr a:1 1\r\ntouch a:1 0\r\nmg a:1\r\nms a:3 1\r\nx\r\nmd a:3\r\n"))
	const want = "PREFIX a get 3 hit 2 set 2 del 1\r\nPREFIX b get 1 hit 0 set 0 del 1\r\nEND\r\n"
	if got := string(n.detail.appendDump(nil)); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	n.detail.setOn(false)
	c.say([]byte("get a:1\r\nset a:1 0 0 1\r\nx\r\ndelete a:1\r\n"))
	if got := string(n.detail.appendDump(nil)); got != want {
		t.Fatalf("counted while off: %q", got)
	}
	n.detail.reset()
	if got := string(n.detail.appendDump(nil)); got != "END\r\n" {
		t.Fatalf("after reset: %q", got)
	}
}

func TestDetailDelimiter(t *testing.T) {
	var d detail
	d.init(&Config{PrefixDelimiter: '.'})
	d.set([]byte("a.b:c"))
	d.set([]byte("a:b"))
	d.set([]byte(".x"))
	if got, want := string(d.appendDump(nil)), "PREFIX a get 0 hit 0 set 1 del 0\r\nPREFIX  get 0 hit 0 set 1 del 0\r\nEND\r\n"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestDetailIsBounded(t *testing.T) {
	var d detail
	d.init(&Config{})
	for i := range detailPrefixesMax + 100 {
		d.set(fmt.Appendf(nil, "%d:x", i))
	}
	if got := strings.Count(string(d.appendDump(nil)), "PREFIX"); got != detailPrefixesMax {
		t.Fatalf("%d prefixes kept, want %d", got, detailPrefixesMax)
	}
	d.get([]byte("7:x"), true)
	if p := d.mu.prefixes["7"]; p.hits != 1 {
		t.Fatalf("a known prefix is not counted any more: %+v", p)
	}
}
