package health

import (
	"math"
	"strconv"
)

// Identity is what a node says of itself, in the answer to stats. The zero
// Identity is that of a node which was never met. Times are seconds of the node's
// own clock, which need not agree with ours.
type Identity struct {
	// BootID is another each time a Holdfast node starts; plain memcached has none.
	BootID string
	// FlushGeneration counts the flushes since the start.
	FlushGeneration uint64
	// RestoredAt is when items of an earlier process were restored; 0 if none were.
	RestoredAt int64
	// SnapshotTime is up to when what was restored has all that the earlier process
	// had acknowledged, never rounded up: of a snapshot its time, of a journal that of
	// its last sync; and RestoredAt or later if, and only if, nothing at all is missing.
	// What one process has lost is missing in the next, too, until a flush: that one
	// must go on telling the older time.
	SnapshotTime int64
	// RestoredFrom is the BootID of that earlier process, "" if it is not known.
	RestoredFrom string

	PID          int64
	Uptime, Time int64
	Items        int64 // curr_items
}

// Set takes one line of the answer to stats (without an argument: in stats identity
// there is no time), STAT name value, and says whether it is one that it wants. What is no number is left out, as if it were not there.
func (id *Identity) Set(name, value []byte) bool {
	var field *int64
	switch string(name) {
	case "boot_id":
		id.BootID = string(value)
		return true
	case "restored_from":
		id.RestoredFrom = string(value)
		return true
	case "flush_generation":
		n, err := strconv.ParseUint(string(value), 10, 64)
		if err == nil {
			id.FlushGeneration = n
		}
		return true
	case "restored_at":
		field = &id.RestoredAt
	case "snapshot_time":
		field = &id.SnapshotTime
	case "pid":
		field = &id.PID
	case "uptime":
		field = &id.Uptime
	case "time":
		field = &id.Time
	case "curr_items":
		field = &id.Items
	default:
		return false
	}
	if n, err := strconv.ParseInt(string(value), 10, 64); err == nil {
		*field = n
	}
	return true
}

// SameProcess says that both are of one process: by the boot id, or of plain
// memcached by pid and time of the start. Its time and uptime come from one
// clock that is never set, so their difference does not change while it lives.
// Pids alone say nothing: in a container each is 1.
func (id Identity) SameProcess(other Identity) bool {
	if id.BootID != "" || other.BootID != "" {
		return id.BootID == other.BootID
	}
	return id.PID == other.PID && id.Time-id.Uptime == other.Time-other.Uptime && id.Time != 0
}

// startedEmpty says that all the node has was written since its start. Plain
// memcached may have been restarted with its memory (-e), so of that only an
// empty one is believed.
func (id Identity) startedEmpty() bool {
	return id.Items == 0 || id.BootID != "" && id.RestoredAt == 0
}

// completeUntil returns up to when the node has all that was acknowledged, as
// early as that may be: forever if nothing was lost, or if there was a flush
// since. The node's answer came at now.
func (id Identity) completeUntil(now int64) int64 {
	if id.RestoredAt == 0 || id.FlushGeneration > 0 || id.SnapshotTime >= id.RestoredAt {
		return forever
	}
	return id.ago(now, id.SnapshotTime)
}

// passesOver says that what id has is not from the process that said before, but from
// another, so that what SnapshotTime says is not about that one: its disk may have been
// one that it could not even leave a mark on.
func (id Identity) passesOver(before Identity) bool {
	return id.RestoredAt != 0 && id.FlushGeneration == 0 &&
		id.RestoredFrom != "" && before.BootID != "" && id.RestoredFrom != before.BootID
}

// never is before all times, forever after them.
const (
	never   int64 = math.MinInt64
	forever int64 = math.MaxInt64
)

// clockSlack is what times may be off that were computed from a node's: a second
// for times in whole seconds, the rest for ackEvery and the way of the answer.
const clockSlack = 2 * second

// ago returns the time at which the node's clock stood at t, as early as it may
// have been. The node's answer came at now. never if that cannot be told.
func (id Identity) ago(now, t int64) int64 {
	age := id.Time - t
	if id.Time == 0 || t == 0 || age < 0 || age > math.MaxInt64/2/second || now < never+age*second+clockSlack {
		return never
	}
	return now - age*second - clockSlack
}

// started returns when the process started, as early as it may have been.
func (id Identity) started(now int64) int64 {
	if id.Time == 0 || id.Uptime < 0 {
		return never
	}
	return id.ago(now, id.Time-id.Uptime)
}

// Action is what a node needs before it is read.
type Action uint8

// The actions, from the least to the most that is lost.
const (
	Nothing      Action = iota // and nothing is to be replayed
	ClearJournal               // of the journal, what is older than Decision.Before; then as Replay
	Replay                     // the journal, as deletes
	Flush                      // flush_all on this node; then as Replay, for what comes meanwhile
)

// String returns the name of the action, as the log shows it.
func (a Action) String() string {
	return [...]string{"nothing", "clear-journal", "replay", "flush"}[a]
}

// Policy is what to do where stale items can only be avoided by a flush.
type Policy struct {
	// ServeStale keeps a node's items that was restored from an older snapshot,
	// rather than flush it: reads may be older than what was acknowledged, and are to
	// be marked stale. A journal that lost keys is a flush all the same.
	ServeStale bool
	// FlushAtStart flushes each node that this process meets first and that has
	// been there before: an earlier proxy may have died with keys in its journal.
	FlushAtStart bool
}

// A Decision is what a node needs before it is read, and why.
type Decision struct {
	Action Action
	// Before bounds what ClearJournal forgets.
	Before int64
	// Stale says that reads are to be marked stale: Policy.ServeStale.
	Stale bool
	// Why is the reason, for the log: a few words.
	Why string
}

// Decide says what a node needs before it is read that says this of itself now,
// said that before (the zero Identity if it was never met), and of whose
// unacknowledged writes the journal knows j.
func Decide(now int64, before, says Identity, j JournalState, p Policy) Decision {
	first := before == Identity{}
	if !first && says.SameProcess(before) {
		return decideJournal(j, "the same process as before")
	}
	if !first && says.startedEmpty() {
		cut := says.started(now)
		if j.Lost && j.LostAt >= cut {
			return Decision{Action: Flush, Why: "the journal lost keys since the node started"}
		}
		return Decision{Action: ClearJournal, Before: cut, Why: "a new process that started empty"}
	}
	if first && p.FlushAtStart && says.Items > 0 {
		return Decision{Action: Flush, Why: "met the first time, and not empty"}
	}
	snapshot, other := says.completeUntil(now), says.passesOver(before)
	if other {
		snapshot = never
	}
	if snapshot != forever && !j.Lost {
		switch {
		case j.Since <= snapshot && j.Acked < snapshot:
			return decideJournal(j, "restored, and nothing was acknowledged since its snapshot")
		case p.ServeStale:
			d := decideJournal(j, "restored from an older snapshot, and served as it is")
			d.Stale = true
			return d
		case other:
			return Decision{Action: Flush, Why: "restored from another process than the one before"}
		case j.Since > snapshot:
			return Decision{Action: Flush, Why: "restored from a snapshot older than the journal"}
		}
		return Decision{Action: Flush, Why: "restored without writes that it had acknowledged"}
	}
	switch {
	case first:
		return decideJournal(j, "met the first time")
	case says.RestoredAt != 0 && says.FlushGeneration > 0:
		return decideJournal(j, "restored, and flushed since")
	case says.RestoredAt != 0:
		return decideJournal(j, "restored with all that it had acknowledged")
	}
	return decideJournal(j, "a new process that is not empty")
}

// decideJournal decides by the journal alone.
func decideJournal(j JournalState, why string) Decision {
	switch {
	case j.Lost:
		return Decision{Action: Flush, Why: "the journal lost keys"}
	case j.Keys > 0:
		return Decision{Action: Replay, Why: why}
	}
	return Decision{Action: Nothing, Why: why}
}
