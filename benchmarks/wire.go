package main

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/holdfast-cache/holdfast/protocol"
)

// A Wire is a protocol that the generator speaks. It keeps no state of a
// connection, so that all of them share one.
type Wire interface {
	// AppendSet appends a set of key; ttl is in seconds (more than 30 days: a
	// Unix time), 0 for never.
	AppendSet(dst, key, value []byte, ttl int) []byte
	// AppendGet appends a get of all keys in as few requests as there can be.
	AppendGet(dst []byte, keys [][]byte) []byte
	// Replies is how many replies with Last a get of that many keys brings.
	Replies(keys int) int
	// Next cuts the first part of a reply from buf.
	Next(buf []byte) (Part, error)
	// Items is how many items the server says it holds.
	Items(addr string) (int64, error)
}

// Part is a piece of a reply: a value, or a line.
type Part struct {
	Len  int  // bytes of the buffer; 0: it is not all there yet
	Need int  // with Len 0: bytes it takes, 0 if that is not known
	Last bool // a reply ends with it
	Hit  bool // it is a value
	Full bool // the server says that it has no memory for a value
}

// noMemory begins what memcached answers when it finds nothing to evict at once.
const noMemory = "SERVER_ERROR out of memory storing object"

// textWire is memcached's classic protocol.
type textWire struct {
	parser protocol.ResponseParser
	reply  protocol.Response
}

func (*textWire) AppendSet(dst, key, value []byte, ttl int) []byte {
	return protocol.AppendStore(dst, protocol.OpSet, key, 0, int64(ttl), value, false)
}

func (*textWire) AppendGet(dst []byte, keys [][]byte) []byte {
	return protocol.AppendGet(dst, protocol.OpGet, keys...)
}

func (*textWire) Replies(int) int { return 1 }

func (w *textWire) Next(buf []byte) (Part, error) {
	n, err := w.parser.Next(buf, &w.reply)
	if err != nil {
		return Part{}, err
	}
	if n > 0 && bytes.HasPrefix(w.reply.Line, []byte(noMemory)) {
		return Part{Len: n, Last: true, Full: true}, nil
	}
	if n > 0 && (w.reply.IsError() || w.reply.Status == protocol.StatusOther) {
		return Part{}, fmt.Errorf("the server answered %q", w.reply.Line)
	}
	hit := w.reply.Status == protocol.StatusValue // its END is what counts
	return Part{Len: n, Need: w.parser.Need(), Last: !hit, Hit: hit}, nil
}

func (*textWire) Items(addr string) (int64, error) {
	lines, err := ask(addr, "stats\r\n", "END\r\n")
	if err != nil {
		return 0, err
	}
	_, rest, found := bytes.Cut(lines, []byte("STAT curr_items "))
	line, _, _ := bytes.Cut(rest, []byte("\r\n"))
	if !found {
		return 0, fmt.Errorf("stats of %s tell no curr_items", addr)
	}
	return strconv.ParseInt(string(line), 10, 64)
}

// metaWire is textWire with every get as an mg of its own.
type metaWire struct{ textWire }

func (*metaWire) AppendGet(dst []byte, keys [][]byte) []byte {
	for _, k := range keys {
		dst = protocol.AppendMeta(dst, protocol.OpMetaGet, k, "v")
	}
	return dst
}

func (*metaWire) Replies(keys int) int { return keys }

func (w *metaWire) Next(buf []byte) (Part, error) {
	p, err := w.textWire.Next(buf)
	p.Last, p.Hit = true, w.reply.Status == protocol.StatusMetaValue
	return p, err
}

// respWire is Redis's protocol. The header of an array is a part that ends no
// reply; each of its elements does.
type respWire struct{}

func (respWire) AppendSet(dst, key, value []byte, ttl int) []byte {
	args := 3
	if ttl > 0 {
		args = 5
	}
	dst = appendHeader(dst, '*', args)
	dst = appendBulk(dst, []byte("SET"))
	dst = appendBulk(dst, key)
	dst = appendBulk(dst, value)
	if ttl > 0 {
		unit := "EX"
		if ttl > 30*24*3600 {
			unit = "EXAT"
		}
		dst = appendBulk(dst, []byte(unit))
		dst = appendBulk(dst, strconv.AppendInt(nil, int64(ttl), 10))
	}
	return dst
}

func (respWire) AppendGet(dst []byte, keys [][]byte) []byte {
	name := "MGET"
	if len(keys) == 1 {
		name = "GET"
	}
	dst = appendHeader(dst, '*', 1+len(keys))
	dst = appendBulk(dst, []byte(name))
	for _, k := range keys {
		dst = appendBulk(dst, k)
	}
	return dst
}

func (respWire) Replies(keys int) int { return keys }

func (respWire) Next(buf []byte) (Part, error) {
	end := bytes.IndexByte(buf, '\n')
	if end < 1 {
		return Part{}, nil
	}
	switch line := bytes.TrimSuffix(buf[:end], []byte("\r")); line[0] {
	case '+', ':':
		return Part{Len: end + 1, Last: true}, nil
	case '*':
		return Part{Len: end + 1}, nil
	case '$':
		size, err := strconv.Atoi(string(line[1:]))
		if err != nil {
			return Part{}, err
		}
		if size < 0 {
			return Part{Len: end + 1, Last: true}, nil
		}
		if all := end + 1 + size + 2; len(buf) < all {
			return Part{Need: all, Last: true, Hit: true}, nil
		}
		return Part{Len: end + 1 + size + 2, Last: true, Hit: true}, nil
	default:
		return Part{}, fmt.Errorf("the server answered %q", line)
	}
}

func (respWire) Items(addr string) (int64, error) {
	line, err := ask(addr, "DBSIZE\r\n", "\r\n")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(bytes.Trim(line, ":\r\n")), 10, 64)
}

func appendHeader(dst []byte, kind byte, n int) []byte {
	return append(strconv.AppendInt(append(dst, kind), int64(n), 10), "\r\n"...)
}

func appendBulk(dst, b []byte) []byte {
	return append(append(appendHeader(dst, '$', len(b)), b...), "\r\n"...)
}
