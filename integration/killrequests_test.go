package integration

import (
	"bytes"
	"fmt"
	"strconv"
)

// The requests of the kill loop.

const (
	killLarge = 600_000 // values are as long as that at most, before they are appended to
	killMost  = 900_000
)

// choose makes up a request for a key: anything that is allowed with what is
// known of it. What is not known is made known by a set, a delete or a look.
func (o *owner) choose(k *knowledge) request {
	o.serial++
	q := request{key: k}
	if len(k.may) > 1 {
		return o.plain(q, [...]int{0, 4, 6}[o.rng.IntN(3)])
	}
	is := k.may[0]
	q.there, q.missing = is, item{}
	switch n := o.rng.IntN(16); {
	case n < 7:
		return o.plain(q, n)
	case n < 9 && is.number && !is.stale:
		return o.count(q, n == 7)
	case n < 11 && is.value != nil && !is.number && !is.stale && len(is.value) < killMost-400:
		return o.extend(q, n == 9)
	case n == 11 && is.cas > 1:
		return o.compare(q)
	case n == 12:
		q.there.expires(o.ttl())
		q.text = fmt.Sprintf("touch %s %d\r\n", k.name, o.seconds(&q.there))
		q.there.fresh = false
		q.hit, q.miss = "TOUCHED", "NOT_FOUND"
		return q
	case n == 13:
		ttl := 1000 + o.rng.IntN(1000)
		q.there.expires(ttl)
		q.there.stale, q.there.cas, q.there.fresh = true, 0, false
		q.text = fmt.Sprintf("md %s I T%d\r\n", k.name, ttl)
		q.hit, q.miss = "HD", "NF"
		return q
	case n == 14:
		return o.metaCount(q)
	}
	return o.metaSet(q)
}

// plain are the requests of the old protocol that work with anything.
func (o *owner) plain(q request, n int) request {
	name := q.key.name
	value := o.value(name)
	switch n {
	case 0, 1:
		q.there = value
		q.missing = q.there
		q.text, q.hit = o.store("set", name, value), "STORED"
	case 2:
		q.missing = value
		q.text, q.hit, q.miss = o.store("add", name, value), "NOT_STORED", "STORED"
	case 3:
		q.there = value
		q.text, q.hit, q.miss = o.store("replace", name, value), "STORED", "NOT_STORED"
	case 4:
		q.there = item{}
		q.text, q.hit, q.miss = "delete "+name+"\r\n", "DELETED", "NOT_FOUND"
	default:
		q.text = "mg " + name + " v f t c h\r\n"
		q.hit, q.miss, q.show = "VA", "EN", true
		q.there = q.key.may[0]
		q.there.fresh = false
		q.missing = q.there // an item that expires is one that may be missing
	}
	return q
}

// value makes up an item that nothing else is like. Its beginning names it, and
// every byte depends on the beginning.
func (o *owner) value(name string) item {
	it := item{flags: o.rng.Uint32N(3) * 1_000_003, fresh: true}
	it.expires(o.ttl())
	if o.rng.IntN(4) == 0 {
		it.number, it.value = true, strconv.AppendInt(nil, int64(o.rng.IntN(100_000)), 10)
		return it
	}
	n := o.rng.IntN(700)
	if name[len(name)-1] == '0' && o.rng.IntN(4) == 0 {
		n = o.rng.IntN(killLarge)
	}
	it.value = pattern(fmt.Sprintf("%s#%d:", name, o.serial), n)
	return it
}

// pattern returns head and n bytes that depend on it and their place.
func pattern(head string, n int) []byte {
	b := append(make([]byte, 0, len(head)+n), head...)
	x := uint64(len(head))
	for _, c := range b {
		x = x*1099511628211 + uint64(c)
	}
	for i := range n {
		if i%8 == 0 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		b = append(b, byte(x>>(i%8*8)))
	}
	return b
}

// ttl makes up an exptime.
func (o *owner) ttl() int {
	switch o.rng.IntN(6) {
	case 0:
		return 2000 + o.rng.IntN(1000)
	case 1:
		return 1 + o.rng.IntN(2)
	}
	return 0
}

func (o *owner) seconds(it *item) int { return int(it.ttl.Seconds()) }

func (o *owner) store(verb, name string, it item) string {
	return fmt.Sprintf("%s %s %d %d %d\r\n%s\r\n", verb, name, it.flags, o.seconds(&it), len(it.value), it.value)
}

// count is incr or decr.
func (o *owner) count(q request, up bool) request {
	n, verb := o.rng.IntN(2000), "decr"
	if up {
		verb = "incr"
	}
	o.counted(&q.there, n, up)
	q.text = fmt.Sprintf("%s %s %d\r\n", verb, q.key.name, n)
	q.hit, q.miss = string(q.there.value), "NOT_FOUND"
	return q
}

// counted makes the item another number.
func (o *owner) counted(it *item, n int, up bool) {
	was, err := strconv.Atoi(string(bytes.TrimRight(it.value, " ")))
	if err != nil {
		panic(err)
	}
	if !up {
		n = -min(n, was)
	}
	it.value = strconv.AppendInt(nil, int64(was+n), 10)
	it.cas, it.fresh = 0, false
}

// extend is append or prepend.
func (o *owner) extend(q request, after bool) request {
	more := pattern(fmt.Sprintf("+%d:", o.serial), o.rng.IntN(300))
	verb := "prepend"
	was := q.there.value
	if q.there.value = append(bytes.Clone(more), was...); after {
		verb = "append"
		q.there.value = append(bytes.Clone(was), more...)
	}
	q.there.cas, q.there.fresh = 0, false
	q.text = fmt.Sprintf("%s %s 0 0 %d\r\n%s\r\n", verb, q.key.name, len(more), more)
	q.hit, q.miss, q.extends = "STORED", "NOT_STORED", true
	return q
}

// compare is cas with the right or a wrong id, or a set with an old one that
// leaves the item stale.
func (o *owner) compare(q request) request {
	value := o.value(q.key.name)
	id := q.there.cas
	switch o.rng.IntN(3) {
	case 0:
		q.hit, q.miss = "EXISTS", "NOT_FOUND"
		id++
	case 1:
		q.hit, q.miss = "STORED", "NOT_FOUND"
		q.there = value
	default:
		q.hit, q.miss = "HD", "NF"
		is := q.there
		q.there = value
		q.there.from, q.there.to, q.there.ttl, q.there.stale = is.from, is.to, is.ttl, true // it keeps its exptime
		q.text = fmt.Sprintf("ms %s %d I C%d F%d T%d c\r\n%s\r\n", q.key.name, len(value.value), id-1, value.flags, o.seconds(&value), value.value)
		return q
	}
	q.text = fmt.Sprintf("cas %s %d %d %d %d\r\n%s\r\n", q.key.name, value.flags, o.seconds(&value), len(value.value), id, value.value)
	return q
}

// metaCount is ma, which may make the number.
func (o *owner) metaCount(q request) request {
	is := q.key.may[0]
	if is.value != nil && !is.number || is.stale {
		return o.metaSet(q)
	}
	q.missing = item{number: true, value: []byte("7")}
	q.hit, q.miss = "HD", "HD"
	if is.value != nil {
		n := o.rng.IntN(2000)
		o.counted(&q.there, n, true)
		q.missing = item{}
		q.text = fmt.Sprintf("ma %s D%d v c\r\n", q.key.name, n)
		q.hit, q.miss, q.number = "VA", "NF", string(q.there.value)
		return q
	}
	q.there, q.hit = item{}, ""
	q.text = fmt.Sprintf("ma %s N0 J7 c\r\n", q.key.name)
	return q
}

// metaSet is ms, some of them with a CAS of the client's.
func (o *owner) metaSet(q request) request {
	value := o.value(q.key.name)
	own := ""
	if o.rng.IntN(4) == 0 {
		value.cas = ownCAS + uint64(o.rng.Uint32())
		own = fmt.Sprintf(" E%d", value.cas)
	}
	q.there = value
	q.missing = q.there
	q.text = fmt.Sprintf("ms %s %d F%d T%d%s c\r\n%s\r\n", q.key.name, len(value.value), value.flags, o.seconds(&value), own, value.value)
	q.hit = "HD"
	return q
}
