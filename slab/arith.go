package slab

import "strconv"

// numberMax is the length of the longest number, in bytes.
const numberMax = 20

// Arith adds to or subtracts from an item that holds a decimal number. Adding
// wraps around at 1<<64, subtracting stops at 0. A result no longer than the
// present value is padded with spaces to its length, and then the item keeps
// its place and marks; otherwise it is stored anew.
func (w *Worker) Arith(k Key, op *ArithOp) ArithResult {
	s := w.s
	now := s.now.Load()
	st := s.stripe(k.Hash)
	st.mu.Lock()
	h, ref, at := w.lookupLocked(st, &k, now)
	var res ArithResult
	switch {
	case h != nil:
		res = w.countLocked(st, &k, h, ref, at, op, now)
	case op.Vivify:
		res = w.startCountLocked(st, &k, op, now)
	}
	st.mu.Unlock()
	return res
}

func (w *Worker) countLocked(st *stripe, k *Key, h *header, ref uint32, at place, op *ArithOp, now uint32) ArithResult {
	s := w.s
	state, word := h.loadState(), h.loadWord()
	res := ArithResult{Class: wordClass(word), Binary: state&factBinary != 0, Exptime: h.exptime(state), ExptimeBefore: h.exptime(state)}
	oldLen := h.valueLen()
	if oldLen == 0 || h.chained(state) {
		res.Result = NonNumeric
		return res
	}
	if op.Compare && op.CAS != 0 && s.shownCAS(0, h.cas(state)) != op.CAS {
		res.Result = Exists
		return res
	}
	n, ok := parseNumber(h.inline(oldLen))
	if !ok {
		res.Result = NonNumeric
		return res
	}
	if op.Decrement {
		w.counts[res.Class].decrHits++
		n -= min(n, op.Delta)
	} else {
		w.counts[res.Class].incrHits++
		n += op.Delta
	}
	if op.SetExptime {
		res.Exptime = op.Exptime
	}
	var digits [numberMax]byte
	text := strconv.AppendUint(digits[:0], n, 10)
	p := spec{
		key: k.Bytes, facts: state & factBinary, flags: h.clientFlags(state), exptime: res.Exptime,
		cas: op.NewCAS, valueLen: max(len(text), oldLen), needExp: state&factExp != 0,
	}
	p.settle(s)
	var f filler
	if !f.start(s, &p, k.Hash, hold{st, ref}) {
		res.Result = NoMemory
		return res
	}
	pad(f.room, text)
	f.f.ver = s.nextVer()
	inPlace := len(text) <= oldLen
	if inPlace {
		f.f.marks = word & (markFetched | markActive | markStale | markToken)
		f.f.list = wordList(word)
	} else {
		f.f.list = s.listFor(p.exptime, now)
	}
	s.enterLocked(st, k.Hash, &f.f, at, h, inPlace, now)
	res.Result, res.Value, res.CAS = Hit, n, s.shownCAS(op.NewCAS, f.f.ver)
	return res
}

// startCountLocked stores the number that counting starts from.
func (w *Worker) startCountLocked(st *stripe, k *Key, op *ArithOp, now uint32) ArithResult {
	s := w.s
	var digits [numberMax]byte
	text := strconv.AppendUint(digits[:0], op.Initial, 10)
	p := spec{key: k.Bytes, exptime: op.VivifyExptime, cas: op.NewCAS, valueLen: len(text)}
	if op.Binary {
		p.facts = factBinary
	}
	p.settle(s)
	var f filler
	if !f.start(s, &p, k.Hash, hold{st: st}) {
		return ArithResult{Result: NoMemory}
	}
	copy(f.room, text)
	f.f.ver = s.nextVer()
	f.f.list = s.listFor(p.exptime, now)
	if !s.enterLocked(st, k.Hash, &f.f, place{}, nil, false, now) {
		f.drop()
		return ArithResult{Result: NoMemory}
	}
	return ArithResult{
		Result: Stored, Value: op.Initial, CAS: s.shownCAS(op.NewCAS, f.f.ver),
		Exptime: p.exptime, Binary: op.Binary, Class: f.f.class,
	}
}

// pad copies text and fills the rest with spaces.
func pad(room, text []byte) {
	for i := copy(room, text); i < len(room); i++ {
		room[i] = ' '
	}
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// parseNumber reads the number at the start of a value, as C's strtoull does:
// leading white space, a sign, leading zeros; then the end, white space or a
// zero byte. A negative number wraps, and is refused unless the result is
// positive as a signed number too.
func parseNumber(b []byte) (uint64, bool) {
	i := 0
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	negative := false
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		negative = b[i] == '-'
		i++
	}
	start, n := i, uint64(0)
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		d := uint64(b[i] - '0')
		if n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if i == start || i < len(b) && !isSpace(b[i]) && b[i] != 0 {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, !negative || int64(n) >= 0
}
