package health

import (
	"iter"
	"sync"
	"sync/atomic"
)

// entryOverhead is what an entry of the journal takes besides its key: the node,
// the string's allocation and its place in the map, rounded up.
const entryOverhead = 112

// ackEvery is how exactly the time of the last acknowledged write is known:
// storing it for each write would have the loops fight for a cache line.
const ackEvery = 100 * millisecond

// A Journal holds the keys of one backend whose last write was not acknowledged:
// it was refused because the backend was down, it timed out, or the connection
// ended. Whether it took place is not known, so the key is deleted before the
// backend is read again. It may be used by many goroutines.
//
//	oldest                       newest
//	  e1 ── e2 ── e3 ── e4 ── e5 ◀─ Add: a key that is there moves to the end
//	  └ handed out ┘ └ next: Next
//	  └ Done takes out what has not moved since Next
//
// A key is there once. If there are more than the journal has room for it drops
// all of them and says FlushNeeded: a part of them is worth nothing.
type Journal struct {
	keysMax  int
	bytesMax int64

	pending atomic.Int32
	mayLack atomic.Bool // as mu.lost
	acked   atomic.Int64

	mu struct {
		sync.Mutex
		index map[string]int32 // key to node
		nodes []node           // nodes[0] is both ends of the list
		free  int32            // first of the nodes not in use, by next
		next  int32            // what Next hands out; 0 is none
		seq   uint64
		bytes int64

		spool Spool    // nil: it is in memory alone
		heir  *Journal // nil, or what has taken its place

		since    int64 // see JournalState
		lost     bool
		lostAt   int64
		flushing bool
		flushSeq uint64 // what came later outlives the flush
		flushAt  int64
	}
}

// node is an entry in the list from oldest to newest.
type node struct {
	Entry
	at         int64
	prev, next int32
}

// An Entry is a key to be deleted.
type Entry struct {
	Key    string // as it is, not in base64
	Binary bool   // the key must be sent in base64, with the meta flag b
	seq    uint64
}

// JournalState is what a journal knows.
type JournalState struct {
	// Since is the time from which on no unacknowledged write is missing that was
	// not replayed, but for those that Lost tells of.
	Since int64
	// Acked is the time of the last acknowledged write, to within a tenth of a
	// second; the least int64 if there was none.
	Acked int64
	// Keys and Bytes are what is in it.
	Keys  int
	Bytes int64
	// Lost says that keys are missing, and LostAt when the last one was lost.
	Lost   bool
	LostAt int64
}

// NewJournal returns an empty journal that is complete from now on, and holds
// up to keysMax keys (1 or more) and about bytesMax bytes.
func NewJournal(now int64, keysMax int, bytesMax int64) *Journal {
	j := &Journal{keysMax: max(keysMax, 1), bytesMax: bytesMax}
	j.mu.since = now
	j.acked.Store(never)
	j.clear()
	return j
}

// A Spool keeps what a Journal holds beyond the life of the process. It is called with
// the journal locked, so one call at a time, and must not call it. It reports no error: a
// spool that could not keep something has to say, when it is read, that keys are missing.
type Spool interface {
	// Add says that key is in the journal. A crash of the process at any time after it
	// has returned finds it. It may be told of a key twice.
	Add(key string, binary bool)
	// Rewrite says what the journal holds: these keys, and if lost that others are
	// missing. All that Add has said before is void, once the call has returned.
	Rewrite(lost bool, keys iter.Seq2[string, bool])
	// Full says that it is time for a Rewrite.
	Full() bool
}

// Attach has the journal kept by s from now on, what is in it included; nil is nobody.
func (j *Journal) Attach(s Spool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.spool = s
	j.rewrite()
}

// rewrite tells the spool all there is. Caller holds j.mu.
func (j *Journal) rewrite() {
	if s := j.mu.spool; s != nil {
		s.Rewrite(j.mu.lost, j.keys)
	}
}

// keys yields what is in the journal, oldest first. Caller holds j.mu.
func (j *Journal) keys(yield func(key string, binary bool) bool) {
	nodes := j.mu.nodes
	for i := nodes[0].next; i != 0 && yield(nodes[i].Key, nodes[i].Binary); i = nodes[i].next {
	}
}

// dropped tells the spool of keys that are gone, when there are none left or it wants
// to hear all anew: one that is deleted twice does no harm. Caller holds j.mu.
func (j *Journal) dropped() {
	if s := j.mu.spool; s != nil && (len(j.mu.index) == 0 || s.Full()) {
		j.rewrite()
	}
}

// Take has j hold what from holds, and what is added to from later: it takes its place.
// The spool of from, if there is one, is told nothing any more and can be attached to j.
func (j *Journal) Take(now int64, from *Journal) {
	from.mu.Lock()
	entries, lost := make([]Entry, 0, len(from.mu.index)), from.mu.lost
	for i := from.mu.nodes[0].next; i != 0; i = from.mu.nodes[i].next {
		entries = append(entries, from.mu.nodes[i].Entry)
	}
	from.mu.spool, from.mu.heir = nil, j
	from.mu.Unlock()
	if lost {
		j.Lose(now)
	}
	for _, e := range entries {
		j.Add(now, []byte(e.Key), e.Binary)
	}
}

// clear drops all keys. Caller holds j.mu.
func (j *Journal) clear() {
	j.mu.index, j.mu.nodes = map[string]int32{}, make([]node, 1)
	j.mu.free, j.mu.next, j.mu.bytes = 0, 0, 0
	j.pending.Store(0)
}

// Acked says that the backend has acknowledged a write.
func (j *Journal) Acked(now int64) {
	if at := j.acked.Load(); at == never || now-at >= ackEvery {
		j.acked.Store(now)
	}
}

// Pending returns how many keys wait to be deleted. It does not lock.
func (j *Journal) Pending() int { return int(j.pending.Load()) }

// Add notes a write to key that was not acknowledged. binary says that key was
// sent in base64; key is what that stands for. It keeps no part of key.
func (j *Journal) Add(now int64, key []byte, binary bool) {
	j.mu.Lock()
	m := &j.mu
	if h := m.heir; h != nil {
		j.mu.Unlock()
		h.Add(now, key, binary)
		return
	}
	defer j.mu.Unlock()
	m.seq++
	if m.lost && !m.flushing {
		m.lostAt = now
		return
	}
	i, known := m.index[string(key)]
	if known {
		j.unlink(i)
	} else {
		cost := int64(len(key)) + entryOverhead
		if len(m.index) >= j.keysMax || m.bytes+cost > j.bytesMax {
			j.lose(now)
			return
		}
		if i = m.free; i != 0 {
			m.free = m.nodes[i].next
		} else {
			i = int32(len(m.nodes))
			m.nodes = append(m.nodes, node{})
		}
		m.nodes[i] = node{Entry: Entry{Key: string(key)}}
		m.index[m.nodes[i].Key] = i
		m.bytes += cost
		j.pending.Store(int32(len(m.index)))
	}
	n := &m.nodes[i]
	told := known && (n.Binary || !binary)
	n.Binary = n.Binary || binary
	n.seq, n.at = m.seq, now
	j.append(i)
	if m.spool == nil {
		return
	}
	if !told {
		m.spool.Add(n.Key, n.Binary)
	}
	if m.spool.Full() {
		j.rewrite()
	}
}

// append puts node i at the end of the list. Caller holds j.mu.
func (j *Journal) append(i int32) {
	nodes := j.mu.nodes
	last := nodes[0].prev
	nodes[i].prev, nodes[i].next = last, 0
	nodes[last].next, nodes[0].prev = i, i
	if j.mu.next == 0 {
		j.mu.next = i
	}
}

// unlink takes node i out of the list. Caller holds j.mu.
func (j *Journal) unlink(i int32) {
	nodes := j.mu.nodes
	n := &nodes[i]
	if j.mu.next == i {
		j.mu.next = n.next
	}
	nodes[n.prev].next = n.next
	nodes[n.next].prev = n.prev
}

// drop takes node i out of the journal. Caller holds j.mu.
func (j *Journal) drop(i int32) {
	m := &j.mu
	j.unlink(i)
	m.bytes -= int64(len(m.nodes[i].Key)) + entryOverhead
	delete(m.index, m.nodes[i].Key)
	m.nodes[i] = node{next: m.free}
	m.free = i
	j.pending.Store(int32(len(m.index)))
	if len(m.index) == 0 && len(m.nodes) > nodesKeep {
		j.clear()
	}
}

// nodesKeep is how many nodes an empty journal keeps memory for.
const nodesKeep = 1 << 10

// lose drops all keys: the journal is not complete. Caller holds j.mu.
func (j *Journal) lose(now int64) {
	j.clear()
	j.mu.lost, j.mu.lostAt = true, now
	j.mayLack.Store(true)
	j.mu.flushing = false // it may come before what is lost now
	j.rewrite()
}

// Lose says that keys are missing: a spool that was not found, for example.
func (j *Journal) Lose(now int64) {
	j.mu.Lock()
	if h := j.mu.heir; h != nil {
		j.mu.Unlock()
		h.Lose(now)
		return
	}
	defer j.mu.Unlock()
	j.lose(now)
}

// FlushNeeded says that keys are missing, so that only a flush of the backend
// helps.
func (j *Journal) FlushNeeded() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.mu.lost
}

// Next appends up to n keys to dst that are to be deleted, oldest first, and
// returns it; nothing more if all have been handed out. What it returned
// before it does not return again, until Rewind. Report with Done those whose
// deletes were answered.
func (j *Journal) Next(dst []Entry, n int) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	for ; n > 0 && j.mu.next != 0; n-- {
		i := j.mu.next
		dst = append(dst, j.mu.nodes[i].Entry)
		j.mu.next = j.mu.nodes[i].next
	}
	return dst
}

// Has says whether key is in the journal, or keys are missing of which it may be
// one: until it is deleted what the backend has of it cannot be trusted.
func (j *Journal) Has(key []byte) bool {
	if j.Pending() == 0 && !j.mayLack.Load() {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, known := j.mu.index[string(key)]
	return known || j.mu.lost
}

// Rewind has Next hand out everything again that is not done: a replay broke off.
func (j *Journal) Rewind() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.next = j.mu.nodes[0].next
}

// Done says that the backend has answered the deletes of these keys, whether it
// had them or not. A key that was added again since Next returned it stays.
func (j *Journal) Done(now int64, entries []Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for k := range entries {
		if i, ok := j.mu.index[entries[k].Key]; ok && j.mu.nodes[i].seq == entries[k].seq {
			j.drop(i)
		}
	}
	if len(entries) > 0 {
		j.Acked(now) // deletes are writes: a snapshot from before has them not
		j.dropped()
	}
}

// Forget drops what was added before a time: whatever became of those writes,
// there is nothing left of them. It is complete from then on at the earliest.
func (j *Journal) Forget(before int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.forget(func(n *node) bool { return n.at < before })
	j.mu.since = max(j.mu.since, before)
	if j.mu.lost && j.mu.lostAt < before {
		j.mu.lost = false
		j.mayLack.Store(false)
		j.rewrite()
		return
	}
	j.dropped()
}

// forget drops the oldest entries as long as old says so. Caller holds j.mu.
func (j *Journal) forget(old func(*node) bool) {
	for i := j.mu.nodes[0].next; i != 0 && old(&j.mu.nodes[i]); i = j.mu.nodes[0].next {
		j.drop(i)
	}
}

// BeginFlush says that a flush of the backend is about to be sent. What is added
// from now on is kept, also if keys are missing.
func (j *Journal) BeginFlush(now int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.flushing, j.mu.flushSeq, j.mu.flushAt = true, j.mu.seq, now
}

// EndFlush says whether the backend has acknowledged the flush. If so everything
// that was added or lost before BeginFlush is forgotten.
func (j *Journal) EndFlush(now int64, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	m := &j.mu
	if !m.flushing {
		return // and lost since
	}
	m.flushing = false
	switch {
	case ok:
		j.forget(func(n *node) bool { return n.seq <= m.flushSeq })
		m.lost, m.since = false, m.flushAt
		j.mayLack.Store(false)
		j.rewrite()
	case m.lost:
		j.lose(now) // what was added meanwhile
	}
}

// State returns what the journal knows.
func (j *Journal) State() JournalState {
	j.mu.Lock()
	defer j.mu.Unlock()
	m := &j.mu
	return JournalState{
		Since: m.since, Acked: j.acked.Load(), Keys: len(m.index), Bytes: m.bytes,
		Lost: m.lost, LostAt: m.lostAt,
	}
}
