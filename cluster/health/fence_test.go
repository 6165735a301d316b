package health

import (
	"strings"
	"testing"
)

// at is a time of our clock in tests: t seconds.
func at(t int64) int64 { return t * second }

// The node's clock in tests is far from ours: it shows clockThere when ours
// stands at 0.
const clockThere = 1_700_000_000

// there is what the node's clock shows when ours stands at t seconds.
func there(t int64) int64 { return clockThere + t }

// What the journal knows, what nodes say, and policies.
var (
	jClean  = JournalState{Since: at(10), Acked: at(800)}
	jSome   = JournalState{Since: at(10), Acked: at(800), Keys: 3}
	jLost   = JournalState{Since: at(10), Acked: at(800), Lost: true, LostAt: at(870)}
	jLate   = JournalState{Since: at(10), Acked: at(800), Lost: true, LostAt: at(950)}
	jFresh  = JournalState{Since: at(990), Acked: never}
	jSilent = JournalState{Since: at(10), Acked: never, Keys: 1}

	one      = Identity{BootID: "one", Uptime: 500, Time: there(500), Items: 9}
	oneLater = Identity{BootID: "one", Uptime: 1000, Time: there(1000), Items: 9}
	// two started at 900 s.
	two      = Identity{BootID: "two", Uptime: 100, Time: there(1000), Items: 9}
	restored = func(snapshot int64) Identity {
		id := two
		id.RestoredAt, id.SnapshotTime = there(900), there(snapshot)
		return id
	}
	from    = func(boot string, id Identity) Identity { id.RestoredFrom = boot; return id }
	flushed = func(id Identity) Identity { id.FlushGeneration = 1; return id }
	items   = func(id Identity, n int64) Identity { id.Items = n; return id }

	plain      = Identity{PID: 1, Uptime: 500, Time: there(500), Items: 9}
	plainSame  = Identity{PID: 1, Uptime: 1000, Time: there(1000), Items: 9}
	plainNew   = Identity{PID: 1, Uptime: 100, Time: there(1000), Items: 9}
	plainPID   = Identity{PID: 2, Uptime: 1000, Time: there(1000), Items: 9}
	plainMute  = Identity{}
	staleServe = Policy{ServeStale: true}
	atStart    = Policy{FlushAtStart: true}
	noTime     = func(id Identity) Identity { id.Time = 0; return id }
	clockBack  = func(id Identity) Identity { id.Time = id.SnapshotTime - 1; return id }
)

// TestDecide has every row of the package's table. Our clock stands at 1000 s.
func TestDecide(t *testing.T) {
	const cut = 900*second - clockSlack
	for _, c := range []struct {
		name         string
		before, says Identity
		j            JournalState
		p            Policy
		want         Action
		stale        bool
	}{
		{name: "same process, nothing missed", before: one, says: oneLater, j: jClean, want: Nothing},
		{name: "same process, writes missed", before: one, says: oneLater, j: jSome, want: Replay},
		{name: "same process, keys missing", before: one, says: oneLater, j: jLost, want: Flush},
		{name: "same process, keys missing, whatever the policy", before: one, says: oneLater, j: jLost, p: staleServe, want: Flush},
		{name: "same process that was restored long ago", before: restored(700), says: restored(700), j: jSome, want: Replay},

		{name: "new and empty", before: one, says: two, j: jSome, want: ClearJournal},
		{name: "new and empty, nothing missed", before: one, says: two, j: jClean, want: ClearJournal},
		{name: "new and empty, keys missing from before", before: one, says: two, j: jLost, want: ClearJournal},
		{name: "new and empty, keys missing since", before: one, says: two, j: jLate, want: Flush},
		{name: "new and empty, start unknown, keys missing", before: one, says: noTime(two), j: jLost, want: Flush},
		{name: "restored, but nothing", before: one, says: items(restored(700), 0), j: jSome, want: ClearJournal},

		{name: "restored with all", before: one, says: restored(900), j: jSome, want: Replay},
		{name: "restored with all, nothing missed", before: one, says: restored(900), j: jClean, want: Nothing},
		{name: "restored with all, keys missing", before: one, says: restored(900), j: jLost, want: Flush},
		{name: "restored with all of the one before", before: one, says: from("one", restored(900)), j: jSome, want: Replay},
		{name: "restored with all of another", before: one, says: from("zero", restored(900)), j: jSome, want: Flush},
		{name: "restored with all of another, serve-stale", before: one, says: from("zero", restored(900)), j: jSome, p: staleServe, want: Replay, stale: true},
		{name: "restored with all of another, flushed since", before: one, says: flushed(from("zero", restored(900))), j: jSome, want: Replay},
		{name: "first met, restored with all of another", says: from("zero", restored(900)), j: jFresh, want: Nothing},
		{name: "restored, nothing acknowledged since", before: one, says: restored(850), j: jSome, want: Replay},
		{name: "restored, acknowledged since", before: one, says: restored(790), j: jSome, want: Flush},
		{name: "restored, too close to tell", before: one, says: restored(801), j: jSome, want: Flush},
		{name: "restored, clearly after", before: one, says: restored(803), j: jSome, want: Replay},
		{name: "restored from before the journal", before: one, says: restored(850), j: JournalState{Since: at(860), Acked: never}, want: Flush},
		{name: "restored, never written to", before: one, says: restored(700), j: jSilent, want: Replay},
		{name: "restored, keys missing", before: one, says: restored(850), j: jLost, want: Flush},
		{name: "restored, keys missing, serve-stale", before: one, says: restored(790), j: jLost, p: staleServe, want: Flush},
		{name: "restored, serve-stale", before: one, says: restored(790), j: jSome, p: staleServe, want: Replay, stale: true},
		{name: "restored without loss, serve-stale", before: one, says: restored(850), j: jSome, p: staleServe, want: Replay},
		{name: "restored and flushed since", before: one, says: flushed(restored(790)), j: jSome, want: Replay},
		{name: "restored and flushed since, keys missing", before: one, says: flushed(restored(790)), j: jLost, want: Flush},
		{name: "restored, its clock unknown", before: one, says: noTime(restored(850)), j: jSome, want: Flush},
		{name: "restored, its clock went back", before: one, says: clockBack(restored(850)), j: jSome, want: Flush},
		{name: "restored, snapshot time unknown", before: one, says: restored(-clockThere), j: jSome, want: Flush},

		{name: "first met", says: two, j: jFresh, want: Nothing},
		{name: "first met, writes missed", says: two, j: jSome, want: Replay},
		{name: "first met, keys missing", says: two, j: jLost, want: Flush},
		{name: "first met, flush at start", says: two, j: jFresh, p: atStart, want: Flush},
		{name: "first met, flush at start, empty", says: items(two, 0), j: jFresh, p: atStart, want: Nothing},
		{name: "first met, flush at start, restored while we ran", says: restored(850), j: jSilent, p: atStart, want: Flush},
		{name: "met again, flush at start", before: one, says: oneLater, j: jClean, p: atStart, want: Nothing},
		{name: "first met, restored", says: restored(850), j: jFresh, want: Flush},
		{name: "first met, restored, serve-stale", says: restored(850), j: jFresh, p: staleServe, want: Nothing, stale: true},
		{name: "first met, restored with all", says: restored(900), j: jFresh, want: Nothing},
		{name: "first met, restored, flushed by another", says: flushed(restored(850)), j: jFresh, want: Nothing},
		{name: "first met, restored while we ran", says: restored(850), j: jSilent, want: Replay},

		{name: "plain, same process", before: plain, says: plainSame, j: jSome, want: Replay},
		{name: "plain, same process, keys missing", before: plain, says: plainSame, j: jLost, want: Flush},
		{name: "plain, other start, same pid, with items", before: plain, says: plainNew, j: jSome, want: Replay},
		{name: "plain, other start, empty", before: plain, says: items(plainNew, 0), j: jSome, want: ClearJournal},
		{name: "plain, other start, with items, keys missing", before: plain, says: plainNew, j: jLost, want: Flush},
		{name: "plain, other start, empty, keys missing from before", before: plain, says: items(plainNew, 0), j: jLost, want: ClearJournal},
		{name: "plain, other pid", before: plain, says: plainPID, j: jSome, want: Replay},
		{name: "plain, first met", says: plain, j: jFresh, want: Nothing},
		{name: "plain, says nothing", before: plain, says: plainMute, j: jLost, want: Flush},
		{name: "plain where Holdfast was", before: one, says: plainSame, j: jSome, want: Replay},
		{name: "plain where Holdfast was, keys missing", before: one, says: plainSame, j: jLost, want: Flush},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			d := Decide(at(1000), c.before, c.says, c.j, c.p)
			if d.Action != c.want || d.Stale != c.stale || d.Why == "" {
				t.Errorf("decided %+v (%v), want %v, stale %v, and a reason", d, d.Action, c.want, c.stale)
			}
			if c.want == ClearJournal && d.Before != cut {
				t.Errorf("forgets what is older than %d, want %d: the start of the node and not a moment later", d.Before, cut)
			}
		})
	}
}

func TestClearWithUnknownStartForgetsNothing(t *testing.T) {
	before := Identity{BootID: "one", Time: there(0), Items: 1}
	d := Decide(at(1000), before, Identity{BootID: "two"}, JournalState{Keys: 1}, Policy{})
	if d.Action != ClearJournal || d.Before != never {
		t.Fatalf("decided %+v: without uptime nothing may be forgotten", d)
	}
	j := NewJournal(0, 10, 1<<20)
	j.Add(-1<<62, []byte("k"), false)
	if j.Forget(d.Before); j.Pending() != 1 {
		t.Error("the key is gone")
	}
}

func TestIdentityFromStats(t *testing.T) {
	var id Identity
	for _, line := range []string{
		"boot_id 6f1c", "flush_generation 3", "restored_at 1700000900", "snapshot_time 1700000850",
		"pid 17", "uptime 100", "time 1700001000", "curr_items 12",
	} {
		name, value, _ := strings.Cut(line, " ")
		if !id.Set([]byte(name), []byte(value)) {
			t.Errorf("%s is not taken", name)
		}
	}
	want := Identity{
		BootID: "6f1c", FlushGeneration: 3, RestoredAt: 1700000900, SnapshotTime: 1700000850,
		PID: 17, Uptime: 100, Time: 1700001000, Items: 12,
	}
	if id != want {
		t.Errorf("read %+v, want %+v", id, want)
	}
	if id.Set([]byte("version"), []byte("1.6.45")) {
		t.Error("version says nothing of identity")
	}
	if !id.Set([]byte("time"), []byte("soon")) || !id.Set([]byte("flush_generation"), []byte("-1")) || id != want {
		t.Errorf("what is no number must change nothing: %+v", id)
	}
}
