package slab

import "unsafe"

// region is reserved memory that the garbage collector never looks at. Its
// bytes are zero until written. Only the files arena*.go and item.go turn
// offsets into pointers.
type region struct {
	base unsafe.Pointer
	size uint64
	lent bool // it is somebody else's and outlives the store
}

// bytes returns n bytes from off.
func (r *region) bytes(off, n uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(r.base, off)), n)
}

// wipe makes n bytes from off zero. Memory of the store's own goes back to the
// system.
func (r *region) wipe(off, n uint64) {
	if r.lent {
		clear(r.bytes(off, n)) // it stays set aside for the store
		return
	}
	r.release(off, n)
}

// forget gives the region up.
func (r *region) forget() error {
	if r.lent {
		*r = region{}
		return nil
	}
	return r.close()
}

// header returns the chunk that ref names as an item header. Any ref is safe
// to read: the whole space of refs is mapped, or the ref came from the store.
func (s *Store) header(ref uint32) *header {
	return (*header)(unsafe.Add(s.arena.base, uint64(ref)<<s.shift))
}

// part returns the chunk that ref names as a piece of a long value.
func (s *Store) part(ref uint32) *part {
	return (*part)(unsafe.Add(s.arena.base, uint64(ref)<<s.shift))
}

// bucket returns the bucket with this number.
func (x *index) bucket(n uint32) *bucket {
	return (*bucket)(unsafe.Add(x.mem.base, uint64(n)*bucketBytes))
}

// ghost returns the bucket of ghosts with this number.
func (x *index) ghost(n uint32) *ghostBucket {
	return (*ghostBucket)(unsafe.Add(x.mem.base, uint64(n)*bucketBytes))
}

// fetchBucket starts to read a bucket, fetchHeader the first line of an item,
// fetchItem the first two.
func (x *index) fetchBucket(n uint32) {
	prefetch(unsafe.Add(x.mem.base, uint64(n)*bucketBytes))
}

func (s *Store) fetchHeader(ref uint32) {
	prefetch(unsafe.Add(s.arena.base, uint64(ref)<<s.shift))
}

func (s *Store) fetchItem(ref uint32) {
	p := unsafe.Add(s.arena.base, uint64(ref)<<s.shift)
	prefetch(p)
	prefetch(unsafe.Add(p, 64))
}
