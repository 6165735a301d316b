//go:build unix && !linux && !race && !heaparena

package slab

// adviseHuge does nothing where the system has no such hint.
func adviseHuge(*region) {}
