package slab

import "errors"

// ErrLimit says that SetLimit cannot have that limit: the store's memory was
// allocated at the start, or the limit is beyond what its references can name,
// or too small for the index and a few pages.
var ErrLimit = errors.New("slab: memory limit out of bounds or unable to adjust")

// limitPagesMin is how many pages must fit beside the index.
const limitPagesMin = 2

// SetLimit changes the bound on items and index, in bytes. A higher limit is
// there at once. For a lower one no more memory is taken from now on, and
// Maintain gives pages back until the store fits.
func (s *Store) SetLimit(bytes int64) error {
	pageBytes := int64(s.cfg.PageBytes)
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if s.cfg.Prealloc ||
		bytes > int64(len(s.pages)-1)*pageBytes+s.pool.mu.indexBytes ||
		bytes < s.pool.mu.indexBytes+limitPagesMin*pageBytes {
		return ErrLimit
	}
	s.shrinkFrom = max(s.usedBytesLocked(), bytes)
	s.limit.Store(bytes)
	return nil
}

// shrinking reports whether the store is over its limit only because the limit
// was lowered: nothing has been added since. Caller holds the pool.
func (s *Store) shrinking() bool {
	return s.usedBytesLocked() <= s.shrinkFrom
}

// overLimitLocked returns how many bytes more than the limit are in use, with
// what is set aside for the index; that is more than 0 only after SetLimit
// or while the index waits for memory. Caller holds the pool.
func (s *Store) overLimitLocked() int64 {
	return s.usedBytesLocked() + s.pool.mu.reserved - s.limit.Load()
}

// needPage says whether a page must be given up. It sets memory aside for an
// index that has had to wait.
func (s *Store) needPage() bool {
	starved := s.index.starved.Swap(false)
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if starved && s.pool.mu.reserved == 0 {
		s.pool.mu.reserved = int64(s.cfg.PageBytes)
	}
	return s.overLimitLocked() > 0
}
