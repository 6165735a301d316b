package cluster

import (
	"fmt"
	"strings"
	"testing"
)

// again writes an imported config down and reads it, as its user will.
func again(t testing.TB, c *Config) *Map {
	t.Helper()
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	c, err = ParseConfig("imported", text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	m, err := NewMap(c.Epoch, c.Pools[0])
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mapOwns(m *Map) func(key []byte) uint64 {
	return func(key []byte) uint64 { return uint64(m.Owner(key)) }
}

// twemproxyText is a pool in twemproxy's file.
func twemproxyText(settings string, slots []Slot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "pool:\n  listen: 127.0.0.1:22121\n%s  servers:\n", settings)
	for _, s := range slots {
		fmt.Fprintf(&b, "   - %s:%d", s.Address, s.Weight)
		if !s.Unnamed {
			fmt.Fprintf(&b, " %s", s.Name)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestImportTwemproxyVectors(t *testing.T) {
	const ketama, fnv = "  distribution: ketama\n  hash: md5\n", "  hash: fnv1a_64\n"
	texts := map[string]string{
		"twem_ketama_md5_w12315":         twemproxyText(ketama, vectorS5W),
		"twem_ketama_md5_named_w12315":   twemproxyText(ketama, named(vectorS5W, "srv", 0)),
		"twem_ketama_fnv1a64_named":      twemproxyText("", named(vectorS5, "server", 1)), // its defaults
		"twem_modula_crc32_w12315":       twemproxyText("  distribution: modula\n  hash: crc32\n", vectorS5W),
		"twem_ketama_md5_defport":        twemproxyText(ketama, vectorSD),
		"twem_ketama_fnv1a64_tag_braces": twemproxyText(fnv+"  hash_tag: \"{}\"\n", vectorS5),
		"twem_ketama_fnv1a64_tag_pipes":  twemproxyText(fnv+"  hash_tag: \"||\"\n", vectorS5),
	}
	columns := map[string]func(key []byte) uint64{}
	for column := range readVectors(t, "twemproxy_0.5.0.csv") {
		text := texts[column]
		if text == "" {
			_, kind, _ := strings.Cut(column, "_")
			distribution, hash, _ := strings.Cut(kind, "_")
			text = twemproxyText("  distribution: "+distribution+"\n  hash: "+hash+"\n", vectorS5)
		}
		c, _, err := ImportTwemproxy("nutcracker.yml", []byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		columns[column] = mapOwns(again(t, c))
	}
	checkColumns(t, "twemproxy_0.5.0.csv", columns)
}

// libmemcachedServers are the --SERVER options of slots.
func libmemcachedServers(slots []Slot) string {
	var b strings.Builder
	for _, s := range slots {
		fmt.Fprintf(&b, " --SERVER=%s", strings.TrimSuffix(s.Address, ":11211"))
		if s.Weight > 1 {
			fmt.Fprintf(&b, "/?%d", s.Weight)
		}
	}
	return b.String()
}

func TestImportLibmemcachedVectors(t *testing.T) {
	s5, s5w, sd := libmemcachedServers(vectorS5), libmemcachedServers(vectorS5W), libmemcachedServers(vectorSD)
	texts := map[string]string{
		"ketama_unweighted_default_5":              "--KETAMA" + s5,
		"ketama_unweighted_md5_hash_then_ketama_5": s5 + " --HASH=MD5 --KETAMA",
		"ketama_unweighted_md5_ketama_then_hash_5": s5 + " --DISTRIBUTION=consistent --HASH=MD5",
		"ketama_unweighted_fnv1a32_5":              "--hash=fnv1a_32 --distribution=consistent" + s5,
		"ketama_unweighted_md5_default_port_5":     "--HASH=MD5 --DISTRIBUTION=consistent,CRC" + sd,
		"ketama_weighted_equal_5":                  "--KETAMA-WEIGHTED" + s5,
		"ketama_weighted_12315":                    s5w + " --KETAMA-WEIGHTED",
		"ketama_weighted_default_port_5":           "--KETAMA-WEIGHTED" + sd,
		"ketama_weighted_mixed_port_3":             "--KETAMA-WEIGHTED" + libmemcachedServers(vectorMix),
		"ketama_weighted_default_port_w":           "--KETAMA-WEIGHTED" + libmemcachedServers(vectorSDW),
		"ketama_weighted_fnv1a32_key_12315":        "--KETAMA-WEIGHTED --HASH=FNV1A_32" + s5w,
		"ketama_weighted_spy_5":                    "--KETAMA-WEIGHTED --DISTRIBUTION=consistent_ketama_spy" + s5,
		"ketama_set_after_weights_12315":           s5w + " --DISTRIBUTION=consistent",
		"ketama_set_before_weights_12315":          "--DISTRIBUTION=consistent" + s5w,
		// Debian's library refuses hsieh, so the default stays.
		"modula_hsieh_5": s5,
	}
	columns := map[string]func(key []byte) uint64{}
	for column := range readVectors(t, "libmemcached_1.1.4.csv") {
		text := texts[column]
		if hash, ok := strings.CutPrefix(strings.TrimSuffix(column, "_5"), "modula_"); ok && text == "" {
			text = s5 + " --HASH=" + strings.ToUpper(hash)
		}
		c, _, err := ImportLibmemcached(text)
		if err != nil {
			t.Fatalf("%s: %v in %s", column, err, text)
		}
		columns[column] = mapOwns(again(t, c))
	}
	checkColumns(t, "libmemcached_1.1.4.csv", columns)
}

// What pylibmc and PHP set is libmemcached underneath.
func TestImportLibmemcachedClients(t *testing.T) {
	keys, file := vectorKeys(t), readVectors(t, "clients.csv")
	for column, text := range map[string]string{
		"pylibmc_ketama_true":                libmemcachedServers(vectorS5) + " --KETAMA",
		"pylibmc_django_like_ketama_w12315":  libmemcachedServers(vectorS5W) + " --KETAMA",
		"php_memcached_libketama_compatible": "--KETAMA-WEIGHTED" + libmemcachedServers(vectorS5),
		"php_memcached_dist_consistent":      "--DISTRIBUTION=consistent" + libmemcachedServers(vectorS5),
		"php_memcached_default":              libmemcachedServers(vectorS5),
	} {
		c, _, err := ImportLibmemcached(text)
		if err != nil {
			t.Fatal(err)
		}
		m := again(t, c)
		for i, key := range keys {
			if got := uint64(m.Owner(key)); got != file[column][i] {
				t.Errorf("%s: %q goes to %d, want %d", column, key, got, file[column][i])
				break
			}
		}
	}
}

func TestImportNotes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"p:\n  listen: a\n  auto_eject_hosts: true\n  timeout: 400\n  servers:\n  - a:1:1\n", "auto_eject_hosts is not carried over"},
		{"p:\n  listen: a\n  timeout: 400\n  servers:\n  - a:1:1\n", "placement: listen, timeout"},
		{"p:\n  hash: crc32\n  servers:\n  - a:1:1\n", "every key belongs to one server"},
		{"p:\n  distribution: random\n  servers:\n  - a:1:5\n", "weights are left out"},
		{"p:\n  servers:\n  - a:1:5\nr:\n  redis: true\n  servers:\n  - b:1:1\n", "pool r is left out"},
		{"--SERVER=a --BINARY-PROTOCOL --POLL-TIMEOUT=5", "placement: --BINARY-PROTOCOL, --POLL-TIMEOUT"},
		{"--SERVER=a --NUMBER-OF-REPLICAS=2", "holds each key once"},
		{"--SERVER=a --REMOVE-FAILED-SERVERS=1", "no neighbour takes them"},
		{"--SERVER=a/?3", "weights are left out"},
		{"--SERVER=a --DISTRIBUTION=consistent,MD5", "has no effect in libmemcached"},
		{"--SERVER=a --HASH=HSIEH", "most builds of libmemcached refuse hsieh"},
	} {
		_, notes, err := importAny(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
		} else if !strings.Contains(strings.Join(notes, "\n"), c.want) {
			t.Errorf("%q: the notes are %q, want one with %q", c.text, notes, c.want)
		}
	}
}

func importAny(text string) (*Config, []string, error) {
	if strings.HasPrefix(text, "--") {
		return ImportLibmemcached(text)
	}
	return ImportTwemproxy("f.yml", []byte(text))
}

func TestImportRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "f.yml: there is no pool of memcached servers in it"},
		{"- a\n", "f.yml: there is no pool of memcached servers in it"},
		{"p:\n  redis: true\n", "f.yml: there is no pool of memcached servers in it"},
		{"p:\n  servers:\n  - a:1:1\n  colour: red\n", `f.yml:4: unknown field "colour"`},
		{"p:\n  hash: xxh3\n  servers:\n  - a:1:1\n", `f.yml:1: pool p: hash: twemproxy knows one_at_a_time`},
		{"p:\n  distribution: jump\n  servers:\n  - a:1:1\n", `f.yml:1: pool p: distribution: twemproxy knows ketama`},
		{"\np:\n  servers:\n  - a:1:1\n  - b:1:0\n", `f.yml:2: pool p: servers[1]: "b:1:0" is not of the form`},
		{"p:\n  servers:\n  - a:1\n", `"a:1" is not of the form host:port:weight [name]: the port is missing`},
		{"p:\n  servers:\n  - a:1:1\n  - a:1:2\n", `servers[1]: "a:1" is the name of server 0 already`},
		{"p:\n  hash_tag: x\n  servers:\n  - a:1:1\n", "hash_tag: a tag is two characters"},
		{"--HASH=MD5", "servers: there must be at least one server"},
		{"--SERVER=a --COLOUR", "libmemcached has no option --COLOUR"},
		{"--SERVER=a b", `"b" is no option`},
		{"--SERVER=", "--SERVER needs a value"},
		{"--SERVER=a:x", "the port is a number"},
		{"--SERVER=a/?0", "the weight behind /? is a number from 1 on"},
		{"--SERVER=a --HASH=xxh3", "libmemcached knows default"},
		{"--SERVER=a --DISTRIBUTION=jump", "libmemcached knows modula"},
		{"--SERVER=a --DISTRIBUTION=consistent,nope", "libmemcached knows default"},
		{"--SERVER=a --KETAMA=1", "--KETAMA takes no value"},
		{`--SOCKET="/a`, "a quote is not closed"},
		{`--SOCKET="/a/?3"`, "the weight behind them"},
		{"--SERVER=a --CONFIGURE-FILE=x", "give the text of the file"},
		{"--SERVER=a --DISTRIBUTION=consistent_ketama_spy", "write --KETAMA-WEIGHTED before it"},
	} {
		_, _, err := importAny(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q in one line", c.text, err, c.want)
		}
	}
}

func TestImportDetails(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{ // what twemproxy hashes becomes the name
			"p:\n  hash_tag: \"{}\"\n  servers:\n  - 10.0.0.1:11211:1\n  - ::1:4000:2\n  - /run/mc.sock:1\n  - /run/m2.sock:3 two\n",
			`epoch: 1
pools:
  - name: p
    distribution: ketama
    hash: fnv1a_64
    hash_tag: "{}"
    servers:
      - name: 10.0.0.1
        address: 10.0.0.1:11211
      - name: ::1:4000
        address: "[::1]:4000"
        weight: 2
      - name: "/run/mc.sock:"
        address: /run/mc.sock
      - name: two
        address: /run/m2.sock
        weight: 3
`,
		},
		{ // a namespace is hashed only if asked for; sorting; a comment; a socket
			"--NAMESPACE=\"app:\"\n# comment\n--SORT-HOSTS --SERVER=b:11212 --SERVER=a --SOCKET=\"/run/mc.sock\"\nEND --NONSENSE",
			`epoch: 1
pools:
  - distribution: modula
    hash: one_at_a_time
    skip_prefix: "app:"
    servers:
      - name: /run/mc.sock:0
        address: /run/mc.sock
      - name: a
        address: a:11211
      - name: b:11212
        address: b:11212
`,
		},
		{
			"--NAMESPACE=app --HASH-WITH-NAMESPACE --SERVER=a --DISTRIBUTION=random",
			`epoch: 1
pools:
  - distribution: random
    servers:
      - name: a
        address: a:11211
`,
		},
	} {
		config, _, err := importAny(strings.TrimSpace(c.text))
		if err != nil {
			t.Fatal(err)
		}
		text, err := config.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != c.want {
			t.Errorf("%s\nbecomes\n%s\nwant\n%s", c.text, text, c.want)
		}
		again(t, config)
	}
}
