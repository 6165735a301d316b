package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// twemproxyPool is a pool of twemproxy's config file, with all of its directives
// (nc_conf.c). What has no bearing on placement is kept only to be named.
type twemproxyPool struct {
	Listen             any      `yaml:"listen"`
	Hash               *string  `yaml:"hash"`
	HashTag            *string  `yaml:"hash_tag"`
	Distribution       *string  `yaml:"distribution"`
	Timeout            any      `yaml:"timeout"`
	Backlog            any      `yaml:"backlog"`
	ClientConnections  any      `yaml:"client_connections"`
	Redis              bool     `yaml:"redis"`
	TCPKeepalive       any      `yaml:"tcpkeepalive"`
	Reuseport          any      `yaml:"reuseport"`
	RedisAuth          any      `yaml:"redis_auth"`
	RedisDB            any      `yaml:"redis_db"`
	Preconnect         any      `yaml:"preconnect"`
	AutoEjectHosts     bool     `yaml:"auto_eject_hosts"`
	ServerConnections  any      `yaml:"server_connections"`
	ServerRetryTimeout any      `yaml:"server_retry_timeout"`
	ServerFailureLimit any      `yaml:"server_failure_limit"`
	Servers            []string `yaml:"servers"`
}

// twemproxyHashes are the names that twemproxy has for hashes.
var twemproxyHashes = []string{
	"one_at_a_time", "md5", "crc16", "crc32", "crc32a", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "hsieh", "murmur", "jenkins",
}

// ImportTwemproxy makes a Config with the placement of a config file of
// twemproxy. name is put before errors. The notes say, a sentence each, what
// could not be carried over.
func ImportTwemproxy(name string, text []byte) (*Config, []string, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, nil, yamlError(name, err)
	}
	c := &Config{Epoch: 1}
	var notes []string
	for _, entry := range mappingOf(file) {
		pool := entry.Key.GetToken().Value
		where := fmt.Sprintf("%s:%d: pool %s", name, entry.Key.GetToken().Position.Line, pool)
		var tw twemproxyPool
		if err := yaml.NodeToValue(entry.Value, &tw, yaml.Strict()); err != nil {
			return nil, nil, yamlError(name, err)
		}
		if tw.Redis {
			notes = append(notes, fmt.Sprintf("pool %s is left out: its servers are Redis", pool))
			continue
		}
		p, poolNotes, err := tw.pool(pool)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", where, err)
		}
		if _, err := NewMap(c.Epoch, p); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", where, err)
		}
		c.Pools = append(c.Pools, p)
		notes = append(notes, poolNotes...)
	}
	if len(c.Pools) == 0 {
		return nil, nil, fmt.Errorf("%s: there is no pool of memcached servers in it", name)
	}
	return c, notes, nil
}

// mappingOf returns the entries of a file that is a mapping, otherwise none.
func mappingOf(file *ast.File) []*ast.MappingValueNode {
	if len(file.Docs) == 0 {
		return nil
	}
	switch body := file.Docs[0].Body.(type) {
	case *ast.MappingNode:
		return body.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{body}
	}
	return nil
}

func (tw *twemproxyPool) pool(name string) (*PoolConfig, []string, error) {
	p := &PoolConfig{Name: name, Distribution: "ketama", Hash: "fnv1a_64"} // its defaults
	if tw.Distribution != nil {
		p.Distribution = strings.ToLower(*tw.Distribution)
	}
	if tw.Hash != nil {
		p.Hash = strings.ToLower(*tw.Hash)
	}
	if tw.HashTag != nil {
		p.HashTag = *tw.HashTag
	}
	if !oneOf(p.Distribution, "ketama", "modula", "random") {
		return nil, nil, fmt.Errorf("distribution: twemproxy knows ketama, modula and random, not %q", p.Distribution)
	}
	if !oneOf(p.Hash, twemproxyHashes...) {
		return nil, nil, fmt.Errorf("hash: twemproxy knows %s, not %q", strings.Join(twemproxyHashes, ", "), p.Hash)
	}
	weights := false
	for i, text := range tw.Servers {
		s, err := twemproxyServer(text)
		if err != nil {
			return nil, nil, fmt.Errorf("servers[%d]: %w", i, err)
		}
		weights = weights || s.Weight > 1
		if p.Distribution == "random" {
			s.Weight = 0
		}
		p.Servers = append(p.Servers, s)
	}
	return p, tw.notes(p, weights), nil
}

func oneOf(s string, list ...string) bool { return slices.Contains(list, s) }

// notes says what becomes of the rest of a pool's directives.
func (tw *twemproxyPool) notes(p *PoolConfig, weights bool) []string {
	var notes []string
	note := func(format string, args ...any) {
		notes = append(notes, "pool "+p.Name+": "+fmt.Sprintf(format, args...))
	}
	if tw.AutoEjectHosts {
		note("auto_eject_hosts is not carried over: a server that is down keeps its keys, which miss, and no neighbour takes them")
	}
	if weights && p.Distribution == "random" {
		note("weights are left out: random knows none, in twemproxy neither")
	}
	if p.Distribution == "ketama" && p.Hash == "crc32" {
		note("crc32 has 15 bits, so on a ring every key belongs to one server, here as in twemproxy")
	}
	var rest []string
	for _, d := range []struct {
		name  string
		value any
	}{
		{"listen", tw.Listen},
		{"timeout", tw.Timeout},
		{"backlog", tw.Backlog},
		{"client_connections", tw.ClientConnections},
		{"tcpkeepalive", tw.TCPKeepalive},
		{"reuseport", tw.Reuseport},
		{"redis_auth", tw.RedisAuth},
		{"redis_db", tw.RedisDB},
		{"preconnect", tw.Preconnect},
		{"server_connections", tw.ServerConnections},
		{"server_retry_timeout", tw.ServerRetryTimeout},
		{"server_failure_limit", tw.ServerFailureLimit},
	} {
		if d.value != nil {
			rest = append(rest, d.name)
		}
	}
	if len(rest) > 0 {
		note("not carried over, being about connections and not placement: %s", strings.Join(rest, ", "))
	}
	return notes
}

// twemproxyServer reads "host:port:weight [name]" or "/path:weight [name]", from
// the end as conf_add_server does. The name of the slot is what twemproxy hashes:
// the name if there is one, otherwise host:port, without port 11211; of a path it
// hashes the colon behind it too.
func twemproxyServer(text string) (ServerConfig, error) {
	address, name, named := cutLast(text, " ")
	address, weightText, ok := cutLast(strings.TrimRight(address, " "), ":")
	weight, err := strconv.Atoi(weightText)
	if !ok || err != nil || weight < 1 || named && name == "" {
		return ServerConfig{}, fmt.Errorf("%q is not of the form host:port:weight [name] or /path:weight [name]", text)
	}
	s := ServerConfig{Name: name, Address: address}
	if weight > 1 {
		s.Weight = weight
	}
	if strings.HasPrefix(address, "/") {
		if !named {
			s.Name = address + ":"
		}
		return s, nil
	}
	host, port, ok := cutLast(address, ":")
	if !ok {
		return ServerConfig{}, fmt.Errorf("%q is not of the form host:port:weight [name]: the port is missing", text)
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		s.Address = "[" + host + "]:" + port
	}
	if !named {
		s.Name = labelNoDefaultPort(Slot{Name: address, Unnamed: true})
	}
	return s, nil
}
