package proxy

import "sync/atomic"

// budget bounds the bytes that wait in the proxy: values on their way, replies
// that other keys of their batch are waited for, requests that a backend has not
// taken. Any goroutine may use it.
type budget struct {
	limit   int64
	used    atomic.Int64
	refused atomic.Uint64
}

// take reserves n bytes, or reports false and reserves nothing.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		b.refused.Add(1)
		return false
	}
	return true
}

// force reserves n bytes in any case: they are there already.
func (b *budget) force(n int64) { b.used.Add(n) }

func (b *budget) give(n int64) { b.used.Add(-n) }
