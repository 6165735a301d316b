package server

import (
	"fmt"
	"math/rand/v2"
)

// Restored tells where the items of a store have come from that did not begin
// empty. A proxy reads it in "stats identity": what was changed elsewhere between
// SnapshotTime and the start is not in the items, so they may be older than what
// a client was told last.
type Restored struct {
	// At is when this process took the items over, in unix seconds.
	At int64
	// SnapshotTime is when the items were last known to be complete, in unix
	// seconds: every change that the earlier process has made before is in them. At
	// if nothing is missing at all, 0 if that cannot be told.
	SnapshotTime int64
	// From is the boot id of the earlier process, "" if it is not known.
	From string
}

// SetRestored tells the node that its store has the items of an earlier process.
// Any goroutine may call it; with a store that is loaded while it serves, call it
// before the first client comes.
func (n *Node) SetRestored(r Restored) { n.restored.Store(&r) }

// BootID returns the number of this start, as it stands in the statistics.
func (n *Node) BootID() string { return n.bootID }

// newBootID returns a number that no other start of any node has.
func newBootID() string { return fmt.Sprintf("%016x", rand.Uint64()) }

// identityStats is stats identity, and the end of stats: what tells one start of
// a node, and one content of it, from another. It takes no lock and costs nothing.
func (n *Node) identityStats(w *statWriter) {
	var r Restored
	if p := n.restored.Load(); p != nil {
		r = *p
	}
	w.str("boot_id", n.bootID)
	w.uint("flush_generation", n.store.Flushes())
	w.int("restored_at", r.At)
	w.int("snapshot_time", r.SnapshotTime)
	if r.From != "" {
		w.str("restored_from", r.From)
	}
}
