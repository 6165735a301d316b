package proxy

import (
	"bytes"
	"strconv"

	"github.com/holdfast-cache/holdfast/protocol"
)

// effect is what a request does to the item, as far as copies of it are concerned.
type effect uint8

const (
	effRead   effect = iota // nothing
	effTouch                // it reads, and sets the time to live
	effStore                // it does the same whatever is there: set, delete, touch
	effChange               // it depends on what is there
)

// effectOf returns the effect of c.
func effectOf(c *call) effect {
	switch c.op {
	case protocol.OpGet, protocol.OpGets, protocol.OpMetaDebug:
		return effRead
	case protocol.OpGat, protocol.OpGats:
		return effTouch
	case protocol.OpSet, protocol.OpDelete, protocol.OpTouch:
		return effStore
	case protocol.OpMetaGet:
		// N and R hand out the right to recache: one server must do that.
		if hasFlag(c, 'T') {
			return effTouch
		}
		return effRead
	case protocol.OpMetaSet:
		mode, given := flagOf(c, 'M')
		if given && len(mode) > 0 && mode[0] != 'S' && mode[0] != 's' || hasFlag(c, 'C') || hasFlag(c, 'I') {
			return effChange
		}
		return effStore
	case protocol.OpMetaDelete:
		if hasFlag(c, 'C') {
			return effChange
		}
		return effStore
	}
	return effChange
}

// isDelete says whether c takes the item away, or marks it.
func isDelete(op protocol.Op) bool {
	return op == protocol.OpDelete || op == protocol.OpMetaDelete
}

// bad says that an answer is an error, of ours or of the backend's.
func (a *answer) bad() bool { return a.failed || a.status >= protocol.StatusError }

// changed says whether a request that depends on what is there has changed it, as
// far as its answer tells.
func (a *answer) changed() bool {
	switch a.status {
	case protocol.StatusStored, protocol.StatusNumber, protocol.StatusMetaHit, protocol.StatusMetaValue,
		protocol.StatusDeleted, protocol.StatusTouched, protocol.StatusServerError:
		return true
	}
	return a.failed
}

// cutWord cuts a line: it returns the first word and what follows the space behind it.
func cutWord(line []byte) (word, rest []byte) {
	word, rest, _ = bytes.Cut(line, []byte{' '})
	return word, rest
}

// flagsOf is the flags of a meta request, with a space between them.
func flagsOf(c *call) []byte {
	line := bytes.TrimSuffix(c.head, []byte(protocol.CRLF))
	_, line = cutWord(line)
	_, line = cutWord(line)
	if c.op == protocol.OpMetaSet {
		_, line = cutWord(line)
	}
	return line
}

// flagOf finds a flag of a meta request and its argument.
func flagOf(c *call, flag byte) (arg []byte, ok bool) { return findFlag(flagsOf(c), flag) }

func hasFlag(c *call, flag byte) bool {
	_, ok := flagOf(c, flag)
	return ok
}

func findFlag(flags []byte, flag byte) (arg []byte, ok bool) {
	for len(flags) > 0 {
		var w []byte
		if w, flags = cutWord(flags); len(w) > 0 && w[0] == flag {
			return w[1:], true
		}
	}
	return nil, false
}

// returned finds a return flag in the line of a meta answer.
func (a *answer) returned(flag byte) (arg []byte, ok bool) {
	_, line := cutWord(a.line)
	if a.status == protocol.StatusMetaValue {
		_, line = cutWord(line)
	}
	return findFlag(line, flag)
}

// appendCapped appends the line of a request with the life it gives an item bounded
// to ttl seconds. unix is the time, for those that are told as a date.
func appendCapped(dst []byte, c *call, ttl, unix int64) []byte {
	at := -1 // the word that is an exptime
	switch c.op {
	case protocol.OpSet, protocol.OpAdd, protocol.OpReplace, protocol.OpAppend, protocol.OpPrepend, protocol.OpCas:
		at = 3
	case protocol.OpTouch:
		at = 2
	case protocol.OpGat, protocol.OpGats:
		at = 1
	}
	first := 2 // the first flag
	if c.op == protocol.OpMetaSet {
		first = 3
	}
	line := bytes.TrimSuffix(c.head, []byte(protocol.CRLF))
	found := false
	for i := 0; len(line) > 0; i++ {
		var w []byte
		w, line = cutWord(line)
		if i > 0 {
			dst = append(dst, ' ')
		}
		switch {
		case i == at:
			dst = appendCappedTime(dst, w, ttl, unix)
		case isMeta(c.op) && i >= first && (w[0] == 'T' || w[0] == 'N'):
			found = found || w[0] == 'T'
			dst = appendCappedTime(append(dst, w[0]), w[1:], ttl, unix)
		default:
			dst = append(dst, w...)
		}
	}
	if c.op == protocol.OpMetaSet && !found {
		dst = protocol.AppendInt(append(dst, " T"...), ttl)
	}
	return append(dst, protocol.CRLF...)
}

// relativeMax is the largest exptime that is seconds from now, not a date.
const relativeMax = 30 * 24 * 3600

func appendCappedTime(dst, text []byte, ttl, unix int64) []byte {
	v, err := strconv.ParseInt(string(text), 10, 64)
	switch {
	case err != nil:
		return append(dst, text...)
	case v > relativeMax:
		if v -= unix; v <= 0 {
			v = -1
		}
	case v == 0:
		v = ttl
	}
	return protocol.AppendInt(dst, min(v, ttl))
}
