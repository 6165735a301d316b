//go:build !linux

package persist

// standBack does nothing: only Linux has a priority by thread.
func standBack() {}
