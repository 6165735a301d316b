package proxy

import "math/bits"

// blob is a long value on its way through the proxy, with its line end. It is
// never copied: bytes are read into it and written from it. One loop uses it.
type blob struct {
	mem  []byte // value and line end
	refs int
	pool *blobPool
}

// Unpin gives the blob back when the last that holds it has let go.
func (b *blob) Unpin() {
	b.refs--
	if b.refs == 0 {
		b.pool.put(b)
	}
}

// hold adds one that must Unpin.
func (b *blob) hold() *blob {
	b.refs++
	return b
}

// blobPool lends the blobs of one loop within the budget of the process. Memory
// that comes back is kept for the next of its size, up to blobsKept bytes.
type blobPool struct {
	budget *budget
	free   [blobClasses][]*blob
	kept   int
}

const (
	blobClassMin = 14 // 16 KiB
	blobClasses  = 32 - blobClassMin
	blobsKept    = 16 << 20
)

// blobClass is the index of the power of two that holds n bytes.
func blobClass(n int) int { return max(bits.Len(uint(n-1))-blobClassMin, 0) }

// get returns a blob of n bytes, which the caller holds; nil if the budget of the
// process is used up.
func (p *blobPool) get(n int) *blob {
	class := blobClass(n)
	if class >= blobClasses || !p.budget.take(int64(n)) {
		return nil
	}
	list := p.free[class]
	if last := len(list) - 1; last >= 0 {
		b := list[last]
		list[last] = nil
		p.free[class] = list[:last]
		p.kept -= cap(b.mem)
		b.mem, b.refs = b.mem[:n], 1
		return b
	}
	return &blob{mem: make([]byte, n, 1<<(class+blobClassMin)), refs: 1, pool: p}
}

func (p *blobPool) put(b *blob) {
	p.budget.give(int64(len(b.mem)))
	if p.kept+cap(b.mem) > blobsKept {
		return
	}
	p.kept += cap(b.mem)
	class := blobClass(cap(b.mem))
	p.free[class] = append(p.free[class], b)
}
