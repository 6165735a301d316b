package slab

// Journal is told of every change that shall outlive the process, in the order
// in which it happened to a key. It is the one thing that a store asks of
// persistence; a store without one tells nobody.
//
// Its methods run with the key's stripe locked, by any goroutine, several at a
// time for different stripes. They copy what they need, do not block on
// anything slower than memory and do not call the store. Evictions and expiry
// are no changes: a cache may forget, and who reads the journal back knows the
// exptimes.
type Journal interface {
	// Stored says that the item is the key's from now on, whatever was there
	// before: a new value, new marks or a new CAS. It is valid during the call.
	Stored(i Item)
	// Touched says that only the exptime has changed; the version is the same.
	Touched(i Item)
	// Removed says that a key has no item of version ver or lower any more. It
	// is also told of a delete that found nothing, for an item evicted a while
	// ago may still be in the journal. hash is Key.Hash; key aliases memory of
	// the caller's.
	Removed(key []byte, hash, ver uint64)
	// Flushed says that every item of version ver or lower is dead.
	Flushed(ver uint64)
}

// SetJournal has j told of every change from now on; nil ends that. It must not
// be called while operations run.
func (s *Store) SetJournal(j Journal) { s.journal = j }

// tellStored, tellTouched and tellRemoved pass a change on: to the journal, and
// to a restore that is under way, which must not undo it. Caller holds the stripe
// of the key.
func (s *Store) tellStored(hash uint64, h *header, ref uint32) {
	if s.journal != nil {
		s.journal.Stored(Item{h: h, s: s, ref: ref})
	}
	s.changed.note(hash)
}

func (s *Store) tellTouched(hash uint64, h *header, ref uint32) {
	if s.journal != nil {
		s.journal.Touched(Item{h: h, s: s, ref: ref})
	}
	s.changed.note(hash)
}

func (s *Store) tellRemoved(k *Key, ver uint64) {
	if s.journal != nil {
		s.journal.Removed(k.Bytes, k.Hash, ver)
	}
	s.changed.note(k.Hash)
}
