package server

import (
	"errors"
	"net/netip"
	"time"
)

// LoopExecutor is what an Executor may also be, that talks to other servers. It
// does so over links of its own event loop: clients and links of one loop never
// meet another goroutine, so that no lock is between them.
type LoopExecutor interface {
	Executor
	// Bind gives the executor its loop, once, before anything else.
	Bind(l Loop)
	// Settle is called when the turns of a wake-up are over and before the loop
	// sleeps: what has been collected for the links is sent then, in one write each.
	// It returns the time (of Loop.Now) at which it wants to be called again at
	// the latest, 0 for not before something happens.
	Settle(now int64) (next int64)
	// Unbind is called when the loop ends, after its last client has gone: links
	// are to be closed.
	Unbind()
}

// Loop is the event loop as its executor sees it. Only the loop's own goroutine
// may call it, but for Poke.
type Loop interface {
	// Now is the time of this wake-up, in nanoseconds of a clock that never jumps.
	Now() int64
	// Dial begins a connection. The handler hears of its end in any case, but not
	// before Dial has returned. It must not be called while events are handled:
	// call it in Settle.
	Dial(addr LinkAddr, h LinkHandler) *Link
	// Poke has Settle called soon. It may be called by any goroutine.
	Poke()
}

// loopEpoch is what Loop.Now counts from.
var loopEpoch = time.Now()

// LoopTime is the time of the clock that Loop.Now tells, for who is on no loop.
func LoopTime() int64 { return int64(time.Since(loopEpoch)) }

// LinkAddr is where a link leads: a TCP address, or a Unix socket if Path is set.
type LinkAddr struct {
	TCP  netip.AddrPort
	Path string
}

// LinkHandler is told what happens to a link. It does not block.
type LinkHandler interface {
	// LinkUp is called once the connection stands.
	LinkUp()
	// Space is where the next bytes land, at least one.
	Space() []byte
	// Filled says that n bytes have come into the last Space. It may close the link.
	Filled(n int)
	// LinkWritable is called when there is room again after a Write that was cut short.
	LinkWritable()
	// LinkDown is called once when the link ends by itself; Close does not call it.
	// The error is ErrLinkEOF if the other side has closed it.
	LinkDown(err error)
}

// ErrLinkEOF says that the other server has ended the connection.
var ErrLinkEOF = errors.New("connection closed by the server")

// Link is a connection from an executor to another server. Its methods are
// called on its loop only.
type Link struct {
	h        LinkHandler
	io       linkIO
	fd       int
	up       bool
	closed   bool
	interest uint32
}

// linkIO is the transport's side of a link.
type linkIO interface {
	writeLink(k *Link, o *Output) error
	closeLink(k *Link)
	endLink(k *Link)
}

// Up says whether the connection stands.
func (k *Link) Up() bool { return k.up && !k.closed }

// Write sends what o holds as far as the connection takes it; the rest waits for
// LinkWritable. After an error the link is closed, and LinkDown is not called.
func (k *Link) Write(o *Output) error {
	if err := k.io.writeLink(k, o); err != nil {
		k.Close()
		return err
	}
	return nil
}

// Park ends the writing side and gives the link to another handler, who hears of
// what still comes, until the other server has read all that was sent and ends the
// connection.
func (k *Link) Park(h LinkHandler) {
	k.h = h
	k.io.endLink(k)
}

// Close ends the link at once; what has not reached the other server does not
// arrive any more. It may be called more than once.
func (k *Link) Close() {
	if !k.closed {
		k.closed = true
		k.io.closeLink(k)
	}
}

// Ready is Wake for who is on the session's own loop already: no other
// goroutine is told, and its turn comes within the same wake-up.
func (s *Session) Ready() {
	s.woken.Store(true)
	if s.waker != nil {
		s.waker.ready()
	}
}
