package proxy

import (
	"slices"
	"strings"
	"testing"
)

// counted is stats routes as lines without STAT.
func counted(p *Proxy) string {
	text := strings.TrimSuffix(p.stats([][]byte{[]byte("routes")}), "END\r\n")
	return strings.ReplaceAll(strings.ReplaceAll("\r\n"+text, "\r\nSTAT ", "\n"), "\r\n", "\n")
}

// wantCounted looks for lines of stats routes.
func wantCounted(t *testing.T, p *Proxy, lines ...string) {
	t.Helper()
	all := counted(p)
	for _, line := range lines {
		if !strings.Contains(all, "\n"+line+"\n") {
			t.Errorf("%s is missing in %s", line, all)
		}
	}
}

// countedRoutes has every kind of route.
const countedRoutes = `
  prefix:
    cases:
      - {prefix: "r:", to: {replicate: {to: [a, b]}}}
      - {prefix: "f:", to: {failover: {to: a, gutter: g, ttl: 7s}}}
      - {prefix: "w:", to: {warmup: {cold: b, warm: a}}}
      - {prefix: "m:", to: {migrate: {from: a, to: b, start: 2020-01-01T00:00:00Z, over: 1m}}}
      - {prefix: "s:", to: {shadow: {to: a, shadow: b, fraction: 1}}}
      - {prefix: "h:", to: {split_hot: {to: a, copies: 2, keys: ["h:1"]}}}
      - {prefix: "n:", to: {near_cache: {prefixes: ["n:"], ttl: 5s, to: a}}}
      - {prefix: "l:", to: {rate_limit: {to: a, rate: 0.001, burst: 1}}}
    default: {command: {get: {coalesce: {to: a}}, default: a}}
`

// countedLines is what is counted of them after the requests below.
var countedLines = []string{
	`routes.prefix:route prefix`,
	`routes.prefix.cases[0].to:route "r:"`,
	`routes.prefix.cases[0].to:requests 2`,
	`routes.prefix.cases[0].to.replicate:route replicate (answer all)`,
	`routes.prefix.cases[0].to.replicate.to[1]:route pool b`,
	`routes.prefix.cases[0].to.replicate:requests 2`,
	`routes.prefix.cases[0].to.replicate:copies_failed 0`,
	`routes.prefix.cases[1].to.failover:spilled 0`,
	`routes.prefix.cases[1].to.failover:cleared 1`, // a new route does not know whether the gutter is empty
	`routes.prefix.cases[2].to.warmup:brought_over 1`,
	`routes.prefix.cases[2].to.warmup:fresh_hits 1`,
	`routes.prefix.cases[2].to.warmup:misses 1`,
	`routes.prefix.cases[3].to.migrate:stayed 1`,
	`routes.prefix.cases[3].to.migrate:state over: the route can be taken out`,
	`routes.prefix.cases[3].to.migrate:moved_percent 100.0`,
	`routes.prefix.cases[4].to.shadow:shadowed 2`,
	`routes.prefix.cases[5].to.split_hot:requests 4`,
	`routes.prefix.cases[5].to.split_hot:hot 3`,
	`routes.prefix.cases[6].to.near_cache:hits 1`,
	`routes.prefix.cases[6].to.near_cache:misses 1`,
	`routes.prefix.cases[6].to.near_cache:values 1`,
	`routes.prefix.cases[7].to.rate_limit:requests 2`,
	`routes.prefix.cases[7].to.rate_limit:refused 1`,
	`routes.prefix.default:requests 2`,
	`routes.prefix.default.command.get:requests 2`,
	`routes.prefix.default.command.get.coalesce:joined 1`,
	`routes.prefix.default.command.default:route pool a`,
	`routes.prefix.default.command.default:requests 0`,
}

// TestRouteStats has requests take every kind of route and looks at what is counted.
func TestRouteStats(t *testing.T) {
	a, b, g := startRouteNode(t), startRouteNode(t), startRouteNode(t)
	routes := countedRoutes
	pools := []string{"a", a.addr, "b", b.addr, "g", g.addr}
	p := startRoutes(t, routes, pools...)
	a.want(set("w:1", "1")+set("s:1", "1"), stored+stored)
	p.want(set("r:1", "1")+get("r:1"), stored+value("r:1", "1"))
	p.want(set("f:1", "1")+get("f:1"), stored+value("f:1", "1"))
	p.want(get("w:1"), value("w:1", "1"))
	b.await(get("w:1"), value("w:1", "1"))
	p.want(get("w:1")+get("w:2"), value("w:1", "1")+miss)
	p.want(get("m:1"), miss)
	p.want(get("s:1")+get("s:2"), value("s:1", "1")+miss)
	p.want(set("h:1", "1")+get("h:1")+get("h:1")+get("h:2"), stored+value("h:1", "1")+value("h:1", "1")+miss)
	p.want(set("n:1", "1")+get("n:1"), stored+value("n:1", "1"))
	p.want(get("n:1"), value("n:1", "1"))
	p.want(get("l:1")+get("l:1"), miss+"SERVER_ERROR hf-limit rate-limit\r\n")
	p.want(get("x x"), miss)
	lines := countedLines
	wantCounted(t, p.Proxy, lines...)
	// The shadow answers when it likes.
	for !strings.Contains(counted(p.Proxy), "shadow:shadow_misses 2\n") {
		p.ask("")
	}

	// They go on over a reload, but where another thing stands then.
	a.stop()
	p.await(get("f:1"), miss)
	routes = strings.Replace(routes, "rate: 0.001", "rate: 1", 1)
	conf := routesConfig(t, routes, pools...)
	conf.Epoch = 2
	if err := p.Reload(conf); err != nil {
		t.Fatal(err)
	}
	wantCounted(t, p.Proxy, slices.Concat(lines[:7], lines[9:20])...)
	wantCounted(t, p.Proxy, `routes.prefix.cases[7].to:requests 2`, `routes.prefix.cases[7].to.rate_limit:requests 0`)
	if got := counted(p.Proxy); strings.Contains(got, "failover:spilled 0\n") {
		t.Errorf("nothing went to the gutter: %s", got)
	}
}

// A proxy without routes has none to tell of, and every kind of route is counted.
func TestRouteStatsComplete(t *testing.T) {
	r := newRig(t, 1, nil)
	if got := r.p.stats([][]byte{[]byte("routes")}); got != "END\r\n" {
		t.Errorf("%q", got)
	}
	for kind, names := range tallyNames {
		if len(names) > tallyMax || names[0] != "requests" {
			t.Errorf("%s counts %v", kind, names)
		}
	}
}
