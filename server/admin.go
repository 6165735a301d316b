package server

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/slab"
)

// Bounds of the administrative commands.
const (
	verbosityMax    = 2
	memLimitMinMB   = 8
	memLimitMaxMB   = 1_000_000_000
	classIDMax      = 63
	crawlSleepMaxUs = 1_000_000
)

// adminState is what the administrative commands keep in the Node.
type adminState struct {
	auth      *authGate // nil: no password is asked
	verbosity atomic.Int32
	dumping   atomic.Bool   // a key dump runs; there is one at a time
	oldest    atomic.Uint32 // up to when the last flush_all reached, store time

	mu struct {
		sync.Mutex
		// connBase is what the host had counted when stats were reset last.
		connBase ConnStats
	}
}

// initAdmin prepares adminState. Passwords that cannot be read let nobody in.
func (n *Node) initAdmin() {
	n.admins.verbosity.Store(int32(n.cfg.Verbosity))
	n.watch.storeNow = n.store.Now
	n.store.SetObserver(func(e slab.Event) { n.watch.stored(&e) })
	if n.cfg.AuthFile != "" {
		n.admins.auth = newAuthGate(n.cfg.AuthFile)
		if err := n.admins.auth.load(); err != nil {
			n.log.Error().Err(err).Msg("nobody can log in")
		}
	}
}

// ReloadAuth reads the file of passwords again. If that fails it says why and
// the passwords stay as they were. Without such a file it does nothing.
func (n *Node) ReloadAuth() error {
	if n.admins.auth == nil {
		return nil
	}
	return n.admins.auth.load()
}

// admin carries out every op from OpFlushAll on. No worker lock is held.
func (x *executor) admin(s *Session, r *protocol.Request) {
	switch r.Op {
	case protocol.OpFlushAll:
		reply(s, r, x.flushAll(r.Args))
	case protocol.OpVersion:
		s.Out.Buf = protocol.AppendVersion(s.Out.Buf, x.node.cfg.Version)
	case protocol.OpVerbosity:
		reply(s, r, x.node.verbosity(r.Args))
	case protocol.OpQuit:
		s.Close()
	case protocol.OpShutdown:
		x.shutdown(s, r)
	case protocol.OpCacheMemlimit:
		reply(s, r, x.node.cacheMemlimit(r.Args))
	case protocol.OpSlabs:
		reply(s, r, x.node.slabs(r.Args))
	case protocol.OpLRU:
		reply(s, r, x.node.lru(r.Args))
	case protocol.OpLRUCrawler:
		x.lruCrawler(s, r)
	case protocol.OpSnapshot:
		x.snapshot(s, r)
	case protocol.OpConfig:
		if !r.AsksCluster() || !x.clusterReply(s, r) {
			replyError(s, r, protocol.ErrUnknown)
		}
	case protocol.OpStats:
		x.stats(s, r)
	case protocol.OpWatch:
		x.watch(s, r)
	default:
		replyError(s, r, protocol.ErrUnknown)
	}
}

// The replies that several commands share.
const (
	replyOK        = protocol.ReplyOK
	replyUnknown   = protocol.ReplyError
	replyBadFormat = "CLIENT_ERROR bad command line format\r\n"
)

// flushAll makes all items invalid, now or at a later time, and returns the reply.
func (x *executor) flushAll(args [][]byte) string {
	x.w.Lock()
	x.c.cmdFlush++
	x.w.Unlock()
	n := x.node
	if n.cfg.DisableFlushAll {
		return "CLIENT_ERROR flush_all not allowed\r\n"
	}
	at := int64(0)
	if len(args) > 0 {
		var ok bool
		if at, ok = parseInt32(args[0]); !ok {
			return protocol.ErrBadExptime.Text + protocol.CRLF
		}
	}
	now := n.store.Now()
	switch {
	case at <= 0:
		n.admins.oldest.Store(now)
		n.store.FlushAll(0)
	case at > exptimeRelativeMax && at <= n.clock.unix(now):
		// A time that has passed is now; one before the start says nothing.
		if n.clock.storeTime(at, now) > storeExpired {
			n.admins.oldest.Store(now)
			n.store.FlushAll(0)
		}
	default:
		then := n.clock.storeTime(at, now)
		n.admins.oldest.Store(then - 1)
		n.store.FlushAll(then)
	}
	return replyOK
}

// verbosity sets how much is logged and returns the reply.
func (n *Node) verbosity(args [][]byte) string {
	if len(args) == 0 {
		return replyBadFormat
	}
	level, ok := parseUint32(args[0])
	if !ok {
		return replyBadFormat
	}
	level = min(level, verbosityMax)
	n.admins.verbosity.Store(int32(level))
	if n.host != nil {
		n.host.SetVerbosity(int(level))
	}
	return replyOK
}

// shutdown ends the server if that is allowed. A success has no reply.
func (x *executor) shutdown(s *Session, r *protocol.Request) {
	graceful := len(r.Args) == 1 && string(r.Args[0]) == "graceful"
	switch {
	case !x.node.cfg.EnableShutdown:
		reply(s, r, "SERVER_ERROR: shutdown not enabled\r\n")
	case len(r.Args) > 0 && !graceful:
		reply(s, r, "CLIENT_ERROR invalid shutdown mode\r\n")
	default:
		s.Close()
		x.node.host.RequestShutdown(graceful)
	}
}

// cacheMemlimit changes the memory limit and returns the reply.
func (n *Node) cacheMemlimit(args [][]byte) string {
	if len(args) == 0 {
		return replyUnknown
	}
	mb, ok := parseUint32(args[0])
	switch {
	case !ok:
		return replyUnknown
	case mb < memLimitMinMB:
		return "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"
	case mb > memLimitMaxMB:
		return "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n"
	}
	if err := n.store.SetLimit(int64(mb) << 20); err != nil {
		n.log.Warn().Err(err).Uint32("mb", mb).Msg("memory limit not changed")
		return "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n"
	}
	n.log.Info().Uint32("mb", mb).Msg("memory limit changed")
	return replyOK
}

// abbreviates says whether word is the beginning of full: memcached takes the
// words after a command shortened at will, and of several that fit the first.
func abbreviates(word []byte, full string) bool { return strings.HasPrefix(full, string(word)) }

// slabs carries out the words after slabs and returns the reply.
func (n *Node) slabs(args [][]byte) string {
	switch {
	case len(args) == 3 && abbreviates(args[0], "reassign"):
		return n.reassign(args[1], args[2])
	case len(args) >= 2 && abbreviates(args[0], "automove"):
		return n.automove(args[1:])
	default:
		return replyUnknown
	}
}

// reassign moves a page from class src, -1 for any, to class dst.
func (n *Node) reassign(src, dst []byte) string {
	if !n.store.Config().SlabReassign {
		return "CLIENT_ERROR slab reassignment disabled\r\n"
	}
	from, ok := parseInt32(src)
	to, ok2 := parseInt32(dst)
	if !ok || !ok2 {
		return replyBadFormat
	}
	switch n.store.Reassign(int(from), int(to)) {
	case slab.ReassignOK:
		return replyOK
	case slab.ReassignBusy:
		return "BUSY currently processing reassign request\r\n"
	case slab.ReassignNoSpare:
		return "NOSPARE source class has no spare pages\r\n"
	case slab.ReassignSame:
		return "SAME src and dst class are identical\r\n"
	case slab.ReassignDisabled:
		return "CLIENT_ERROR slab reassignment disabled\r\n"
	default:
		return "BADCLASS invalid src or dst class id\r\n"
	}
}

// automove carries out the words after slabs automove.
func (n *Node) automove(args [][]byte) string {
	var value []byte
	if len(args) > 1 {
		value = args[1]
	}
	switch {
	case abbreviates(args[0], "ratio"):
		ratio, ok := parseFloat(value)
		if !ok || n.store.SetAutomoveRatio(ratio) != nil {
			return replyUnknown
		}
	case abbreviates(args[0], "freeratio"):
		// It steers a tier of storage that is not here; the number is checked
		// and dropped.
		if _, ok := parseFloat(value); !ok {
			return replyUnknown
		}
	case abbreviates(args[0], "window"):
		seconds, ok := parseUint32(value)
		if !ok {
			return replyBadFormat
		}
		if n.store.SetAutomoveWindow(int(seconds)) != nil {
			return "CLIENT_ERROR automove window too low or too high\r\n"
		}
	default:
		mode, ok := parseUint32(args[0])
		if !ok {
			return replyBadFormat
		}
		if !n.store.SetAutomove(int(mode)) {
			return replyUnknown
		}
	}
	return replyOK
}

// lru carries out the words after lru and returns the reply.
func (n *Node) lru(args [][]byte) string {
	switch {
	case len(args) >= 5 && abbreviates(args[0], "tune"):
		return n.tuneLRU(args[1:])
	case len(args) >= 2 && abbreviates(args[0], "mode"):
		mode := args[1]
		if abbreviates(mode, "flat") && n.store.SetSegmented(false) || abbreviates(mode, "segmented") && n.store.SetSegmented(true) {
			return replyOK
		}
	case len(args) >= 2 && abbreviates(args[0], "temp_ttl"):
		if ttl, ok := parseInt32(args[1]); ok && n.store.SetTempTTL(ttl) {
			return replyOK
		}
	}
	return replyUnknown
}

// tuneLRU sets the bounds of the hot and warm lists.
func (n *Node) tuneLRU(args [][]byte) string {
	hotPct, ok1 := parseUint32(args[0])
	warmPct, ok2 := parseUint32(args[1])
	hotFactor, ok3 := parseFloat(args[2])
	warmFactor, ok4 := parseFloat(args[3])
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return replyUnknown
	}
	switch n.store.TuneLRU(int(hotPct), int(warmPct), hotFactor, warmFactor) {
	case nil:
		return replyOK
	case slab.ErrPctSum:
		return "ERROR hot and warm pcts must not exceed 80\r\n"
	case slab.ErrAgeFactor:
		return "ERROR hot/warm age factors must be greater than 0\r\n"
	default:
		return replyUnknown
	}
}

// watch makes s a watcher of the streams that r names.
func (x *executor) watch(s *Session, r *protocol.Request) {
	streams := watchStream(0)
	for _, word := range r.Args {
		stream, known := watchStreams[string(word)]
		if !known {
			streams = 0
			break
		}
		streams |= stream
	}
	if len(r.Args) == 0 {
		streams = watchFetchers
	}
	switch {
	case x.node.cfg.DisableWatch:
		s.Out.Buf = append(s.Out.Buf, "CLIENT_ERROR watch commands not allowed\r\n"...)
		return
	case s.Out.Pending() > 0:
		s.Out.Buf = append(s.Out.Buf, "ERROR cannot pipeline other commands before watch\r\n"...)
		return
	case streams == 0:
		s.Out.Buf = append(s.Out.Buf, replyUnknown...)
		return
	}
	w := x.node.watch.add(s, streams, x.node.cfg.WatcherLogbuf)
	if w == nil {
		s.Out.Buf = append(s.Out.Buf, "WATCHER_TOO_MANY log watcher limit reached\r\n"...)
		return
	}
	s.Out.Buf = append(s.Out.Buf, replyOK...)
	s.Stream(w)
}

// parseUint32 reads a number of digits only.
func parseUint32(b []byte) (uint32, bool) {
	v, err := strconv.ParseUint(string(b), 10, 32)
	return uint32(v), err == nil
}

// parseInt32 reads a number of digits, with a minus sign or without.
func parseInt32(b []byte) (int64, bool) {
	if strings.HasPrefix(string(b), "+") {
		return 0, false
	}
	v, err := strconv.ParseInt(string(b), 10, 32)
	return v, err == nil
}

// parseFloat reads a finite number.
func parseFloat(b []byte) (float64, bool) {
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil && v-v == 0
}
