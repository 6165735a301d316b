package health

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func keysOf(entries []Entry) string {
	var keys []string
	for _, e := range entries {
		keys = append(keys, e.Key)
	}
	return strings.Join(keys, " ")
}

func add(j *Journal, now int64, keys ...string) {
	for _, k := range keys {
		j.Add(now, []byte(k), false)
	}
}

// drain replays all of j, n keys at a time, and returns them in order.
func drain(j *Journal, now int64, n int) string {
	var all []string
	for {
		got := j.Next(nil, n)
		if len(got) == 0 {
			return strings.Join(all, " ")
		}
		all = append(all, keysOf(got))
		j.Done(now, got)
	}
}

func TestJournalReplaysOldestFirstAndOnce(t *testing.T) {
	j := NewJournal(0, 100, 1<<20)
	add(j, 1, "a", "b", "c", "a")
	if s := j.State(); s.Keys != 3 || j.Pending() != 3 {
		t.Errorf("%d keys, %d pending, want 3: a key is there once", s.Keys, j.Pending())
	}
	if got := drain(j, 2, 2); got != "b c a" {
		t.Errorf("replayed %q, want b c a: the last write counts", got)
	}
	if s := j.State(); s.Keys != 0 || s.Bytes != 0 || j.Pending() != 0 {
		t.Errorf("left over: %+v", s)
	}
}

func TestJournalKeepsWhatComesDuringReplay(t *testing.T) {
	j := NewJournal(0, 100, 1<<20)
	add(j, 1, "a", "b", "c")
	first := j.Next(nil, 2)
	add(j, 2, "a", "d")
	j.Done(3, first)
	if got := drain(j, 4, 10); got != "c a d" {
		t.Errorf("then replayed %q, want c a d: a was written again after its delete was sent", got)
	}
	add(j, 5, "x")
	x := j.Next(nil, 1)
	add(j, 6, "x") // the only entry, and handed out already
	j.Done(7, x)
	if got := drain(j, 8, 10); got != "x" {
		t.Errorf("then replayed %q, want x", got)
	}
}

func TestJournalRewind(t *testing.T) {
	j := NewJournal(0, 100, 1<<20)
	add(j, 1, "a", "b", "c")
	got := j.Next(nil, 3)
	j.Done(2, got[1:2])
	if more := j.Next(nil, 3); len(more) != 0 {
		t.Errorf("handed out twice: %q", keysOf(more))
	}
	j.Rewind()
	if got := drain(j, 3, 1); got != "a c" {
		t.Errorf("replayed %q, want a c", got)
	}
}

func TestJournalBinaryKeysStayBinary(t *testing.T) {
	j := NewJournal(0, 100, 1<<20)
	j.Add(1, []byte("k"), true)
	j.Add(2, []byte("k"), false)
	key := []byte("other")
	j.Add(3, key, false)
	copy(key, "OTHER")
	got := j.Next(nil, 9)
	if len(got) != 2 || !got[0].Binary || got[1].Key != "other" || got[1].Binary {
		t.Errorf("handed out %+v", got)
	}
}

func TestJournalBounds(t *testing.T) {
	for name, j := range map[string]*Journal{
		"keys":  NewJournal(0, 10, 1<<20),
		"bytes": NewJournal(0, 1<<20, 10*(entryOverhead+2)),
	} {
		for i := range 10 {
			add(j, 1, fmt.Sprintf("k%d", i))
		}
		add(j, 2, "k3")
		if j.FlushNeeded() || j.Pending() != 10 {
			t.Errorf("%s: full is not too full: %+v", name, j.State())
		}
		add(j, 3, "kx")
		add(j, 4, "ky")
		if s := j.State(); !s.Lost || s.LostAt != 4 || s.Keys != 0 || s.Bytes != 0 || len(j.Next(nil, 9)) != 0 {
			t.Errorf("%s: after one more %+v, want lost, last at 4, nothing kept", name, s)
		}
	}
}

func TestJournalFlush(t *testing.T) {
	overflown := func() *Journal {
		j := NewJournal(0, 2, 1<<20)
		add(j, 1, "a", "b", "c")
		return j
	}
	j := overflown()
	j.BeginFlush(5)
	add(j, 6, "d")
	j.EndFlush(7, true)
	if s := j.State(); s.Lost || s.Since != 5 {
		t.Errorf("flushed: %+v, want complete since 5", s)
	}
	if got := drain(j, 8, 9); got != "d" {
		t.Errorf("after the flush %q is left, want d, which came after it was sent", got)
	}

	j = overflown()
	j.BeginFlush(5)
	add(j, 6, "d")
	j.EndFlush(7, false)
	if s := j.State(); !s.Lost || s.LostAt < 6 || s.Keys != 0 {
		t.Errorf("not flushed: %+v, want lost, later than 6", s)
	}

	j = overflown()
	j.BeginFlush(5)
	add(j, 6, "d", "e", "f")
	j.EndFlush(7, true)
	if !j.FlushNeeded() {
		t.Error("what overflowed during the flush needs another")
	}

	j = NewJournal(0, 9, 1<<20)
	add(j, 1, "a", "b")
	j.BeginFlush(2)
	add(j, 3, "a")
	j.EndFlush(4, true)
	if got := drain(j, 5, 9); got != "a" {
		t.Errorf("after a flush without loss %q is left, want a", got)
	}
	if got := j.State().Acked; got != 5 {
		t.Errorf("last acknowledged at %d, want 5: a replayed delete is a write", got)
	}
	j.Lose(6)
	if !j.FlushNeeded() {
		t.Error("a lost spool needs a flush")
	}
}

func TestJournalAcked(t *testing.T) {
	j := NewJournal(0, 9, 1<<20)
	if j.State().Acked != never {
		t.Error("nothing was acknowledged yet")
	}
	for _, now := range []int64{-5, 50 * millisecond, 99 * millisecond, second} {
		j.Acked(now)
		if got := j.State().Acked; got > now || got < now-ackEvery {
			t.Errorf("at %d the last acknowledged is of %d", now, got)
		}
	}
}

func TestJournalForget(t *testing.T) {
	j := NewJournal(0, 9, 1<<20)
	add(j, 1, "a", "b")
	add(j, 5, "c", "a")
	j.Forget(5)
	if got := drain(j, 6, 9); got != "c a" {
		t.Errorf("left %q, want c a", got)
	}
	if s := j.State(); s.Since != 5 {
		t.Errorf("complete since %d, want 5", s.Since)
	}
	j.Lose(7)
	if j.Forget(7); !j.FlushNeeded() {
		t.Error("what was lost at 7 is not before 7")
	}
	if j.Forget(8); j.FlushNeeded() {
		t.Error("what was lost at 7 is before 8")
	}
}

// TestJournalModel compares a Journal with the plainest one: a list.
func TestJournalModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type item struct {
			key string
			seq int
		}
		keysMax := rapid.IntRange(1, 8).Draw(t, "keysMax")
		j := NewJournal(0, keysMax, 1<<20)
		var want []item // not done, oldest first
		lost, seq := false, 0
		var out []Entry
		outSeq := map[string]int{}
		now := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				key := rapid.StringMatching("[a-j]").Draw(t, "key")
				now, seq = now+1, seq+1
				j.Add(now, []byte(key), false)
				if lost {
					return
				}
				want = slices.DeleteFunc(want, func(i item) bool { return i.key == key })
				if want = append(want, item{key, seq}); len(want) > keysMax {
					want, lost = nil, true
				}
			},
			"next": func(t *rapid.T) {
				for _, e := range j.Next(nil, rapid.IntRange(1, 4).Draw(t, "n")) {
					i := slices.IndexFunc(want, func(i item) bool { return i.key == e.Key })
					if i < 0 {
						t.Fatalf("%s was handed out and is not there", e.Key)
					}
					out = append(out, e)
					outSeq[e.Key] = want[i].seq
				}
			},
			"done": func(t *rapid.T) {
				if len(out) == 0 {
					return
				}
				n := rapid.IntRange(1, len(out)).Draw(t, "n")
				j.Done(now, out[:n])
				for _, e := range out[:n] {
					want = slices.DeleteFunc(want, func(i item) bool { return i.key == e.Key && i.seq == outSeq[e.Key] && e.seq == uint64(i.seq) })
				}
				out = out[n:]
			},
			"rewind": func(*rapid.T) { j.Rewind(); out = nil },
			"flush": func(t *rapid.T) {
				j.BeginFlush(now)
				ok := rapid.Bool().Draw(t, "ok")
				if j.EndFlush(now, ok); ok {
					want, lost = nil, false
				}
			},
			"": func(t *rapid.T) {
				s := j.State()
				if s.Keys != len(want) || s.Lost != lost || j.Pending() != s.Keys || s.Bytes != int64(len(want)*(entryOverhead+1)) {
					t.Fatalf("%+v, want %d keys, lost %v", s, len(want), lost)
				}
			},
		})
		j.Rewind()
		var keys []string
		for _, i := range want {
			keys = append(keys, i.key)
		}
		if got := drain(j, now, 3); got != strings.Join(keys, " ") {
			t.Fatalf("left %q, want %q", got, keys)
		}
	})
}

// A spool is told of a key before Add returns, once, and of what is gone when there is
// nothing left, or when it wants to hear all anew.
func TestJournalSpool(t *testing.T) {
	s := &simSpool{keys: map[string]bool{}}
	has := func(lost bool, keys ...string) {
		t.Helper()
		got := slices.Sorted(maps.Keys(s.keys))
		if s.lost != lost || !slices.Equal(got, keys) {
			t.Errorf("lost %v, keys %v, want %v and %v", s.lost, got, lost, keys)
		}
	}
	j := NewJournal(0, 6, 1<<20)
	j.Add(1, []byte("a"), false)
	j.Attach(s)
	has(false, "a")
	j.Add(2, []byte("b"), false)
	j.Add(3, []byte("b"), false)
	has(false, "a", "b")
	if s.n != 1 {
		t.Errorf("told %d times", s.n)
	}
	j.Add(3, []byte("b"), true)
	if s.n != 2 || !s.keys["b"] {
		t.Errorf("told %d times, %v: b is sent in base64 now", s.n, s.keys)
	}
	j.Done(4, j.Next(nil, 1))
	has(false, "a", "b")
	j.Add(5, []byte("c"), false)
	j.Add(5, []byte("d"), false)
	has(false, "b", "c", "d")
	j.Done(6, j.Next(nil, 9))
	has(false)
	j.Add(7, []byte("e"), false)
	j.Lose(8)
	has(true)
	j.Add(9, []byte("f"), false)
	has(true)
	j.BeginFlush(10)
	j.Add(10, []byte("g"), false)
	has(true, "g")
	j.EndFlush(11, true)
	has(false, "g")
	j.Forget(20)
	has(false)
	j.Lose(21)
	j.Forget(30)
	has(false)

	// Another takes its place, and hears of what comes too late.
	j.Add(31, []byte("h"), true)
	heir := NewJournal(32, 6, 1<<20)
	heir.Take(32, j)
	heir.Attach(s)
	j.Add(33, []byte("i"), false)
	has(false, "h", "i")
	if got := heir.Next(nil, 9); len(got) != 2 || !got[0].Binary || got[1].Binary {
		t.Errorf("%v", got)
	}
	j.Lose(34)
	has(true)
	last := NewJournal(35, 6, 1<<20)
	last.Take(35, heir)
	if !last.FlushNeeded() {
		t.Error("that keys are missing was not handed over")
	}
}
