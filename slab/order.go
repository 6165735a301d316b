package slab

import "math/bits"

// Lists in order of age, made without sorting: items go to one of ageBuckets
// short lists by how long ago they were read, eight to an octave of seconds, and
// the short lists are put one behind the other. A list then is in order but for
// items whose ages differ by less than an eighth.
const ageBuckets = 25 * 8

// ageBucket returns the bucket of an age in seconds, the youngest first.
func ageBucket(age uint32) int {
	if age < 8 {
		return int(age)
	}
	octave := bits.Len32(age) - 3
	return octave*8 + int(age>>(octave-1))&7
}

// ages are the short lists of one LRU list.
type ages [ageBuckets]list

// addLocked puts an item at the tail of its short list. Nobody else is at the
// item's links.
func (a *ages) addLocked(s *Store, h *header, ref, now uint32) {
	li := &a[ageBucket(age(h.loadState(), now))]
	h.prev, h.next = li.tail, 0
	if li.tail != 0 {
		s.header(li.tail).next = ref
	} else {
		li.head = ref
	}
	li.tail = ref
	li.n++
	li.bytes += h.itemBytes()
}

// appendBucketTo puts one of the short lists behind a list.
func (a *ages) appendBucketTo(s *Store, bucket int, to *list) {
	li := &a[bucket]
	if li.head == 0 {
		return
	}
	if to.tail != 0 {
		s.header(to.tail).next = li.head
		s.header(li.head).prev = to.tail
	} else {
		to.head = li.head
	}
	to.tail = li.tail
	to.n += li.n
	to.bytes += li.bytes
}

// orderLists puts the lists of a class in order of last access. It holds the
// class for as long as that takes.
func (s *Store) orderLists(c *class) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := s.now.Load()
	for l := range c.lists {
		var a ages
		for ref := c.lists[l].head; ref != 0; {
			h := s.header(ref)
			next := h.next
			a.addLocked(s, h, ref, now)
			ref = next
		}
		c.lists[l] = list{}
		for bucket := range a {
			a.appendBucketTo(s, bucket, &c.lists[l])
		}
	}
}
