package cluster

import (
	"slices"

	"github.com/zeebo/xxh3"
)

// SameOwners says whether a and b give every key of every pool the same owner, at the
// same address: whether nothing that needs a higher epoch differs between them.
// Both have been checked.
func SameOwners(a, b *Config) bool {
	return slices.EqualFunc(a.Pools, b.Pools, func(p, q *PoolConfig) bool {
		return p.Name == q.Name && p.Discover == q.Discover && p.keyPart() == q.keyPart() && p.placement() == q.placement() &&
			slices.EqualFunc(p.Servers, q.Servers, func(s, t ServerConfig) bool { return s.slot() == t.slot() })
	})
}

// Sum is a number that tells maps apart: configs have it in common if their pools have the
// same names, rules and servers, in the same order, and their routes are the same, so that
// a key goes to the same places. Timeouts, policies and the epoch are not part of it, nor
// is where the servers are known from.
func (c *Config) Sum() (uint64, error) {
	bare := &Config{Routes: c.Routes}
	for _, p := range c.Pools {
		q := *p
		q.Timeout, q.ConnectTimeout, q.Ramp, q.HoldDown = 0, 0, 0, 0
		q.GetError, q.MultigetError, q.Discover = "", "", ""
		q.Servers = make([]ServerConfig, len(p.Servers))
		for i := range p.Servers {
			s := p.Servers[i].slot()
			q.Servers[i] = ServerConfig{Name: s.Name, Address: s.Address, Weight: s.Weight}
		}
		bare.Pools = append(bare.Pools, &q)
	}
	text, err := bare.YAML()
	return xxh3.Hash(text), err
}

// Clone returns a copy of c whose pools and servers can be changed without changing c's.
func (c *Config) Clone() *Config {
	n := *c
	n.Pools = make([]*PoolConfig, len(c.Pools))
	for i, p := range c.Pools {
		q := *p
		q.Servers = slices.Clone(p.Servers)
		n.Pools[i] = &q
	}
	return &n
}
