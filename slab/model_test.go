package slab

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// modelItem is what the model remembers of an item.
type modelItem struct {
	value   string
	flags   uint32
	exptime uint32
	cas     uint64
	binary  bool
	stale   bool
	token   bool
}

// ownCAS is more than any compare value that the store gives by itself.
const ownCAS = 1 << 40

// model runs a store and a map side by side. The store may forget items when
// memory is short; it must never show anything that the map does not hold.
type model struct {
	s     *Store
	w     *Worker
	items map[string]modelItem
	now   uint32
	keys  []string
	pend  []*modelPending
	// disturbed says that pages have been moved, which may cost items.
	disturbed bool
}

type modelPending struct {
	p     *Pending
	key   string
	op    SetOp
	value string
}

func newModel(t *rapid.T) *model {
	c := DefaultConfig()
	c.PageBytes = 16 << 10
	c.LimitBytes = 2 << 20
	c.ItemSizeMax = 300 << 10
	c.HashPower = 4
	c.Seed = 1
	c.NoEvict = rapid.Bool().Draw(t, "noEvict")
	c.Segmented = rapid.Bool().Draw(t, "segmented")
	c.Eviction = rapid.SampledFrom([]string{EvictionAdaptive, EvictionLRU}).Draw(t, "eviction")
	c.TempTTL = int64(rapid.SampledFrom([]int{-1, 3}).Draw(t, "tempTTL"))
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	m := &model{s: s, w: s.NewWorker(), items: map[string]modelItem{}, now: 1000}
	s.Tick(m.now)
	for i := range 300 {
		m.keys = append(m.keys, fmt.Sprintf("key-%d", i))
	}
	return m
}

func (m *model) key(t *rapid.T) string { return rapid.SampledFrom(m.keys).Draw(t, "key") }

func (m *model) drawValue(t *rapid.T) string {
	n := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(0, 20<<10), rapid.IntRange(0, 290<<10)).Draw(t, "len")
	return pattern(n, rapid.Uint64Range(0, 5).Draw(t, "fill"))
}

func (m *model) drawExptime(t *rapid.T) uint32 {
	ttl := rapid.SampledFrom([]uint32{0, 0, 0, 1, 3, 20}).Draw(t, "ttl")
	if ttl == 0 {
		return 0
	}
	return m.now + ttl
}

// live returns the model's item unless it has expired.
func (m *model) live(key string) (modelItem, bool) {
	i, ok := m.items[key]
	if ok && i.exptime != 0 && i.exptime <= m.now {
		return modelItem{}, false
	}
	return i, ok
}

// sync asks the store whether it still has the item, which it must show as
// the model knows it; if it has been evicted, the model forgets it too.
func (m *model) sync(t *rapid.T, key string) (modelItem, bool) {
	want, ok := m.live(key)
	if m.w.Get(m.s.keyString(key), &GetOp{NoBump: true}, func(v *View) { m.compare(t, key, want, ok, v) }) != Hit {
		delete(m.items, key)
		if ok && m.room() {
			t.Fatalf("%q is gone, and nothing was evicted", key)
		}
		return modelItem{}, false
	}
	return want, ok
}

func (m *model) compare(t *rapid.T, key string, want modelItem, ok bool, v *View) {
	if !ok {
		t.Fatalf("%q: the store has an item that is not there", key)
	}
	if got := string(v.AppendValue(nil)); got != want.value {
		t.Fatalf("%q: value of %d bytes %.20q, want %d %.20q", key, len(got), got, len(want.value), want.value)
	}
	if v.Flags() != want.flags || v.Exptime() != want.exptime || v.CAS() != want.cas || v.Binary() != want.binary {
		t.Fatalf("%q: flags %d exptime %d cas %d binary %t, want %+v", key, v.Flags(), v.Exptime(), v.CAS(), v.Binary(),
			[]any{want.flags, want.exptime, want.cas, want.binary})
	}
}

// room reports whether the store has had no reason yet to lose an item.
func (m *model) room() bool {
	if m.disturbed {
		return false
	}
	for id := 1; id < len(m.s.classes); id++ {
		if n := &m.s.classes[id].counts; n.evicted+n.outOfMemory > 0 {
			return false
		}
	}
	return true
}

// failed checks that an operation had reason to fail for lack of memory.
func (m *model) failed(t *rapid.T, what string) {
	if m.room() {
		t.Fatalf("%s: no memory, but nothing is short", what)
	}
}

func (m *model) set(t *rapid.T) {
	key, v := m.key(t), m.drawValue(t)
	op := m.drawSetOp(t, key)
	old, had := m.sync(t, key)
	r := m.w.Set(m.s.keyString(key), &op, []byte(v))
	m.afterSet(t, key, v, &op, old, had, r)
}

func (m *model) drawSetOp(t *rapid.T, key string) SetOp {
	op := SetOp{
		Mode:    Mode(rapid.IntRange(0, 4).Draw(t, "mode")),
		Flags:   uint32(rapid.SampledFrom([]int{0, 0, 5}).Draw(t, "flags")),
		Exptime: m.drawExptime(t),
		Compare: rapid.IntRange(0, 3).Draw(t, "compare") == 0,
		Vivify:  rapid.Bool().Draw(t, "vivify"),
		Binary:  rapid.Bool().Draw(t, "binary"), DropOnFail: rapid.Bool().Draw(t, "drop"),
		Invalidate: rapid.Bool().Draw(t, "invalidate"),
	}
	if op.Compare {
		op.CAS = m.items[key].cas + uint64(rapid.SampledFrom([]int{0, 0, 1, -1}).Draw(t, "cas"))
	}
	if rapid.IntRange(0, 5).Draw(t, "own") == 0 {
		op.NewCAS = ownCAS + rapid.Uint64Range(1, 50).Draw(t, "newCAS")
	}
	return op
}

// outcome says what a set should come to, and the item that it should leave.
func (m *model) outcome(key, v string, op *SetOp, old modelItem, had bool) (modelItem, Result) {
	item := modelItem{value: v, flags: op.Flags, exptime: op.Exptime, binary: op.Binary}
	switch {
	case m.s.wireSize(len(key), len(v), op.Flags) > m.s.cfg.ItemSizeMax:
		return item, TooLarge
	case op.Mode >= ModeAppend && !had:
		if item.exptime = op.VivifyExptime; !op.Vivify {
			return item, NotStored
		}
	case op.Mode >= ModeAppend:
		if item = old; op.Mode == ModeAppend {
			item.value += v
		} else {
			item.value = v + item.value
		}
		item.stale, item.token = false, false
		if op.Compare && op.CAS != 0 && op.CAS != old.cas {
			return item, Exists
		} else if m.s.wireSize(len(key), len(item.value), item.flags) > m.s.cfg.ItemSizeMax {
			return item, NotStored
		}
	case op.Mode == ModeAdd:
		if had {
			return item, NotStored
		}
	case op.Compare && !had:
		return item, NotFound
	case !had && op.Mode == ModeReplace:
		return item, NotStored
	case op.Compare && op.CAS != 0 && op.CAS == old.cas:
	case op.Compare && op.CAS != 0 && op.Invalidate && op.CAS < old.cas:
		item.exptime, item.stale, item.token = old.exptime, true, old.token
	case op.Compare:
		return item, Exists
	}
	return item, Stored
}

// afterSet compares a set's result with what it should have been, and applies
// it to the model.
func (m *model) afterSet(t *rapid.T, key, v string, op *SetOp, old modelItem, had bool, r SetResult) {
	item, want := m.outcome(key, v, op, old, had)
	if had && !m.room() && (r.Result != want || want == Stored && r.ValueLen != len(item.value)) {
		// Making room for the new item may have pushed the old one out; whether
		// it has, the next look will tell.
		if lone, res := m.outcome(key, v, op, modelItem{}, false); r.Result == res {
			item, want = lone, res
		}
	}
	lacked := r.Result == NoMemory || op.Mode >= ModeAppend && r.Result == NotStored && want == Stored
	switch {
	case r.Result == want && want == Stored:
		if r.ValueLen != len(item.value) || r.CAS == 0 {
			t.Fatalf("set %q: %+v, want %d bytes", key, r, len(item.value))
		}
		item.cas = r.CAS
		m.items[key] = item
		return
	case lacked:
		m.failed(t, "set")
	case r.Result != want:
		t.Fatalf("set %q %+v of %d bytes on %t: %v, want %v", key, *op, len(v), had, r.Result, want)
	}
	if op.DropOnFail && (r.Result == NoMemory || r.Result == TooLarge) {
		if _, ok := value(m.w, key); ok {
			t.Fatalf("a failed set left %q", key)
		}
		delete(m.items, key)
	}
}

func (m *model) reserve(t *rapid.T) {
	if len(m.pend) >= 3 {
		m.finish(t)
	}
	key, v := m.key(t), m.drawValue(t)
	op := m.drawSetOp(t, key)
	op.DropOnFail = false
	p, r := m.w.Reserve(m.s.keyString(key), &op, len(v))
	if r == Stored {
		m.pend = append(m.pend, &modelPending{p, key, op, v})
	} else if r == NoMemory {
		m.failed(t, "reserve")
	}
}

// finish fills a pending value, or gives it up half-way.
func (m *model) finish(t *rapid.T) {
	if len(m.pend) == 0 {
		return
	}
	x := m.pend[0]
	m.pend = m.pend[1:]
	stop := rapid.SampledFrom([]int{len(x.value), len(x.value), len(x.value) / 2}).Draw(t, "stop")
	for at := 0; at < stop; {
		room := x.p.Span()
		if room == nil {
			m.failed(t, "span")
			x.p.Abort()
			return
		}
		n := copy(room, x.value[at:])
		x.p.Advance(n)
		at += n
	}
	if stop < len(x.value) {
		x.p.Abort()
		return
	}
	old, had := m.sync(t, x.key)
	m.afterSet(t, x.key, x.value, &x.op, old, had, x.p.Commit(m.w))
}

func (m *model) get(t *rapid.T) {
	key := m.key(t)
	want, ok := m.sync(t, key)
	op := GetOp{
		Touch: rapid.Bool().Draw(t, "touch"), Exptime: m.drawExptime(t), NoBump: rapid.Bool().Draw(t, "nobump"),
		Meta: rapid.Bool().Draw(t, "meta"), Recache: rapid.Bool().Draw(t, "recache"), RecacheTTL: 10,
		Vivify: rapid.IntRange(0, 3).Draw(t, "vivify") == 0, VivifyExptime: m.drawExptime(t),
	}
	var v View
	var cas uint64
	switch m.w.Get(m.s.keyString(key), &op, func(i *View) { v, cas = *i, i.CAS() }) {
	case NoMemory:
		m.failed(t, "get")
		return
	case Miss:
		if ok || op.Vivify {
			t.Fatalf("get %q: a miss", key)
		}
		return
	}
	if !ok {
		if !v.Created || !v.Won {
			t.Fatalf("get %q: %+v, should be made", key, v)
		}
		m.items[key] = modelItem{exptime: op.VivifyExptime, cas: cas, token: true}
		return
	}
	if op.Touch {
		want.exptime = op.Exptime
	}
	if op.Meta {
		won := !want.token && (want.stale || op.Recache && want.exptime != 0 && want.exptime-m.now < 10)
		if v.Won != won || v.Stale != want.stale || v.TokenSent != want.token {
			t.Fatalf("get %q: won %t stale %t token %t of %+v", key, v.Won, v.Stale, v.TokenSent, want)
		}
		want.token = want.token || won
	}
	m.items[key] = want
}

func (m *model) remove(t *rapid.T) {
	key := m.key(t)
	item, ok := m.sync(t, key)
	op := DeleteOp{
		Compare: rapid.IntRange(0, 3).Draw(t, "compare") == 0, CAS: item.cas,
		Invalidate: rapid.Bool().Draw(t, "invalidate"), DropValue: rapid.Bool().Draw(t, "dropvalue"),
		SetExptime: rapid.Bool().Draw(t, "setexp"), Exptime: m.drawExptime(t),
		NewCAS: rapid.SampledFrom([]uint64{0, 0, ownCAS}).Draw(t, "newCAS"),
	}
	r := m.w.Delete(m.s.keyString(key), &op)
	switch {
	case r == NoMemory:
		m.failed(t, "delete")
		return
	case (r == Hit) != ok:
		t.Fatalf("delete %q: %v, want a hit: %t", key, r, ok)
	case !ok:
		return
	case !op.Invalidate && !op.DropValue:
		delete(m.items, key)
		return
	}
	if op.DropValue {
		item = modelItem{cas: item.cas, binary: item.binary, stale: op.Invalidate}
	}
	if op.SetExptime {
		item.exptime = op.Exptime
	}
	if op.Invalidate {
		item.stale, item.token = true, false
	}
	if item.exptime != 0 && item.exptime <= m.now {
		delete(m.items, key)
		return
	}
	m.w.Get(m.s.keyString(key), &GetOp{NoBump: true}, func(v *View) {
		switch {
		case op.NewCAS != 0 && v.CAS() != op.NewCAS, op.NewCAS == 0 && op.Invalidate && v.CAS() == item.cas && item.cas < ownCAS:
			t.Fatalf("delete %q %+v: CAS %d after %d", key, op, v.CAS(), item.cas)
		}
		item.cas = v.CAS()
	})
	m.items[key] = item
}

func (m *model) count(t *rapid.T) {
	key := m.key(t)
	if rapid.Bool().Draw(t, "fresh") {
		mode := SetOp{Exptime: m.drawExptime(t)}
		if r := m.w.Set(m.s.keyString(key), &mode, []byte("99")); r.Result == Stored {
			m.items[key] = modelItem{value: "99", exptime: mode.Exptime, cas: r.CAS}
		}
	}
	item, ok := m.sync(t, key)
	op := ArithOp{
		Delta: rapid.Uint64Range(0, 3).Draw(t, "delta"), Decrement: rapid.Bool().Draw(t, "decr"),
		Vivify: rapid.Bool().Draw(t, "vivify"), Initial: 9, VivifyExptime: m.drawExptime(t),
	}
	n, numeric := parseNumber([]byte(item.value))
	r := m.w.Arith(m.s.keyString(key), &op)
	switch {
	case r.Result == NoMemory:
		m.failed(t, "count")
	case !ok && !op.Vivify && r.Result == Miss:
	case !ok && op.Vivify && r.Result == Stored:
		m.items[key] = modelItem{value: "9", exptime: op.VivifyExptime, cas: r.CAS}
	case ok && !numeric && r.Result == NonNumeric:
	case ok && numeric && r.Result == Hit:
		if op.Decrement {
			n -= min(n, op.Delta)
		} else {
			n += op.Delta
		}
		text := fmt.Sprint(n)
		if len(text) > len(item.value) {
			item.stale, item.token = false, false
		}
		item.value, item.cas = fmt.Sprintf("%-*s", len(item.value), text), r.CAS
		m.items[key] = item
	default:
		t.Fatalf("count %q (%d bytes, there %t, numeric %t): %+v", key, len(item.value), ok, numeric, r)
	}
}

func (m *model) tick(t *rapid.T) {
	m.now += uint32(rapid.IntRange(1, 4).Draw(t, "seconds"))
	m.s.Tick(m.now)
}

func (m *model) flush(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
		m.s.FlushAll(0)
		clear(m.items)
	}
}

// check proves the invariants after every step.
func (m *model) check(t *rapid.T) {
	if err := m.s.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestModel runs random operations on a store and on a map.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		actions := map[string]func(*rapid.T){
			"set": m.set, "set2": m.set, "set3": m.set, "get": m.get, "delete": m.remove, "count": m.count,
			"tick": m.tick, "flush": m.flush, "reserve": m.reserve, "finish": m.finish, "": m.check,
		}
		for name, action := range modelUpkeep(m) {
			actions[name] = action
		}
		t.Repeat(actions)
		for _, key := range m.keys {
			m.sync(t, key)
		}
		for len(m.pend) > 0 {
			m.finish(t)
		}
		m.check(t)
		m.reclaim(t)
		if err := m.s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// reclaim proves that the crawler finds every dead item, whatever has been done
// to it before.
func (m *model) reclaim(t *rapid.T) {
	m.s.SetCrawler(true)
	m.s.SetCrawlerToCrawl(0)
	for range 3 { // what the last run had begun, a page that was locked, and all
		m.tick(t)
		for range 20 {
			m.s.Maintain()
		}
	}
	m.check(t)
	for id := range m.s.classes {
		for l := range m.s.classes[id].lists {
			for ref := m.s.classes[id].lists[l].head; ref != 0; ref = m.s.header(ref).next {
				h := m.s.header(ref)
				if expired, flushed := m.s.dead(h, h.loadState(), m.now-2); expired || flushed {
					t.Fatalf("%q is still there at %d, it died at %d", h.key(), m.now, h.exptime(h.loadState()))
				}
			}
		}
	}
}

// modelUpkeep returns the steps of background work: they may lose items like
// any eviction, but change none.
func modelUpkeep(m *model) map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"maintain": func(*rapid.T) {
			for range 20 {
				m.s.Maintain()
			}
		},
		"reassign": func(t *rapid.T) {
			top := len(m.s.classes) - 1
			m.s.Reassign(rapid.IntRange(-1, top).Draw(t, "src"), rapid.IntRange(0, top).Draw(t, "dst"))
			m.disturbed = true
		},
		"limit": func(t *rapid.T) {
			// An error is a limit that cannot be had: nothing changes then.
			_ = m.s.SetLimit(int64(rapid.IntRange(600, 3000).Draw(t, "limit")) << 10)
			m.disturbed = true
		},
		"crawl": func(*rapid.T) { m.s.Crawl(AllClasses) },
		"crawler": func(t *rapid.T) {
			m.s.SetCrawler(rapid.IntRange(0, 3).Draw(t, "crawler") > 0)
			m.s.SetCrawlerToCrawl(rapid.SampledFrom([]uint32{0, 0, 7, 100}).Draw(t, "toCrawl"))
		},
	}
}
