package slab

import "sync/atomic"

// Item is a handle on an item in the store. It is valid only during the visit
// that it was given to, which runs with the item locked; slices that it
// returns alias item memory and must not be written to or kept.
type Item struct {
	h   *header
	s   *Store
	ref uint32
}

// Key returns the key. It aliases item memory.
func (i Item) Key() []byte { return i.h.key() }

// ValueLen returns the length of the value, in bytes.
func (i Item) ValueLen() int { return i.h.valueLen() }

// Flags returns the client's flags.
func (i Item) Flags() uint32 { return i.h.clientFlags(i.h.loadState()) }

// CAS returns the compare value, 0 if the store keeps none.
func (i Item) CAS() uint64 {
	if i.s.cfg.NoCAS {
		return 0
	}
	return i.h.cas(i.h.loadState())
}

// Exptime returns the second in which the item expires, 0 for never.
func (i Item) Exptime() uint32 { return i.h.exptime(i.h.loadState()) }

// LastAccess returns the second of the last access that was noted.
func (i Item) LastAccess() uint32 {
	now := i.s.now.Load()
	return now - min(age(i.h.loadState(), now), now)
}

// Fetched says that the item has been read since it was stored.
func (i Item) Fetched() bool { return i.h.loadWord()&markFetched != 0 }

// Binary says that the key came in base64.
func (i Item) Binary() bool { return i.h.loadState()&factBinary != 0 }

// Class returns the id of the class that the item counts in.
func (i Item) Class() uint8 { return wordClass(i.h.loadWord()) }

// TotalBytes returns the item's size as memcached would count it, in bytes:
// what ItemSizeMax bounds and what dumps show.
func (i Item) TotalBytes() int {
	state := i.h.loadState()
	return i.s.wireSize(i.h.keyLen(), i.h.valueLen(), i.h.clientFlags(state))
}

// Value returns the value if it is in one piece, and nil if it is Chunked. It
// aliases item memory.
func (i Item) Value() []byte {
	if i.Chunked() {
		return nil
	}
	return i.h.inline(i.h.valueLen())
}

// Chunked says that the value is in several pieces.
func (i Item) Chunked() bool { return i.h.chained(i.h.loadState()) }

// AppendValue appends a copy of the value to dst.
func (i Item) AppendValue(dst []byte) []byte {
	if !i.Chunked() {
		return append(dst, i.h.inline(i.h.valueLen())...)
	}
	for ref := i.h.large().first; ref != 0; {
		p := i.s.part(ref)
		dst = append(dst, p.bytes(p.used)...)
		ref = p.next
	}
	return dst
}

// Pinnable says that the value may be used after the visit, by Pin.
func (i Item) Pinnable() bool { return i.h.loadState()&factLarge != 0 }

// Pin keeps the value's bytes as they are until Unpin, whatever becomes of the
// item, and appends the pieces of the value to spans. Only for Pinnable items.
func (i Item) Pin(spans [][]byte) ([][]byte, Pin) {
	l := i.h.large()
	atomic.AddUint32(&l.pins, 1)
	i.s.pinned.Add(1)
	if l.first == 0 {
		spans = append(spans, i.h.inline(int(l.total)))
	}
	for ref := l.first; ref != 0; {
		p := i.s.part(ref)
		spans = append(spans, p.bytes(p.used))
		ref = p.next
	}
	return spans, Pin{s: i.s, ref: i.ref}
}

// Pin holds the bytes of a value in place.
type Pin struct {
	s   *Store
	ref uint32
}

// Unpin lets the bytes go; no span may be used afterwards. It may be called by
// any goroutine, once per Pin. The zero Pin holds nothing.
func (p Pin) Unpin() {
	if p.s == nil {
		return
	}
	p.s.pinned.Add(-1)
	h := p.s.header(p.ref)
	if atomic.AddUint32(&h.large().pins, ^uint32(0)) == pinRetired {
		p.s.freeItem(h, p.ref, h.loadState())
	}
}

// wireSize is an item's size by memcached's arithmetic: a header of 48 bytes,
// a CAS, the key and a zero byte, flags if there are any, the value and CRLF.
func (s *Store) wireSize(key, value int, flags uint32) int {
	n := 48 + key + 1 + value + 2
	if !s.cfg.NoCAS {
		n += 8
	}
	if flags != 0 {
		n += 4
	}
	return n
}
