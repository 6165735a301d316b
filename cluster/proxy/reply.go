package proxy

import (
	"bytes"

	"github.com/holdfast-cache/holdfast/protocol"
)

// reply gives a response to the op it must belong to: the first. What does not
// fit it ends the connection. b is the value if it is long.
func (n *lane) reply(o *op, r *protocol.Response, b *blob) {
	if o.kind == opEpoch {
		n.replyEpoch(r)
		return
	}
	if r.IsError() {
		n.answerError(o, r)
		return
	}
	ok := false
	switch o.kind {
	case opGet:
		ok = n.replyGet(o, r, b)
	case opMeta:
		ok = n.replyMeta(o, r, b)
	case opLine:
		if ok = fitsLine(r.Status); ok {
			n.finish(o, &answer{status: r.Status, line: r.Line})
		}
	case opDebug:
		c := o.call
		if ok = r.Status == protocol.StatusMetaMiss || r.Status == protocol.StatusMetaDebug && (c == nil || isKey(r.Key, c.key)); ok {
			n.finish(o, &answer{status: r.Status, line: r.Line})
		}
	case opProbe:
		if ok = r.Status == protocol.StatusVersion; ok {
			n.finish(o, &answer{status: r.Status, line: r.Line})
		}
	}
	if !ok {
		if b != nil {
			b.Unpin()
		}
		n.violated()
	}
}

// fitsLine says whether a reply can be that to a storage command, delete, incr,
// decr, touch or flush_all.
func fitsLine(s protocol.Status) bool {
	return s >= protocol.StatusStored && s <= protocol.StatusOK || s == protocol.StatusNumber
}

// answerError passes an error of the backend's own on.
func (n *lane) answerError(o *op, r *protocol.Response) {
	n.b.stats.errors.Add(1)
	n.finish(o, &answer{status: r.Status, line: r.Line})
}

// finish ends the first op with a.
func (n *lane) finish(o *op, a *answer) {
	c := o.call
	n.pop()
	n.b.health.Answered()
	if c == nil {
		n.b.stats.lateReplies.Add(1)
		if a.blob != nil {
			a.blob.Unpin()
		}
		return
	}
	if c.op != protocol.OpVersion { // which no client has asked for
		n.b.stats.served(c, n.x.now)
	}
	if c.write {
		n.b.health.Journal().Acked(n.x.now)
	}
	n.x.tell(c, a)
}

// tell ends c with a copy of a, in memory that is used again: whoever is told may
// be anybody, so that a itself would have to be allocated.
func (x *executor) tell(c *call, a *answer) {
	told := x.told
	if told == nil { // or one is told within another
		told = new(answer)
	}
	x.told = nil
	*told = *a
	c.to.done(c, told)
	*told = answer{}
	x.told = told
}

// replyGet takes a VALUE or END. A value must be that of a key that was asked
// for and not answered yet; the keys before it were not found.
func (n *lane) replyGet(o *op, r *protocol.Response, b *blob) bool {
	c := o.call
	switch {
	case r.Status == protocol.StatusEnd:
		n.finish(o, &answer{status: protocol.StatusEnd})
		return true
	case r.Status != protocol.StatusValue:
		return false
	case c == nil:
		if b != nil {
			b.Unpin()
		}
		return true
	case c.cells == nil:
		if c.cur == noCell || !bytes.Equal(c.key, r.Key) {
			return false
		}
		c.cur = noCell
		c.retry = false
		c.to.hit(c, c.cell, r.Line, r.Value, b)
		return true
	}
	k := c.cur
	for k != noCell && !bytes.Equal(c.cells[k].key, r.Key) {
		k = c.cells[k].next
	}
	if k == noCell {
		return false
	}
	c.cur = c.cells[k].next
	c.retry = false
	c.to.hit(c, k, r.Line, r.Value, b)
	return true
}

// replyMeta takes the reply to a meta command. The opaque in it must be ours; the
// client's takes its place.
func (n *lane) replyMeta(o *op, r *protocol.Response, b *blob) bool {
	switch r.Status {
	case protocol.StatusMetaHit, protocol.StatusMetaValue, protocol.StatusMetaMiss,
		protocol.StatusMetaNotFound, protocol.StatusMetaNotStored, protocol.StatusMetaExists:
	default:
		return false
	}
	if o.opaque == 0 {
		n.finish(o, &answer{status: r.Status, line: r.Line, value: r.Value, hasValue: r.Status == protocol.StatusMetaValue, blob: b})
		return true
	}
	at, end := findOpaque(r.Line, r.Status)
	if at < 0 {
		// A miss of an older memcached has no flags; anything else has.
		if r.Status == protocol.StatusMetaHit || r.Status == protocol.StatusMetaValue {
			return false
		}
		at, end = len(r.Line), len(r.Line)
	} else if v, ok := protocol.ParseUint(r.Line[at+2 : end]); !ok || v != uint64(o.opaque) {
		return false
	}
	if c := o.call; c != nil && !echoFits(r, c.key) {
		return false
	}
	line := append(n.x.line[:0], r.Line[:at]...)
	if c := o.call; c != nil && c.owned {
		line = append(append(line, " O"...), c.client...)
	}
	line = append(line, r.Line[end:]...)
	n.x.line = line
	n.finish(o, &answer{status: r.Status, line: line, value: r.Value, hasValue: r.Status == protocol.StatusMetaValue, blob: b})
	return true
}

// echoFits says whether the key that a meta reply tells, if it does, is key.
func echoFits(r *protocol.Response, key []byte) bool {
	told, ok := r.Flag('k')
	return !ok || isKey(told, key)
}

// isKey says whether what a meta reply tells as the key is key.
func isKey(told, key []byte) bool {
	if bytes.Equal(told, key) {
		return true
	}
	// An item that was stored by a base64 key is told so, whoever asks.
	var text [base64Max]byte
	return bytes.Equal(told, protocol.AppendBase64(text[:0], key))
}

// base64Max is the length of the longest key in base64.
const base64Max = (protocol.KeyLenMax + 2) / 3 * 4

// findOpaque finds the return flag O with the space before it; at is -1 if there
// is none.
func findOpaque(line []byte, s protocol.Status) (at, end int) {
	i := 2 // behind the code
	if s == protocol.StatusMetaValue {
		// The length is no flag.
		for i++; i < len(line) && line[i] != ' '; i++ {
		}
	}
	for i < len(line) {
		j := i + 1
		for j < len(line) && line[j] != ' ' {
			j++
		}
		if i+1 < len(line) && line[i+1] == 'O' {
			return i, j
		}
		i = j
	}
	return -1, -1
}
