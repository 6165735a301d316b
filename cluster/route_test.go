package cluster

import (
	"strings"
	"testing"
)

const routesHead = "pools:\n- {name: a, servers: [a]}\n- {name: b, servers: [b]}\nroutes:\n"

// Every field of routes, once.
const routesAll = routesHead + `
  prefix:
    cases:
      - prefix: "hot:"
        to:
          rate_limit:
            name: hot
            rate: 5000
            burst: 100
            to:
              coalesce:
                to:
                  near_cache: {prefixes: ["hot:"], ttl: 500ms, size: 1000000, to: {split_hot: {to: a, copies: 3, keys: ["hot:1"], prefixes: ["hot:2:"]}}}
      - prefix: "move:"
        to: {migrate: {from: a, to: b, start: 2026-11-24T20:00:00Z, over: 30m}}
      - prefix: "warm:"
        to: {warmup: {cold: b, warm: a}}
    default:
      command:
        get: {failover: {to: a, gutter: b, ttl: 5s}}
        store: {replicate: {to: [a, b], answer: majority}}
        delete: {shadow: {to: a, shadow: b, fraction: 0.25}}
        arith: {pool: a}
        touch: b
        default: a
`

func TestRoutesParse(t *testing.T) {
	c, err := ParseConfig("f.yml", []byte(routesAll))
	if err != nil {
		t.Fatal(err)
	}
	p := c.Routes.Prefix
	if p == nil || len(p.Cases) != 3 || p.Default.Command.Arith.Pool != "a" || p.Default.Command.Get.Failover.TTL.Seconds() != 5 ||
		p.Cases[1].To.Migrate.Start != "2026-11-24T20:00:00Z" || p.Cases[0].To.RateLimit.To.Coalesce.To.NearCache.To.SplitHot.Copies != 3 {
		t.Errorf("parsed as %+v", p)
	}
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	c2, err := ParseConfig("again", text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if text2, err := c2.YAML(); err != nil || string(text2) != string(text) {
		t.Errorf("written, read and written again:\n%s\nwas\n%s", text2, text)
	}
	if strings.Contains(string(text), "0001-01-01") || strings.Contains(string(text), "null") {
		t.Errorf("what is left out is written:\n%s", text)
	}
}

func TestRoutesRefuse(t *testing.T) {
	deep := strings.Repeat("{coalesce: {to: ", RouteDepthMax) + "a" + strings.Repeat("}}", RouteDepthMax)
	many := "{replicate: {to: [a, a, a, a, a, a, a, a, a, a, a]}}"
	for range 3 {
		many = "{replicate: {to: [" + strings.Repeat(many+", ", 10) + "a]}}"
	}
	for _, c := range []struct{ text, want string }{
		{"  c\n", `5: routes: there is no pool "c"`},
		{"  failover: {to: a, gutter: c}\n", `5: routes.failover.gutter: there is no pool "c"`},
		{"  failover:\n    to: a\n", `6: routes.failover.gutter: a route is missing`},
		{"  failover:\n    to: a\n    gutter: b\n    ttl: 1h\n", `8: routes.failover.ttl: 1h0m0s is not between`},
		{"  failover:\n    to: a\n    guter: b\n", `7: unknown field "guter"`},
		{"  failover: {to: a, gutter: b}\n  coalesce: {to: a}\n", `routes: a route is the name of a pool or a mapping of one kind`},
		{"  {}\n", `routes: a route is the name of a pool or a mapping of one kind`},
		{"  fail_over: {to: a, gutter: b}\n", `5: unknown field "fail_over"`},
		{"  [a, b]\n", `5: `},
		{"  prefix:\n    cases:\n    - prefix: x\n      to: a\n    - prefix: x\n      to: b\n    default: a\n", `9: routes.prefix.cases[1].prefix: there are two cases "x"`},
		{"  prefix:\n    cases:\n    - to: a\n    default: a\n", `7: routes.prefix.cases[0].prefix: a case needs a prefix`},
		{"  prefix:\n    cases:\n    - prefix: x\n    default: a\n", `7: routes.prefix.cases[0].to: a route is missing`},
		{"  prefix:\n    cases: []\n    default: a\n", `routes.prefix.cases: there must be at least one case`},
		{"  prefix:\n    cases:\n    - {prefix: x, to: a}\n", `routes.prefix.default: a route is missing`},
		{"  command: {get: a}\n", `routes.command.default: a route is missing`},
		{"  command: {gets: a, default: b}\n", `unknown field "gets"`},
		{"  replicate: {to: [a]}\n", `routes.replicate.to: there are from 2 to 16 places, not 1`},
		{"  replicate:\n    to: [a, b]\n    answer: some\n", `7: routes.replicate.answer: "some" is none of`},
		{"  replicate:\n    to:\n    - a\n    - failover: {to: a, gutter: d}\n", `8: routes.replicate.to[1].failover.gutter: there is no pool "d"`},
		{"  migrate: {from: a, to: b, start: soon}\n", `5: routes.migrate.start: "soon" is no time`},
		{"  migrate: {from: a, to: b, over: 5}\n", `5: over: a time with its unit, as 250ms or 10s, is wanted, not "5"`},
		{"  migrate: {from: a, to: b, over: -1s}\n", `routes.migrate.over: -1s is negative`},
		{"  shadow: {to: a, shadow: b, fraction: 2}\n", `routes.shadow.fraction: the part of the keys`},
		{"  split_hot: {to: a, copies: 1, keys: [x]}\n", `routes.split_hot.copies: there are from 2 to 64`},
		{"  split_hot: {to: a, copies: 2}\n", `routes.split_hot.keys: name hot keys`},
		{"  near_cache: {to: a}\n", `routes.near_cache.prefixes: name the beginnings`},
		{"  near_cache: {to: a, prefixes: [x, \"\"]}\n", `routes.near_cache.prefixes[1]: a prefix is not empty`},
		{"  near_cache: {to: a, prefixes: [x], ttl: 1m}\n", `routes.near_cache.ttl: 1m0s is not between 0 and 5s`},
		{"  rate_limit: {to: a}\n", `routes.rate_limit.rate: a rate is above 0`},
		{"  migrate: {from: a, to: b, over: 2000000h}\n", `routes.migrate.over: 2000000h0m0s is not between`},
		{"  migrate: {from: a, to: b, start: 9999-01-01T00:00:00Z}\n", `routes.migrate.start: 9999-01-01T00:00:00Z is not in this century`},
		{"  near_cache: {to: a, prefixes: [x], size: 1.5}\n", `5: size: a whole number is wanted, not "1.5"`},
		{"  rate_limit: {to: a, rate: 1e-300}\n", `routes.rate_limit.rate: at 1e-300 a second it takes more than`},
		{"  rate_limit: {to: a, rate: 0.001, burst: 1000000000}\n", `routes.rate_limit.rate: at 0.001 a second it takes more than`},
		{"  rate_limit: {to: a, rate: 1, name: x y}\n", `routes.rate_limit.name: "x y" is no name`},
		{"  " + deep + "\n", "routes are nested deeper than 16"},
		{"  " + many + "\n", "there are more than 1000 routes"},
		{"  &r\n  coalesce: {to: *r}\n", "nested too deep"},
	} {
		_, err := ParseConfig("f.yml", []byte(routesHead+c.text))
		if err == nil || !strings.HasPrefix(err.Error(), "f.yml:") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.100q: %v\nwant %q in one line", c.text, err, c.want)
		}
	}
}
