package slab

// step is a point between two writes of a store; see Store.step.
type step uint8

const (
	stepFilled    step = iota // the new item is written but not live
	stepPublished             // the new item is live; so is the one it replaces
	stepReplaced              // the old item is retired
	stepRetired               // an item without successor is retired
)

// stepHook, if set, is called at every step, with the item's stripe locked. It
// exists only where checked is true, for tests that look at the memory as
// recovery after a crash at that point would.
var stepHook func(*Store, step)

func (s *Store) step(at step) {
	if stepHook != nil {
		stepHook(s, at)
	}
}
