package slab

import (
	"hash/crc32"
	"sync/atomic"
	"unsafe"
)

// Item memory that outlives the process (Config.Memory) begins with page 0,
// which no item is in. It says what the rest is:
//
//	   0  super      what the memory is, and the numbers that must not be lost
//	4096  page table one byte a page: 0 free and zero, 1 to 63 its class,
//	                 tableDirty no class, and not zero yet
//
// Everything else that a store knows is made again by reading the items, or was
// written down by Seal.
const (
	superMagic  = 0x3176_6472_6148_0ac8 // as another byte order it is another number
	superLayout = 1

	superBytes = 4096
	tableDirty = 0xff

	memoryRunning = 1
	memorySealed  = 2

	noteBytes = 512
)

// super is the start of the memory. The fields up to seed are written once and
// covered by sum; the atomic ones are live. What changes with every store has a
// cache line to itself.
type super struct {
	magic     uint64
	layout    uint32
	sum       uint32
	pageBytes uint32
	pages     uint32 // how many there are, page 0 included
	shift     uint32
	classes   uint32
	sizes     [classMax + 1]uint32
	seed      uint64

	_        [512 - 8*4 - 4*64 - 8]byte
	state    atomic.Uint32
	streak   atomic.Uint32 // times in a row that New did not return
	now      atomic.Uint32 // the store's clock
	flushAt  atomic.Uint32 // when a delayed flush is due, 0 for none
	items    atomic.Uint64 // about
	sealPage uint32        // first page of what Seal wrote
	sealSum  uint32
	sealSize uint64

	_        [1024 - 512 - 5*8]byte
	ver      atomic.Uint64
	_        [64 - 8]byte
	flushVer atomic.Uint64

	_    [2048 - 1024 - 64 - 8]byte
	note [noteBytes]byte // the owner's; see MemoryNote
}

// superOf returns the start of item memory as a super.
func superOf(mem []byte) *super { return (*super)(unsafe.Pointer(unsafe.SliceData(mem))) }

// lend makes a region of memory that is somebody else's.
func lend(mem []byte) region {
	return region{base: unsafe.Pointer(unsafe.SliceData(mem)), size: uint64(len(mem)), lent: true}
}

// geometry returns the sum over what is written once, but for the magic, which
// is written when all the rest is.
func (p *super) geometry() uint32 {
	b := unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Offsetof(p.seed)+8)
	sum := crc32.Checksum(b[unsafe.Offsetof(p.layout):unsafe.Offsetof(p.sum)], castagnoli)
	return crc32.Update(sum, castagnoli, b[unsafe.Offsetof(p.pageBytes):])
}

// isZero says that nothing has ever been written here.
func (p *super) isZero() bool { return *(*[superBytes]byte)(unsafe.Pointer(p)) == [superBytes]byte{} }

// entry returns the page table entry of a page.
func (s *Store) entry(page uint32) uint8 {
	return *(*uint8)(unsafe.Add(s.arena.base, superBytes+page))
}

// setEntry changes an entry by way of the word that it is in: single bytes have
// no atomic store, and the other bytes may be changed by others meanwhile.
func (s *Store) setEntry(page uint32, v uint8) {
	if s.super == nil {
		return
	}
	word := (*uint32)(unsafe.Add(s.arena.base, superBytes+page&^3))
	at := page & 3 * 8
	for {
		old := atomic.LoadUint32(word)
		if atomic.CompareAndSwapUint32(word, old, old&^(0xff<<at)|uint32(v)<<at) {
			return
		}
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
