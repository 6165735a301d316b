package integration

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/holdfast-cache/holdfast/protocol"
)

// Flaw is what is wrong in a reply that is otherwise in order. The zero value
// is a good reply.
type Flaw struct {
	Key      string // stands in place of every key
	Opaque   string // stands in place of every opaque
	NoOpaque bool   // leaves opaques out
	Size     string // stands in place of every length of a value
	BlockEnd string // stands in place of CRLF behind a value
	Twice    bool   // every VALUE comes twice
	Line     string // stands in place of the whole reply
	Tail     string // comes behind the reply
}

// execute carries out a request and returns its reply with the flaw in it. quiet
// says that none is wanted.
func (b *Backend) execute(r *protocol.Request, flaw Flaw) (reply []byte, quiet bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := replyWriter{flaw: flaw}
	quiet = r.NoReply
	switch r.Op {
	case protocol.OpGet, protocol.OpGets, protocol.OpGat, protocol.OpGats:
		for _, key := range r.Keys {
			if it, ok := b.items[string(key)]; ok {
				w.value(key, it, r.Op == protocol.OpGets || r.Op == protocol.OpGats)
			}
		}
		if !r.More {
			w.line(protocol.ReplyEnd)
		}
	case protocol.OpMetaGet, protocol.OpMetaSet, protocol.OpMetaDelete, protocol.OpMetaArith:
		quiet = b.meta(r, &w)
	case protocol.OpMetaNoop:
		w.line(protocol.ReplyMetaNoop)
	case protocol.OpVersion:
		w.line("VERSION 1.6.45\r\n")
	case protocol.OpFlushAll:
		clear(b.items)
		w.line(protocol.ReplyOK)
	case protocol.OpStats:
		now := time.Now()
		w.line(fmt.Sprintf("STAT pid %d\r\nSTAT uptime %d\r\nSTAT time %d\r\nSTAT version 1.6.45\r\nSTAT curr_items %d\r\nEND\r\n",
			os.Getpid(), now.Unix()-b.started, now.Unix(), len(b.items)))
	case protocol.OpError:
		w.line(r.Err.Text + "\r\n")
	default:
		w.line(b.classicWrite(r))
	}
	if flaw.Line != "" {
		return []byte(flaw.Line), quiet
	}
	return append(w.out, flaw.Tail...), quiet
}

// classicWrite carries out a classic command that changes one item.
func (b *Backend) classicWrite(r *protocol.Request) string {
	if len(r.Keys) != 1 {
		return protocol.ReplyError
	}
	key := string(r.Key())
	it, ok := b.items[key]
	switch r.Op {
	case protocol.OpSet, protocol.OpAdd, protocol.OpReplace:
		if r.Op == protocol.OpAdd && ok || r.Op == protocol.OpReplace && !ok {
			return protocol.ReplyNotStored
		}
	case protocol.OpCas:
		if !ok {
			return protocol.ReplyNotFound
		}
		if it.cas != r.CAS {
			return protocol.ReplyExists
		}
	case protocol.OpAppend, protocol.OpPrepend:
		if !ok {
			return protocol.ReplyNotStored
		}
		if r.Op == protocol.OpAppend {
			b.store(key, append(it.value[:len(it.value):len(it.value)], r.Value...), it.flags)
		} else {
			b.store(key, append(r.Value[:len(r.Value):len(r.Value)], it.value...), it.flags)
		}
		return protocol.ReplyStored
	case protocol.OpDelete, protocol.OpTouch, protocol.OpIncr, protocol.OpDecr:
		if !ok {
			return protocol.ReplyNotFound
		}
		return b.change(r, key, it)
	default:
		return protocol.ReplyError
	}
	b.store(key, r.Value, r.Flags)
	return protocol.ReplyStored
}

// change carries out delete, touch, incr and decr of an item that is there.
func (b *Backend) change(r *protocol.Request, key string, it backendItem) string {
	switch r.Op {
	case protocol.OpDelete:
		delete(b.items, key)
		return protocol.ReplyDeleted
	case protocol.OpTouch:
		return protocol.ReplyTouched
	case protocol.OpDecr:
		return b.count(key, it, -int64(r.Delta)) + "\r\n"
	default:
		return b.count(key, it, int64(r.Delta)) + "\r\n"
	}
}

// count adds to a number and returns its text.
func (b *Backend) count(key string, it backendItem, by int64) string {
	n, err := strconv.ParseInt(string(it.value), 10, 64)
	if err != nil {
		return "CLIENT_ERROR cannot increment or decrement non-numeric value"
	}
	text := strconv.FormatInt(max(0, n+by), 10)
	b.store(key, []byte(text), it.flags)
	return text
}

// store keeps a copy of value.
func (b *Backend) store(key string, value []byte, flags uint32) {
	b.cas++
	b.items[key] = backendItem{value: append([]byte(nil), value...), flags: flags, cas: b.cas}
}

// meta carries out mg, ms, md and ma and tells whether q makes it silent.
func (b *Backend) meta(r *protocol.Request, w *replyWriter) (quiet bool) {
	key := string(r.Key())
	it, ok := b.items[key]
	code, shown := "HD", false
	switch r.Op {
	case protocol.OpMetaGet:
		shown = ok && r.Meta.Has('v')
		if !ok {
			w.metaLine("EN", r, it, false)
			return r.Meta.Quiet
		}
		w.metaLine(code, r, it, shown)
		return false
	case protocol.OpMetaSet:
		switch {
		case r.Meta.Has('C') && ok && it.cas != r.Meta.CAS:
			code = "EX"
		case r.Meta.Has('C') && !ok:
			code = "NF"
		default:
			b.store(key, r.Value, r.Flags)
		}
	case protocol.OpMetaDelete:
		if !ok {
			code = "NF"
		}
		delete(b.items, key)
	case protocol.OpMetaArith:
		if !ok {
			code = "NF"
			break
		}
		delta := int64(r.Meta.Delta)
		if m := r.Meta.Mode; m == 'D' || m == 'd' || m == '-' {
			delta = -delta
		}
		it = backendItem{value: []byte(b.count(key, it, delta)), cas: b.cas}
		shown = r.Meta.Has('v')
	}
	w.metaLine(code, r, it, shown && ok)
	return r.Meta.Quiet && (code == "HD" || code == "NF" && r.Op == protocol.OpMetaDelete)
}

// replyWriter composes replies with a flaw in them.
type replyWriter struct {
	out  []byte
	flaw Flaw
}

func (w *replyWriter) line(text string) { w.out = append(w.out, text...) }

// or returns flawed unless it is empty.
func or(flawed, good string) string {
	if flawed != "" {
		return flawed
	}
	return good
}

// value writes a VALUE with its data block.
func (w *replyWriter) value(key []byte, it backendItem, cas bool) {
	line := fmt.Sprintf("VALUE %s %d %s", or(w.flaw.Key, string(key)), it.flags, or(w.flaw.Size, strconv.Itoa(len(it.value))))
	if cas {
		line += " " + strconv.FormatUint(it.cas, 10)
	}
	for range 1 + b2i(w.flaw.Twice) {
		w.out = append(append(w.out, line...), "\r\n"...)
		w.out = append(append(w.out, it.value...), or(w.flaw.BlockEnd, "\r\n")...)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// metaLine writes a meta reply about it, with the value if shown.
func (w *replyWriter) metaLine(code string, r *protocol.Request, it backendItem, shown bool) {
	line := code
	size := or(w.flaw.Size, strconv.Itoa(len(it.value)))
	if shown {
		line = "VA " + size
	}
	for _, c := range r.Meta.Order[:r.Meta.N] {
		switch c {
		case 'O':
			if !w.flaw.NoOpaque {
				line += " O" + or(w.flaw.Opaque, string(r.Meta.Opaque))
			}
		case 'k':
			line += " k" + or(w.flaw.Key, string(r.Meta.KeyText))
		case 'b':
			line += " b"
		}
		if code != "HD" {
			continue
		}
		switch c {
		case 'f':
			line += " f" + strconv.Itoa(int(it.flags))
		case 'c':
			line += " c" + strconv.FormatUint(it.cas, 10)
		case 't':
			line += " t-1"
		case 's':
			line += " s" + size
		}
	}
	w.line(line + "\r\n")
	if shown {
		w.out = append(append(w.out, it.value...), or(w.flaw.BlockEnd, "\r\n")...)
	}
}
