package server

// Session is one conversation: bytes in, bytes out. It knows no socket.
// Its methods are called by its transport and, during Execute, Produce and
// Finish, by the executor; Wake alone may be called by any goroutine.
type Session struct {
	// Out collects the replies. Executors append to Out.Buf.
	Out Output
	// ID numbers the connections from 1; in logs and watch lines it is cfd.
	ID uint64
	// Authenticated says that the client has shown a password (only asked with an auth file).
	Authenticated bool
}

// Output is the replies that wait to be written: bytes, and values written
// straight from item memory.
type Output struct {
	// Buf holds reply bytes; append to it.
	Buf []byte
}

// Pinned is memory of the store's that stays unchanged until Unpin.
type Pinned interface{ Unpin() }

// Pin appends the spans of a value without copying them; p is unpinned when
// they are written or the session ends.
func (o *Output) Pin(spans [][]byte, p Pinned) { panic("seam") }

// Close ends the connection after the output is written.
func (s *Session) Close() { panic("seam") }

// Stream makes p produce the output from here on.
func (s *Session) Stream(p Producer) { panic("seam") }

// Wake has the session's transport call its Producer soon.
func (s *Session) Wake() { panic("seam") }
