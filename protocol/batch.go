package protocol

// Reset empties b. The slices of its requests must not be used after it.
func (b *Batch) Reset() {
	b.Requests = b.requests[:0]
	b.Keys = b.keys[:0]
	b.nargs = 0
	b.nscratch = 0
}

// Last is the request that came last, nil if b is empty.
func (b *Batch) Last() *Request {
	if len(b.Requests) == 0 {
		return nil
	}
	return &b.Requests[len(b.Requests)-1]
}
