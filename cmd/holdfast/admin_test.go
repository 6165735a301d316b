package main

import (
	"testing"
	"time"
)

func TestHuman(t *testing.T) {
	for _, c := range []struct{ got, exp string }{
		{humanBytes(0), "0 B"},
		{humanBytes(1023), "1023 B"},
		{humanBytes(1536), "1.5 KiB"},
		{humanBytes(64 << 20), "64.0 MiB"},
		{humanBytes(1<<64 - 1), "16.0 EiB"},
		{humanSeconds(59), "59s"},
		{humanSeconds(61), "1m 1s"},
		{humanSeconds(3661), "1h 1m"},
		{humanSeconds(90000), "1d 1h"},
		{humanCount(7), "7"},
		{humanCount(1000), "1,000"},
		{humanCount(1234567), "1,234,567"},
		{percent(1, 3), "33.3 %"},
		{percent(1, 0), "-"},
		{humanStat("limit_maxbytes", "67108864"), "64.0 MiB"},
		{humanStat("items:3:age", "120"), "2m 0s"},
		{humanStat("time", "0"), "1970-01-01 00:00:00 UTC"},
		{humanStat("pid", "123456"), ""},
		{humanStat("cmd_get", "123456"), "123,456"},
		{humanStat("version", "1.6.45"), ""},
	} {
		if c.got != c.exp {
			t.Errorf("got %q, want %q", c.got, c.exp)
		}
	}
}

func TestParseTTL(t *testing.T) {
	now := time.Unix(2_000_000_000, 0)
	for text, exp := range map[string]int64{
		"": 0, "never": 0, "0": 0, "5": 5, "90s": 90, "10m": 600, "36h": 129600, "7d": 604800, "0.5s": 1,
		"30d": 2592000, "31d": 2_000_000_000 + 31*86400, "2592001": 2_002_592_001,
	} {
		got, err := parseTTL(text, now)
		if err != nil || got != exp {
			t.Errorf("%q: %d, %v; want %d", text, got, err, exp)
		}
	}
	for _, text := range []string{"-1", "x", "5x", "-3m", "1000000000000", "d"} {
		if _, err := parseTTL(text, now); err == nil {
			t.Errorf("%q is taken as a time to live", text)
		}
	}
}

func TestDerived(t *testing.T) {
	got := derived([]stat{{"get_hits", "75"}, {"get_misses", "25"}, {"bytes", "50"}, {"limit_maxbytes", "100"}, {"curr_items", "5"}})
	want(t, "derived", got, []stat{{"hit_ratio", "0.7500"}, {"memory_used_ratio", "0.5000"}, {"bytes_per_item", "10"}})
	want(t, "derived of nothing", derived(nil), []stat(nil))
}

func TestDumpFields(t *testing.T) {
	key, fields := dumpFields("key=a%20b%2Bc exp=-1 la=17 cas=5 fetch=no cls=1 size=63 flags=0 ")
	want(t, "key", key, "a b+c")
	want(t, "fields", fields, map[string]string{"exp": "-1", "la": "17", "cas": "5", "fetch": "no", "cls": "1", "size": "63", "flags": "0"})
}

func TestCheckKey(t *testing.T) {
	for _, key := range []string{"", "a b", "a\nb", "a\x00", string(make([]byte, 251))} {
		if checkKey(key) == nil {
			t.Errorf("%q is taken as a key", key)
		}
	}
	if err := checkKey("päckchen:1"); err != nil {
		t.Error(err)
	}
}

func TestClassTable(t *testing.T) {
	ids, byID, rest := classTable([]stat{{"2:chunk_size", "120"}, {"items:1:number", "5"}, {"active_slabs", "2"}})
	want(t, "ids", ids, []int{1, 2})
	want(t, "class 2", byID[2], map[string]string{"chunk_size": "120"})
	want(t, "rest", rest, []stat{{"active_slabs", "2"}})
}

func TestRouteRows(t *testing.T) {
	got := routeRows([]stat{
		{"routes.prefix:route", "prefix"},
		{`routes.prefix.cases[0].to:route`, `"a:"`},
		{"routes.prefix.cases[0].to:requests", "12345"},
		{"routes.prefix.cases[0].to.failover:route", "failover (ttl 10s)"},
		{"routes.prefix.cases[0].to.failover:spilled", "5"},
		{"odd", "1"},
	})
	want(t, "rows", got, [][]string{
		{"ROUTE", "NAME", "VALUE", "READABLE"},
		{"routes.prefix", "prefix"},
		{"routes.prefix.cases[0].to", `"a:"`},
		{"", "requests", "12345", "12,345"},
		{"routes.prefix.cases[0].to.failover", "failover (ttl 10s)"},
		{"", "spilled", "5", ""},
		{"", "odd", "1", ""},
	})
}
