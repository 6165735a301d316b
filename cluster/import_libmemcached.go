package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// libmemcached is the state of a client of libmemcached while its options are
// applied one after another. The order matters: a ring is made whenever a
// server is added or the distribution is set, with the hash and the weights
// known at that moment, and setting the hash later changes only that of keys.
type libmemcached struct {
	distribution string // modula, random, consistent or spy
	weighted     bool   // the ring has points by weight
	hash         string
	ringHash     string // hash when the ring was made
	sorted       bool
	servers      []libmemcachedServer
	namespace    string
	hashWhole    bool // HASH-WITH-NAMESPACE
	other        []string
	notes        []string
}

type libmemcachedServer struct {
	host   string // or path
	port   int    // 0 for a path
	weight int
}

// libmemcachedHashes are the names that --HASH takes, and DEFAULT and MURMUR3, which
// only memcached_behavior_set can set.
var libmemcachedHashes = []string{
	"default", "md5", "crc", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "hsieh", "murmur", "jenkins", "murmur3",
}

// libmemcachedOther are the options without a bearing on placement, whether with
// a value or without.
var libmemcachedOther = []string{
	"binary-protocol", "buffer-requests", "connect-timeout", "dead-timeout", "fetch-version", "io-bytes-watermark", "io-key-prefetch",
	"io-msg-watermark", "no-block", "noreply", "poll-timeout", "pool-max", "pool-min", "randomize-replica-read", "rcv-timeout",
	"retry-timeout", "server-failure-limit", "server-timeout-limit", "snd-timeout", "socket-recv-size", "socket-send-size",
	"support-cas", "tcp-keepalive", "tcp-keepidle", "tcp-nodelay", "use-udp", "user-data", "verify-key",
}

// ImportLibmemcached makes a Config with the placement of a client of
// libmemcached that was configured with text, for example
//
//	--SERVER=10.0.0.1:11211/?2 --SERVER=10.0.0.2 --DISTRIBUTION=consistent --HASH=MD5
//
// Programs that call memcached_behavior_set, pylibmc and PHP among them, do what
// this language has no words for; these are added to it, to be written in the
// order of the calls: --KETAMA, --KETAMA-WEIGHTED (LIBKETAMA_COMPATIBLE in PHP),
// --HASH=DEFAULT, --HASH=MURMUR3 and --DISTRIBUTION=consistent_ketama_spy. The notes
// say, a sentence each, what could not be carried over.
func ImportLibmemcached(text string) (*Config, []string, error) {
	m := &libmemcached{distribution: "modula", hash: "default", ringHash: "default"}
	words, err := libmemcachedWords(text)
	if err != nil {
		return nil, nil, err
	}
	for _, word := range words {
		if strings.EqualFold(word, "END") {
			break
		}
		if err := m.apply(word); err != nil {
			return nil, nil, err
		}
	}
	p, err := m.pool()
	if err != nil {
		return nil, nil, err
	}
	c := &Config{Epoch: 1, Pools: []*PoolConfig{p}}
	if _, err := NewMap(c.Epoch, p); err != nil {
		return nil, nil, err
	}
	return c, m.notes, nil
}

// libmemcachedWords divides text at white space outside of quotes and leaves
// lines out that begin with #.
func libmemcachedWords(text string) ([]string, error) {
	var words []string
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		quoted := false
		fields := strings.FieldsFunc(line, func(r rune) bool {
			quoted = quoted != (r == '"')
			return !quoted && (r == ' ' || r == '\t' || r == '\r')
		})
		if quoted {
			return nil, fmt.Errorf("a quote is not closed: %s", strings.TrimSpace(line))
		}
		words = append(words, fields...)
	}
	return words, nil
}

// apply does what libmemcached does on one option.
func (m *libmemcached) apply(word string) error {
	option, value, hasValue := strings.Cut(word, "=")
	name, isOption := strings.CutPrefix(strings.ToLower(option), "--")
	switch {
	case !isOption:
		return fmt.Errorf("%q is no option: they begin with --", word)
	case oneOf(name, "server", "socket", "distribution", "hash", "namespace", "number-of-replicas", "remove-failed-servers") && value == "":
		return fmt.Errorf("%s needs a value: %s=…", option, option)
	case oneOf(name, "ketama", "ketama-weighted", "sort-hosts", "hash-with-namespace") && hasValue:
		return fmt.Errorf("%s takes no value", option)
	}
	switch name {
	case "server":
		return m.addServer(value)
	case "socket":
		return m.addSocket(value)
	case "distribution":
		return m.setDistribution(value)
	case "ketama":
		return m.setDistribution("consistent")
	case "ketama-weighted":
		m.hash, m.distribution, m.weighted = "md5", "consistent", true
		m.ring()
	case "hash":
		hash, err := libmemcachedHash(value)
		m.hash = hash
		return err
	case "ketama-hash":
		m.note("%s has no effect in libmemcached and was left out", option)
	case "sort-hosts":
		m.sorted = true
		m.ring()
	case "namespace":
		m.namespace = unquote(value)
	case "hash-with-namespace":
		m.hashWhole = true
	case "number-of-replicas":
		m.note("%s is not carried over: a pool holds each key once", option)
	case "remove-failed-servers", "auto-eject-hosts":
		m.note("%s is not carried over: a server that is down keeps its keys, which miss, and no neighbour takes them", option)
	case "configure-file":
		return fmt.Errorf("%s: give the text of the file instead, its lines are options too", option)
	default:
		if !oneOf(name, libmemcachedOther...) {
			return fmt.Errorf("libmemcached has no option %s", option)
		}
		m.other = append(m.other, option)
	}
	return nil
}

func (m *libmemcached) note(format string, args ...any) {
	m.notes = append(m.notes, fmt.Sprintf(format, args...))
}

// ring is run_distribution of hosts.cc.
func (m *libmemcached) ring() {
	if m.sorted {
		slices.SortStableFunc(m.servers, func(a, b libmemcachedServer) int {
			return cmp.Or(strings.Compare(a.host, b.host), a.port-b.port)
		})
	}
	m.ringHash = m.hash
}

func (m *libmemcached) setDistribution(value string) error {
	distribution, hash, both := strings.Cut(strings.ToLower(value), ",")
	switch distribution {
	case "consistent", "consistent_ketama":
		m.distribution, m.weighted = "consistent", false
	case "consistent_weighted":
		m.distribution, m.weighted = "consistent", true
	case "consistent_ketama_spy":
		m.distribution = "spy"
	case "modula", "random":
		m.distribution = distribution
	default:
		return fmt.Errorf("--DISTRIBUTION: libmemcached knows modula, consistent and random, not %q", value)
	}
	if both {
		if _, err := libmemcachedHash(hash); err != nil {
			return err
		}
		m.note("the hash in --DISTRIBUTION=%s has no effect in libmemcached and was left out", value)
	}
	m.ring()
	return nil
}

func libmemcachedHash(value string) (string, error) {
	hash := strings.ToLower(value)
	if !oneOf(hash, libmemcachedHashes...) {
		return "", fmt.Errorf("--HASH: libmemcached knows %s, not %q", strings.Join(libmemcachedHashes, ", "), value)
	}
	return hash, nil
}

func (m *libmemcached) addServer(value string) error {
	rest, weight, err := cutWeight(value)
	if err != nil {
		return err
	}
	s := libmemcachedServer{host: rest, port: 11211, weight: weight}
	if host, port, ok := cutLast(rest, ":"); ok {
		if s.port, err = strconv.Atoi(port); err != nil || s.port < 1 || s.port > 65535 {
			return fmt.Errorf("--SERVER=%s: the port is a number from 1 to 65535", value)
		}
		s.host = host
	}
	return m.add(s)
}

func (m *libmemcached) addSocket(value string) error {
	path, weight, err := cutWeight(value)
	if err != nil {
		return err
	}
	path = unquote(path)
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "/?") {
		return fmt.Errorf(`--SOCKET=%s: a path in quotes is wanted, and the weight behind them: "/run/memcached.sock"/?2`, value)
	}
	return m.add(libmemcachedServer{host: path, weight: weight})
}

// add is server_add of hosts.cc: a weight turns a ring to points by weight, but
// only if the distribution is a ring already.
func (m *libmemcached) add(s libmemcachedServer) error {
	m.servers = append(m.servers, s)
	if s.weight > 1 && oneOf(m.distribution, "consistent", "spy") {
		m.weighted = true
	}
	m.ring()
	return nil
}

// cutWeight divides "server/?weight".
func cutWeight(value string) (string, int, error) {
	rest, text, ok := cutLast(value, "/?")
	if !ok || strings.HasSuffix(value, `"`) {
		return value, 1, nil
	}
	weight, err := strconv.Atoi(text)
	if err != nil || weight < 1 {
		return "", 0, fmt.Errorf("%s: the weight behind /? is a number from 1 on", value)
	}
	return rest, weight, nil
}

func unquote(s string) string { return strings.Trim(s, `"`) }

// pool is what the state comes to in the end.
func (m *libmemcached) pool() (*PoolConfig, error) {
	p := &PoolConfig{Distribution: m.distribution, Hash: m.hash}
	byWeight := false
	switch {
	case m.distribution == "consistent" && m.weighted:
		p.Distribution, byWeight = "ketama", true
	case m.distribution == "consistent":
		p.Distribution = "libmemcached-consistent"
		if m.ringHash != m.hash {
			p.PointHash = hashName(m.ringHash)
		}
	case m.distribution == "spy" && m.weighted:
		p.Distribution, byWeight = "ketama-spy", true
	case m.distribution == "spy":
		return nil, fmt.Errorf("consistent_ketama_spy without weights is not supported: write --KETAMA-WEIGHTED before it")
	}
	p.Hash = hashName(p.Hash)
	if m.distribution == "random" {
		p.Hash = ""
	}
	if m.namespace != "" && !m.hashWhole {
		p.SkipPrefix = m.namespace
	}
	dropped := false
	for _, s := range m.servers {
		server := s.config(m.distribution)
		if s.weight > 1 && byWeight {
			server.Weight = s.weight
		}
		dropped = dropped || s.weight > 1 && !byWeight
		p.Servers = append(p.Servers, server)
	}
	if dropped {
		m.note("weights are left out: libmemcached ignores them too, with these options in this order")
	}
	if m.hash == "hsieh" {
		m.note("most builds of libmemcached refuse hsieh: make sure that yours has it, or the keys are placed otherwise")
	}
	if len(m.other) > 0 {
		m.note("not carried over, being about connections and not placement: %s", strings.Join(m.other, ", "))
	}
	return p, nil
}

// hashName is the name in a config file of a hash of libmemcached's.
func hashName(name string) string {
	if alias := hashAliases[name]; alias != "" {
		return alias
	}
	return name
}

// config names the slot with what libmemcached's ring hashes, so that its address
// can change later.
func (s libmemcachedServer) config(distribution string) ServerConfig {
	c := ServerConfig{Name: s.host, Address: s.host}
	switch {
	case s.port == 0: // libmemcached hashes "path:0"
		c.Name += ":0"
		return c
	case strings.Contains(s.host, ":"):
		c.Address = "[" + s.host + "]"
	}
	port := ":" + strconv.Itoa(s.port)
	c.Address += port
	if s.port != 11211 || distribution == "spy" {
		c.Name += port
	}
	if distribution == "spy" {
		c.Name = "/" + c.Name
	}
	return c
}
