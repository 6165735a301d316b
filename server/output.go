package server

// Output is the replies that wait to be written: bytes, and values written
// straight from item memory.
type Output struct {
	// Buf holds reply bytes; append to it. What stands in it before a call must
	// not be taken off or changed by it.
	Buf []byte

	sent   int          // Buf[:sent] is written
	pins   []pinnedSpan // values that stand between the bytes of Buf, in order
	first  int          // pins[:first] are written
	pinned int          // bytes of pins not written
}

// Pinned is memory of the store's that stays unchanged until Unpin, which any
// goroutine may call.
type Pinned interface{ Unpin() }

// pinnedSpan is one piece of a value: Buf[:at] goes out before it.
type pinnedSpan struct {
	at   int
	span []byte
	pin  Pinned // set on the last piece of its value
}

// Pin appends the spans of a value without copying them; p is unpinned when
// they are written or the session ends. The slice of spans stays the caller's.
func (o *Output) Pin(spans [][]byte, p Pinned) {
	n := 0
	for _, span := range spans {
		if len(span) == 0 {
			continue
		}
		o.pins = append(o.pins, pinnedSpan{at: len(o.Buf), span: span})
		o.pinned += len(span)
		n++
	}
	if n == 0 {
		p.Unpin()
		return
	}
	o.pins[len(o.pins)-1].pin = p
}

// Pending is how many bytes wait to be written, pinned ones included.
func (o *Output) Pending() int { return len(o.Buf) - o.sent + o.pinned }

// gather sets vec to what is to be written next, in order, as far as vec has
// room, and returns the part of it that it has used.
func (o *Output) gather(vec [][]byte) [][]byte {
	n, at := 0, o.sent
	for i := o.first; i < len(o.pins) && n+2 <= len(vec); i++ {
		p := &o.pins[i]
		if at < p.at {
			vec[n] = o.Buf[at:p.at]
			at = p.at
			n++
		}
		vec[n] = p.span
		n++
		if i == len(o.pins)-1 && n < len(vec) && at < len(o.Buf) {
			vec[n] = o.Buf[at:]
			n++
		}
	}
	if o.first == len(o.pins) {
		vec[0] = o.Buf[at:]
		n = 1
	}
	return vec[:n]
}

// wrote says that the next n bytes are written, and lets go of the values that
// are complete.
func (o *Output) wrote(n int) {
	for n > 0 && o.first < len(o.pins) {
		p := &o.pins[o.first]
		if k := min(p.at-o.sent, n); k > 0 {
			o.sent += k
			n -= k
			continue
		}
		k := min(n, len(p.span))
		p.span = p.span[k:]
		o.pinned -= k
		n -= k
		if len(p.span) == 0 {
			o.unpinFirst()
		}
	}
	o.sent += n
	if o.Pending() == 0 {
		o.reset()
	}
}

// unpinFirst takes the first piece off.
func (o *Output) unpinFirst() {
	p := &o.pins[o.first]
	pin := p.pin
	*p = pinnedSpan{}
	o.first++
	if pin != nil {
		pin.Unpin()
	}
}

// Drop forgets all that is not written and unpins it.
func (o *Output) Drop() { o.discard() }

// discard forgets all that is not written.
func (o *Output) discard() {
	for o.first < len(o.pins) {
		o.unpinFirst()
	}
	o.pinned = 0
	o.reset()
}

// replace puts line in the place of each of the given replies, which are in
// order, and lets go of the values that stand in them. Nothing may be written yet.
func (o *Output) replace(replies []promise, line string) {
	buf, pins := make([]byte, 0, len(o.Buf)), make([]pinnedSpan, 0, len(o.pins))
	at, next := 0, 0 // in Buf and pins: up to where they are done
	keep := func(to int) {
		moved := len(buf) - at
		for ; next < len(o.pins) && o.pins[next].at <= to; next++ {
			p := o.pins[next]
			p.at += moved
			pins = append(pins, p)
		}
		buf = append(buf, o.Buf[at:to]...)
		at = to
	}
	for _, r := range replies {
		keep(r.from)
		// A value stands between bytes of its reply, so none of a neighbour's is met.
		for ; next < len(o.pins) && o.pins[next].at < r.to; next++ {
			o.pinned -= len(o.pins[next].span)
			if pin := o.pins[next].pin; pin != nil {
				pin.Unpin()
			}
		}
		buf = append(buf, line...)
		at = r.to
	}
	keep(len(o.Buf))
	o.Buf = append(o.Buf[:0], buf...)
	clear(o.pins)
	o.pins = append(o.pins[:0], pins...)
}

// reset makes an output that is written empty.
func (o *Output) reset() {
	o.Buf, o.pins = o.Buf[:0], o.pins[:0]
	o.sent, o.first = 0, 0
}

// compact moves the output into buf and pins, which must not overlap with it,
// without what is written.
func (o *Output) compact(buf []byte, pins []pinnedSpan) {
	buf = append(buf[:0], o.Buf[o.sent:]...)
	pins = append(pins[:0], o.pins[o.first:]...)
	for i := range pins {
		pins[i].at -= o.sent
	}
	clear(o.pins)
	o.Buf, o.pins = buf, pins
	o.sent, o.first = 0, 0
}
