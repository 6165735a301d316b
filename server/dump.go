package server

import (
	"bytes"
	"strconv"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/slab"
)

// Bounds of a key dump.
const (
	// dumpStep is how many items are looked at under one lock.
	dumpStep = 64
	// dumpStepsMax is how many steps one call of Produce makes, so that a dump
	// of few classes of a large store does not hold up its loop.
	dumpStepsMax = 64
	// cachedumpMax is the longest reply of stats cachedump, in bytes.
	cachedumpMax = 2 << 20
)

// The replies of lru_crawler.
const (
	replyCrawlerOff      = "CLIENT_ERROR lru crawler disabled\r\n"
	replyCrawlerBusy     = "BUSY currently processing crawler request\r\n"
	replyCrawlerBadClass = "BADCLASS invalid class id\r\n"
	replyCrawlerNone     = "NOTSTARTED no items to crawl\r\n"
	replyCrawlerError    = "ERROR an unknown error happened\r\n"
)

// lruCrawler carries out lru_crawler.
func (x *executor) lruCrawler(s *Session, r *protocol.Request) {
	n := x.node
	var verb []byte
	if len(r.Args) > 0 {
		verb = r.Args[0]
	}
	switch {
	case len(r.Args) == 1 && abbreviates(verb, "enable"):
		if !n.store.SetCrawler(true) {
			reply(s, r, "ERROR failed to start lru crawler thread\r\n")
			return
		}
		reply(s, r, replyOK)
	case len(r.Args) == 1 && abbreviates(verb, "disable"):
		n.store.SetCrawler(false)
		reply(s, r, replyOK)
	case len(r.Args) == 2 && abbreviates(verb, "sleep"):
		reply(s, r, n.crawlerSleep(r.Args[1]))
	case len(r.Args) == 2 && abbreviates(verb, "tocrawl"):
		items, ok := parseUint32(r.Args[1])
		if !ok {
			reply(s, r, replyBadFormat)
			return
		}
		n.store.SetCrawlerToCrawl(items)
		reply(s, r, replyOK)
	case len(r.Args) == 2 && abbreviates(verb, "crawl"):
		reply(s, r, n.crawl(r.Args[1]))
	case len(r.Args) == 2 && abbreviates(verb, "metadump") && !r.NoReply:
		x.dump(s, r.Args[1], false)
	case len(r.Args) == 2 && abbreviates(verb, "mgdump") && !r.NoReply:
		x.dump(s, r.Args[1], true)
	default:
		reply(s, r, replyUnknown)
	}
}

// crawlerSleep sets the crawler's pause.
func (n *Node) crawlerSleep(word []byte) string {
	micros, ok := parseUint32(word)
	switch {
	case !ok:
		return replyBadFormat
	case micros > crawlSleepMaxUs || n.store.SetCrawlerSleep(int(micros)) != nil:
		return "CLIENT_ERROR sleep must be one second or less\r\n"
	}
	return replyOK
}

// crawl starts a search for expired items.
func (n *Node) crawl(word []byte) string {
	if !n.store.Config().Crawler {
		return replyCrawlerOff
	}
	if string(word) == "hash" {
		return replyCrawlerError
	}
	classes, ok := parseClasses(word)
	switch {
	case !ok:
		return replyCrawlerBadClass
	case classes == 0:
		return replyCrawlerNone
	}
	if n.admins.dumping.Load() {
		return replyCrawlerBusy
	}
	switch n.store.Crawl(classes) {
	case slab.CrawlStarted, slab.CrawlNothing: // empty lists are crawled in no time
		return replyOK
	case slab.CrawlBusy:
		return replyCrawlerBusy
	case slab.CrawlBadClass:
		return replyCrawlerBadClass
	case slab.CrawlDisabled:
		return replyCrawlerOff
	default:
		return replyCrawlerError
	}
}

// parseClasses reads "all" or "hash" or class ids with commas between them.
func parseClasses(word []byte) (slab.ClassSet, bool) {
	if w := string(word); w == "all" || w == "hash" {
		return slab.AllClasses, true
	}
	var set slab.ClassSet
	for _, w := range bytes.Split(word, []byte(",")) {
		if len(w) == 0 {
			continue
		}
		id, ok := parseUint32(w)
		if !ok || id < 1 || id > classIDMax {
			return 0, false
		}
		set |= 1 << id
	}
	return set, true
}

// dump starts a metadump or mgdump of the classes that word names.
func (x *executor) dump(s *Session, word []byte, mg bool) {
	n := x.node
	refuse := func(line string) { s.Out.Buf = append(s.Out.Buf, line...) }
	classes, ok := parseClasses(word)
	switch {
	case !n.store.Config().Crawler:
		refuse(replyCrawlerOff)
	case n.cfg.DisableDump && mg:
		refuse("ERROR key dump not allowed\r\n")
	case n.cfg.DisableDump:
		refuse("ERROR metadump not allowed\r\n")
	case s.Out.Pending() > 0 && mg:
		refuse("ERROR cannot pipeline other commands before mgdump\r\n")
	case s.Out.Pending() > 0:
		refuse("ERROR cannot pipeline other commands before metadump\r\n")
	case !ok:
		refuse(replyCrawlerBadClass)
	case classes == 0:
		refuse(replyCrawlerNone)
	case !n.admins.dumping.CompareAndSwap(false, true):
		refuse(replyCrawlerBusy)
	default:
		d := &dumper{node: n, classes: classes, mg: mg}
		d.visit = d.metaLine
		if mg {
			d.visit = d.mgLine
		}
		s.Out.Buf = append(s.Out.Buf, replyOK...)
		s.Stream(d)
	}
}

// dumper is the Producer of a key dump. It remembers only where it is, so that
// a client that does not read holds no memory.
type dumper struct {
	node    *Node
	classes slab.ClassSet
	mg      bool
	cursor  slab.Cursor
	visit   func(slab.Item)
	out     []byte // the output while Produce runs
}

// Produce appends the next lines.
func (d *dumper) Produce(s *Session) Progress {
	d.out = s.Out.Buf
	limit := len(d.out) + produceMax
	done := false
	for i := 0; i < dumpStepsMax && len(d.out) < limit && !done; i++ {
		done = d.node.store.Walk(&d.cursor, d.classes, dumpStep, d.visit)
	}
	if done {
		if d.mg {
			d.out = append(d.out, protocol.ReplyMetaMiss...)
		} else {
			d.out = append(d.out, protocol.ReplyEnd...)
		}
	}
	s.Out.Buf, d.out = d.out, nil
	if !done {
		return ProducerMore
	}
	d.node.admins.dumping.Store(false)
	return ProducerDone
}

// Abort ends the dump early.
func (d *dumper) Abort() { d.node.admins.dumping.Store(false) }

// metaLine appends the line of it in a metadump.
func (d *dumper) metaLine(it slab.Item) {
	clock := d.node.clock
	b := appendURI(append(d.out, "key="...), it.Key())
	b = append(b, " exp="...)
	if exptime := it.Exptime(); exptime == 0 {
		b = append(b, "-1"...)
	} else {
		b = strconv.AppendInt(b, clock.unix(exptime), 10)
	}
	b = strconv.AppendInt(append(b, " la="...), clock.unix(it.LastAccess()), 10)
	b = protocol.AppendUint(append(b, " cas="...), it.CAS())
	b = append(append(b, " fetch="...), yesNo(it.Fetched())...)
	b = protocol.AppendUint(append(b, " cls="...), uint64(it.Class()))
	b = protocol.AppendUint(append(b, " size="...), uint64(it.TotalBytes()))
	b = protocol.AppendUint(append(b, " flags="...), uint64(it.Flags()))
	d.out = append(b, " \n"...)
}

// mgLine appends the line of it in an mgdump: a request that fetches it.
func (d *dumper) mgLine(it slab.Item) {
	b := append(d.out, "mg "...)
	if it.Binary() {
		b = append(protocol.AppendBase64(b, it.Key()), " b"...)
	} else {
		b = append(b, it.Key()...)
	}
	d.out = append(b, protocol.CRLF...)
}

// cachedump answers stats cachedump with the words after it.
func (n *Node) cachedump(b []byte, args [][]byte) []byte {
	if n.cfg.DisableDump {
		return append(b, "CLIENT_ERROR stats cachedump not allowed\r\n"...)
	}
	if len(args) < 2 {
		return append(b, "CLIENT_ERROR bad command line\r\n"...)
	}
	class, ok := parseUint32(args[0])
	limit, ok2 := parseUint32(args[1])
	switch {
	case !ok || !ok2:
		return append(b, replyBadFormat...)
	case class > classIDMax:
		return append(b, "CLIENT_ERROR Illegal slab id\r\n"...)
	}
	start, shown := len(b), uint32(0)
	n.store.CacheDump(int(class), 0, func(it slab.Item) bool {
		if it.Binary() {
			return true // such a key would break the line
		}
		mark := len(b)
		b = append(append(b, "ITEM "...), it.Key()...)
		b = protocol.AppendUint(append(b, " ["...), uint64(it.ValueLen()))
		b = append(b, " b; "...)
		exptime := int64(0)
		if it.Exptime() != 0 {
			exptime = n.clock.unix(it.Exptime())
		}
		b = append(protocol.AppendInt(b, exptime), " s]\r\n"...)
		if len(b)-start+len(protocol.ReplyEnd) > cachedumpMax {
			b = b[:mark]
			return false
		}
		shown++
		return limit == 0 || shown < limit
	})
	return append(b, protocol.ReplyEnd...)
}

// yesNo is how replies spell a boolean.
func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}
