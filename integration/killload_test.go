package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What the kill loop knows of the items, in the process that is not killed.

// item is what may be under a key. The zero item is none.
type item struct {
	value  []byte // nil: there is none
	number bool   // value is one
	flags  uint32
	// It expires between these two; from zero: never. to is zero while nobody
	// knows when the request arrived, ttl is what it said.
	from, to time.Time
	ttl      time.Duration
	cas      uint64 // 0: not known
	stale    bool   // it was invalidated
	fresh    bool   // nobody has read it, and it matters
}

// knowledge is what is known of one key, which one connection owns: which items
// may be there. It is one item unless a request was begun and not answered.
type knowledge struct {
	name string
	may  []item
}

// clockSlack is what the server's clock of whole seconds and a request's way
// add to a moment.
const clockSlack = 2 * time.Second

func (it *item) gone(now time.Time) bool  { return !it.to.IsZero() && now.After(it.to) }
func (it *item) going(now time.Time) bool { return !it.from.IsZero() && now.After(it.from) }

// expires sets when the item expires, as a request of this moment says; 0 is never.
func (it *item) expires(ttl int) {
	it.ttl, it.from, it.to = time.Duration(ttl)*time.Second, time.Time{}, time.Time{}
	if ttl != 0 {
		it.from = time.Now().Add(it.ttl - clockSlack)
	}
}

// arrived sets the latest moment at which the server has read the request.
func (it *item) arrived(now time.Time) {
	if !it.from.IsZero() && it.to.IsZero() {
		it.to = now.Add(it.ttl + clockSlack)
	}
}

// seen is an item as the server shows it.
type seen struct {
	value            []byte
	flags            uint32
	ttl              int // -1: never
	cas              uint64
	stale, won, read bool
}

// differs says what it is not like in what was seen between two moments, "" if nothing.
func (it *item) differs(s *seen, asked, now time.Time) string {
	same := bytes.Equal(it.value, s.value)
	if it.number { // counting down leaves spaces
		same = bytes.Equal(bytes.TrimRight(it.value, " "), bytes.TrimRight(s.value, " "))
	}
	left := time.Duration(s.ttl) * time.Second
	switch {
	case !same:
		return fmt.Sprintf("value %.60q of %d", it.value, len(it.value))
	case it.flags != s.flags:
		return fmt.Sprintf("flags %d, not %d", it.flags, s.flags)
	case it.from.IsZero() != (s.ttl < 0):
		return fmt.Sprintf("TTL %v, not %d", it.ttl, s.ttl)
	case !it.from.IsZero() && (asked.Add(left).After(it.to) || now.Add(left).Before(it.from)):
		return fmt.Sprintf("expires in %v to %v, not %v", it.from.Sub(now), it.to.Sub(now), left)
	case it.cas != 0 && it.cas != s.cas:
		return fmt.Sprintf("CAS %d, not %d", it.cas, s.cas)
	case it.stale != s.stale:
		return fmt.Sprintf("stale %t", it.stale)
	case it.fresh && s.read:
		return "not read before"
	}
	return ""
}

// casBook holds every CAS id that the server has given out.
type casBook struct {
	mu     sync.Mutex
	given  map[uint64]string
	before uint64 // the highest that was given out by an earlier process
	most   uint64
}

// add notes an id for a new item.
func (b *casBook) add(id uint64, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if other, is := b.given[id]; is {
		return fmt.Errorf("CAS %d of %s was given out before, for %s", id, key, other)
	}
	if id <= b.before {
		return fmt.Errorf("CAS %d of %s, when %d was given out before the restart", id, key, b.before)
	}
	b.given[id], b.most = key, max(b.most, id)
	return nil
}

// ownCAS is beyond every CAS of the server's own: clients set these.
const ownCAS = 1 << 50

// request is one of a batch.
type request struct {
	text string
	key  *knowledge
	// What the key is afterwards if there was an item and if there was not.
	there, missing item
	// The first words of the reply in either case; "" if it cannot be.
	hit, miss string
	number    string // the second line of a hit, "" if there is none
	show      bool   // a hit shows the item, which must be as it was
	extends   bool   // the item there, by a piece
	was       []item // what may have been there before
}

// begin adds to what may be there what the request may make of it.
func (q *request) begin(evicts bool) {
	soon := time.Now().Add(startWait)
	q.was = q.key.may
	q.key.may = slices.Clone(q.was)
	if slices.ContainsFunc(q.was, func(it item) bool { return it.value != nil }) {
		q.key.may = append(q.key.may, q.there)
	}
	if evicts || slices.ContainsFunc(q.was, func(it item) bool { return it.value == nil || it.going(soon) }) {
		q.key.may = append(q.key.may, q.missing)
	}
}

// errGone: the connection broke off.
var errGone = errors.New("the server is gone")

// owner is a connection and the keys that only it changes.
type owner struct {
	c        net.Conn
	r        *bufio.Reader
	rng      *rand.Rand
	keys     []*knowledge
	book     *casBook
	evicts   bool          // an item may be gone at any time
	drift    time.Duration // items may live that much longer for a start
	serial   int
	answered int
	refused  int // for lack of memory
	missed   int // items that have been evicted
}

// run changes keys until the connection breaks off, which is errGone, or a
// reply is wrong. pause is held for writing while all is flushed.
func (o *owner) run(pause *sync.RWMutex) error {
	for {
		pause.RLock()
		err := o.batch()
		pause.RUnlock()
		if err != nil {
			return err
		}
	}
}

// batch has a pipeline of requests for different keys answered.
func (o *owner) batch() error {
	var batch []request
	var text strings.Builder
	for _, n := range o.rng.Perm(len(o.keys))[:1+o.rng.IntN(8)] {
		q := o.choose(o.keys[n])
		q.begin(o.evicts)
		batch = append(batch, q)
		text.WriteString(q.text)
	}
	sent := make(chan struct{})
	defer func() { <-sent }() // an error may be answered before all of a value is sent
	go func() {               // a large pipeline would wait for its replies to be read
		defer close(sent)
		all := text.String()
		cut := o.cut(len(all))
		if _, err := io.WriteString(o.c, all[:cut]); err == nil {
			_, _ = io.WriteString(o.c, all[cut:]) // the replies tell
		}
	}()
	for i := range batch {
		if err := o.settle(&batch[i]); err != nil {
			return err
		}
		o.answered++
	}
	return nil
}

// cut is a place to interrupt a text of n bytes.
func (o *owner) cut(n int) int { return int(uint32(o.serial)*2654435761) % (n + 1) }

// settle reads the reply to a request and takes note.
func (o *owner) settle(q *request) error {
	line, err := o.r.ReadString('\n')
	if err != nil {
		return errGone
	}
	line = strings.TrimSuffix(line, "\r\n")
	fields := strings.Fields(line)
	was := q.was
	fail := func(what string) error {
		return fmt.Errorf("%s: %.80q answered %.80q: %s; it was %s", q.key.name, q.text, line, what, tell(was))
	}
	now := time.Now()
	var is item
	switch {
	case q.hit != "" && strings.HasPrefix(line, q.hit):
		if q.show {
			s, err := o.show(fields)
			if err != nil {
				return err
			}
			return o.match(q.key, was, s, now.Add(-clockSlack))
		}
		if q.number != "" {
			number, err := o.r.ReadString('\n')
			if err != nil {
				return errGone
			}
			if strings.TrimSpace(number) != q.number {
				return fail("it shows " + number)
			}
		}
		if q.miss != "" && !slices.ContainsFunc(was, func(it item) bool { return it.value != nil && !it.gone(now) }) {
			return fail("there is no item")
		}
		is = q.there
	case q.show && line == q.miss:
		return o.match(q.key, was, nil, now)
	case q.extends && line == q.miss && !o.evicts && was[0].value != nil:
		o.refused++ // that is the answer if there is no memory for the longer one
		q.key.may = append(q.key.may, item{})
		return nil
	case q.miss != "" && strings.HasPrefix(line, q.miss):
		if q.hit != "" && !o.evicts && !slices.ContainsFunc(was, func(it item) bool { return it.value == nil || it.going(now) }) {
			return fail("there is an item")
		}
		if len(was) == 1 && was[0].value != nil && !was[0].going(now) {
			o.missed++
		}
		is = q.missing
	case strings.HasPrefix(strings.ToLower(line), "server_error out of memory"):
		o.refused++
		q.key.may = append(q.key.may, item{})
		return nil
	case strings.HasPrefix(line, "SERVER_ERROR persistence timeout"):
		return nil // it may be kept
	default:
		return fail("not expected")
	}
	is.arrived(now)
	if n := len(fields) - 1; n > 0 && fields[n][0] == 'c' && is.value != nil && is.cas == 0 {
		if is.cas, err = strconv.ParseUint(fields[n][1:], 10, 64); err != nil {
			return fail("a CAS?")
		}
		if err := o.book.add(is.cas, q.key.name); err != nil {
			return fail(err.Error())
		}
	}
	q.key.may = append(q.key.may[:0], is)
	return nil
}

// show reads the rest of the reply to an mg with the flags v f t c h.
func (o *owner) show(fields []string) (*seen, error) {
	n, err := strconv.Atoi(fields[1])
	if err != nil {
		return nil, fmt.Errorf("mg answered %q", fields)
	}
	s := &seen{value: make([]byte, n+2)}
	if _, err := io.ReadFull(o.r, s.value); err != nil {
		return nil, errGone
	}
	if string(s.value[n:]) != "\r\n" {
		return nil, fmt.Errorf("a value of %d ends in %q", n, s.value[n:])
	}
	s.value = s.value[:n]
	for _, f := range fields[2:] {
		v, err := strconv.ParseInt(f[1:], 10, 64)
		switch f[0] {
		case 'f':
			s.flags = uint32(v)
		case 't':
			s.ttl = int(v)
		case 'c':
			s.cas = uint64(v)
		case 'h':
			s.read = v == 1
		case 'X':
			s.stale, err = true, nil
		case 'W':
			s.won, err = true, nil
		case 'Z':
			err = nil
		default:
			err = errors.New("what is that")
		}
		if err != nil {
			return nil, fmt.Errorf("mg answered %q: %q: %w", fields, f, err)
		}
	}
	return s, nil
}

// match takes what was seen for what is there, if it is one of what may be.
// s is nil if nothing was found.
func (o *owner) match(k *knowledge, may []item, s *seen, asked time.Time) error {
	now := time.Now()
	var why []string
	for _, it := range may {
		it.arrived(now)
		switch {
		case s == nil:
			if it.value == nil || it.going(now) {
				k.may = append(k.may[:0], item{})
				return nil
			}
			why = append(why, "lost")
		case it.value == nil:
			why = append(why, "risen from the dead")
		case it.gone(asked):
			why = append(why, "expired")
		default:
			diff := it.differs(s, asked, now)
			if diff == "" {
				it.cas, it.fresh = s.cas, false
				k.may = append(k.may[:0], it)
				return nil
			}
			why = append(why, diff)
		}
	}
	if s == nil && o.evicts {
		o.missed++
		k.may = append(k.may[:0], item{})
		return nil
	}
	if s == nil {
		return fmt.Errorf("%s is not there: it is %s", k.name, tell(may))
	}
	return fmt.Errorf("%s is %.60q of %d, flags %d, TTL %d, CAS %d, stale %t, read %t: should be %s",
		k.name, s.value, len(s.value), s.flags, s.ttl, s.cas, s.stale, s.read, strings.Join(why, "; or "))
}

// verify looks at every key.
func (o *owner) verify() error {
	for _, k := range o.keys {
		asked := time.Now()
		if _, err := fmt.Fprintf(o.c, "mg %s v f t c h\r\n", k.name); err != nil {
			return errGone
		}
		line, err := o.r.ReadString('\n')
		if err != nil {
			return errGone
		}
		var s *seen
		if fields := strings.Fields(line); fields[0] == "VA" {
			if s, err = o.show(fields); err != nil {
				return err
			}
		} else if line != "EN\r\n" {
			return fmt.Errorf("mg answered %q", line)
		}
		for i := range k.may {
			k.may[i].arrived(asked)
			if it := &k.may[i]; !it.to.IsZero() {
				it.to = it.to.Add(o.drift)
			}
		}
		if err := o.match(k, k.may, s, asked); err != nil {
			return err
		}
	}
	return nil
}

func tell(may []item) string {
	var words []string
	for _, it := range may {
		if it.value == nil {
			words = append(words, "no item")
			continue
		}
		words = append(words, fmt.Sprintf("%.40q of %d, flags %d, TTL %v, CAS %d, stale %t", it.value, len(it.value), it.flags, it.ttl, it.cas, it.stale))
	}
	return strings.Join(words, " or ")
}
