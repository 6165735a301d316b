package integration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What clients of a cache of many nodes know of its keys, and what a read may
// therefore show. Values are numbered, key by key: a value tells which write it is of.
//
//	write 1 acknowledged   write 2 failed        write 3 acknowledged
//	──────────●───────────────────○─────────────────────●──────────▶
//	           a read that begins here               and here
//	           may show 1 or 2 or nothing            may show 3 or nothing
//
// Nothing is always an answer: it is a cache. A deletion is a write whose number no
// value has. What a read has shown has been written, so a later one may not show
// less either.

// fate is what the client that wrote was told.
type fate uint8

const (
	underWay     fate = iota // nothing as yet
	acknowledged             // it has happened
	refused                  // it has not: what add and cas answer
	inDoubt                  // an error: it may have happened
	unanswered               // the same, and nobody but the client knows of it
)

func (o fate) String() string {
	return [...]string{"is under way", "was acknowledged", "was refused", "failed", "was not answered"}[o]
}

// write is one write or deletion.
type write struct {
	deletion bool
	fate     fate
}

// register is what is known of one key.
type register struct {
	name string
	// writing is held from before a write until its fate is told: so writes of a key,
	// by whomever, have an order.
	writing sync.Mutex

	mu     sync.Mutex
	writes []write // number 1 is writes[0]
	floor  int     // the last write that is known to have happened
	how    string  // how that is known
	notes  []note
}

// note is something that happened, for the report of a failure.
type note struct {
	at   time.Time
	text string
}

// notesKept of each key tell enough of how it came to be.
const notesKept = 30

func (r *register) note(format string, args ...any) {
	if len(r.notes) == notesKept {
		r.notes = slices.Delete(r.notes, 0, notesKept/2)
	}
	r.notes = append(r.notes, note{time.Now(), fmt.Sprintf(format, args...)})
}

// begin gives a write its number. The caller holds writing.
func (r *register) begin(deletion bool, what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, write{deletion: deletion})
	r.note("%d is begun: %s", len(r.writes), what)
	return len(r.writes)
}

// end takes note of what became of a write.
func (r *register) end(number int, o fate, reply string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes[number-1].fate = o
	r.note("%d %v: %s", number, o, reply)
	if o == acknowledged && number > r.floor {
		r.floor, r.how = number, "was acknowledged"
	}
	if o == refused && number <= r.floor && r.shown(number) {
		return fmt.Errorf("%s: write %d was refused and yet a read has shown it", r.name, number)
	}
	return nil
}

// shown tells whether the floor stands where it does because of what a read has shown.
func (r *register) shown(number int) bool { return r.floor == number && r.how == "was shown" }

// least is the lowest number that a read which begins now may show.
func (r *register) least() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.floor
}

// lastly is the lowest number that a read may show when everything has come to rest
// and failed writes have been made up for: the last write that was not refused, and
// was answered.
func (r *register) lastly() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, w := range slices.Backward(r.writes) {
		if w.fate != refused && w.fate != unanswered {
			return i + 1
		}
	}
	return 0
}

// see takes note of a value that was read by a command, when least was the lowest
// number that it may have.
func (r *register) see(command, value string, least int) error {
	number, err := numberOf(r.name, value)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if text := fmt.Sprintf("%d is read by %s, at least %d may be", number, command, least); len(r.notes) == 0 || r.notes[len(r.notes)-1].text != text {
		r.note("%s", text)
	}
	if number < 1 || number > len(r.writes) {
		return fmt.Errorf("%s: %d was read, and only %d were written", r.name, number, len(r.writes))
	}
	switch w := r.writes[number-1]; {
	case w.deletion || w.fate == refused:
		return fmt.Errorf("%s: %d was read, which %v (deletion: %t)", r.name, number, w.fate, w.deletion)
	case number < least:
		then := r.writes[least-1]
		return &staleError{fmt.Sprintf("%s: %d was read, which %v, after %d, which %v (deletion: %t)", r.name, number, w.fate, least, then.fate, then.deletion)}
	}
	if number > r.floor {
		r.floor, r.how = number, "was shown"
	}
	return nil
}

// staleError says that a read has shown something older than it may.
type staleError struct{ text string }

func (e *staleError) Error() string { return "stale: " + e.text }

// story is what happened to the key and to the nodes, in order.
func (r *register) story(others []note) string {
	r.mu.Lock()
	all := slices.Clone(r.notes)
	r.mu.Unlock()
	if len(all) == 0 {
		return ""
	}
	from := all[0].at
	for _, n := range others {
		if n.at.After(from) {
			all = append(all, n)
		}
	}
	slices.SortStableFunc(all, func(a, b note) int { return a.at.Compare(b.at) })
	var b strings.Builder
	for _, n := range all {
		fmt.Fprintf(&b, "  %s %s\n", n.at.Format("05.000000"), n.text)
	}
	return b.String()
}

// valueOf is the value of a write: key, number and a length that varies, so that
// some values come in several segments.
func valueOf(key string, number int) string {
	return fmt.Sprintf("%s %d %s.", key, number, strings.Repeat("x", number%11*number%2000))
}

// numberOf reads that.
func numberOf(key, value string) (int, error) {
	f := strings.Split(value, " ")
	if len(f) != 3 || f[0] != key {
		return 0, fmt.Errorf("%s: a value that is not of this key: %.80q", key, value)
	}
	number, err := strconv.Atoi(f[1])
	if err != nil || valueOf(key, number) != value {
		return 0, fmt.Errorf("%s: a damaged value: %.80q of %d", key, value, len(value))
	}
	return number, nil
}

// The checker finds what it is for, and nothing else.
func TestStaleChecker(t *testing.T) {
	// Steps: "set", "delete" begin a write; "done", "refused", "unknown" end the last
	// one; "3" reads number 3, "3 since 2" does in a read that began when 2 was the least.
	for _, c := range []struct{ name, steps, want string }{
		{"the last value", "set done 1 set done 2", ""},
		{"the one before", "set done set done 1", "stale: k: 1 was read"},
		{"deleted", "set done delete done 1", "stale: k: 1 was read"},
		{"written anew", "set done delete done set done 3", ""},
		{"both, if it is not known", "set done set unknown 1 2", ""},
		{"not the one before that", "set done set done set unknown 1", "stale"},
		{"a deletion that failed", "set done delete unknown 1", ""},
		{"until one is acknowledged", "set done set unknown set done 2", "stale"},
		{"under way", "set done set 2 1", "stale"},
		{"not even begun", "set done 2", "only 1 were written"},
		{"shown, then gone back", "set done set unknown 2 1", "stale"},
		{"refused", "set done set refused 1", ""},
		{"refused and shown", "set done set refused 2", "which was refused"},
		{"shown and refused", "set done set 2 refused", "refused and yet"},
		{"the read began before", "set done set done 1<1", ""},
		{"and saw the newer one", "set done set done 2<1", ""},
		{"a deletion has no value", "set done delete done 2", "deletion: true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &register{name: "k"}
			var err error
			for _, step := range strings.Fields(c.steps) {
				if err != nil {
					t.Fatalf("before %s: %v", step, err)
				}
				last := len(r.writes)
				switch step {
				case "set", "delete":
					r.begin(step == "delete", step)
				case "done", "refused", "unknown":
					err = r.end(last, map[string]fate{"done": acknowledged, "refused": refused, "unknown": inDoubt}[step], step)
				default:
					text, since, began := strings.Cut(step, "<")
					least := r.least()
					if began {
						least, _ = strconv.Atoi(since)
					}
					number, _ := strconv.Atoi(text)
					err = r.see("get", valueOf("k", number), least)
				}
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, not %q", err, c.want)
			}
		})
	}
	r := &register{name: "k"}
	r.begin(false, "set")
	for _, value := range []string{valueOf("j", 1), valueOf("k", 1) + ".", valueOf("k", 1)[:4], ""} {
		if err := r.see("get", value, 0); err == nil {
			t.Errorf("%q passes", value)
		}
	}
	for _, c := range []struct {
		steps []fate
		want  int
	}{{nil, 0}, {[]fate{acknowledged, inDoubt}, 2}, {[]fate{acknowledged, refused}, 1}, {[]fate{refused}, 0}, {[]fate{acknowledged, inDoubt, unanswered}, 2}} {
		r := &register{name: "k"}
		for _, o := range c.steps {
			_ = r.end(r.begin(false, "set"), o, "")
		}
		if r.lastly() != c.want {
			t.Errorf("%v: %d, not %d", c.steps, r.lastly(), c.want)
		}
	}
}
