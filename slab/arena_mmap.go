//go:build unix && !race && !heaparena

package slab

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// checked says whether the store runs with its test hooks; here it does not.
const checked = false

// lookAhead says whether Prefetch may read memory outside the locks.
const lookAhead = true

// reserveRatio is how much address space to reserve per byte of limit; 0 is
// all that refs can name.
const reserveRatio = 0

// reserve maps size bytes of zeroed memory that cost nothing until touched.
func reserve(size uint64, huge bool) (region, error) {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(size),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return region{}, fmt.Errorf("slab: reserve %d bytes of memory: %w", size, err)
	}
	r := region{base: p, size: size}
	if huge {
		adviseHuge(&r) // a hint; without it the store is only slower
	}
	return r, nil
}

// release gives n bytes from off back to the system; they read as zero again.
func (r *region) release(off, n uint64) {
	b := r.bytes(off, n)
	// Only Linux promises zeroes afterwards, and not for locked memory.
	if runtime.GOOS == "linux" && unix.Madvise(b, unix.MADV_DONTNEED) == nil {
		return
	}
	clear(b)
}

// close unmaps the region.
func (r *region) close() error {
	if r.base == nil {
		return nil
	}
	err := unix.MunmapPtr(r.base, uintptr(r.size))
	r.base = nil
	return err
}
