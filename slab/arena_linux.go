//go:build linux && !race && !heaparena

package slab

import "golang.org/x/sys/unix"

// adviseHuge asks for large pages: far fewer TLB misses over a big cache.
func adviseHuge(r *region) {
	_ = unix.Madvise(r.bytes(0, r.size), unix.MADV_HUGEPAGE)
}
