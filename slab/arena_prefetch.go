//go:build amd64 || arm64

package slab

import "unsafe"

// prefetch asks the processor for the cache line at p and does not wait for
// it. Any address will do.
//
//go:noescape
func prefetch(p unsafe.Pointer)
