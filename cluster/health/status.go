package health

// Status is what statistics show of a Backend.
type Status struct {
	State   State
	Since   int64    // when it came to be in State
	Stale   bool     // see Backend.Stale
	Downs   uint64   // how often it went down
	Kind    Kind     // of the failure that took it down last, if Downs is not 0
	Flaps   int      // how often in a row it went down soon after its return
	Hold    int64    // how long it was held down last, 0 if it was not
	Probe   int64    // when the next probe is due, if State is Down
	Known   Identity // what the node said at the last fence, or when first met
	Last    Decision // the last one that was made
	Journal JournalState
}

// Status returns what is known at now.
func (b *Backend) Status(now int64) Status {
	if b.State() == Ramping {
		b.endRamp(now)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return Status{
		State: b.State(), Since: b.mu.since, Stale: b.stale.Load(),
		Downs: b.mu.downs, Kind: b.mu.kind, Flaps: b.mu.flaps, Hold: b.mu.hold,
		Probe: b.probeAt(), Known: b.mu.known, Last: b.mu.last, Journal: b.journal.State(),
	}
}
