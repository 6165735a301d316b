package cluster

import "slices"

// SameOwners says whether a and b give every key of every pool the same owner, at the
// same address: whether nothing that needs a higher epoch differs between them.
// Both have been checked.
func SameOwners(a, b *Config) bool {
	return slices.EqualFunc(a.Pools, b.Pools, func(p, q *PoolConfig) bool {
		return p.Name == q.Name && p.Discover == q.Discover && p.keyPart() == q.keyPart() && p.placement() == q.placement() &&
			slices.EqualFunc(p.Servers, q.Servers, func(s, t ServerConfig) bool { return s.slot() == t.slot() })
	})
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
