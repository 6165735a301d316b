package server

import (
	"strconv"

	"github.com/holdfast-cache/holdfast/protocol"
)

// statWriter composes the STAT lines of one reply. A name is prefix and name.
type statWriter struct {
	b      []byte
	prefix string
}

func (w *statWriter) str(name, v string) {
	w.b = append(append(w.b, "STAT "...), w.prefix...)
	w.b = append(append(append(w.b, name...), ' '), v...)
	w.b = append(w.b, protocol.CRLF...)
}

func (w *statWriter) uint(name string, v uint64) {
	var digits [20]byte
	w.str(name, string(protocol.AppendUint(digits[:0], v)))
}

func (w *statWriter) int(name string, v int64) { w.str(name, strconv.FormatInt(v, 10)) }

// bool01 writes a boolean as 0 or 1.
func (w *statWriter) bool01(name string, v bool) {
	if v {
		w.uint(name, 1)
	} else {
		w.uint(name, 0)
	}
}

// yes writes a boolean as yes or no.
func (w *statWriter) yes(name string, v bool) { w.str(name, yesNo(v)) }

// float writes v with two decimals.
func (w *statWriter) float(name string, v float64) {
	w.str(name, strconv.FormatFloat(v, 'f', 2, 64))
}

// orNull writes a text that may be missing.
func (w *statWriter) orNull(name, v string) {
	if v == "" {
		v = "NULL"
	}
	w.str(name, v)
}

// stats answers the stats command. Some of its words may be shortened, as in
// memcached, but not reset: nobody shall reset the counters by a slip.
func (x *executor) stats(s *Session, r *protocol.Request) {
	n, out := x.node, s.Out.Buf
	var word []byte
	var rest [][]byte
	if len(r.Args) > 0 {
		word, rest = r.Args[0], r.Args[1:]
	}
	var lines func(*statWriter)
	switch string(word) {
	case "":
		lines = n.generalStats
	case "items":
		lines = n.itemsStats
	case "slabs":
		lines = n.slabsStats
	case "sizes":
		lines = n.sizesStats
	case "identity":
		lines = n.identityStats
	case "cluster":
		lines = n.clusterStats
	case "persistence":
		lines = n.persistenceStats
	case "epochs":
		s.Out.Buf = n.epochsCommand(out, rest)
		return
	case "reset":
		n.resetStats()
		s.Out.Buf = append(out, protocol.ReplyReset...)
		return
	default:
		switch {
		case abbreviates(word, "detail"):
			s.Out.Buf = n.detailCommand(out, rest)
			return
		case abbreviates(word, "settings"):
			lines = n.settingsStats
		case abbreviates(word, "cachedump"):
			s.Out.Buf = n.cachedump(out, rest)
			return
		case abbreviates(word, "conns"):
			lines = n.connsStats
		default:
			s.Out.Buf = append(out, replyUnknown...)
			return
		}
	}
	w := statWriter{b: out}
	lines(&w)
	s.Out.Buf = append(w.b, protocol.ReplyEnd...)
}

// detailCommand answers stats detail with the words after it.
func (n *Node) detailCommand(b []byte, args [][]byte) []byte {
	if n.cfg.DisableDump {
		return append(b, "CLIENT_ERROR stats detail not allowed\r\n"...)
	}
	switch {
	case len(args) == 0:
	case abbreviates(args[0], "on"):
		n.detail.setOn(true)
		return append(b, replyOK...)
	case abbreviates(args[0], "off"):
		n.detail.setOn(false)
		return append(b, replyOK...)
	case abbreviates(args[0], "dump"):
		return n.detail.appendDump(b)
	}
	return append(b, "CLIENT_ERROR usage: stats detail on|off|dump\r\n"...)
}

// resetStats zeroes the counters. Gauges, the uptime and what is stored stay.
func (n *Node) resetStats() {
	n.resetCounters()
	n.store.ResetStats()
	n.watch.resetCounts()
	n.detail.reset()
	if n.host == nil {
		return
	}
	now := n.host.ConnStats()
	n.admins.mu.Lock()
	defer n.admins.mu.Unlock()
	n.admins.mu.connBase = now
}

// connStats is what the host has counted since stats were reset last.
func (n *Node) connStats() ConnStats {
	var c ConnStats
	if n.host != nil {
		c = n.host.ConnStats()
	}
	n.admins.mu.Lock()
	defer n.admins.mu.Unlock()
	base := &n.admins.mu.connBase
	// Two loops may answer at the same time; the base can be the later one.
	sub := func(v *uint64, base uint64) { *v -= min(*v, base) }
	sub(&c.Total, base.Total)
	sub(&c.Rejected, base.Rejected)
	sub(&c.BytesRead, base.BytesRead)
	sub(&c.BytesWritten, base.BytesWritten)
	sub(&c.Yields, base.Yields)
	sub(&c.IdleKicks, base.IdleKicks)
	sub(&c.StallKicks, base.StallKicks)
	sub(&c.ListenDisabledNum, base.ListenDisabledNum)
	sub(&c.BufferOOM, base.BufferOOM)
	c.ListenDisabled = max(c.ListenDisabled-base.ListenDisabled, 0)
	return c
}

// connsStats is stats conns.
func (n *Node) connsStats(w *statWriter) {
	if n.host == nil {
		return
	}
	n.host.EachConn(func(c ConnInfo) {
		w.prefix = strconv.Itoa(c.FD) + ":"
		w.str("addr", c.Addr)
		if c.ListenAddr != "" {
			w.str("listen_addr", c.ListenAddr)
		}
		w.str("state", c.State)
		w.int("secs_since_last_cmd", int64(c.SinceLast.Seconds()))
	})
}

// sizesStats is stats sizes.
func (n *Node) sizesStats(w *statWriter) {
	rows, on := n.store.SizesHistogram()
	if !on {
		w.str("sizes_status", "disabled")
		return
	}
	for _, row := range rows {
		w.int(strconv.Itoa(row.UpTo), row.Count)
	}
}
