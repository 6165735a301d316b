package server

import (
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/slab"
)

// Keeper is what keeps a node's items beyond its process. Its methods are called
// by any goroutine and do not block.
type Keeper interface {
	// Appended returns the position after the last change that the keeper has
	// been told of.
	Appended() uint64
	// Synced reports whether every change before pos is as safe as was promised;
	// always true unless Holds.
	Synced(pos uint64) bool
	// NotifySynced has wake called once, from any goroutine, when Synced(pos) has
	// become true or the time for it is over; Synced then tells which.
	NotifySynced(pos uint64, wake func())
	// Holds says whether replies to changes wait for Synced. The answer does not change.
	Holds() bool
	// Snapshot starts a snapshot and calls done, from any goroutine, when it is
	// published or has failed. It reports false, and done is not called, if one is being made.
	Snapshot(done func(error)) bool
	// Refusal is why changes are refused at present, "" if they are not.
	Refusal() string
	// Stats calls add for each line of "stats persistence".
	Stats(add func(name, value string))
}

// SetKeeper has k keep the items; nil, which costs nothing, is the default. It
// must come before the node is given to a Server.
func (n *Node) SetKeeper(k Keeper) { n.keeper = k }

// Promises returns the keeper if replies wait for it.
func (x *executor) Promises() Keeper {
	if x.keeper != nil && x.keeper.Holds() {
		return x.keeper
	}
	return nil
}

// changes says whether a request may change what is kept. A get that is told to
// fill an item in (mg R) sets a mark that may be lost: somebody else is told then.
func changes(r *protocol.Request) bool {
	switch r.Op {
	case protocol.OpGat, protocol.OpGats, protocol.OpSet, protocol.OpAdd, protocol.OpReplace, protocol.OpAppend,
		protocol.OpPrepend, protocol.OpCas, protocol.OpDelete, protocol.OpIncr, protocol.OpDecr, protocol.OpTouch,
		protocol.OpMetaSet, protocol.OpMetaDelete, protocol.OpMetaArith, protocol.OpFlushAll:
		return true
	case protocol.OpMetaGet:
		return r.Meta.Has('N') || r.Meta.Has('T')
	}
	return false
}

// keptRequest is request for a node with a keeper. The caller holds the worker's lock.
func (x *executor) keptRequest(s *Session, r *protocol.Request, keys []slab.Key) {
	if !changes(r) {
		x.request(s, r, keys)
		return
	}
	if x.refused(s, r) {
		return
	}
	before := len(s.Out.Buf)
	x.request(s, r, keys)
	x.promise(s, r, before)
}

// refused answers a change that is refused, if it is. The old value stays, unlike
// after other failures: nothing that is kept could be made to forget it.
func (x *executor) refused(s *Session, r *protocol.Request) bool {
	if x.keeper == nil {
		return false
	}
	why := x.keeper.Refusal()
	if why == "" {
		return false
	}
	if !r.NoReply {
		s.Out.Buf = append(append(append(s.Out.Buf, "SERVER_ERROR "...), why...), protocol.CRLF...)
	}
	return true
}

// promise notes that the reply from before on answers a change. A client that
// asked for silence has been promised nothing; one of a quiet meta command has,
// for the reply to whatever comes next tells it that all went well.
func (x *executor) promise(s *Session, r *protocol.Request, before int) {
	if x.keeper != nil && !r.NoReply {
		s.Promise(before)
	}
}

// persistenceStats writes what the keeper tells.
func (n *Node) persistenceStats(w *statWriter) {
	if n.keeper == nil {
		w.str("persistence", "off")
		return
	}
	n.keeper.Stats(w.str)
}

// snapshot has the keeper make a snapshot, and answers when it is there.
func (x *executor) snapshot(s *Session, r *protocol.Request) {
	if x.keeper == nil {
		reply(s, r, "SERVER_ERROR no data directory (start with --data-dir)\r\n")
		return
	}
	w := &snapshotWait{silent: r.NoReply}
	if !x.keeper.Snapshot(func(err error) {
		w.ended.Store(&snapshotEnd{err})
		s.Wake()
	}) {
		reply(s, r, "BUSY currently processing snapshot request\r\n")
		return
	}
	s.Stream(w)
}

// snapshotWait is the Producer of one snapshot command.
type snapshotWait struct {
	silent bool
	ended  atomic.Pointer[snapshotEnd] // nil: not yet
}

type snapshotEnd struct{ err error }

// Produce answers once the snapshot is published, or has failed.
func (w *snapshotWait) Produce(s *Session) Progress {
	end := w.ended.Load()
	switch {
	case end == nil:
		return ProducerWait
	case w.silent:
	case end.err != nil:
		s.Out.Buf = append(s.Out.Buf, "SERVER_ERROR snapshot failed: "...)
		s.Out.Buf = append(appendOneLine(s.Out.Buf, end.err.Error()), protocol.CRLF...)
	default:
		s.Out.Buf = append(s.Out.Buf, replyOK...)
	}
	return ProducerDone
}

// Abort leaves the snapshot to itself: it is of use without the client too.
func (w *snapshotWait) Abort() {}

// appendOneLine appends text without what would end a line.
func appendOneLine(dst []byte, text string) []byte {
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst
}
