package slab

import "fmt"

// Salvage reads the items of memory that New refuses with ErrGeometry, and calls
// visit for each that is whole and alive. Of two with one key both are visited:
// the version tells which to keep. The record and its slices are visit's only
// during the call. It changes nothing that a later Salvage would miss.
func Salvage(mem []byte, visit func(*Record)) (Recovery, error) {
	found, err := Inspect(mem)
	if err != nil || found.Empty {
		return Recovery{}, err
	}
	s, err := oldStore(mem)
	if err != nil {
		return Recovery{}, err
	}
	var n Recovery
	var r Record
	var value []byte
	for page := uint32(1); page < uint32(len(s.pages)); page++ {
		if s.pages[page].state != pageAssigned {
			continue
		}
		c := &s.classes[s.pages[page].class]
		for i := range c.perPage {
			ref := page<<s.pageShift + i*c.unit
			h := s.header(ref)
			state := h.loadState()
			if !isLive(state) {
				continue
			}
			if !s.sound(c, h, state) || h.chained(state) && !s.claimChain(h, chainedRef{ref, s.hash(h.key())}, map[uint32]bool{}) {
				n.Damaged++
				continue
			}
			if expired, flushed := s.dead(h, state, s.now.Load()); expired || flushed {
				n.Expired++
				continue
			}
			it := Item{h: h, s: s, ref: ref}
			it.Record(&r)
			if it.Chunked() {
				value = it.AppendValue(value[:0])
				r.Value = value
			}
			n.Items++
			visit(&r)
		}
	}
	return n, nil
}

// oldStore makes as much of a store of memory as it takes to read its items.
func oldStore(mem []byte) (*Store, error) {
	p := superOf(mem)
	s := &Store{arena: lend(mem), super: p, ver: &p.ver, flushVer: &p.flushVer, seed: p.seed, shift: uint8(p.shift)}
	s.now.Store(p.now.Load())
	for size := p.pageBytes; size > 1; size /= 2 {
		s.pageShift++
	}
	s.pageShift -= s.shift
	s.pages = make([]page, p.pages)
	s.classes = make([]class, p.classes+1)
	for id := 1; id < len(s.classes); id++ {
		size := p.sizes[id]
		if size < headerBytes || size > p.pageBytes || size>>s.shift == 0 {
			return nil, fmt.Errorf("slab: chunks of %d bytes in pages of %d: %w", size, p.pageBytes, ErrForeign)
		}
		s.classes[id].id, s.classes[id].size = uint8(id), size
		s.classes[id].unit, s.classes[id].perPage = size>>s.shift, p.pageBytes/size
	}
	for n := uint32(1); n < p.pages; n++ {
		if id := s.entry(n); id != 0 && uint32(id) <= p.classes {
			s.pages[n] = page{class: id, state: pageAssigned}
			s.pool.mu.high = n
		}
	}
	return s, nil
}
