package server

import "github.com/holdfast-cache/holdfast/protocol"

// Handler is what a server serves: the store of this node, or a proxy.
type Handler interface {
	// Attach tells the handler its host, once, before any executor is made.
	Attach(h Host)
	// NewExecutor returns the executor of one event loop. The executors of a
	// Handler run at the same time as each other.
	NewExecutor() Executor
}

// Executor carries out requests on one event loop. Only one goroutine at a time
// is inside an Executor. It must not block: what takes time is answered by a Producer.
type Executor interface {
	// Execute carries out the requests of b in order and appends their replies
	// to s.Out. A request that may end in s.Stream or s.Close is always the
	// last of its batch: the parser sees to that. A Streaming request is not in
	// b, it comes by BeginValue. After an OpClose the session closes by itself.
	Execute(s *Session, b *protocol.Batch)
	// BeginValue starts a storage request whose value is not in the buffer
	// (Request.Streaming). A nil Sink means that the reply has been given and the value is to be skipped.
	// r and its slices are valid only during the call.
	BeginValue(s *Session, r *protocol.Request) Sink
}

// Gatekeeper is what an Executor may also be, where clients must show a password.
type Gatekeeper interface {
	// Gated says whether they must; the answer does not change.
	Gated() bool
	// Greet is given the input of a session instead of the parser, until it sets
	// s.Authenticated. It uses up the first n bytes of in and answers them; 0
	// asks for more. It may end in s.Stream or s.Close.
	Greet(s *Session, in []byte) (n int)
}

// Promiser is what an Executor may also be, whose replies to changes must not
// leave before the changes are safe.
type Promiser interface {
	// Promises returns the Keeper that tells when they are, nil if no reply has
	// to wait; the answer does not change. Replies that do are told of by
	// Session.Promise.
	Promises() Keeper
}

// Sink takes the value of one streaming storage request, straight from the socket.
type Sink interface {
	// Span is memory for the next bytes of the value, at least one byte while
	// the value is not complete; nil when no memory can be had, after which the
	// session skips the rest of the value and calls Finish(false). Several calls
	// in a row without Advance return the same memory.
	Span() []byte
	// Advance says that the first n bytes of the last Span are filled.
	Advance(n int)
	// Finish is called once, after the last byte: ok says that the value ended
	// in CRLF. It carries out the request, or refuses it, and appends the reply to s.Out.
	Finish(s *Session, ok bool)
	// Abort is called instead of Finish when the connection ends first.
	Abort()
}

// Producer makes a reply that is too long for memory or not known yet: a key
// dump, a watch stream, a late answer. While a session has one, no further request of it is parsed.
type Producer interface {
	// Produce appends what is ready to s.Out, about 64 KiB at most, and says how it goes on.
	Produce(s *Session) Progress
	// Abort is called if the connection ends before Produce returned
	// ProducerDone or ProducerClose.
	Abort()
}

// InputEnder is what a Producer may also be. A client that ends its side of the
// connection still gets all replies, so the session waits for a Producer that
// waits; one whose EndsWithInput is true (a watch) has no more to say to such a client.
type InputEnder interface {
	// EndsWithInput says that the connection is to be closed, and the Producer
	// aborted, once the client has ended its side.
	EndsWithInput() bool
}

// Progress says what a Producer wants next.
type Progress uint8

const (
	// ProducerDone ends the stream: the session parses on.
	ProducerDone Progress = iota
	// ProducerMore asks to be called again when the output has drained.
	ProducerMore
	// ProducerWait asks to be called again after Session.Wake. A Wake that came
	// since the last Produce counts.
	ProducerWait
	// ProducerClose ends the stream and, after the output is written, the connection.
	ProducerClose
)
