package proxy

import "github.com/holdfast-cache/holdfast/protocol"

// changes says whether a request may change an item, so that it must not be sent
// twice and an answer that does not come leaves the item in doubt.
func changes(r *protocol.Request) bool {
	switch r.Op {
	case protocol.OpGet, protocol.OpGets, protocol.OpGat, protocol.OpGats, protocol.OpMetaDebug, protocol.OpMetaNoop, protocol.OpVersion:
		return false
	case protocol.OpMetaGet:
		m := &r.Meta
		return m.Has('N') || m.Has('R') || m.Has('T') || m.Has('E')
	}
	return true
}

// overwrites says whether a request leaves nothing of what the item was, so that
// it may be sent though the item is in doubt.
func overwrites(r *protocol.Request) bool {
	m := &r.Meta
	switch r.Op {
	case protocol.OpSet, protocol.OpDelete:
		return true
	case protocol.OpMetaSet:
		return (m.Mode == 0 || m.Mode == 'S') && !m.Has('C')
	case protocol.OpMetaDelete:
		return !m.Has('I') && !m.Has('C') && !m.Has('x')
	}
	return false
}

// appendGetHead appends the beginning of a get: what stands before the keys.
func appendGetHead(dst []byte, r *protocol.Request) []byte {
	dst = append(dst, r.Op.String()...)
	if r.Op == protocol.OpGat || r.Op == protocol.OpGats {
		dst = protocol.AppendInt(append(dst, ' '), r.Exptime)
	}
	return dst
}

// appendHead appends the line of a request of one key as it goes upstream. It asks
// for a reply in any case, so that each request has one: noreply and q are left
// out and minded when the client is answered. A meta request carries opaque.
func appendHead(dst []byte, r *protocol.Request, opaque uint32) []byte {
	dst = append(append(dst, r.Op.String()...), ' ')
	if r.Op >= protocol.OpMetaGet && r.Op <= protocol.OpMetaDebug {
		return appendMetaHead(dst, r, opaque)
	}
	dst = append(dst, r.Key()...)
	switch r.Op {
	case protocol.OpDelete:
		if string(r.Key()) == "noreply" {
			dst = append(dst, " 0"...) // or the key would be taken for the word
		}
	case protocol.OpIncr, protocol.OpDecr:
		dst = protocol.AppendUint(append(dst, ' '), r.Delta)
	case protocol.OpTouch:
		dst = protocol.AppendInt(append(dst, ' '), r.Exptime)
	default:
		dst = protocol.AppendUint(append(dst, ' '), uint64(r.Flags))
		dst = protocol.AppendInt(append(dst, ' '), r.Exptime)
		dst = protocol.AppendUint(append(dst, ' '), uint64(r.ValueLen))
		if r.Op == protocol.OpCas {
			dst = protocol.AppendUint(append(dst, ' '), r.CAS)
		}
	}
	return append(dst, protocol.CRLF...)
}

// roomForOpaque says whether an opaque can be added to the flags of r: a meta
// command has 20 words at most, its name and key included.
func roomForOpaque(r *protocol.Request) bool {
	words := 2 + int(r.Meta.N)
	if r.Op == protocol.OpMetaSet {
		words++
	}
	return r.Meta.Has('O') || r.Meta.Quiet || words < metaWordsMax
}

const metaWordsMax = 20

// readsOnly says that no request of b changes an item.
func readsOnly(b *protocol.Batch) bool {
	for i := range b.Requests {
		if changes(&b.Requests[i]) {
			return false
		}
	}
	return true
}

// appendMetaHead appends what follows the name of a meta command.
func appendMetaHead(dst []byte, r *protocol.Request, opaque uint32) []byte {
	m := &r.Meta
	dst = append(dst, m.KeyText...)
	if r.Op == protocol.OpMetaDebug {
		if m.Binary {
			dst = append(dst, " b"...)
		}
		return append(dst, protocol.CRLF...)
	}
	if r.Op == protocol.OpMetaSet {
		dst = protocol.AppendUint(append(dst, ' '), uint64(r.ValueLen))
	}
	for _, flag := range m.Order[:m.N] {
		switch flag {
		case 'q':
			continue
		case 'O':
			dst = protocol.AppendFlagUint(dst, 'O', uint64(opaque))
			continue
		}
		dst = append(dst, ' ', flag)
		switch flag {
		case 'M':
			dst = append(dst, m.Mode)
		case 'T':
			dst = protocol.AppendInt(dst, m.TTL)
		case 'N':
			dst = protocol.AppendInt(dst, m.Vivify)
		case 'R':
			dst = protocol.AppendInt(dst, m.Recache)
		case 'F':
			dst = protocol.AppendUint(dst, uint64(r.Flags))
		case 'C':
			dst = protocol.AppendUint(dst, m.CAS)
		case 'E':
			dst = protocol.AppendUint(dst, m.NewCAS)
		case 'J':
			dst = protocol.AppendUint(dst, m.Initial)
		case 'D':
			dst = protocol.AppendUint(dst, m.Delta)
		}
	}
	if !m.Has('O') && opaque != 0 {
		dst = protocol.AppendFlagUint(dst, 'O', uint64(opaque))
	}
	return append(dst, protocol.CRLF...)
}
