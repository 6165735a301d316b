package cluster

import (
	_ "embed" // of the example
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// ExampleConfig is a config file with every field, and what each is for.
//
//go:embed testdata/example.yml
var ExampleConfig string

// Config is a config file: YAML, of which every field is described here. Unknown
// fields are refused.
type Config struct {
	// Epoch is the number of this version of the file: raise it with every change
	// to a pool.
	Epoch uint64 `yaml:"epoch,omitempty"`
	// Pools are groups of servers that share keys.
	Pools []*PoolConfig `yaml:"pools"`
	// Routes say which pool, or pools, serve a request. A file with one pool may leave
	// them out.
	Routes *RouteConfig `yaml:"routes,omitempty"`
}

// PoolConfig is one pool: an ordered list of servers, and the rule by which they
// share keys. Leave everything but servers out for jump over XXH3.
type PoolConfig struct {
	// Name names the pool; a file with one pool may leave it out.
	Name string `yaml:"name,omitempty"`
	// Distribution is the placement, one of DistributionNames; jump if left out.
	Distribution string `yaml:"distribution,omitempty"`
	// Hash is the hash of keys, one of HashNames; if left out the one usual with
	// the distribution.
	Hash string `yaml:"hash,omitempty"`
	// PointHash is the hash of the ring's points in libmemcached-consistent, if it is
	// not Hash: libmemcached makes the ring with the hash set at that moment.
	PointHash string `yaml:"point_hash,omitempty"`
	// Seed seeds xxh3, as the option seed of memcached's proxy.
	Seed string `yaml:"seed,omitempty"`
	// UnsignedChar makes one_at_a_time, fnv* and hsieh what they are in C on ARM.
	UnsignedChar bool `yaml:"unsigned_char,omitempty"`
	// Points are the points of a server (of weight 1) in the distributions proxy-*
	// (160 if left out) and perl-ketama (150).
	Points int `yaml:"points,omitempty"`
	// HashTag is two characters: what stands between them is the part of a key
	// that counts.
	HashTag string `yaml:"hash_tag,omitempty"`
	// HashTagEmpty makes an empty tag count as the empty key, as memcached's proxy
	// does. Otherwise the whole key counts then.
	HashTagEmpty bool `yaml:"hash_tag_empty,omitempty"`
	// HashStop ends the part of a key that counts. Not together with HashTag.
	HashStop string `yaml:"hash_stop,omitempty"`
	// SkipPrefix is left out of a key that begins with it, before all else.
	SkipPrefix string `yaml:"skip_prefix,omitempty"`
	// Timeout is how long a request may take, from its arrival at the proxy; 250ms if
	// left out.
	Timeout time.Duration `yaml:"timeout,omitempty"`
	// ConnectTimeout is how long a connection may take; 100ms if left out.
	ConnectTimeout time.Duration `yaml:"connect_timeout,omitempty"`
	// GetError is what a get of one key is answered whose server failed: "error", which
	// is the default, or "miss".
	GetError string `yaml:"get_error,omitempty"`
	// MultigetError is what becomes of the keys of a failed server in a get of several:
	// "omit", which is the default, leaves them out as misses, "fail" answers one error.
	MultigetError string `yaml:"multiget_error,omitempty"`
	// Ramp is how long a server that comes back takes until all its keys are read
	// again; those that are not yet fail meanwhile. 0, the default, is at once.
	Ramp time.Duration `yaml:"ramp,omitempty"`
	// HoldDown is how long a server is left alone that goes down again soon after its
	// return; it doubles each time, up to sixty times this. 5s if left out.
	HoldDown time.Duration `yaml:"hold_down,omitempty"`
	// Discover names the servers in the DNS instead of listing them: srv:NAME,
	// a:NAME:PORT or aaaa:NAME:PORT, with what stands in Servers until there has
	// been an answer. Such a pool has no Map before that.
	Discover string `yaml:"discover,omitempty"`
	// Servers are the slots, in order. With jump, modula and ch3 the order decides
	// who owns a key: add at the end, and replace where you stand.
	Servers []ServerConfig `yaml:"servers,omitempty"`
}

// PoolTitle is what a pool of that name is called in a sentence: the only one of a
// config may have none.
func PoolTitle(name string) string {
	if name == "" {
		return "the pool"
	}
	return "pool " + name
}

// ServerConfig is one slot of a pool. In the file it may be the address alone.
type ServerConfig struct {
	// Name is what keys belong to, so that a new address moves none. If left out it
	// is the address.
	Name string `yaml:"name,omitempty"`
	// Address is host, host:port, [ipv6]:port, or the path of a Unix socket. The
	// port is 11211 if left out.
	Address string `yaml:"address"`
	// Weight is the server's share of keys, 1 if left out. Only the distributions
	// rendezvous, ketama, ketama-spy, modula, perl-ketama and dalli know weights.
	Weight int `yaml:"weight,omitempty"`
}

// UnmarshalYAML reads a server from its address alone or from a mapping.
func (s *ServerConfig) UnmarshalYAML(decode func(any) error) error {
	s.Weight = 1
	if decode(&s.Address) == nil {
		return nil
	}
	type plain ServerConfig // without this method
	return decode((*plain)(s))
}

// A FieldError is a setting that cannot be: where it stands and what is wrong.
type FieldError struct {
	Field string // as pools[0].servers[2].weight
	Text  string
	Line  int // in the file, from 1; 0 if there is none
}

// Error is field and text; file and line are for who knows the file.
func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Text
	}
	return e.Field + ": " + e.Text
}

func fieldError(field, format string, args ...any) *FieldError {
	return &FieldError{Field: field, Text: fmt.Sprintf(format, args...)}
}

// within puts the name of what holds the field before it.
func (e *FieldError) within(outer string) *FieldError {
	if e.Field == "" {
		return &FieldError{Field: outer, Text: e.Text}
	}
	return &FieldError{Field: outer + "." + e.Field, Text: e.Text}
}

// ParseConfig reads a config file. name is put before errors, which also name
// the line and the field.
func ParseConfig(name string, text []byte) (*Config, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, yamlError(name, err)
	}
	if len(file.Docs) > 1 {
		return nil, fmt.Errorf("%s: there are several documents in the file, divided by ---; one is wanted", name)
	}
	c := &Config{}
	err = yaml.UnmarshalWithOptions(text, c, yaml.Strict())
	if err == nil {
		err = fractions(file)
	}
	if err != nil {
		return nil, yamlError(name, located(file, err))
	}
	if err := c.check(); err != nil {
		err.Line = lineOf(file, err.Field)
		return nil, fmt.Errorf("%s:%d: %w", name, err.Line, err)
	}
	return c, nil
}

// lineOf finds the line of a field, or of what holds it if it is not there.
func lineOf(file *ast.File, field string) int {
	for field != "" {
		path, err := yaml.PathString("$." + field)
		if err == nil {
			if node, err := path.FilterFile(file); err == nil && node.GetToken() != nil {
				return node.GetToken().Position.Line
			}
		}
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
	return 1
}

// Pool returns the pool of that name; "" is the only one there is.
func (c *Config) Pool(name string) (*PoolConfig, error) {
	var names []string
	for _, p := range c.Pools {
		if p.Name == name || name == "" && len(c.Pools) == 1 {
			return p, nil
		}
		names = append(names, p.Name)
	}
	if name == "" {
		return nil, fmt.Errorf("there are several pools: name one of %s", strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("there is no pool %q; there are %s", name, strings.Join(names, ", "))
}

func (c *Config) check() *FieldError {
	if len(c.Pools) == 0 {
		return fieldError("pools", "there must be at least one pool")
	}
	if c.Epoch > epochMax {
		return fieldError("epoch", "%d is so large that it could not be raised; it is at most %d", c.Epoch, uint64(epochMax))
	}
	seen := map[string]bool{}
	for i, p := range c.Pools {
		outer := "pools[" + strconv.Itoa(i) + "]"
		switch {
		case p == nil:
			return fieldError(outer, "the pool is empty")
		case p.Name == "" && len(c.Pools) > 1:
			return fieldError(outer+".name", "each of several pools needs a name")
		case seen[p.Name]:
			return fieldError(outer+".name", "there are two pools %q", p.Name)
		}
		seen[p.Name] = true
		for j, s := range p.Servers {
			if s.Weight == 0 && s.Address != "" { // said so: it is 1 if left out
				return fieldError(outer+".servers["+strconv.Itoa(j)+"].weight", "a weight is at least 1; take a server out of the end of the list, or give its name to another address")
			}
		}
		if p.Discover != "" {
			if _, err := ParseDiscovery(p.Discover); err != nil {
				return fieldError(outer+".discover", "%v", err)
			}
			if len(p.Servers) == 0 {
				try := *p // whether the rest is good shows with any server
				try.Servers = []ServerConfig{{Address: "127.0.0.1", Weight: 1}}
				p = &try
			}
		}
		if _, err := NewMap(c.Epoch, p); err != nil {
			var f *FieldError
			if !errors.As(err, &f) {
				f = fieldError("", "%v", err)
			}
			return f.within(outer)
		}
	}
	return c.checkRoutes()
}

// check finds what is wrong with the fields, in their order.
func (p *PoolConfig) check() error {
	if !cleanName(p.Name) {
		return fieldError("name", "%q is no name: no spaces, no control characters, at most 255 bytes", p.Name)
	}
	if field, err := p.keyPart().check(); err != nil {
		return fieldError(field, "%v", err)
	}
	if err := p.checkPlacement(); err != nil {
		return err
	}
	if f := p.checkPolicies(); f != nil {
		return f
	}
	if len(p.Servers) == 0 {
		if p.Discover != "" {
			return fieldError("servers", "they are those that %s lists, which has not been asked", p.Discover)
		}
		return fieldError("servers", "there must be at least one server")
	}
	d, err := lookupDistribution(p.Distribution)
	if err != nil {
		return fieldError("distribution", "%v", err)
	}
	seen := map[string]int{}
	for i, s := range p.Servers {
		outer := "servers[" + strconv.Itoa(i) + "]"
		if f := s.check(d); f != nil {
			return f.within(outer)
		}
		name := s.slot().Name
		if first, twice := seen[name]; twice {
			return fieldError(outer, "%q is the name of server %d already; give one of them another", name, first)
		}
		seen[name] = i
	}
	return nil
}

// checkPolicies checks what the proxy does with requests that fail.
func (p *PoolConfig) checkPolicies() error {
	for _, t := range []struct {
		field string
		d     time.Duration
	}{{"timeout", p.Timeout}, {"connect_timeout", p.ConnectTimeout}, {"ramp", p.Ramp}, {"hold_down", p.HoldDown}} {
		if f := span(t.field, t.d, timeoutMax); f != nil {
			return f
		}
	}
	switch {
	case p.GetError != "" && p.GetError != "error" && p.GetError != "miss":
		return fieldError("get_error", "%q is neither error nor miss", p.GetError)
	case p.MultigetError != "" && p.MultigetError != "omit" && p.MultigetError != "fail":
		return fieldError("multiget_error", "%q is neither omit nor fail", p.MultigetError)
	}
	return nil
}

// checkPlacement tells which of the fields that choose a placement does not fit.
func (p *PoolConfig) checkPlacement() error {
	try := PlacementOptions{Distribution: p.Distribution}
	steps := []struct {
		field string
		add   func()
	}{
		{"distribution", func() {}},
		{"hash", func() { try.Hash = p.Hash }},
		{"point_hash", func() { try.PointHash = p.PointHash }},
		{"seed", func() { try.Seed = p.Seed }},
		{"unsigned_char", func() { try.UnsignedChar = p.UnsignedChar }},
		{"points", func() { try.Points = p.Points }},
	}
	for _, step := range steps {
		step.add()
		if _, _, err := resolve(&PlacementOptions{
			Distribution: try.Distribution, Hash: try.Hash, PointHash: try.PointHash, Points: try.Points, HashOptions: try.HashOptions,
		}); err != nil {
			return fieldError(step.field, "%v", err)
		}
	}
	if p.PointHash != "" {
		if _, err := LookupHash(p.PointHash, HashOptions{}); err != nil {
			return fieldError("point_hash", "%v", err)
		}
	}
	return nil
}

func (p *PoolConfig) keyPart() KeyPart {
	return KeyPart{Prefix: p.SkipPrefix, Tag: p.HashTag, EmptyTag: p.HashTagEmpty, Stop: p.HashStop}
}

func (p *PoolConfig) placement() PlacementOptions {
	return PlacementOptions{
		Distribution: p.Distribution, Hash: p.Hash, PointHash: p.PointHash, Points: p.Points,
		HashOptions: HashOptions{Seed: p.Seed, UnsignedChar: p.UnsignedChar},
	}
}

func (s *ServerConfig) check(d distribution) *FieldError {
	if s.Address == "" {
		return fieldError("address", "a server needs an address")
	}
	if _, err := fullAddress(s.Address); err != nil {
		return fieldError("address", "%v", err)
	}
	switch {
	case !cleanName(s.Name):
		return fieldError("name", "%q is no name: no spaces, no control characters, at most 255 bytes", s.Name)
	case s.Weight < 0 || s.Weight > weightMax:
		return fieldError("weight", "a weight is between 1 and %d, not %d", weightMax, s.Weight)
	case s.Weight > 1 && !d.weighted:
		return fieldError("weight", "%s knows no weights; rendezvous and ketama do", d.name)
	}
	return nil
}

// Bounds that leave room for sums.
const (
	epochMax   = 1 << 62
	timeoutMax = time.Hour // of each time that a pool has
)

// weightMax leaves room for the sum of very many weights.
const weightMax = 1_000_000

// slot is the slot that a checked ServerConfig stands for.
func (s *ServerConfig) slot() Slot {
	address, _ := fullAddress(s.Address)
	slot := Slot{Name: s.Name, Address: address, Weight: max(s.Weight, 1)}
	if s.Name == "" {
		slot.Name, slot.Unnamed = address, true
	}
	return slot
}

// fullAddress adds the port 11211 where there is none, and checks the form.
func fullAddress(address string) (string, error) {
	if strings.HasPrefix(address, "/") && cleanName(address) {
		return address, nil
	}
	host, port := address, "11211"
	if i := strings.LastIndexByte(address, ':'); i >= 0 && (strings.Count(address, ":") == 1 || strings.HasSuffix(address[:i], "]")) {
		host, port = address[:i], address[i+1:]
	}
	bare := host
	if inside, ok := strings.CutPrefix(host, "["); ok {
		if bare, ok = strings.CutSuffix(inside, "]"); !ok || !strings.Contains(bare, ":") {
			return "", fmt.Errorf("%q is no address: an IPv6 address stands in brackets, [::1]:11211 for example", address)
		}
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || port[0] == '+' {
		return "", fmt.Errorf("%q is no address: the port is a number from 1 to 65535", address)
	}
	if bare == "" || !cleanName(bare) || strings.ContainsAny(bare, "[]/") {
		return "", fmt.Errorf("%q is no address: host, host:port, [ipv6]:port or the path of a Unix socket", address)
	}
	return host + ":" + port, nil
}

// cleanName keeps to one line and one column what others print.
func cleanName(name string) bool {
	return len(name) <= 255 && !slices.ContainsFunc([]byte(name), func(c byte) bool { return c <= ' ' || c == 0x7f })
}

// YAML returns c as the text of a config file.
func (c *Config) YAML() ([]byte, error) {
	return yaml.MarshalWithOptions(c, yaml.IndentSequence(true))
}
