package protocol

import (
	"bytes"
	"errors"
)

// ErrBadResponse says that what a server sent is not this protocol. Nothing
// after it can be trusted: the connection is of no more use.
var ErrBadResponse = errors.New("protocol: malformed response")

// responseLineMax is the longest line of a response, in bytes.
const responseLineMax = 64 << 10

// Status is what the first word of a response says.
type Status uint8

// The statuses. StatusOther is a line that begins with none of the words below:
// a line of a dump or of a watch stream, BUSY, BADCLASS and the like.
const (
	StatusNone Status = iota
	StatusOther

	StatusValue // VALUE: Key, Flags, Value, and CAS if HasCAS
	StatusEnd   // END
	StatusStored
	StatusNotStored
	StatusExists
	StatusNotFound
	StatusDeleted
	StatusTouched
	StatusOK
	StatusReset
	StatusNumber  // a line that is a number: Number
	StatusStat    // STAT: Key is the name, Value the rest of the line
	StatusVersion // VERSION: Value is the version

	StatusMetaHit       // HD: Args
	StatusMetaValue     // VA: Args, Value
	StatusMetaMiss      // EN: Args
	StatusMetaNotFound  // NF: Args
	StatusMetaNotStored // NS: Args
	StatusMetaExists    // EX: Args
	StatusMetaNoop      // MN
	StatusMetaDebug     // ME: Key, Args

	StatusError       // ERROR: Args is the text, if any
	StatusClientError // CLIENT_ERROR: Args is the text
	StatusServerError // SERVER_ERROR: Args is the text
)

// Response is one reply, or one part of the reply to a get or stats, which ends
// with StatusEnd. Its slices alias the buffer it was parsed from.
type Response struct {
	Status Status
	// HasCAS says that a VALUE line told a CAS.
	HasCAS bool
	// Flags are the client flags of a VALUE line.
	Flags uint32
	// CAS is the unique of a VALUE line.
	CAS uint64
	// Number is what incr and decr answer.
	Number uint64
	// Line is the whole line without its end.
	Line []byte
	// Key is the key, or the name of a statistic.
	Key []byte
	// Value is the data block without its line end.
	Value []byte
	// Args is what follows on the line, without the space before it.
	Args []byte
	// ValueLen is the length of the data block in bytes.
	ValueLen int
	// Streaming says that the data block is not in the buffer: the caller must take
	// ValueLen bytes and the line end itself (ResponseParser.InlineMax).
	Streaming bool
}

// IsError says that the server refused the request.
func (r *Response) IsError() bool { return r.Status >= StatusError }

// Flag is the argument of return flag c, and whether it is there. c must not be
// b: the b behind a base64 key is found as any flag, but has no argument.
func (r *Response) Flag(c byte) (arg []byte, ok bool) {
	for i := 0; ; {
		var w []byte
		w, i = word(r.Args, i)
		if len(w) == 0 {
			return nil, false
		}
		if w[0] == c {
			return w[1:], true
		}
	}
}

// ResponseParser cuts the bytes from a server into responses. The zero value is ready.
type ResponseParser struct {
	// ValueMax is the longest data block it accepts, in bytes; 0 is ValueLenMax.
	ValueMax int
	// InlineMax is the longest data block, in bytes, that Next waits to have whole
	// in the buffer. A longer one that is not there yet is delivered as a Streaming
	// response, of which only the line is used up. 0 is no limit.
	InlineMax int

	need int
}

// Need is how long the buffer must be before Next can go further, in bytes; 0
// if that is not known.
func (p *ResponseParser) Need() int { return p.need }

// Next parses the response at the beginning of buf into r and returns its
// length, 0 if it is not all there yet. The error is ErrBadResponse.
func (p *ResponseParser) Next(buf []byte, r *Response) (n int, err error) {
	p.need = 0
	*r = Response{}
	end := bytes.IndexByte(buf, '\n')
	if end < 0 {
		if len(buf) > responseLineMax {
			return 0, ErrBadResponse
		}
		return 0, nil
	}
	text := buf[:end]
	if end > 0 && text[end-1] == '\r' {
		text = text[:end-1]
	}
	r.Line = text
	name, i := word(text, 0)
	r.Args = text[min(i+1, len(text)):]
	r.Status = status(name)
	size := -1
	ok := true
	switch r.Status {
	case StatusValue:
		size, ok = r.valueLine(text, i)
	case StatusMetaValue:
		var length []byte
		length, i = word(text, i)
		r.Args = text[min(i+1, len(text)):]
		size, ok = parseSize(length)
	case StatusStat, StatusMetaDebug:
		r.Key, i = word(text, i)
		r.Args = text[min(i+1, len(text)):]
		if r.Status == StatusStat {
			r.Value = r.Args
		}
	case StatusVersion:
		r.Value = r.Args
	case StatusOther:
		if v, isNumber := parseU64(text); isNumber {
			r.Status, r.Number = StatusNumber, v
		}
	}
	if !ok || p.ValueMax > 0 && size > p.ValueMax {
		return 0, ErrBadResponse
	}
	if size < 0 {
		return end + 1, nil
	}
	return p.value(buf, end+1, size, r)
}

// value takes the data block, size bytes from start on, into r.
func (p *ResponseParser) value(buf []byte, start, size int, r *Response) (n int, err error) {
	end := start + size
	r.ValueLen = size
	if len(buf) < end+2 {
		if p.InlineMax > 0 && size > p.InlineMax {
			r.Streaming = true
			return start, nil
		}
		p.need = end + 2
		return 0, nil
	}
	if buf[end] != '\r' || buf[end+1] != '\n' {
		return 0, ErrBadResponse
	}
	r.Value = buf[start:end:end]
	return end + 2, nil
}

// valueLine parses what stands behind VALUE.
func (r *Response) valueLine(text []byte, i int) (size int, ok bool) {
	r.Key, i = keyWord(text, i)
	flags, i := word(text, i)
	length, i := word(text, i)
	cas, i := word(text, i)
	if more, _ := word(text, i); len(more) > 0 || len(r.Key) == 0 {
		return 0, false
	}
	r.Flags, ok = parseU32(flags)
	if !ok {
		return 0, false
	}
	if len(cas) > 0 {
		r.HasCAS = true
		r.CAS, ok = parseU64(cas)
		if !ok {
			return 0, false
		}
	}
	return parseSize(length)
}

// parseSize reads the length of a data block.
func parseSize(s []byte) (int, bool) {
	v, ok := parseU64(s)
	return int(v), ok && v <= ValueLenMax
}

// status knows the first words of responses.
func status(name []byte) Status {
	switch string(name) {
	case "VALUE":
		return StatusValue
	case "END":
		return StatusEnd
	case "STORED":
		return StatusStored
	case "NOT_STORED":
		return StatusNotStored
	case "EXISTS":
		return StatusExists
	case "NOT_FOUND":
		return StatusNotFound
	case "DELETED":
		return StatusDeleted
	case "TOUCHED":
		return StatusTouched
	case "OK":
		return StatusOK
	case "RESET":
		return StatusReset
	case "STAT":
		return StatusStat
	case "VERSION":
		return StatusVersion
	case "HD":
		return StatusMetaHit
	case "VA":
		return StatusMetaValue
	case "EN":
		return StatusMetaMiss
	case "NF":
		return StatusMetaNotFound
	case "NS":
		return StatusMetaNotStored
	case "EX":
		return StatusMetaExists
	case "MN":
		return StatusMetaNoop
	case "ME":
		return StatusMetaDebug
	case "ERROR":
		return StatusError
	case "CLIENT_ERROR":
		return StatusClientError
	case "SERVER_ERROR", "SERVER_ERROR:":
		// The refusal of shutdown has a colon.
		return StatusServerError
	}
	return StatusOther
}
