package slab

// upkeep is the state of the background work: crawler, page mover, limit.
type upkeep struct{}

// startUpkeep makes the background work ready; New calls it last.
func (s *Store) startUpkeep() error { return nil }
