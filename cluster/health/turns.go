package health

// What moves a Backend from state to state.

// Answered says that the backend has sent an answer, whichever: its failures are
// not in a row any more. It does nothing for a backend that is down: only a probe
// brings it back, not the late answer of one that had stalled. An answer that races
// with Failed may come too late for it; the next one is as good.
func (b *Backend) Answered() {
	if b.fails.Load() != 0 {
		b.fails.Store(0)
	}
}

// Failed reports a failure. One that is reported of a backend which is down
// already changes nothing.
func (b *Backend) Failed(now int64, kind Kind) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.State() {
	case Up, Ramping:
		if b.tripped(now, kind) {
			b.fall(now, kind)
		}
	case Returning:
		if b.tripped(now, kind) {
			b.mu.spoiled = true
		}
	}
}

// tripped counts a failure and says whether it is one too many. Caller holds
// b.mu.
func (b *Backend) tripped(now int64, kind Kind) bool {
	if kind == Refused || answers(kind) {
		return true
	}
	switch n := b.fails.Load(); {
	case n == 0 || now-b.mu.firstFail > b.opt.Window:
		b.fails.Store(1)
		b.mu.firstFail, b.mu.lastFail = now, now
	case now-b.mu.lastFail >= b.opt.Incident:
		b.fails.Store(n + 1)
		b.mu.lastFail = now
	}
	return int(b.fails.Load()) >= b.opt.Failures
}

// answers says that a backend which failed so is there, and only to be fenced: a
// probe need not wait.
func answers(kind Kind) bool { return kind == Restarted || kind == Overflowed }

// fall takes down a backend that served. Caller holds b.mu.
func (b *Backend) fall(now int64, kind Kind) {
	m := &b.mu
	if m.returned && now-m.upAt < max(b.opt.Stable, m.hold) {
		hold := b.opt.HoldMax
		if n := min(m.flaps, 30); b.opt.HoldMin <= hold>>n { // or it would overflow some day
			hold = b.opt.HoldMin << n
		}
		m.hold = b.jitter(hold)
		m.flaps++
	} else {
		m.flaps, m.hold = 0, 0
	}
	m.interval = b.opt.ProbeMin
	m.nextProbe = now + max(m.hold, b.jitter(m.interval))
	if answers(kind) && m.hold == 0 {
		m.nextProbe = now
	}
	m.kind = kind
	m.downs++
	b.fails.Store(0)
	b.become(Down, now)
}

// jitter spreads d by a quarter to both sides, so that many proxies do not come
// back at once.
func (b *Backend) jitter(d int64) int64 {
	return d - d/4 + int64(b.unit()*float64(d/2))
}

// TryProbe says whether the caller is to probe the backend now. If so nobody else
// in the process does, until the caller has reported ProbeFailed, or ProbeOK and
// then FenceDone or FenceFailed. It must report one of them, whatever happens.
func (b *Backend) TryProbe(now int64) bool {
	if b.State() != Down {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.State() != Down || now < b.probeAt() {
		return false
	}
	b.mu.lastProbe = now
	b.become(Probing, now)
	return true
}

// probeAt returns when the next probe is due. An open pool does not wait longer
// than the first probe would. Caller holds b.mu.
func (b *Backend) probeAt() int64 {
	if b.pool.Open() {
		return min(b.mu.nextProbe, max(b.mu.since, b.mu.lastProbe)+b.opt.ProbeMin)
	}
	return b.mu.nextProbe
}

// ProbeFailed reports that the probe found no answer.
func (b *Backend) ProbeFailed(now int64) { b.giveUp(now, Probing) }

// ProbeOK reports what the node said of itself when it was probed, and returns
// what its items need before they may be read. What is to be forgotten of the
// journal is forgotten when it returns. The caller flushes the node if told so
// (Journal.BeginFlush, flush_all, EndFlush), sends what Journal.Next gives as
// deletes until it gives no more, and reports FenceDone.
func (b *Backend) ProbeOK(now int64, says Identity) Decision {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.State() != Probing {
		return Decision{}
	}
	d := Decide(now, b.mu.known, says, b.journal.State(), b.opt.Policy)
	if d.Action == ClearJournal {
		b.journal.Forget(d.Before)
	}
	b.journal.Rewind()
	b.mu.last, b.mu.fencing, b.mu.spoiled = d, says, false
	b.become(Returning, now)
	return d
}

// FenceDone reports that the fence is complete: reads begin, by the ramp. It says
// whether they do; if not the backend has failed meanwhile and is down.
func (b *Backend) FenceDone(now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.State() != Returning:
		return false
	case b.mu.spoiled || b.journal.FlushNeeded():
		b.backOff(now)
		return false
	}
	b.mu.known = b.mu.fencing
	b.mu.returned, b.mu.upAt = true, now
	b.stale.Store(b.mu.last.Stale)
	b.fails.Store(0)
	if b.ramp.Load() <= 0 {
		b.become(Up, now)
		return true
	}
	b.rampFrom.Store(now)
	b.become(Ramping, now)
	return true
}

// FenceFailed reports that the fence could not be completed.
func (b *Backend) FenceFailed(now int64) { b.giveUp(now, Returning) }

// giveUp ends a probe that is in state s.
func (b *Backend) giveUp(now int64, s State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.State() == s {
		b.backOff(now)
	}
}

// backOff goes down again after a probe. Caller holds b.mu.
func (b *Backend) backOff(now int64) {
	b.mu.interval = min(2*b.mu.interval, b.opt.ProbeMax)
	b.mu.nextProbe = now + b.jitter(b.mu.interval)
	b.become(Down, now)
}

// Meet reports what the node said on a new connection, which may not be used
// before. If it says false the node must be fenced first: it is not the process
// that the backend knows, or what it has cannot be trusted. The backend is down
// then, a probe is due, and the connection may be kept for it.
func (b *Backend) Meet(now int64, says Identity) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.State() {
	case Down, Probing:
		return true // for writes to an open pool; reads wait for the fence
	case Returning:
		if says.SameProcess(b.mu.fencing) {
			return true
		}
		b.mu.spoiled = true
		return false
	}
	if says.SameProcess(b.mu.known) {
		return true
	}
	if b.mu.known == (Identity{}) {
		if d := Decide(now, b.mu.known, says, b.journal.State(), b.opt.Policy); d.Action == Nothing {
			b.mu.known, b.mu.last = says, d
			b.stale.Store(d.Stale)
			return true
		}
	}
	b.fall(now, Restarted)
	return false
}
