package proxy

import (
	"sync"
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/zeebo/xxh3"
)

// nearCache answers gets from memory that all loops share. A value is dropped when
// its key is written, or flush_all asked for, through this proxy; what others write shows after ttl.
type nearCache struct {
	counting
	to       node
	prefixes [][]byte
	ttl      int64 // nanoseconds
	marks    stamps
	shards   [nearShards]nearShard
}

const nearShards = 16

// nearShard is a part of the cache: its values in the order they came, of which the
// oldest leave when there is no room.
type nearShard struct {
	mu    sync.Mutex
	byKey map[string]*nearValue
	order []*nearValue
	size  int
	most  int
}

// nearValue is a value with its VALUE line. It never changes.
type nearValue struct {
	key     string
	text    []byte
	line    int // length of the line
	expires int64
}

// nearOverhead is about what a value takes beside its bytes.
const nearOverhead = 128

func (v *nearValue) size() int { return len(v.key) + len(v.text) + nearOverhead }

func newNearCache(conf *cluster.NearCacheRoute, to node) *nearCache {
	r := &nearCache{to: to, prefixes: texts(conf.Prefixes), ttl: int64(conf.TTL)}
	if r.ttl == 0 {
		r.ttl = int64(cluster.NearTTL)
	}
	size := conf.Size
	if size == 0 {
		size = cluster.NearSize
	}
	for i := range r.shards {
		r.shards[i].byKey = map[string]*nearValue{}
		r.shards[i].most = size / nearShards
	}
	return r
}

func (r *nearCache) home(key []byte, op protocol.Op) *pool { return r.to.home(key, op) }

func (r *nearCache) patience() int64 { return r.to.patience() }

func (r *nearCache) shard(key []byte) *nearShard {
	return &r.shards[xxh3.HashSeed(key, nearShards)%nearShards]
}

func (r *nearCache) start(x *executor, c *call) {
	r.count(countRequests)
	alters := c.write || effectOf(c) == effTouch
	if !begins(c.key, r.prefixes) || c.op != protocol.OpGet && !alters {
		r.to.start(x, c)
		return
	}
	if alters {
		r.marks.of(c.key).Add(1)
		r.shard(c.key).drop(c.key)
	} else {
		if v := r.shard(c.key).get(c.key, x.now); v != nil {
			r.count(nearHit)
			c.give(v.text[:v.line], v.text[v.line:], nil)
			x.tell(c, &answer{status: protocol.StatusEnd})
			return
		}
		r.count(nearMissed)
	}
	l := x.newLeg(r, c)
	l.like(c)
	l.stamp = r.marks.of(c.key).Load()
	l.send(r.to)
}

func (r *nearCache) legHit(l *leg, line, value []byte, b *blob) {
	if l.op != protocol.OpGet {
		l.pass(line, value, b)
		return
	}
	if b != nil {
		value = b.mem[:len(b.mem)-len(protocol.CRLF)]
	}
	s := r.shard(l.key)
	if v := len(l.key) + len(line) + len(value) + nearOverhead; v <= s.most/4 {
		s.put(&nearValue{
			key: string(l.key), text: append(append(make([]byte, 0, len(line)+len(value)), line...), value...),
			line: len(line), expires: l.x.now + r.ttl,
		}, l.stamp, r.marks.of(l.key))
	}
	l.pass(line, value, b)
}

func (r *nearCache) legDone(l *leg, a *answer) {
	if l.op != protocol.OpGet {
		r.marks.of(l.key).Add(1)
		r.shard(l.key).drop(l.key)
	}
	l.finish(a)
}

// forget empties the cache.
func (r *nearCache) forget() {
	r.marks.all()
	for i := range r.shards {
		r.shards[i].clear()
	}
}

func (s *nearShard) get(key []byte, now int64) *nearValue {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.byKey[string(key)]
	if v == nil || v.expires <= now {
		return nil
	}
	return v
}

// put keeps v, unless its key has been written since it was asked for.
func (s *nearShard) put(v *nearValue, stamp uint32, mark *atomic.Uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if mark.Load() != stamp {
		return
	}
	if old := s.byKey[v.key]; old != nil {
		s.size -= old.size()
	}
	s.byKey[v.key] = v
	s.order = append(s.order, v)
	s.size += v.size()
	// The order also has values that are no longer kept: they must not pile up.
	for s.size > s.most || len(s.order) > 2*len(s.byKey)+nearShards {
		first := s.order[0]
		s.order[0] = nil
		s.order = s.order[1:]
		if s.byKey[first.key] == first {
			s.remove(first)
		}
	}
}

// drop forgets key.
func (s *nearShard) drop(key []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.byKey[string(key)]; v != nil {
		s.remove(v)
	}
}

func (s *nearShard) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.byKey)
	s.order, s.size = nil, 0
}

func (s *nearShard) remove(v *nearValue) {
	delete(s.byKey, v.key)
	s.size -= v.size()
}
