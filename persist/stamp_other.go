//go:build !linux

package persist

import "time"

// System is the clock of the machine. Only Linux tells which start of the
// machine it counts from, so elsewhere the wall clock is believed.
var System Clock = systemClock{}

type systemClock struct{}

func (systemClock) World() Stamp { return Stamp{WallNs: time.Now().UnixNano()} }
