package proxy

// fan is a request that goes to several places, and what is known of its answer.
// Legs that are not waited for may end after it has been answered.
type fan struct {
	x       *executor
	r       places
	up      *call // nil: it has been answered
	answer  fanAnswer
	n       int // legs
	left    int // legs without an answer, and 1 while they are started
	good    int
	first   bool // the first leg has its answer
	refused bool // and it was an error
	held    bool // the answer was there before: the legs are deletes
	started bool // all legs are on their way

	best, worst keptAnswer
}

// keptAnswer is a copy of an answer.
type keptAnswer struct {
	answer
	there bool
	text  []byte
}

// keep copies a, whose blob becomes k's.
func (k *keptAnswer) keep(a *answer) {
	if k.there {
		k.letGo()
	}
	k.answer, k.there = *a, true
	k.text = append(append(k.text[:0], a.line...), a.value...)
	k.line = k.text[:len(a.line)]
	k.value = k.text[len(a.line):]
}

// places is a route with several places.
type places interface {
	// place sends l, which asks for the key of the client, to the i-th place.
	place(l *leg, i int)
	// missed hears that one place has not done its part.
	missed()
}

// spread sends c to the places from the one of index from on; if held is not nil it
// is the answer already, and the places delete the key.
func (x *executor) spread(r places, n, from int, when fanAnswer, c *call, held *answer) {
	var f *fan
	if last := len(x.fans) - 1; last >= 0 {
		f = x.fans[last]
		x.fans = x.fans[:last]
	} else {
		f = &fan{}
	}
	*f = fan{
		x: x, r: r, up: c, answer: when, n: n - from, left: n - from + 1,
		best: keptAnswer{text: f.best.text}, worst: keptAnswer{text: f.worst.text},
	}
	if held != nil {
		f.held = true
		f.best.keep(held)
	}
	for i := from; i < n; i++ {
		l := x.newLeg(f, nil)
		l.limit, l.fan, l.i = c.limit, f, i
		if held != nil {
			l.remove(c)
		} else {
			l.like(c)
			l.own()
		}
		r.place(l, i)
	}
	f.started = true
	f.settle()
}

func (f *fan) legHit(_ *leg, _, _ []byte, b *blob) {
	if b != nil {
		b.Unpin()
	}
}

func (f *fan) legDone(l *leg, a *answer) {
	first := l.i == 0
	l.drop()
	bad := a.bad()
	if bad {
		f.r.missed()
	} else {
		f.good++
	}
	if first {
		f.first, f.refused = true, bad
	}
	k := &f.best
	if bad {
		k = &f.worst
	}
	if f.up != nil && (!k.there || first) {
		k.keep(a)
	} else {
		a.letGo()
	}
	f.settle()
}

// settle counts one leg less, and answers when it is time. It does not while legs
// are started: they need the call.
func (f *fan) settle() {
	f.left--
	if f.up != nil && f.started && (f.left == 0 || f.decided()) {
		f.reply()
	}
	if f.left == 0 {
		f.x.fans = append(f.x.fans, f)
	}
}

// decided says whether the answer is known before the last leg's.
func (f *fan) decided() bool {
	switch f.answer {
	case answerFirst:
		return f.held || f.first
	case answerMajority:
		return !f.held && f.first && f.good > f.n/2
	}
	return false
}

// reply answers the call.
func (f *fan) reply() {
	up := f.up
	f.up = nil
	a, other := &f.best, &f.worst
	switch {
	case f.held:
	case f.answer == answerAll && f.good < f.n, f.answer == answerMajority && f.good <= f.n/2, f.answer == answerFirst && f.refused:
		a, other = other, a
	}
	other.letGo()
	other.there = false
	up.to.done(up, &a.answer)
	a.there = false
}
