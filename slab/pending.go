package slab

// Pending is a value being received.
type Pending struct{ s *Store }
