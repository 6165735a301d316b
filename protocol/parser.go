package protocol

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

	skip int // bytes of a refused data block still to come
}

// Fill empties b, then parses requests from buf into it until the batch is
// full, a request has come that must stand last (quit, shutdown, watch,
// lru_crawler, stats, flush_all, a Streaming set, OpClose), or buf holds no further whole
// request. It returns how many bytes of buf are used up; the caller presents
// the rest again, with more bytes behind it. If n is 0 and b is empty, more
// bytes are needed; Need may say how many.
func (p *Parser) Fill(buf []byte, b *Batch) (n int) { panic("seam") }

// Need is how long the buffer must be before Fill can go further, in bytes;
// 0 if that is not known (a line without an end).
func (p *Parser) Need() int { panic("seam") }
