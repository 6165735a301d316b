package slab

// step is a point between two writes of a store; see Store.step.
type step uint8

const (
	stepTaken     step = iota // a chunk has a new header, and an old value
	stepFilled                // the new item is written but not live
	stepClaimed               // the pieces of a chained item are parts
	stepPublished             // the new item is live; so is the one it replaces
	stepCopied                // an item or a piece is there twice, on its way out of a page
	stepLinked                // a piece's copy is in its place
	stepRetired               // an item is no longer live
	stepFreed                 // a piece or a chunk of an item is free, others perhaps not yet
	stepDirty                 // a page that is not zero belongs to no class
)

// stepHook, if set, is called at every step, with the item's stripe locked
// where the step needs it. It exists only where checked is true, for tests that
// look at the memory as recovery after a crash at that point would.
var stepHook func(*Store, step)

func (s *Store) step(at step) {
	if checked && stepHook != nil {
		stepHook(s, at)
	}
}
