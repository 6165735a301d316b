package server

import (
	"sync/atomic"

	"github.com/valyala/bytebufferpool"
)

// bufferPool lends connections buffers for what cannot stay in the shared ones:
// input that is not a whole request yet and output that the socket did not take.
// It counts them and keeps their sum below a limit. Any goroutine may use it.
type bufferPool struct {
	pool  bytebufferpool.Pool
	limit int64 // bytes in all; 0 is none

	count atomic.Int64
	bytes atomic.Int64
	oom   atomic.Uint64
}

// heldBuffer is one buffer on loan; the zero value is none.
type heldBuffer struct {
	b       *bytebufferpool.ByteBuffer
	counted int // bytes the pool has counted for it
}

// empty says that no buffer is held.
func (h *heldBuffer) empty() bool { return h.b == nil }

// hold fetches an empty buffer with room for n bytes. It reports false, and h
// stays empty, if that goes over the limit.
func (h *heldBuffer) hold(p *bufferPool, n int) bool {
	b := p.pool.Get()
	if cap(b.B) < n {
		b.B = make([]byte, 0, n)
	}
	if !p.count1(int64(cap(b.B))) {
		p.pool.Put(b)
		return false
	}
	p.count.Add(1)
	h.b, h.counted = b, cap(b.B)
	return true
}

// count1 adds n bytes to the sum if the limit allows it.
func (p *bufferPool) count1(n int64) bool {
	if sum := p.bytes.Add(n); p.limit > 0 && sum > p.limit && n > 0 {
		p.bytes.Add(-n)
		p.oom.Add(1)
		return false
	}
	return true
}

// recount notes that the buffer has been replaced by data, which grew out of
// it. It reports false if that goes over the limit; the buffer is held all the same.
func (h *heldBuffer) recount(p *bufferPool, data []byte) bool {
	h.b.B = data
	if !p.count1(int64(cap(data) - h.counted)) {
		return false
	}
	h.counted = cap(data)
	return true
}

// release gives the buffer back, if there is one.
func (h *heldBuffer) release(p *bufferPool) {
	if h.b == nil {
		return
	}
	p.count.Add(-1)
	p.bytes.Add(-int64(h.counted))
	p.pool.Put(h.b)
	*h = heldBuffer{}
}
