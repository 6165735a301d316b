package cluster

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const everyField = `
epoch: 7
pools:
  - name: sessions
    servers:
      - name: one
        address: 10.0.0.1
      - name: two
        address: "[::1]:11300"
      - /run/three.sock
      - ::2
  - name: pages
    distribution: libmemcached-consistent
    hash: one_at_a_time
    point_hash: md5
    unsigned_char: true
    hash_tag: "{}"
    hash_tag_empty: true
    skip_prefix: "app:"
    servers: [a, b]
  - name: old
    distribution: perl-ketama
    points: 100
    hash_stop: "|#|"
    servers:
      - address: a
        weight: 2
  - name: seeded
    hash: xxh3
    seed: holdfast
    servers: [a]
`

func TestConfig(t *testing.T) {
	c, err := ParseConfig("f.yml", []byte(everyField))
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Pool("sessions")
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMap(c.Epoch, p)
	if err != nil {
		t.Fatal(err)
	}
	want := []Slot{
		{Name: "one", Address: "10.0.0.1:11211", Weight: 1},
		{Name: "two", Address: "[::1]:11300", Weight: 1},
		{Name: "/run/three.sock", Unnamed: true, Address: "/run/three.sock", Weight: 1},
		{Name: "[::2]:11211", Unnamed: true, Address: "[::2]:11211", Weight: 1},
	}
	if m.Epoch != 7 || m.Pool() != "sessions" || !slices.Equal(m.Slots(), want) {
		t.Errorf("epoch %d, pool %s, slots %+v", m.Epoch, m.Pool(), m.Slots())
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
	for _, name := range []string{"", "nonsense"} {
		if _, err := c.Pool(name); err == nil || !strings.Contains(err.Error(), "sessions, pages, old, seeded") {
			t.Errorf("pool %q: %v", name, err)
		}
	}
}

// Every error is one line, with the file, the line and the field.
func TestConfigRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "f.yml:1: pools: there must be at least one pool"},
		{"pools: []\n", "f.yml:1: pools: there must be at least one pool"},
		{"pools:\n- \n", "f.yml:2: pools[0]: the pool is empty"},
		{"pools:\n- servers:\n  -\n", "f.yml:3: pools[0].servers[0].address: a server needs an address"},
		{"pools:\n- servers:\n  - a\n  - a\n", `f.yml:4: pools[0].servers[1]: "a:11211" is the name of server 0 already`},
		{"pools:\n- servers:\n  - name: x\n    address: b\n    weight: 0\n", "f.yml:5: pools[0].servers[0].weight: a weight is at least 1"},
		{"pools:\n- servers:\n  - name: x\n    address: b\n    weight: -3\n", "f.yml:5: pools[0].servers[0].weight: a weight is between"},
		{"pools:\n- servers:\n  - name: x\n    address: b\n    weight: 3\n", "f.yml:5: pools[0].servers[0].weight: jump knows no weights"},
		{"pools:\n- servers:\n  - name: x y\n    address: b\n", "f.yml:3: pools[0].servers[0].name: \"x y\" is no name"},
		{"pools:\n- servers:\n  - name: x\n    adress: b\n", `f.yml:4: unknown field "adress"`},
		{"pools:\n- servers:\n  - a\n  routes: red\n", `f.yml:4: unknown field "routes"`},
		{"pools:\n- servers:\n  - a\n  points: many\n", `f.yml:4: points: a whole number is wanted, not "many"`},
		{"pools:\n- servers:\n  - a\n  hash_tag_empty: perhaps\n", `f.yml:4: hash_tag_empty: true or false is wanted, not "perhaps"`},
		{"epoch: -1\npools:\n- servers: [a]\n", "f.yml:1: epoch: -1 is out of range"},
		{"pools:\n- servers: [a]\n- servers: [b]\n", "f.yml:2: pools[0].name: each of several pools needs a name"},
		{"pools:\n- name: p\n  servers: [a]\n- name: p\n  servers: [b]\n", `f.yml:4: pools[1].name: there are two pools "p"`},
		{"pools:\n- servers: [a]\n  hash: foo\n", `f.yml:3: pools[0].hash: there is no hash "foo"`},
		{"pools:\n- servers: [a]\n  distribution: foo\n", `f.yml:3: pools[0].distribution: there is no distribution "foo"; there are jump, rendezvous`},
		{"pools:\n- servers: [a]\n  distribution: ch3\n  hash: md5\n", `f.yml:4: pools[0].hash: the hash of ch3 is part of it`},
		{"pools:\n- servers: [a]\n  distribution: proxy-ketama\n  points: 30\n", "f.yml:4: pools[0].points: points must be a multiple of 4"},
		{"pools:\n- servers: [a]\n  points: 30\n", "f.yml:3: pools[0].points: points is for the rings"},
		{"pools:\n- servers: [a]\n  point_hash: md5\n", "f.yml:3: pools[0].point_hash: point_hash is for libmemcached-consistent"},
		{"pools:\n- servers: [a]\n  distribution: libmemcached-consistent\n  point_hash: x\n", "f.yml:4: pools[0].point_hash: there is no hash"},
		{"pools:\n- servers: [a]\n  hash: md5\n  seed: x\n", "f.yml:4: pools[0].seed: a seed is for the hash xxh3"},
		{"pools:\n- servers: [a]\n  unsigned_char: true\n", "f.yml:3: pools[0].unsigned_char: unsigned_char changes"},
		{"pools:\n- servers: [a]\n  hash_tag: \"{\"\n", "f.yml:3: pools[0].hash_tag: a tag is two characters"},
		{"pools:\n- servers: [a]\n  hash_tag: \"{}\"\n  hash_stop: x\n", "f.yml:4: pools[0].hash_stop: hash_tag and hash_stop exclude each other"},
		{"pools:\n- servers: [a]\n  hash_tag_empty: true\n", "f.yml:3: pools[0].hash_tag_empty: there is no hash_tag"},
		{"pools:\n- servers: [\"a:99999\"]\n", `f.yml:2: pools[0].servers[0].address: "a:99999" is no address: the port is a number`},
		{"pools:\n- servers: [\"[a]:1\"]\n", "an IPv6 address stands in brackets"},
		{"pools:\n- servers: [\":1\"]\n", "host, host:port, [ipv6]:port or the path"},
		{"pools:\n- servers: [a\n", "f.yml:2: sequence end token ']' not found"},
		{"pools:\n- servers: [a]\n  servers: [b]\n", `f.yml:3: mapping key "servers" already defined`},
		{"pools:\n- servers: [a]\n---\npools:\n- servers: [c]\n", "f.yml: there are several documents"},
		{"pools:\n  servers: [a]\n", "f.yml:2: pools: a list is wanted, not a mapping"},
		{"just words\n", "f.yml:1: the file: a mapping is wanted, not a text"},
		{"pools:\n- servers: a\n", "f.yml:2: servers: a list is wanted, not a text"},
		{"epoch: 18446744073709551615\npools:\n- servers: [a]\n", "f.yml:1: epoch: 18446744073709551615 is so large"},
		{"epoch: 1.10\npools:\n- servers: [a]\n", `f.yml:1: epoch: a whole number is wanted, not "1.10"`},
		{"pools:\n- servers: [{address: a, weight: 1.5}]\n", `f.yml:2: weight: a whole number is wanted, not "1.5"`},
		{"pools:\n- servers: [a]\n  timeout: soon\n", `f.yml:3: timeout: a time with its unit, as 250ms or 10s, is wanted, not "soon"`},
		{"pools:\n- servers: [a]\n  ramp: 5 s\n", `f.yml:3: ramp: a time with its unit, as 250ms or 10s, is wanted, not "5 s"`},
		{"pools:\n- servers: [a]\n  timeout: 9999999h\n", `f.yml:3: timeout: a time with its unit`},
		{"pools:\n- servers: [a]\n  timeout: -1s\n", `f.yml:3: pools[0].timeout: -1s is negative`},
		{"pools:\n- servers: [a]\n  ramp: -1s\n", `f.yml:3: pools[0].ramp: -1s is negative`},
		{"pools:\n- servers: [a]\n  timeout: 2000000h\n", `f.yml:3: pools[0].timeout: 2000000h0m0s is not between 0 and 1h0m0s`},
		{"pools:\n- servers: [a]\n  connect_timeout: 2h\n", `f.yml:3: pools[0].connect_timeout: 2h0m0s is not between`},
		{"pools:\n- servers: [a]\n  hold_down: 1000000h\n", `f.yml:3: pools[0].hold_down: 1000000h0m0s is not between`},
	} {
		_, err := ParseConfig("f.yml", []byte(c.text))
		if err == nil || !strings.HasPrefix(err.Error(), "f.yml:") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v\nwant %q in one line", c.text, err, c.want)
		}
	}
}

func TestNewMapNamesTheField(t *testing.T) {
	_, err := NewMap(1, &PoolConfig{Servers: []ServerConfig{{Address: "a", Weight: 2}}})
	var f *FieldError
	if !errors.As(err, &f) || f.Field != "servers[0].weight" {
		t.Errorf("%v", err)
	}
}

func TestExplain(t *testing.T) {
	server := []ServerConfig{{Name: "a", Address: "10.0.0.1"}, {Name: "b", Address: "10.0.0.2"}, {Name: "c", Address: "10.0.0.3"}}
	for _, c := range []struct {
		pool PoolConfig
		key  string
		want Explanation
	}{
		{
			PoolConfig{HashTag: "{}", SkipPrefix: "app:"}, "app:user:{key:0}", // xxh3("key:0") is known from the vectors
			Explanation{Part: "key:0", PartRule: `skip_prefix "app:", hash_tag "{}"`, Hash: "xxh3", HashValue: "0xb464ee7b63344e80", Distribution: "jump", Why: "bucket 0 of 3"},
		},
		{
			PoolConfig{Distribution: "modula", Hash: "crc"},
			"key:0",
			Explanation{Part: "key:0", Hash: "crc", HashValue: "0x00007c68", Distribution: "modula", Why: "hash % 3 is 0"},
		},
		{
			PoolConfig{Distribution: "pymemcache", HashStop: "|"},
			"key:0|x",
			Explanation{Part: "key:0", PartRule: `hash_stop "|"`, Distribution: "pymemcache", Why: "the highest score of 3, 0x"},
		},
		{
			PoolConfig{Distribution: "ketama"},
			"key:0",
			Explanation{Part: "key:0", Hash: "md5", HashValue: "0x82ab86df", Distribution: "ketama", Why: "ring point "},
		},
		{
			PoolConfig{Distribution: "proxy-xxh3"},
			"key:0",
			Explanation{Part: "key:0", Hash: "xxh3", HashValue: "0xb464ee7b63344e80", Distribution: "proxy-xxh3", Why: "the hash's low half 0x63344e80, ring point "},
		},
		{
			PoolConfig{Distribution: "ch3"},
			"key:0",
			Explanation{Part: "key:0", Hash: "murmur64a", HashValue: "0x", Distribution: "ch3", Why: "furc leads to slot 2 of 3"},
		},
	} {
		c.pool.Servers = server
		m, err := NewMap(3, &c.pool)
		if err != nil {
			t.Fatal(err)
		}
		got := m.Explain([]byte(c.key))
		if !strings.HasPrefix(got.Why, c.want.Why) || !strings.HasPrefix(got.HashValue, c.want.HashValue) {
			t.Errorf("%s: %q and %q, want %q and %q", c.want.Distribution, got.Why, got.HashValue, c.want.Why, c.want.HashValue)
		}
		owner := m.Owner([]byte(c.key))
		c.want.Key, c.want.Epoch, c.want.Weight = c.key, 3, 1
		c.want.Why, c.want.HashValue = got.Why, got.HashValue
		c.want.Slot, c.want.Name, c.want.Address = owner, server[owner].Name, server[owner].Address+":11211"
		if got != c.want {
			t.Errorf("%+v, want %+v", got, c.want)
		}
	}
}

// Every map agrees with its placement, and a change of addresses moves nothing
// as long as there are names.
func TestMapKeepsOwnersWithNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := PoolConfig{Distribution: rapid.SampledFrom([]string{"jump", "ketama", "rendezvous", "dalli", "pymemcache", "proxy-evcache"}).Draw(t, "distribution")}
		moved := pool
		for i := range rapid.IntRange(1, 5).Draw(t, "servers") {
			name := string(rune('a' + i))
			pool.Servers = append(pool.Servers, ServerConfig{Name: name, Address: "10.0.0.1:" + string(rune('1'+i))})
			moved.Servers = append(moved.Servers, ServerConfig{Name: name, Address: "[::1]:4" + string(rune('1'+i))})
		}
		before, err := NewMap(1, &pool)
		if err != nil {
			t.Fatal(err)
		}
		after, err := NewMap(2, &moved)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range someKeys(50) {
			if before.Owner(key) != after.Owner(key) {
				t.Fatalf("%q moved", key)
			}
		}
	})
}

// Whatever the text, reading it ends with a config that works or with one line.
func FuzzConfig(f *testing.F) {
	f.Add(everyField)
	f.Add("pools:\n- servers: [a, {name: b, address: c}]\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConfig("f", []byte(text))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		for _, p := range c.Pools {
			m, err := NewMap(c.Epoch, p)
			if err != nil {
				t.Fatal(err)
			}
			if owner := m.Owner([]byte(text)); owner < 0 || owner >= len(p.Servers) {
				t.Errorf("owner %d of %d", owner, len(p.Servers))
			}
		}
	})
}

func FuzzImport(f *testing.F) {
	f.Add("p:\n  hash: md5\n  servers:\n  - a:1:1 x\n")
	f.Add(`--SERVER=a:1/?2 --SOCKET="/x"/?3 --HASH=MD5 --DISTRIBUTION=consistent`)
	f.Fuzz(func(t *testing.T, text string) {
		c, _, err := importAny(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		again(t, c)
	})
}

// The example that the README and the help speak of has every field.
func TestExampleConfig(t *testing.T) {
	if _, err := ParseConfig("example.yml", []byte(ExampleConfig)); err != nil {
		t.Error(err)
	}
	seen := map[reflect.Type]bool{}
	var look func(reflect.Type)
	look = func(r reflect.Type) {
		for r.Kind() == reflect.Pointer || r.Kind() == reflect.Slice {
			r = r.Elem()
		}
		if r.Kind() != reflect.Struct || seen[r] {
			return
		}
		seen[r] = true
		for i := range r.NumField() {
			f := r.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if name == "" || !regexp.MustCompile(`(?m)(^|[ {])`+name+":").MatchString(ExampleConfig) {
				t.Errorf("the example does not show %s.%s as %q", r.Name(), f.Name, name)
			}
			look(f.Type)
		}
	}
	look(reflect.TypeFor[Config]())
}
