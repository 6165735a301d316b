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

// slot is the place of the next request, emptied but for Meta, which only the
// meta commands look at. It joins the batch with push; until then it can be
// given up by doing nothing.
func (b *Batch) slot(op Op) *Request {
	r := &b.requests[len(b.Requests)]
	r.Op = op
	r.NoReply = false
	r.More = false
	r.Continued = false
	r.Streaming = false
	r.BadChunk = false
	r.FailedOp = OpNone
	r.Flags = 0
	r.Exptime = 0
	r.CAS = 0
	r.Delta = 0
	r.ValueLen = 0
	r.Err = nil
	r.Keys = nil
	r.Value = nil
	r.Args = nil
	return r
}

// setKey makes key the only key of r, the slot.
func (b *Batch) setKey(r *Request, key []byte) {
	k := len(b.Keys)
	b.keys[k] = key
	r.Keys = b.keys[k : k+1 : k+1]
}

// push takes the slot, its keys and its words into the batch.
func (b *Batch) push() {
	n := len(b.Requests)
	b.Requests = b.requests[:n+1]
	b.Keys = b.keys[:len(b.Keys)+len(b.requests[n].Keys)]
	b.nargs += len(b.requests[n].Args)
}

// fail makes the slot r the error err of the command op.
func (r *Request) fail(err *Error) {
	if r.Op != OpError {
		r.FailedOp = r.Op
	}
	r.Op = OpError
	r.Err = err
}

// pushError adds an error of the command op, OpNone if there is none.
func (b *Batch) pushError(op Op, err *Error, noReply bool) *Request {
	r := b.slot(OpError)
	r.FailedOp = op
	r.Err = err
	r.NoReply = noReply
	b.push()
	return r
}
