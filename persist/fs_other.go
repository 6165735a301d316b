//go:build !linux

package persist

const openNoFollow = 0

// Reserve does nothing: writing finds out whether there is room.
func (f osFile) Reserve(int64) error { return nil }
