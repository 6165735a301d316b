package server

import (
	"testing"
	"time"
)

// TestBusyNaps plays the maintainer's sleep between two steps of the store: long
// naps while nothing comes, short ones while requests do, and the step is due
// after the time that was asked for either way.
func TestBusyNaps(t *testing.T) {
	host := &fakeHost{}
	p := pacer{host: host}
	const pause = 7 * time.Millisecond
	for _, c := range []struct {
		what string
		read uint64 // from clients before each nap
		naps []time.Duration
	}{
		{"idle", 0, []time.Duration{pause}},
		{"a request now and then", busyBytes - 1, []time.Duration{pause}},
		{"busy", busyBytes, []time.Duration{busyNap, busyNap, busyNap, pause - 3*busyNap}},
	} {
		p.left = pause
		for i, want := range c.naps {
			host.stats.BytesRead += c.read
			if got := p.nap(); got != want {
				t.Fatalf("%s: nap %d is %v, want %v", c.what, i, got, want)
			}
		}
		if p.left != 0 {
			t.Errorf("%s: %v are left after the naps", c.what, p.left)
		}
	}
}
