package proxy

import (
	"bytes"

	"github.com/holdfast-cache/holdfast/protocol"
)

// notHere answers commands that mean one server's insides.
const notHere = "CLIENT_ERROR not through a proxy: ask the server itself\r\n"

// admin answers the commands that have no key.
func (x *executor) admin(f *flight, t *tree, r *protocol.Request) {
	switch r.Op {
	case protocol.OpVersion:
		f.say(r, string(protocol.AppendVersion(nil, x.p.cfg.Version)))
	case protocol.OpVerbosity:
		if len(r.Args) == 0 {
			f.sayError(r, protocol.ErrBadFormat)
			return
		}
		level, ok := protocol.ParseUint32(r.Args[0])
		if !ok {
			f.sayError(r, protocol.ErrBadFormat)
			return
		}
		x.p.host.SetVerbosity(int(min(level, 2)))
		f.say(r, protocol.ReplyOK)
	case protocol.OpQuit:
		f.reqs = append(f.reqs, request{op: r.Op, noReply: true})
		f.close = true
	case protocol.OpShutdown:
		x.shutdown(f, r)
	case protocol.OpFlushAll:
		x.flushAll(f, t, r)
	case protocol.OpStats:
		f.say(r, x.p.stats(r.Args))
	case protocol.OpCacheMemlimit, protocol.OpSlabs, protocol.OpLRU, protocol.OpLRUCrawler, protocol.OpSnapshot, protocol.OpWatch:
		f.say(r, notHere)
	default:
		f.sayError(r, protocol.ErrUnknown)
	}
}

// shutdown ends the proxy, if that is allowed.
func (x *executor) shutdown(f *flight, r *protocol.Request) {
	graceful := len(r.Args) > 0 && string(r.Args[0]) == "graceful"
	switch {
	case !x.p.cfg.EnableShutdown:
		f.say(r, "SERVER_ERROR: shutdown not enabled\r\n")
	case len(r.Args) > 0 && !graceful:
		f.say(r, "CLIENT_ERROR invalid shutdown mode\r\n")
	default:
		f.reqs = append(f.reqs, request{op: r.Op, noReply: true})
		f.close = true
		x.p.host.RequestShutdown(graceful)
	}
}

// flushAll flushes every backend of every pool, and answers OK if all did.
func (x *executor) flushAll(f *flight, t *tree, r *protocol.Request) {
	head := append([]byte(nil), "flush_all"...)
	if len(r.Args) > 0 {
		if _, ok := protocol.ParseInt32(r.Args[0]); !ok {
			f.sayError(r, protocol.ErrBadExptime)
			return
		}
		head = append(append(head, ' '), r.Args[0]...)
	}
	if x.p.cfg.DisableFlushAll {
		f.say(r, "CLIENT_ERROR flush_all not allowed\r\n")
		return
	}
	head = append(head, protocol.CRLF...)
	cell := f.open(r, nil)
	all := &everyBackend{f: f, cell: cell, caches: t.caches}
	all.forget()
	f.pending++
	for _, p := range t.pools {
		for _, b := range p.backends {
			c := &call{op: protocol.OpFlushAll, head: head, to: all, start: x.now, deadline: x.now + b.timeout}
			all.left++
			x.lane(b, false).send(c)
		}
	}
	all.sent = true
	all.settle()
}

// everyBackend collects what all backends answer to one command: OK, or the
// first error.
type everyBackend struct {
	f    *flight
	cell int16
	left int
	sent bool
	bad  []byte

	caches []forgetter
}

func (e *everyBackend) forget() {
	for _, c := range e.caches {
		c.forget()
	}
}

func (*everyBackend) hit(*call, int16, []byte, []byte, *blob) {}

func (e *everyBackend) done(_ *call, a *answer) {
	e.left--
	if a.status != protocol.StatusOK && e.bad == nil {
		e.bad = bytes.Clone(a.line)
	}
	e.settle()
}

func (e *everyBackend) settle() {
	if !e.sent || e.left > 0 {
		return
	}
	e.forget()
	line := e.bad
	if line == nil {
		line = []byte("OK")
	}
	e.f.store(e.cell, cellLine, protocol.StatusOther, line, nil, false, nil)
	e.f.landed()
}
