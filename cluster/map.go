package cluster

import (
	"fmt"
	"slices"
	"strings"
)

// A Map says which slot of a pool owns a key. It never changes once made and may
// be used by many goroutines: who changes an owner makes a Map of a higher epoch.
type Map struct {
	// Epoch grows with every change of the map. Of two maps of one pool the higher
	// epoch is the newer.
	Epoch uint64

	pool  string
	slots []Slot
	part  KeyPart
	opts  PlacementOptions
	place Placement
}

// NewMap makes the map that pool describes. An error is a *FieldError.
func NewMap(epoch uint64, pool *PoolConfig) (*Map, error) {
	if err := pool.check(); err != nil {
		return nil, err
	}
	m := &Map{Epoch: epoch, pool: pool.Name, part: pool.keyPart(), opts: pool.placement()}
	for _, s := range pool.Servers {
		m.slots = append(m.slots, s.slot())
	}
	if _, _, err := resolve(&m.opts); err != nil {
		return nil, fieldError("distribution", "%v", err)
	}
	var err error
	if m.place, err = NewPlacement(m.slots, m.opts); err != nil {
		return nil, fieldError("servers", "%v", err)
	}
	return m, nil
}

// Pool returns the name of the pool; it may be empty.
func (m *Map) Pool() string { return m.pool }

// Slots returns a copy of the slots, in their order.
func (m *Map) Slots() []Slot { return slices.Clone(m.slots) }

// Owner returns the index of the slot that owns key. It does not keep key and
// allocates nothing.
func (m *Map) Owner(key []byte) int { return m.place.Owner(m.part.Of(key)) }

// An Explanation is who owns a key, and every step that led there.
type Explanation struct {
	Key          string `json:"key"`
	Pool         string `json:"pool,omitempty"`
	Epoch        uint64 `json:"epoch"`
	Part         string `json:"part"`                 // what of the key counts
	PartRule     string `json:"part_rule,omitempty"`  // why, if it is not the whole key
	Hash         string `json:"hash,omitempty"`       // name of the key's hash
	HashValue    string `json:"hash_value,omitempty"` // hexadecimal, 0x in front
	Distribution string `json:"distribution"`
	Why          string `json:"why"`
	Slot         int    `json:"slot"`
	Name         string `json:"name"`
	Address      string `json:"address"`
	Weight       int    `json:"weight"`
}

// Explain says who owns key, and why.
func (m *Map) Explain(key []byte) Explanation {
	part := m.part.Of(key)
	why := m.place.Why(part)
	s := m.slots[why.Owner]
	e := Explanation{
		Key: string(key), Pool: m.pool, Epoch: m.Epoch,
		Part: string(part), Distribution: m.opts.Distribution, Why: why.Text,
		Slot: why.Owner, Name: s.Name, Address: s.Address, Weight: s.Weight,
	}
	if len(part) != len(key) {
		e.PartRule = m.part.rule(key)
	}
	if why.HasHash {
		e.Hash, e.HashValue = m.opts.Hash, fmt.Sprintf("0x%08x", why.Hash)
		if e.Hash == "" {
			e.Hash = "murmur64a" // ch3's own
		}
	}
	return e
}

// rule names the settings that made a part of key.
func (k *KeyPart) rule(key []byte) string {
	var rules []string
	if k.Prefix != "" && strings.HasPrefix(string(key), k.Prefix) {
		rules = append(rules, fmt.Sprintf("skip_prefix %q", k.Prefix))
		key = key[len(k.Prefix):]
	}
	rest := KeyPart{Tag: k.Tag, EmptyTag: k.EmptyTag, Stop: k.Stop}
	if len(rest.Of(key)) != len(key) {
		if k.Tag != "" {
			rules = append(rules, fmt.Sprintf("hash_tag %q", k.Tag))
		} else {
			rules = append(rules, fmt.Sprintf("hash_stop %q", k.Stop))
		}
	}
	return strings.Join(rules, ", ")
}
