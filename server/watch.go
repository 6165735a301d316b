package server

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cache/holdfast/protocol"
)

// Bounds of the log streams.
const (
	watchersMax = 20
	// watcherLogbufMin is the smallest buffer of a watcher, in bytes: some of
	// the longest lines (a key of 250 bytes, all escaped) must fit.
	watcherLogbufMin = 4096
	// produceMax is about how many bytes a Producer gives at a time.
	produceMax = 64 << 10
)

// watchStream is a bit for each stream that a watcher may ask for.
type watchStream uint32

// The streams. Some never emit a line here; they are accepted because clients
// ask for them.
const (
	watchRawCmds watchStream = 1 << iota
	watchEvictions
	watchFetchers
	watchMutations
	watchSysEvents
	watchConnEvents
	watchProxyReqs
	watchProxyEvents
	watchProxyUser
	watchDeletions
)

// watchStreams are the words of the watch command.
var watchStreams = map[string]watchStream{
	"rawcmds":     watchRawCmds,
	"evictions":   watchEvictions,
	"fetchers":    watchFetchers,
	"mutations":   watchMutations,
	"sysevents":   watchSysEvents,
	"connevents":  watchConnEvents,
	"proxyreqs":   watchProxyReqs,
	"proxyevents": watchProxyEvents,
	"proxyuser":   watchProxyUser,
	"deletions":   watchDeletions,
}

// logHub passes log lines on to the watchers. While nobody watches, an event
// costs one atomic load. A line is written once, under mu, into the bounded
// buffer of each watcher that wants it; a watcher whose buffer is full misses
// the line and is told how many it missed.
//
// mu is a leaf: events come in with locks of the store held, and nothing but
// Session.Wake is called under it.
type logHub struct {
	mask atomic.Uint32 // the streams of all watchers together

	storeNow func() uint32 // the store's clock, in seconds

	// Counted for the statistics: lines made, lines that reached a watcher's
	// buffer, lines that found it full.
	written, sent, skipped atomic.Uint64

	mu struct {
		sync.Mutex
		watchers []*watcher
		gid      uint64 // of the last line
		scratch  []byte
		now      func() time.Time // nil is time.Now; replaced in tests
	}
}

// on says whether anybody watches anything: one atomic load.
func (h *logHub) on() bool { return h.mask.Load() != 0 }

// wants says whether anybody watches stream.
func (h *logHub) wants(stream watchStream) bool {
	return watchStream(h.mask.Load())&stream != 0
}

// add makes s a watcher of streams, with a buffer of size bytes. It returns nil
// if there are too many watchers.
func (h *logHub) add(s *Session, streams watchStream, size int) *watcher {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.mu.watchers) >= watchersMax {
		return nil
	}
	w := &watcher{hub: h, s: s, streams: streams, ring: ring{data: make([]byte, max(size, watcherLogbufMin))}}
	h.mu.watchers = append(h.mu.watchers, w)
	h.setMaskLocked()
	return w
}

// remove forgets w.
func (h *logHub) remove(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, o := range h.mu.watchers {
		if o == w {
			h.mu.watchers = append(h.mu.watchers[:i], h.mu.watchers[i+1:]...)
			break
		}
	}
	h.setMaskLocked()
}

// setMaskLocked makes mask what the watchers want. The caller holds mu.
func (h *logHub) setMaskLocked() {
	var m watchStream
	for _, w := range h.mu.watchers {
		m |= w.streams
	}
	h.mask.Store(uint32(m))
}

// count is how many watchers there are.
func (h *logHub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.mu.watchers)
}

// resetCounts zeroes what is counted for the statistics.
func (h *logHub) resetCounts() {
	h.written.Store(0)
	h.sent.Store(0)
	h.skipped.Store(0)
}

// emitLocked gives line to every watcher of stream. The caller holds mu.
func (h *logHub) emitLocked(stream watchStream, line []byte) {
	h.mu.scratch = line[:0]
	h.written.Add(1)
	for _, w := range h.mu.watchers {
		if w.streams&stream != 0 {
			w.putLocked(line)
		}
	}
}

// watcher is the Producer of one watch command. It never ends by itself.
type watcher struct {
	hub     *logHub
	s       *Session
	streams watchStream

	// Guarded by hub.mu.
	ring    ring
	missed  uint64 // lines since the last one that fitted
	waiting bool   // Produce has found nothing and wants a Wake
}

// putLocked queues line, or counts it as missed. The caller holds hub.mu.
func (w *watcher) putLocked(line []byte) {
	need := len(line)
	var note [40]byte
	var told []byte
	if w.missed > 0 {
		told = append(note[:0], "skipped="...)
		told = append(protocol.AppendUint(told, w.missed), '\n')
		need += len(told)
	}
	if need > w.ring.free() {
		w.missed++
		w.hub.skipped.Add(1)
		return
	}
	w.ring.put(told)
	w.ring.put(line)
	w.missed = 0
	w.hub.sent.Add(1)
	if w.waiting {
		w.waiting = false
		w.s.Wake()
	}
}

// Produce hands the queued lines over.
func (w *watcher) Produce(s *Session) Progress {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	s.Out.Buf = w.ring.take(s.Out.Buf, produceMax)
	if w.ring.n > 0 {
		return ProducerMore
	}
	w.waiting = true
	return ProducerWait
}

// EndsWithInput says that a client that has ended its side gets no more lines:
// there would be no other end to them.
func (w *watcher) EndsWithInput() bool { return true }

// Abort ends the watching: the client has gone.
func (w *watcher) Abort() { w.hub.remove(w) }

// ring is a queue of bytes in a fixed buffer.
type ring struct {
	data []byte
	head int // where the oldest byte is
	n    int // how many bytes are queued
}

// free is how many bytes fit.
func (r *ring) free() int { return len(r.data) - r.n }

// put queues b, which must fit.
func (r *ring) put(b []byte) {
	at := (r.head + r.n) % len(r.data)
	k := copy(r.data[at:], b)
	copy(r.data, b[k:])
	r.n += len(b)
}

// take moves up to limit bytes from the queue to the end of dst.
func (r *ring) take(dst []byte, limit int) []byte {
	n := min(r.n, limit)
	first := min(n, len(r.data)-r.head)
	dst = append(dst, r.data[r.head:r.head+first]...)
	dst = append(dst, r.data[:n-first]...)
	r.head = (r.head + n) % len(r.data)
	r.n -= n
	return dst
}
