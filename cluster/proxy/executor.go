package proxy

import (
	"slices"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/server"
)

// executor carries out the requests of one loop: it makes calls of them, which
// its lanes take to the backends.
type executor struct {
	p    *Proxy
	loop server.Loop
	now  int64 // of this wake-up
	due  int64 // when a lane wants expire; 0 is never

	lanes        []*lane // by backend and lane number
	parked       []*parked
	fences       []*lane // of fences under way
	suspicions   uint64  // of the proxy, that Settle has seen
	tree         *tree   // that Settle has seen last
	chores       int64   // when a backend wants to be looked after; 0 is never
	dirty        []*lane
	small, large []*flight
	blobs        blobPool
	again        []*call
	groups       []*call    // of the multiget being made
	owners       []*lane    // by cell, likewise
	line         []byte     // where replies are rewritten
	told         *answer    // of tell, while it is not in use
	sink         *valueSink // likewise, of BeginValue
	valueLine    []byte     // and VALUE lines
	opaque       uint32
	// reading says that the batch has no write: only then may a request take the
	// other lane, for the requests of a batch must not overtake each other.
	reading bool
	heavy   heavyKeys
	hot     hotKeys

	legs   []*leg // free
	fans   []*fan
	shared map[uint64]*leg // gets that others may join, by the hash of the key
	turn   uint32          // which copy of a hot key is read next
	wall   int64           // Unix time less the loop's, in nanoseconds
}

var _ server.LoopExecutor = (*executor)(nil)

// Bind keeps the loop.
func (x *executor) Bind(l server.Loop) {
	x.loop = l
	x.now = l.Now()
	x.wall = x.p.unixNano() - x.now
}

// Settle sends what the wake-up has collected and looks after time-outs.
func (x *executor) Settle(now int64) int64 {
	x.now = now
	if t := x.p.tree.Load(); t != x.tree {
		x.tree = t
		for _, n := range x.lanes {
			if n != nil && n.epochAt != 0 {
				n.epochAt = now
			}
		}
		x.chores = earlier(x.chores, now)
	}
	if n := x.p.suspicions.Load(); n != x.suspicions {
		x.suspicions = n
		x.chores = earlier(x.chores, now)
	}
	if x.due != 0 && now >= x.due {
		x.expire(now)
	}
	if x.chores != 0 && now >= x.chores {
		x.chore(now)
	}
	x.hot.age(now)
	for i := 0; i < len(x.dirty); i++ {
		x.dirty[i].flush()
	}
	clear(x.dirty)
	x.dirty = x.dirty[:0]
	return earlier(x.due, x.chores)
}

// expire looks at every lane, and when it must be done again.
func (x *executor) expire(now int64) {
	x.due = 0
	for _, n := range x.lanes {
		if n != nil {
			n.expire(now)
			x.by(n.next())
		}
	}
	for _, n := range slices.Clone(x.fences) {
		n.expire(now)
		x.by(n.next())
	}
}

// by has the lanes looked at by time t at the latest; 0 is never.
func (x *executor) by(t int64) { x.due = earlier(x.due, t) }

// Unbind closes the lanes.
func (x *executor) Unbind() {
	for _, n := range slices.Concat(x.lanes, x.fences) {
		if n != nil && n.link != nil {
			n.link.Close()
			n.link = nil
		}
	}
}

// lanesEach is how many lanes an executor has to a backend: one for all, and one
// for long values, which the others must not wait behind.
const lanesEach = 2

// lane is the lane to b.
func (x *executor) lane(b *backend, bulk bool) *lane {
	i := b.id * lanesEach
	if bulk {
		i++
	}
	for len(x.lanes) <= i {
		x.lanes = append(x.lanes, nil)
	}
	n := x.lanes[i]
	if n == nil {
		n = newLane(x, b)
		x.lanes[i] = n
	}
	return n
}

func newLane(x *executor, b *backend) *lane {
	n := &lane{x: x, b: b}
	n.parser.InlineMax = valueInline
	return n
}

// retire ends a lane that was not everybody's.
func (x *executor) retire(n *lane) {
	if n.link != nil {
		n.link.Close()
		n.link = nil
	}
	n.out.Drop()
	if i := slices.Index(x.fences, n); i >= 0 {
		x.fences = slices.Delete(x.fences, i, i+1)
	}
}

// Execute makes calls of the requests of b.
func (x *executor) Execute(s *server.Session, b *protocol.Batch) {
	x.now = x.loop.Now()
	f := x.newFlight(s, len(b.Requests)+len(b.Keys))
	t := x.p.tree.Load()
	x.reading = readsOnly(b)
	x.hot.note(b.Keys)
	for i := range b.Requests {
		x.request(f, t, &b.Requests[i])
	}
	f.depart()
}

// request starts one request.
func (x *executor) request(f *flight, t *tree, r *protocol.Request) {
	switch {
	case r.Op == protocol.OpError:
		f.sayError(r, r.Err)
	case f.clusterReply(t, r):
	case isGet(r.Op):
		x.get(f, t, r)
	case isStore(r.Op):
		if r.BadChunk {
			f.sayError(r, protocol.ErrBadChunk)
			return
		}
		x.single(f, t, r, nil)
	case r.Op >= protocol.OpDelete && r.Op <= protocol.OpTouch, r.Op == protocol.OpMetaGet,
		r.Op == protocol.OpMetaDelete, r.Op == protocol.OpMetaArith, r.Op == protocol.OpMetaDebug:
		x.single(f, t, r, nil)
	case r.Op == protocol.OpMetaNoop:
		f.say(r, protocol.ReplyMetaNoop)
	case r.Op == protocol.OpBinary:
		f.say(r, string(protocol.AppendBinaryUnknown(nil, r.Value)))
		f.close = true
	case r.Op == protocol.OpClose: // the session sees to it
	default:
		x.admin(f, t, r)
	}
}

// sayError answers a request with err.
func (f *flight) sayError(r *protocol.Request, err *protocol.Error) {
	f.say(r, string(protocol.AppendErr(nil, err)))
}

// single starts a request of one key.
func (x *executor) single(f *flight, t *tree, r *protocol.Request, value *blob) {
	n := pick(t.root, r.Key(), r.Op)
	p := n.home(r.Key(), r.Op)
	cell := f.open(r, p)
	q := &f.reqs[len(f.reqs)-1]
	c := f.newCall(r.Op, cell)
	c.write = changes(r)
	c.retry = !c.write
	c.blind = overwrites(r)
	if isMeta(r.Op) {
		q.quiet = r.Meta.Quiet
		if roomForOpaque(r) {
			c.opaque = x.newOpaque()
		}
		c.binary = r.Meta.Binary
		c.owned = r.Meta.Has('O')
		from := len(f.text)
		f.text = append(f.text, r.Meta.Opaque...)
		c.client = f.text[from:]
		if p.getMiss && r.Op == protocol.OpMetaGet {
			from = len(f.text)
			f.text = protocol.AppendEcho(f.text, r)
			q.echo = f.text[from:]
		}
	}
	from := len(f.text)
	f.text = append(f.text, r.Key()...)
	c.key = f.text[from:]
	from = len(f.text)
	f.text = appendHead(f.text, r, c.opaque)
	c.head = f.text[from:]
	if isStore(r.Op) {
		c.hasValue, c.value, c.blob = true, r.Value, value
	}
	c.bulk = value != nil || c.retry && x.reading && x.heavy.has(c.key)
	x.begin(f, t, n, c)
}

// newOpaque is one to know a meta reply by.
func (x *executor) newOpaque() uint32 {
	x.opaque = max(x.opaque+1, 1)
	return x.opaque
}

// get starts a get. The keys of one backend travel in one request.
func (x *executor) get(f *flight, t *tree, r *protocol.Request) {
	first := int16(len(f.cells))
	f.reqs = append(f.reqs, request{op: r.Op, more: r.More, continued: r.Continued, first: first, last: first + int16(len(r.Keys))})
	switch len(r.Keys) {
	case 0: // the end of a get in pieces
	case 1:
		x.getOne(f, t, pick(t.root, r.Keys[0], r.Op), r, r.Keys[0])
	default:
		x.multiget(f, t, r)
	}
}

// getOne starts the get of one key by itself.
func (x *executor) getOne(f *flight, t *tree, n node, r *protocol.Request, key []byte) {
	c := f.newCall(r.Op, f.newCell(nil, n.home(key, r.Op)))
	c.cur, c.retry = c.cell, true
	from := len(f.text)
	f.text = append(appendGetHead(f.text, r), ' ')
	at := len(f.text)
	f.text = append(append(f.text, key...), protocol.CRLF...)
	c.head = f.text[from:]
	c.key = f.text[at : len(f.text)-len(protocol.CRLF)]
	c.bulk = x.reading && x.heavy.has(c.key)
	x.begin(f, t, n, c)
}

// multiget makes one call for each backend that owns some of the keys, and one for
// each key that has a route.
func (x *executor) multiget(f *flight, t *tree, r *protocol.Request) {
	groups := x.groups[:0]
	for _, key := range r.Keys {
		to := pick(t.root, key, r.Op)
		p, plain := to.(*pool)
		if !plain || x.follows(f, t, key) {
			x.getOne(f, t, to, r, key)
			continue
		}
		k := f.newCell(key, p) // the client's bytes, until the call's text is there
		b := p.owner(key)
		if b.health.Journal().Has(key) {
			f.store(k, cellFailed, protocol.StatusServerError, b.lines[hfDown], nil, false, nil)
			continue
		}
		n := x.lane(b, x.reading && x.heavy.has(key))
		c := n.group
		if c == nil {
			c = f.newCall(r.Op, k)
			c.cells = f.cells[:cap(f.cells)]
			c.cur, c.retry = k, true
			n.group = c
			groups = append(groups, c)
			x.owners = append(x.owners, n)
		} else {
			f.cells[c.last].next = k
		}
		c.last = k
	}
	for i, c := range groups {
		n := x.owners[i]
		n.group = nil
		from := len(f.text)
		f.text = appendGetHead(f.text, r)
		for k := c.cur; k != noCell; k = f.cells[k].next {
			f.text = append(f.text, ' ')
			at := len(f.text)
			f.text = append(f.text, f.cells[k].key...)
			f.cells[k].key = f.text[at:]
		}
		f.text = append(f.text, protocol.CRLF...)
		c.head = f.text[from:]
		c.key = f.cells[c.cur].key
		c.deadline = c.start + n.b.timeout
		n.send(c)
	}
	x.owners = x.owners[:0]
	clear(groups)
	x.groups = groups[:0]
}
