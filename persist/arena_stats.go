package persist

import (
	"fmt"
	"strings"
)

// Stats calls add for each line that "stats persistence" has about the arena.
func (a *Arena) Stats(add func(name, value string)) {
	w := statWriter{add}
	n := &a.note
	add("arena_file", oneLine(a.path))
	w.uint("arena_bytes", uint64(n.Bytes))
	w.bool("arena_huge_pages", n.HugePages)
	add("arena_source", n.Source)
	w.uint("arena_items", n.Items)
	w.seconds("arena_seconds", n.Took)
	w.uint("arena_expired", n.Expired)
	w.uint("arena_superseded", n.Superseded)
	w.uint("arena_damaged", n.Damaged)
	w.uint("arena_no_room", n.NoRoom)
	if n.SetAside != "" {
		add("arena_set_aside", oneLine(n.SetAside))
	}
}

// Why says in words what became of items that are not there any more, "" if all
// are. Older versions of items that are there are not told of.
func (n *ArenaNote) Why() string {
	var words []string
	for _, c := range []reason{{"expired", n.Expired}, {"damaged", n.Damaged}, {"without room", n.NoRoom}} {
		if c.n > 0 {
			words = append(words, fmt.Sprint(c.n, " ", c.name))
		}
	}
	return strings.Join(words, ", ")
}

// ArenaKeeper makes do as a server's keeper where there is an arena and nothing
// else: what is in memory is kept, and nobody has to wait for anything.
type ArenaKeeper struct{ *Arena }

// Appended is always 0: nobody is told of changes.
func (ArenaKeeper) Appended() uint64 { return 0 }

// Synced is always true: what is in memory is as safe as was promised.
func (ArenaKeeper) Synced(uint64) bool { return true }

// NotifySynced has nothing to wait for.
func (ArenaKeeper) NotifySynced(_ uint64, wake func()) { wake() }

// Holds is false: no reply waits.
func (ArenaKeeper) Holds() bool { return false }

// Refusal is always "".
func (ArenaKeeper) Refusal() string { return "" }

// Snapshot fails: there is no place for one.
func (ArenaKeeper) Snapshot(done func(error)) bool {
	done(errNoDir)
	return true
}

// Stats tells of the arena, in the way of a Keeper.
func (a ArenaKeeper) Stats(add func(name, value string)) {
	add("persistence", "arena")
	add("state", "ok")
	a.Arena.Stats(add)
}
