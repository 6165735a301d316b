package server

// counters is what one executor counts, under its worker's lock. The names are
// those of the general statistics. What happens inside the store (expiry,
// evictions, counts by class) is counted by the store.
type counters struct {
	cmdGet, cmdSet, cmdFlush, cmdTouch, cmdMeta uint64
	getHits, getMisses                          uint64
	deleteHits, deleteMisses                    uint64
	incrHits, incrMisses                        uint64
	decrHits, decrMisses                        uint64
	casHits, casMisses, casBadval               uint64
	touchHits, touchMisses                      uint64
	storeTooLarge, storeNoMemory                uint64
	authCmds, authErrors                        uint64
}

// add adds o to c.
func (c *counters) add(o *counters) {
	c.cmdGet += o.cmdGet
	c.cmdSet += o.cmdSet
	c.cmdFlush += o.cmdFlush
	c.cmdTouch += o.cmdTouch
	c.cmdMeta += o.cmdMeta
	c.getHits += o.getHits
	c.getMisses += o.getMisses
	c.deleteHits += o.deleteHits
	c.deleteMisses += o.deleteMisses
	c.incrHits += o.incrHits
	c.incrMisses += o.incrMisses
	c.decrHits += o.decrHits
	c.decrMisses += o.decrMisses
	c.casHits += o.casHits
	c.casMisses += o.casMisses
	c.casBadval += o.casBadval
	c.touchHits += o.touchHits
	c.touchMisses += o.touchMisses
	c.storeTooLarge += o.storeTooLarge
	c.storeNoMemory += o.storeNoMemory
	c.authCmds += o.authCmds
	c.authErrors += o.authErrors
}

// counters sums the counters of all executors. It takes their workers' locks,
// one at a time: the caller holds none of them, so that two executors that
// answer stats at the same time cannot wait for each other.
func (n *Node) counters() counters {
	var sum counters
	for _, x := range n.executors() {
		x.w.Lock()
		sum.add(&x.c)
		x.w.Unlock()
	}
	return sum
}

// resetCounters zeroes the counters of all executors. Locks as for counters.
func (n *Node) resetCounters() {
	for _, x := range n.executors() {
		x.w.Lock()
		x.c = counters{}
		x.w.Unlock()
	}
}
