package cluster

import "testing"

func TestParseDiscovery(t *testing.T) {
	for text, want := range map[string]Discovery{
		"srv:_memcached._tcp.cache.svc": {"srv", "_memcached._tcp.cache.svc", 0},
		"a:cache.svc":                   {"a", "cache.svc", 11211},
		"aaaa:cache.svc:11311":          {"aaaa", "cache.svc", 11311},
		"":                              {},
		"cache.svc":                     {},
		"mx:cache.svc":                  {},
		"srv:":                          {},
		"srv:a:1":                       {},
		"a:":                            {},
		"a::1":                          {},
		"a:cache:":                      {},
		"a:cache:0":                     {},
		"a:cache:65536":                 {},
		"a:ca che":                      {},
	} {
		got, err := ParseDiscovery(text)
		if (err != nil) != (want == Discovery{}) || err == nil && got != want {
			t.Errorf("%q is %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestSameOwners(t *testing.T) {
	parse := func(text string) *Config {
		t.Helper()
		c, err := ParseConfig("f", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	base := parse("epoch: 1\npools:\n- servers: [a, {name: b, address: 10.0.0.1}]\n")
	for text, want := range map[string]bool{
		"epoch: 2\npools:\n- servers: [a:11211, {name: b, address: 10.0.0.1}]\n":                        true,
		"epoch: 1\npools:\n- servers: [a, {name: b, address: 10.0.0.2}]\n":                              false,
		"epoch: 1\npools:\n- servers: [{name: b, address: 10.0.0.1}, a]\n":                              false,
		"epoch: 1\npools:\n- servers: [a]\n":                                                            false,
		"pools:\n- name: x\n  servers: [a, {name: b, address: 10.0.0.1}]\n":                             false,
		"pools:\n- hash: crc32\n  distribution: modula\n  servers: [a, {name: b, address: 10.0.0.1}]\n": false,
		"pools:\n- hash_tag: '{}'\n  servers: [a, {name: b, address: 10.0.0.1}]\n":                      false,
		"pools:\n- discover: srv:x\n  servers: [a, {name: b, address: 10.0.0.1}]\n":                     false,
	} {
		if got := SameOwners(base, parse(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	c := base.Clone()
	c.Pools[0].Servers[0].Address = "z"
	c.Pools[0].Name = "z"
	if base.Pools[0].Servers[0].Address != "a" || base.Pools[0].Name != "" {
		t.Error("a clone shares what it holds")
	}
}
