package server

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/slab"
)

// fetchStatus says how the look-up of a fetch line ended.
type fetchStatus uint8

// The statuses of a fetch line.
const (
	fetchMiss fetchStatus = iota
	fetchHit
	fetchExpired
	fetchFlushed
)

// fetchStatusWords are the statuses as they stand in a line.
var fetchStatusWords = [...]string{
	fetchMiss:    "not_found",
	fetchHit:     "found",
	fetchExpired: "expired",
	fetchFlushed: "flushed",
}

// deadLookups is how many dead items a worker had met before a look-up.
type deadLookups struct{ expired, flushed uint64 }

// deadLookupsOf is called before a look-up. The caller holds w's lock.
func deadLookupsOf(w *slab.Worker) (d deadLookups) {
	d.expired, d.flushed = w.DeadLookups()
	return d
}

// missed says why the look-up after it found nothing. The caller still holds
// w's lock.
func (d deadLookups) missed(w *slab.Worker) fetchStatus {
	switch now := deadLookupsOf(w); {
	case now.expired > d.expired:
		return fetchExpired
	case now.flushed > d.flushed:
		return fetchFlushed
	default:
		return fetchMiss
	}
}

// storeStatusWord is a storage result as it stands in a line.
func storeStatusWord(r slab.Result) string {
	switch r {
	case slab.Stored:
		return "stored"
	case slab.Exists:
		return "exists"
	case slab.NotFound:
		return "not_found"
	case slab.TooLarge:
		return "too_large"
	case slab.NoMemory:
		return "no_memory"
	default:
		return "not_stored"
	}
}

// storeCommandWord is a storage command as it stands in a line.
func storeCommandWord(op protocol.Op) string {
	switch op {
	case protocol.OpAdd:
		return "add"
	case protocol.OpReplace:
		return "replace"
	case protocol.OpAppend:
		return "append"
	case protocol.OpPrepend:
		return "prepend"
	case protocol.OpCas:
		return "cas"
	default:
		return "set"
	}
}

// The lines themselves. Each begins with its time, with microseconds padded to
// six digits, and a number that is one higher than that of the line before;
// each ends in a bare line feed.

// beginLocked starts a line of the given type. The caller holds mu.
func (h *logHub) beginLocked(kind string) []byte {
	now := time.Now()
	if h.mu.now != nil {
		now = h.mu.now()
	}
	h.mu.gid++
	b := append(h.mu.scratch[:0], "ts="...)
	b = strconv.AppendInt(b, now.Unix(), 10)
	b = append(b, '.')
	usec := now.Nanosecond() / 1000
	for unit := 100000; unit > 0; unit /= 10 {
		b = append(b, byte('0'+usec/unit%10))
	}
	b = protocol.AppendUint(append(b, " gid="...), h.mu.gid)
	return append(append(b, " type="...), kind...)
}

// appendItem appends what the lines about items end in.
func appendItem(b []byte, class uint8, cfd, size int) []byte {
	b = protocol.AppendUint(append(b, " clsid="...), uint64(class))
	b = protocol.AppendInt(append(b, " cfd="...), int64(cfd))
	return append(strconv.AppendInt(append(b, " size="...), int64(size), 10), '\n')
}

// fetch tells of a look-up of key. size is the length of the value in bytes.
func (h *logHub) fetch(s *Session, key []byte, status fetchStatus, class uint8, size int) {
	if !h.wants(watchFetchers) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b := appendURI(append(h.beginLocked("item_get"), " key="...), key)
	b = append(append(b, " status="...), fetchStatusWords[status]...)
	h.emitLocked(watchFetchers, appendItem(b, class, s.FD, size))
}

// store tells of a storage command op (OpSet … OpCas) on key; exptime is in
// seconds of the store's clock. What has already expired is shown as ttl=-1.
func (h *logHub) store(s *Session, key []byte, op protocol.Op, r slab.Result, exptime uint32, class uint8, size int) {
	if !h.wants(watchMutations) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b := appendURI(append(h.beginLocked("item_store"), " key="...), key)
	b = append(append(b, " status="...), storeStatusWord(r)...)
	b = append(append(b, " cmd="...), storeCommandWord(op)...)
	ttl := int64(exptime)
	if exptime != 0 {
		ttl = max(ttl-int64(h.storeNow()), -1)
	}
	b = strconv.AppendInt(append(b, " ttl="...), ttl, 10)
	h.emitLocked(watchMutations, appendItem(b, class, s.FD, size))
}

// deleted tells of a deletion by op (OpDelete or OpMetaDelete).
func (h *logHub) deleted(_ *Session, key []byte, op protocol.Op, class uint8, size int) {
	if !h.wants(watchDeletions) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b := appendURI(append(h.beginLocked("deleted"), " key="...), key)
	if op == protocol.OpMetaDelete {
		b = append(b, " cmd=md"...)
	} else {
		b = append(b, " cmd=delete"...)
	}
	b = protocol.AppendUint(append(b, " clsid="...), uint64(class))
	b = append(strconv.AppendInt(append(b, " size="...), int64(size), 10), '\n')
	h.emitLocked(watchDeletions, b)
}

// appendPeer appends the address of a connection.
func appendPeer(b []byte, remote netip.AddrPort) []byte {
	if !remote.IsValid() {
		return append(b, " rip=unix rport=0 transport=local"...)
	}
	b = append(b, " rip="...)
	b = remote.Addr().Unmap().AppendTo(b)
	b = protocol.AppendUint(append(b, " rport="...), uint64(remote.Port()))
	return append(b, " transport=tcp"...)
}

// closeReasonWords are the reasons as they stand in a line.
var closeReasonWords = [...]string{
	CloseError:    "error",
	CloseNormal:   "normal",
	CloseIdle:     "idle_timeout",
	CloseShutdown: "shutdown",
	CloseStalled:  "stalled",
}

// stored tells of what the store does on its own. It is the store's observer:
// locks of the store are held.
func (h *logHub) stored(e *slab.Event) {
	stream := watchSysEvents
	if e.Kind == slab.EventEviction {
		stream = watchEvictions
	}
	if !h.wants(stream) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var b []byte
	switch e.Kind {
	case slab.EventEviction:
		b = h.evictionLocked(e)
	case slab.EventCrawl:
		b = h.crawlLocked(e)
	case slab.EventPageMove:
		b = protocol.AppendUint(append(h.beginLocked("slab_move"), " src="...), uint64(e.Class))
		b = protocol.AppendUint(append(b, " dst="...), uint64(e.Dst))
		if e.Done {
			b = append(b, " state=done\n"...)
		} else {
			b = append(b, " state=ok\n"...)
		}
	default:
		return
	}
	h.emitLocked(stream, b)
}

// evictionLocked is the line of an item pushed out. The caller holds mu.
func (h *logHub) evictionLocked(e *slab.Event) []byte {
	b := appendURI(append(h.beginLocked("eviction"), " key="...), e.Key)
	b = append(append(b, " fetch="...), yesNo(e.Fetched)...)
	b = strconv.AppendInt(append(b, " ttl="...), e.TTL, 10)
	b = protocol.AppendUint(append(b, " la="...), uint64(e.Idle))
	b = protocol.AppendUint(append(b, " clsid="...), uint64(e.Class))
	return append(strconv.AppendInt(append(b, " size="...), int64(e.Size), 10), '\n')
}

// crawlLocked is the line of a list that was crawled. The caller holds mu.
func (h *logHub) crawlLocked(e *slab.Event) []byte {
	b := protocol.AppendUint(append(h.beginLocked("lru_crawler"), " crawler="...), uint64(e.Class))
	b = append(append(b, " lru="...), e.List.String()...)
	b = protocol.AppendUint(append(b, " low_mark="...), e.LowMark)
	b = protocol.AppendUint(append(b, " next_reclaims="...), e.Ready)
	b = protocol.AppendUint(append(b, " since_run="...), uint64(e.Since))
	b = protocol.AppendUint(append(b, " next_run="...), uint64(e.NextRun))
	b = protocol.AppendUint(append(b, " elapsed="...), uint64(e.Run.End-e.Run.Start))
	b = protocol.AppendUint(append(b, " examined="...), e.Run.Seen)
	return append(protocol.AppendUint(append(b, " reclaimed="...), e.Run.Reclaimed), '\n')
}

// ConnOpened tells the watchers of a new connection.
func (n *Node) ConnOpened(s *Session) {
	h := &n.watch
	if !h.wants(watchConnEvents) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b := appendPeer(h.beginLocked("conn_new"), s.Remote)
	h.emitLocked(watchConnEvents, append(protocol.AppendInt(append(b, " cfd="...), int64(s.FD)), '\n'))
}

// ConnClosed tells the watchers of a connection that has ended.
func (n *Node) ConnClosed(s *Session, reason CloseReason) {
	h := &n.watch
	if !h.wants(watchConnEvents) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b := appendPeer(h.beginLocked("conn_close"), s.Remote)
	b = append(append(b, " reason="...), closeReasonWords[reason]...)
	h.emitLocked(watchConnEvents, append(protocol.AppendInt(append(b, " cfd="...), int64(s.FD)), '\n'))
}

// appendURI appends key with every byte escaped that is not a letter, a digit
// or one of - . _ ~.
func appendURI(b, key []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range key {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z',
			c == '-', c == '.', c == '_', c == '~':
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}
