package server

import (
	"sync"

	"github.com/holdfast-cache/holdfast/slab"
)

// pinned is a slab.Pin as a Pinned. It is pooled because a Pin in an interface
// would be an allocation a value.
type pinned struct{ pin slab.Pin }

var pinnedPool = sync.Pool{New: func() any { return new(pinned) }}

func newPinned(pin slab.Pin) *pinned {
	p := pinnedPool.Get().(*pinned)
	p.pin = pin
	return p
}

// Unpin lets the item go. It is called once.
func (p *pinned) Unpin() {
	p.pin.Unpin()
	p.pin = slab.Pin{}
	pinnedPool.Put(p)
}
