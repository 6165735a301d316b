package proxy

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestRouteSelectors(t *testing.T) {
	a, b, c := startRouteNode(t), startRouteNode(t), startRouteNode(t)
	p := startRoutes(t, `
  prefix:
    cases:
      - {prefix: "b:", to: b}
      - prefix: "b:c:"
        to: {command: {delete: b, default: c}}
    default: a
`, "a", a.addr, "b", b.addr, "c", c.addr)
	p.want(set("x", "1")+set("b:x", "2")+set("b:c:x", "3"), stored+stored+stored)
	a.want(get("x b:x b:c:x"), value("x", "1"))
	b.want(get("x b:x b:c:x"), value("b:x", "2"))
	c.want(get("x b:x b:c:x"), value("b:c:x", "3"))
	p.want(get("b:c:x none x b:x b:"), strings.ReplaceAll(value("b:c:x", "3")+value("x", "1")+value("b:x", "2"), miss, "")+miss)
	p.want("delete b:c:x\r\n", "NOT_FOUND\r\n") // b has not got it
	p.want("mg b:c:x v O9 k\r\nmg x v\r\n", "VA 1 O9 kb:c:x\r\n3\r\nVA 1\r\n1\r\n")
}

func TestRoutesNeeded(t *testing.T) {
	conf := routesConfig(t, "  a\n", "a", "127.0.0.1:1", "b", "127.0.0.1:2")
	conf.Routes = nil
	if _, err := New(Config{}, conf, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "routes") {
		t.Errorf("several pools and no routes: %v", err)
	}
}

func TestRouteFailover(t *testing.T) {
	a, g := startRouteNode(t), startRouteNode(t)
	p := startRoutes(t, "  failover: {to: a, gutter: g, ttl: 7s}\n", "a", a.addr, "g", g.addr)
	p.want(set("k", "1"), stored)
	p.want(get("k")+"mg k v O1\r\n", value("k", "1")+"VA 1 O1\r\n1\r\n")
	g.want(get("k"), miss)
	a.stop()
	p.await(get("k"), miss) // the gutter has nothing
	p.want(set("k", "2")+"set d 5 2000000000 1\r\nd\r\nms m 1 T0 F5\r\nm\r\nset gone 5 -1 1\r\nx\r\n", stored+stored+"HD\r\n"+stored)
	p.want(get("k d m gone"), strings.ReplaceAll(value("k", "2")+value("d", "d")+value("m", "m"), miss, "")+miss)
	for _, key := range []string{"k", "d", "m"} {
		g.want("mg "+key+" t\r\n", "HD t7\r\n")
	}
	// A delete goes to both, and tells that its owner has not done it.
	if got := p.ask("delete k\r\n"); !strings.HasPrefix(got, "SERVER_ERROR hf-") {
		t.Errorf("a delete that the owner did not take is answered %q", got)
	}
	p.want(get("k"), miss)
	p.want("set q 0 0 1 noreply\r\n1\r\nincr q 4\r\nget q\r\n", "5\r\nVALUE q 0 1\r\n5\r\nEND\r\n")
}

func TestRouteFailoverStalled(t *testing.T) {
	g := startRouteNode(t)
	p := startRoutes(t, "  failover: {to: a, gutter: g}\n", "a", silentNode(t), "g", g.addr)
	g.want(set("k", "1"), stored)
	p.want(get("k"), value("k", "1"))
	long := strings.Repeat("x", 300_000)
	p.want(set("k", long), stored)
	p.want(get("k none k"), strings.ReplaceAll(value("k", long), miss, "")+value("k", long))
}

func TestRouteReplicate(t *testing.T) {
	for _, answer := range []string{"all", "majority", "first"} {
		t.Run(answer, func(t *testing.T) { replicateTest(t, answer) })
	}
}

func replicateTest(t *testing.T, answer string) {
	a, b, c := startRouteNode(t), startRouteNode(t), startRouteNode(t)
	p := startRoutes(t, "  replicate: {to: [a, b, c], answer: "+answer+"}\n", "a", a.addr, "b", b.addr, "c", c.addr)
	nodes := []*routeNode{a, b, c}
	p.want(set("k", "1")+"ms m 1 F5 O3 k\r\nm\r\n", stored+"HD O3 km\r\n")
	for _, n := range nodes {
		n.await(get("k m"), strings.ReplaceAll(value("k", "1"), miss, "")+value("m", "m"))
	}
	// What depends on the value: at the first, and gone at the others.
	p.want("incr k 2\r\nappend m 0 0 1\r\nn\r\nadd m 0 0 1\r\nx\r\n", "3\r\nSTORED\r\nNOT_STORED\r\n")
	a.want(get("k m"), strings.ReplaceAll(value("k", "3"), miss, "")+value("m", "mn"))
	for _, n := range nodes[1:] {
		n.await(get("k m"), miss)
	}
	p.want("gat 100 k\r\ntouch m 50\r\nmg k t\r\n", value("k", "3")+"TOUCHED\r\nHD t100\r\n")
	p.want(set("k", "4")+"delete m\r\ndelete m\r\n", stored+"DELETED\r\nNOT_FOUND\r\n")
	// The first fails: reads go to the next.
	b.await(get("k"), value("k", "4"))
	a.stop()
	p.want(get("k"), value("k", "4"))
	p.want("mg k v O7\r\n"+get("k nothing"), "VA 1 O7\r\n4\r\n"+value("k", "4"))
	got := p.ask(set("k", "5"))
	if ok := got == stored; ok != (answer == "majority") || !ok && !strings.HasPrefix(got, "SERVER_ERROR hf-") {
		t.Errorf("a set with one of three down, answer %s: %q", answer, got)
	}
	b.await(get("k"), value("k", "5"))
}

func TestRouteMigrate(t *testing.T) {
	old, fresh := startRouteNode(t), startRouteNode(t)
	// All keys have changed over, and may still be at the old place for ten seconds.
	p := startRoutes(t, "  migrate: {from: old, to: fresh, over: 1ms}\n", "old", old.addr, "fresh", fresh.addr)
	handoverTest(t, p, old, fresh)
}

// After that the old place is not asked any more, and no mark is left by a delete.
func TestRouteMigrateEnds(t *testing.T) {
	old, fresh := startRouteNode(t), startRouteNode(t)
	p := startRoutes(t, "  migrate: {from: old, to: fresh, start: 2020-01-01T00:00:00Z, over: 1m}\n", "old", old.addr, "fresh", fresh.addr)
	old.want(set("k", "old"), stored)
	p.want(get("k"), miss)
	p.want(set("d", "1"), stored)
	p.want("delete d\r\n", "DELETED\r\n")
	fresh.want("mg d v\r\n", "EN\r\n")
}

func TestRouteWarmup(t *testing.T) {
	old, fresh := startRouteNode(t), startRouteNode(t)
	p := startRoutes(t, "  warmup: {cold: fresh, warm: old}\n", "old", old.addr, "fresh", fresh.addr)
	handoverTest(t, p, old, fresh)
}

func handoverTest(t *testing.T, p *routeProxy, old, fresh *routeNode) {
	old.want("set k 5 100 1\r\n1\r\n"+set("n", "10")+set("s", "old")+set("d", "d")+set("c", "c"), strings.Repeat(stored, 5))
	// A get takes it along with the life it has left.
	p.want(get("k none"), value("k", "1"))
	fresh.await("mg k v f t\r\n", "VA 1 f5 t100\r\n1\r\n")
	// What depends on the value finds it, and leaves nothing behind.
	p.want("incr n 1\r\n", "11\r\n")
	fresh.want(get("n"), value("n", "11"))
	old.await(get("n"), miss)
	// A set too.
	p.want(set("s", "new"), stored)
	old.await(get("s"), miss)
	p.want(get("s"), value("s", "new"))
	// A delete is in both, and what comes late is refused.
	p.want("delete d\r\ndelete d\r\nmd none O1\r\n", "DELETED\r\nNOT_FOUND\r\nNF O1\r\n")
	old.want(get("d"), miss)
	fresh.want("ms d 1 ME\r\nd\r\n", "NS\r\n")
	old.want(set("d", "back"), stored)
	p.want(get("d")+"mg d v O4 k\r\nincr d 1\r\nappend d 0 0 1\r\nx\r\ngets d\r\n", miss+"EN O4 kd\r\nNOT_FOUND\r\nNOT_STORED\r\n"+miss)
	p.want("add d 5 0 1\r\ne\r\n"+get("d"), stored+value("d", "e"))
	p.want("delete s\r\n"+get("s")+"ms s 1 ME F5\r\nt\r\n"+get("s"), "DELETED\r\n"+miss+"HD\r\n"+value("s", "t"))
	// A key that is a word of the protocol's.
	p.want(set("noreply", "1")+"delete noreply 0\r\n"+get("noreply"), stored+"DELETED\r\n"+miss)
	// To look whether an item is there is no access to it.
	p.want("ms h 1\r\nh\r\n", "HD\r\n")
	p.want("mg h h\r\n", "HD h0\r\n")
	// gets and cas, in one batch with what the cas depends on.
	got := p.ask("gets c\r\n")
	fresh.want("gets c\r\n", got)
	p.want("touch c 50\r\nmg c t O1\r\n", "TOUCHED\r\nHD t50 O1\r\n")
	p.want("incr n 1\r\nincr n 1\r\nget n\r\nset n 5 0 1 noreply\r\n7\r\nincr n 1\r\nget n c\r\n", "12\r\n13\r\n"+value("n", "13")+"8\r\n"+strings.ReplaceAll(value("n", "8"), miss, "")+value("c", "c"))
	// Long values, and keys in base64.
	long := strings.Repeat("y", 200_000)
	old.want(set("long", long)+set("long2", long)+"ms aGkgeW91 2 b F5\r\nhi\r\n", stored+stored+"HD\r\n")
	p.want(get("long"), value("long", long))
	fresh.await(get("long"), value("long", long))
	p.want("append long2 0 0 1\r\nz\r\n"+get("long2"), stored+value("long2", long+"z"))
	p.want("mg aGkgeW91 b k v\r\nmd aGkgeW91 b\r\nmg aGkgeW91 b k\r\n", "VA 2 kaGkgeW91 b\r\nhi\r\nHD\r\nEN kaGkgeW91 b\r\n")
	old.stop()
	p.want(get("s"), value("s", "t"))
	if got := p.ask("get elsewhere\r\n"); !strings.HasPrefix(got, "SERVER_ERROR hf-") {
		t.Errorf("a get that only the old place could answer: %q", got)
	}
}

func TestRouteMigrateBefore(t *testing.T) {
	old, fresh := startRouteNode(t), startRouteNode(t)
	p := startRoutes(t, "  migrate: {from: old, to: fresh, start: 2100-01-01T00:00:00Z}\n", "old", old.addr, "fresh", fresh.addr)
	fresh.want(set("d", "1"), stored)
	p.want(set("k", "1")+get("k"), stored+value("k", "1"))
	old.want(get("k"), value("k", "1"))
	fresh.want(get("k"), miss)
	p.want("delete d\r\n", "NOT_FOUND\r\n")
	fresh.await(get("d"), miss)
}

// When a pool grows a key that stays where it is must not be deleted by its own set.
func TestRouteMigrateStays(t *testing.T) {
	a := startRouteNode(t)
	p := startRoutes(t, "  migrate: {from: small, to: big, start: 2020-01-01T00:00:00Z, over: 1m}\n", "small", a.addr, "big", a.addr)
	for range 20 {
		p.want(set("k", "1")+get("k")+"incr k 1\r\n", stored+value("k", "1")+"2\r\n")
		p.want(get("k")+"delete k\r\nadd k 5 0 1\r\n3\r\n"+get("k"), value("k", "2")+"DELETED\r\n"+stored+value("k", "3"))
	}
}
