package persist

import (
	"strconv"
	"strings"
	"time"
)

// Stats calls add for each line of "stats persistence".
func (k *Keeper) Stats(add func(name, value string)) {
	k.mu.Lock()
	s, l, rec, took, making, began := k.mu.state, k.mu.last, k.mu.rec, k.mu.took, k.mu.making, k.mu.began
	k.mu.Unlock()
	w := statWriter{add}
	now := time.Now()
	add("persistence", k.o.Driver)
	switch why := s.reason(); {
	case why != "":
		add("state", "degraded")
		add("state_reason", oneLine(why))
		w.seconds("state_seconds", now.Sub(s.since))
	case !k.restored.Load():
		add("state", "loading")
	default:
		add("state", "ok")
	}
	add("on_error", k.o.OnError.String())
	k.restoreStats(w, &rec, took)
	w.bool("snapshot_running", making)
	if making {
		w.seconds("snapshot_running_seconds", now.Sub(began))
	}
	w.uint("snapshots", l.made)
	w.uint("snapshot_failures", l.failed)
	if !l.at.IsZero() {
		w.uint("snapshot_last_time", uint64(l.at.Unix()))
		w.seconds("snapshot_last_seconds", l.took)
		w.uint("snapshot_last_items", l.info.Items)
		w.uint("snapshot_last_bytes", l.info.FileBytes)
	}
	if !l.schedule.IsZero() {
		w.uint("snapshot_next_seconds", uint64(max(l.schedule.Sub(now), 0)/time.Second))
	}
	if k.journal == nil {
		add("journal", PolicyOff.String())
	}
	k.d.Stats(add)
}

// restoreStats writes what has become of the items of the earlier process.
func (k *Keeper) restoreStats(w statWriter, rec *Recovery, took time.Duration) {
	if !k.restored.Load() {
		p := k.Progress()
		w.uint("restore_entries", p.Items)
		w.uint("restore_bytes", uint64(p.Done))
		w.uint("restore_total_bytes", uint64(p.Total))
		return
	}
	source := rec.Source
	if source == "" {
		source = "none"
	}
	w.add("restore_source", source)
	w.uint("restore_items", rec.Items)
	w.uint("restore_bytes", rec.Bytes)
	w.seconds("restore_seconds", took)
	w.uint("restore_dropped", rec.Dropped())
	for _, c := range rec.reasons() {
		w.uint("restore_"+c.name, c.n)
	}
	w.uint("restore_bad_blocks", rec.BadBlocks)
	w.uint("restore_problems", uint64(len(rec.Problems)))
}

// reason is a number of items that did not come back, and why.
type reason struct {
	name string
	n    uint64
}

func (r *Recovery) reasons() []reason {
	return []reason{
		{"expired", r.Expired},
		{"flushed", r.Flushed},
		{"older", r.Older},
		{"too_large", r.TooLarge},
		{"no_memory", r.NoMemory},
		{"lost", r.Lost},
		{"distrusted", r.Distrusted},
	}
}

// Dropped returns how many items did not come back that had not been replaced by
// something later.
func (r *Recovery) Dropped() uint64 {
	return r.Expired + r.Flushed + r.TooLarge + r.NoMemory + r.Lost + r.Distrusted
}

// Why says in words why items did not come back, "" if all did.
func (r *Recovery) Why() string {
	var words []string
	for _, c := range r.reasons() {
		if c.n > 0 && c.name != "older" {
			words = append(words, strconv.FormatUint(c.n, 10)+" "+strings.ReplaceAll(c.name, "_", " "))
		}
	}
	return strings.Join(words, ", ")
}

// Stats tells of the directory and the journal.
func (d *dirDriver) Stats(add func(name, value string)) {
	w := statWriter{add}
	add("dir", oneLine(d.dir))
	w.uint("snapshot_longest_step_us", uint64(d.progress.longest.Load()/1000))
	if d.journal == nil {
		return
	}
	j := d.journal.stats()
	add("journal", d.o.Journal.String())
	w.uint("journal_entries", j.AppendedEntries)
	w.uint("journal_bytes", j.AppendedBytes)
	w.uint("journal_unsynced_bytes", j.UnsyncedBytes)
	w.uint("journal_unsynced_age_ms", uint64(j.UnsyncedAge.Milliseconds()))
	w.uint("journal_file_bytes", j.FileBytes)
	w.uint("journal_syncs", j.Syncs)
	w.uint("journal_sync_p99_us", uint64(j.SyncP99.Microseconds()))
	w.uint("journal_sync_max_us", uint64(j.SyncMax.Microseconds()))
	w.uint("journal_errors", j.Errors)
	w.uint("journal_gaps", j.Gaps)
	w.uint("journal_dropped", j.Dropped)
	w.uint("journal_timeouts", j.Timeouts)
	w.uint("journal_segments", j.Segments)
	w.uint("journal_waiters", uint64(j.Waiters))
}

// Progress returns how many items the snapshot that is being made has so far.
func (d *dirDriver) Progress() uint64 { return d.progress.items.Load() }

// statWriter writes values of several kinds.
type statWriter struct{ add func(name, value string) }

func (w statWriter) uint(name string, v uint64) { w.add(name, strconv.FormatUint(v, 10)) }

func (w statWriter) bool(name string, v bool) {
	if v {
		w.add(name, "1")
	} else {
		w.add(name, "0")
	}
}

func (w statWriter) seconds(name string, d time.Duration) {
	w.add(name, strconv.FormatFloat(d.Seconds(), 'f', 3, 64))
}

// oneLine keeps a text to one line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
