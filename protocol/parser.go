package protocol

import "bytes"

// Parser cuts the bytes of one connection into requests. It holds what must be
// remembered between two calls: how much of a refused data block is still to be
// skipped, and which get is in the middle of its keys. The zero value is ready.
type Parser struct {
	// InlineMax is the longest data block, in bytes, that Fill waits to have
	// whole in the buffer. A longer one that is not there yet is delivered as
	// a Streaming request.
	InlineMax int
	// RequestsMax is how many requests Fill puts in one batch; 0 is BatchRequestsMax.
	RequestsMax int
	// Debug makes debugtime a command.
	Debug bool
	// Started says that the first byte of the connection was seen: after that a
	// byte 0x80 no longer means the binary protocol.
	Started bool

	drop bool    // the rest of the line is thrown away
	get  getLine // the get whose line has not ended, if its op is set
	skip int     // bytes of a refused data block still to come
	need int
}

// getLine is what must be kept of a get command between its pieces.
type getLine struct {
	op        Op
	delivered bool // a piece was delivered
	exptime   int64
}

// line is a command line in the buffer. It is handed on by address: its eight
// words do not fit into registers.
type line struct {
	rest []byte // the buffer from the first byte of the line
	text []byte // the line without its end
	n    int    // the length of the line with its end
	at   int    // where the command's name ends
}

// Fill empties b, then parses requests from buf into it until the batch is
// full, a request has come that must stand last (quit, shutdown, watch,
// lru_crawler, stats, flush_all, a Streaming set, OpClose, OpBinary, a piece of
// a get with More), or buf holds no further whole request. It returns how many
// bytes of buf are used up; the caller presents the rest again, with more bytes
// behind it. If n is 0 and b is empty, more bytes are needed; Need may say how
// many. An empty b with n above 0 means that bytes were skipped: call again.
func (p *Parser) Fill(buf []byte, b *Batch) (n int) {
	b.Reset()
	p.need = 0
	if !p.Started && len(buf) > 0 {
		if buf[0] == binaryRequestMagic {
			return p.binary(buf, b)
		}
		p.Started = true
	}
	n, ok := p.resume(buf, b)
	if !ok {
		return n
	}
	limit := p.RequestsMax
	if limit <= 0 || limit > BatchRequestsMax {
		limit = BatchRequestsMax
	}
	for len(b.Requests) < limit && len(b.Keys) < BatchKeysMax {
		used, ok := p.next(buf[n:], b)
		n += used
		if !ok {
			break
		}
	}
	return n
}

// Need is how long the buffer must be before Fill can go further, in bytes;
// 0 if that is not known (a line without an end).
func (p *Parser) Need() int { return p.need }

// Skip makes the parser throw away the next n bytes of the stream: the rest of
// a data block that nobody wants any more.
func (p *Parser) Skip(n int) { p.skip += n }

// resume ends what the last call left open. Not ok means that it is still open.
func (p *Parser) resume(buf []byte, b *Batch) (n int, ok bool) {
	if p.skip > 0 {
		n = min(p.skip, len(buf))
		p.skip -= n
		if p.skip > 0 {
			return n, false
		}
	}
	if p.drop {
		i := bytes.IndexByte(buf[n:], '\n')
		if i < 0 {
			return len(buf), false
		}
		p.drop = false
		n += i + 1
	}
	if p.get.op != OpNone {
		used, ok := p.resumeGet(buf[n:], b)
		return n + used, ok
	}
	return n, true
}

// next parses one request from rest. Not ok ends the batch: the request must
// stand last, or is not whole, or does not fit.
func (p *Parser) next(rest []byte, b *Batch) (n int, ok bool) {
	end := bytes.IndexByte(rest, '\n')
	if end < 0 {
		return p.unended(rest, b)
	}
	text := rest[:end]
	if end > 0 && rest[end-1] == '\r' {
		text = rest[:end-1]
	}
	if end+1 < lineLenMin {
		b.pushError(OpNone, ErrBadFormat, false)
		return end + 1, true
	}
	if len(text) > 4 && string(text[:4]) == "get " {
		return p.keysOf(getLine{op: OpGet}, text, 4, end+1, b)
	}
	at := 0
	for at < len(text) && text[at] != ' ' {
		at++
	}
	op := verb(text[:at])
	l := &line{rest: rest, text: text, n: end + 1, at: at}
	switch shapes[op] {
	case shapeGet:
		return p.keysOf(getLine{op: op}, l.text, l.at, l.n, b)
	case shapeGat:
		return p.gat(op, l, b)
	case shapeStorage:
		return p.storage(op, l, b)
	case shapeKey:
		return keyed(op, l, b)
	case shapeMeta:
		return p.meta(op, l, b)
	case shapeBare:
		b.slot(op)
		b.push()
		return l.n, op != OpQuit
	case shapeWords:
		return words(op, l, l.at, false, b)
	default:
		return p.other(l, b)
	}
}

// unended deals with a buffer that holds no line end. A long one can only be
// a get of many keys; anything else is rubbish and ends the connection.
func (p *Parser) unended(rest []byte, b *Batch) (n int, ok bool) {
	if len(rest) <= LineLenMax {
		return 0, false
	}
	spaces := 0
	for spaces < len(rest) && rest[spaces] == ' ' {
		spaces++
	}
	name, at := word(rest, 0)
	g := getLine{op: verb(name)}
	shape := shapes[g.op]
	if spaces > leadingSpacesMax || shape != shapeGet && shape != shapeGat {
		b.slot(OpClose)
		b.push()
		return len(rest), false
	}
	if len(b.Requests) > 0 {
		return 0, false
	}
	if spaces > 0 {
		return p.dropLine(OpNone, ErrUnknown, rest, b)
	}
	if shape == shapeGat {
		var exptime []byte
		exptime, at = word(rest, at)
		v, ok := parseI32(exptime)
		if !ok || at == len(rest) {
			return p.dropLine(g.op, ErrBadExptime, rest, b)
		}
		g.exptime = int64(v)
	}
	return p.keysOf(g, rest, at, 0, b)
}

// dropLine answers a line that has not ended yet with err, and has the rest of it skipped.
func (p *Parser) dropLine(op Op, err *Error, rest []byte, b *Batch) (n int, ok bool) {
	b.pushError(op, err, false)
	p.drop = true
	return len(rest), false
}

// resumeGet delivers the next piece of a get.
func (p *Parser) resumeGet(rest []byte, b *Batch) (n int, ok bool) {
	// One piece cannot be longer than this; not to look further keeps a huge
	// line in the buffer from being searched again for every piece.
	text := rest[:min(len(rest), pieceLenMax)]
	end := bytes.IndexByte(text, '\n')
	if end < 0 {
		if len(rest) <= LineLenMax {
			return 0, false
		}
		return p.keysOf(p.get, text, 0, 0, b)
	}
	text = text[:end]
	if end > 0 && text[end-1] == '\r' {
		text = text[:end-1]
	}
	return p.keysOf(p.get, text, 0, end+1, b)
}

// keysOf delivers a get, or a piece of it: the keys of text from at on, as many
// as the batch has room for. lineLen is the length of the line with its end,
// 0 if text does not reach the end of the line.
func (p *Parser) keysOf(g getLine, text []byte, at, lineLen int, b *Batch) (n int, ok bool) {
	count, next, err := b.collect(text, at, lineLen > 0)
	done := lineLen > 0 && next == len(text)
	if !done && err == nil && len(b.Requests) > 0 {
		// Begin in a batch of its own, for fewer pieces.
		return 0, false
	}
	if err == nil && count == 0 {
		if !done {
			p.get = g
			return next, false
		}
		if !g.delivered {
			err = ErrBadFormat
		}
	}
	p.get = getLine{}
	if err != nil {
		b.pushError(g.op, err, false).Continued = g.delivered
		if lineLen > 0 {
			return lineLen, true
		}
		p.drop = true
		return len(text), false
	}
	r := b.slot(g.op)
	k := len(b.Keys)
	r.Keys = b.keys[k : k+count : k+count]
	r.Exptime = g.exptime
	r.Continued = g.delivered
	b.push()
	if done {
		return lineLen, true
	}
	r.More = true
	g.delivered = true
	p.get = g
	return next, false
}

// collect puts the keys of text from at on into the free key slots. next is
// where it stopped: at the end of text, at a key that found no room, or, if
// text is not whole, at a last word that may be longer.
func (b *Batch) collect(text []byte, at int, whole bool) (count, next int, err *Error) {
	free := b.keys[len(b.Keys):]
	for {
		for at < len(text) && text[at] == ' ' {
			at++
		}
		if at == len(text) || count == len(free) {
			return count, at, nil
		}
		key := text[at:]
		i := bytes.IndexByte(key, ' ')
		if i >= 0 {
			key = key[:i]
		} else if !whole {
			if len(key) > KeyLenMax+1 || len(key) == KeyLenMax+1 && key[KeyLenMax] != '\r' {
				return count, at, ErrBadFormat
			}
			return count, at, nil
		}
		if len(key) > KeyLenMax {
			return count, at, ErrBadFormat
		}
		free[count] = key
		count++
		at += len(key)
	}
}

// block gives the storage request r, the slot, its data block, which follows
// the line. A request that has failed has its block skipped.
func (p *Parser) block(r *Request, l *line, size int, b *Batch) (n int, ok bool) {
	r.ValueLen = size
	end := l.n + size
	if r.Op == OpError {
		b.push()
		n = min(end+2, len(l.rest))
		p.skip = end + 2 - n
		return n, true
	}
	if len(l.rest) >= end+2 {
		r.Value = l.rest[l.n:end:end]
		r.BadChunk = l.rest[end] != '\r' || l.rest[end+1] != '\n'
		b.push()
		return end + 2, true
	}
	if size > p.InlineMax {
		r.Streaming = true
		b.push()
		return l.n, false
	}
	p.need = end + 2
	return 0, false
}

// binary delivers the first packet header of a client that speaks the binary protocol.
func (p *Parser) binary(buf []byte, b *Batch) (n int) {
	if len(buf) < binaryHeaderLen {
		p.need = binaryHeaderLen
		return 0
	}
	p.Started = true
	r := b.slot(OpBinary)
	r.Value = buf[:binaryHeaderLen:binaryHeaderLen]
	b.push()
	return len(buf)
}
