package main

import (
	"time"

	"github.com/holdfast-cache/holdfast/server"
)

// tellOrigin tells the node where its items have come from, if it did not begin empty.
// With --serve-while-loading it is told again, and then more exactly, when all is loaded.
func (s *service) tellOrigin(started time.Time) {
	complete, items := s.mem.origin(s.keep)
	if !items {
		return
	}
	r := server.Restored{At: started.Unix()}
	if !complete.IsZero() {
		// The store's clock counts whole seconds, so what is said of it may be one off.
		r.SnapshotTime = max(complete.Unix()-1, 1)
	}
	s.node.SetRestored(r)
}

// origin tells whether there are items of an earlier process, and a time before which no
// change that it made is missing, zero if that is not known.
func (m *memory) origin(k *keeping) (complete time.Time, items bool) {
	if m.arena != nil && m.arena.Note().Items > 0 {
		return m.arena.Note().Complete, true
	}
	if k == nil {
		return time.Time{}, false
	}
	return k.Origin()
}
