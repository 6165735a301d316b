package protocol

import "bytes"

// Limits of the line format that are nobody else's business.
const (
	// wordsMax is how many words of a line are looked at. The keys of a get
	// are not counted.
	wordsMax = 23
	// lineLenMin is the shortest line with its end, in bytes.
	lineLenMin = 4
	// leadingSpacesMax is how many spaces may stand before a get of many keys.
	leadingSpacesMax = 100
	// pieceLenMax is how far a piece of a get is searched for its keys, in bytes.
	pieceLenMax = BatchKeysMax*(KeyLenMax+1) + 2
)

// shape is how the words of a command are laid out.
type shape uint8

const (
	shapeOther   shape = iota // not found by its first bytes: see Parser.other
	shapeGet                  // name key+
	shapeGat                  // name exptime key+
	shapeStorage              // name key flags exptime bytes [cas] [noreply], data block
	shapeKey                  // name key [number] [noreply]
	shapeMeta                 // name key [bytes] flag*, data block
	shapeBare                 // name; further words are not looked at
	shapeWords                // name word*
	shapeTable                // name word* [noreply], spaces allowed before it
)

var shapes = [NumOps]shape{
	OpGet:           shapeGet,
	OpGets:          shapeGet,
	OpGat:           shapeGat,
	OpGats:          shapeGat,
	OpSet:           shapeStorage,
	OpAdd:           shapeStorage,
	OpReplace:       shapeStorage,
	OpAppend:        shapeStorage,
	OpPrepend:       shapeStorage,
	OpCas:           shapeStorage,
	OpDelete:        shapeKey,
	OpIncr:          shapeKey,
	OpDecr:          shapeKey,
	OpTouch:         shapeKey,
	OpMetaNoop:      shapeBare,
	OpMetaGet:       shapeMeta,
	OpMetaSet:       shapeMeta,
	OpMetaDelete:    shapeMeta,
	OpMetaArith:     shapeMeta,
	OpMetaDebug:     shapeMeta,
	OpVersion:       shapeBare,
	OpQuit:          shapeBare,
	OpStats:         shapeWords,
	OpWatch:         shapeWords,
	OpFlushAll:      shapeTable,
	OpVerbosity:     shapeTable,
	OpShutdown:      shapeTable,
	OpCacheMemlimit: shapeTable,
	OpSlabs:         shapeTable,
	OpLRU:           shapeTable,
	OpLRUCrawler:    shapeTable,
	OpSnapshot:      shapeTable,
	OpConfig:        shapeTable,
	OpDebugTime:     shapeTable,
}

// verb is the command that a line's first word names, OpNone if none.
// The compiler turns this into comparisons by length and by whole words.
func verb(name []byte) Op {
	switch string(name) {
	case "get":
		return OpGet
	case "gets":
		return OpGets
	case "gat":
		return OpGat
	case "gats":
		return OpGats
	case "set":
		return OpSet
	case "add":
		return OpAdd
	case "replace":
		return OpReplace
	case "append":
		return OpAppend
	case "prepend":
		return OpPrepend
	case "cas":
		return OpCas
	case "delete":
		return OpDelete
	case "incr":
		return OpIncr
	case "decr":
		return OpDecr
	case "touch":
		return OpTouch
	case "mn":
		return OpMetaNoop
	case "mg":
		return OpMetaGet
	case "ms":
		return OpMetaSet
	case "md":
		return OpMetaDelete
	case "ma":
		return OpMetaArith
	case "me":
		return OpMetaDebug
	case "version":
		return OpVersion
	case "quit":
		return OpQuit
	case "stats":
		return OpStats
	case "watch":
		return OpWatch
	}
	return OpNone
}

// tableVerb is the administrative command called name, OpNone if there is none.
func tableVerb(name []byte) Op {
	switch string(name) {
	case "flush_all":
		return OpFlushAll
	case "verbosity":
		return OpVerbosity
	case "shutdown":
		return OpShutdown
	case "cache_memlimit":
		return OpCacheMemlimit
	case "slabs":
		return OpSlabs
	case "lru":
		return OpLRU
	case "lru_crawler":
		return OpLRUCrawler
	case "snapshot":
		return OpSnapshot
	case "config":
		return OpConfig
	case "debugtime":
		return OpDebugTime
	}
	return OpNone
}

// word is the next word of text at or after i, empty if there is none, and the
// index behind it. Only the space separates words.
func word(text []byte, i int) (w []byte, end int) {
	for i < len(text) && text[i] == ' ' {
		i++
	}
	end = i
	for end < len(text) && text[end] != ' ' {
		end++
	}
	return text[i:end], end
}

// keyWord is word for words that may be long.
func keyWord(text []byte, i int) (w []byte, end int) {
	for i < len(text) && text[i] == ' ' {
		i++
	}
	w = text[i:]
	if j := bytes.IndexByte(w, ' '); j >= 0 {
		w = w[:j]
	}
	return w, i + len(w)
}

// lastWord is the last of the words that are looked at. count of them lie
// before i, and w is the last of those.
func lastWord(text []byte, i, count int, w []byte) (last []byte, total int) {
	for count < wordsMax {
		next, end := word(text, i)
		if len(next) == 0 {
			break
		}
		w, i = next, end
		count++
	}
	return w, count
}

// silent says whether the last word asks for silence.
func silent(text []byte, i, count int, w []byte) bool {
	w, _ = lastWord(text, i, count, w)
	return string(w) == "noreply"
}

// gat parses gat and gats.
func (p *Parser) gat(op Op, l *line, b *Batch) (n int, ok bool) {
	exptime, at := word(l.text, l.at)
	if key, _ := word(l.text, at); len(key) == 0 {
		b.pushError(op, ErrBadFormat, false)
		return l.n, true
	}
	v, ok := parseI32(exptime)
	if !ok {
		b.pushError(op, ErrBadExptime, false)
		return l.n, true
	}
	return p.keysOf(getLine{op: op, exptime: int64(v)}, l.text, at, l.n, b)
}

// storageNumbers are the numbers of a storage line.
type storageNumbers struct {
	flags   uint32
	exptime int64
	size    int
	end     int  // the index behind them
	sizeOK  bool // the length of the data block is known
	ok      bool // the others are good, too
}

// readStorageNumbers reads the numbers that stand behind the key, from i on.
func readStorageNumbers(text []byte, i int) (n storageNumbers) {
	// What clients send: one space and a few digits, three times.
	flags, i1, ok1 := shortNumber(text, i)
	exptime, i2, ok2 := shortNumber(text, i1)
	size, i3, ok3 := shortNumber(text, i2)
	if ok1 && ok2 && ok3 {
		return storageNumbers{uint32(flags), int64(exptime), size, i3, true, true}
	}
	flagsWord, i := word(text, i)
	exptimeWord, i := word(text, i)
	sizeWord, i := word(text, i)
	length, ok := parseI32(sizeWord)
	var flagsOK, exptimeOK bool
	n.flags, flagsOK = laxFlags(flagsWord)
	n.exptime, exptimeOK = laxExptime(exptimeWord)
	n.size = int(length)
	n.end = i
	n.sizeOK = ok && length >= 0 && length <= ValueLenMax
	n.ok = flagsOK && exptimeOK
	return n
}

// shortNumber reads a number of one to nine digits behind one space at i.
func shortNumber(text []byte, i int) (v, end int, ok bool) {
	start := i + 1
	end = start
	for end < len(text) {
		d := text[end] - '0'
		if d > 9 {
			break
		}
		v = v*10 + int(d)
		end++
	}
	digits := end - start
	return v, end, digits > 0 && digits <= 9 && (end == len(text) || text[end] == ' ')
}

// storage parses set and its kin. Up to the length of the data block an error
// leaves the block in the stream, where it is read as commands; after that the
// block is skipped.
func (p *Parser) storage(op Op, l *line, b *Batch) (n int, ok bool) {
	key, i := keyWord(l.text, l.at)
	numbers := readStorageNumbers(l.text, i)
	if !numbers.sizeOK {
		b.pushError(op, ErrBadFormat, false)
		return l.n, true
	}
	i = numbers.end
	r := b.slot(op)
	if i < len(l.text) {
		// The number before the rest is no "noreply"; its value does not matter.
		r.NoReply = silent(l.text, i, 5, nil)
	}
	if len(key) > KeyLenMax {
		r.fail(ErrBadFormat)
		return p.block(r, l, numbers.size, b)
	}
	b.setKey(r, key)
	r.Flags = numbers.flags
	r.Exptime = numbers.exptime
	casOK := true
	if op == OpCas {
		cas, _ := word(l.text, i)
		r.CAS, casOK = parseU64(cas)
	}
	if !numbers.ok || !casOK {
		r.fail(ErrBadFormat)
	}
	return p.block(r, l, numbers.size, b)
}

// keyed parses delete, incr, decr and touch.
func keyed(op Op, l *line, b *Batch) (n int, ok bool) {
	key, i := keyWord(l.text, l.at)
	last, count := key, 2
	if op != OpDelete {
		last, i = word(l.text, i)
		count++
	}
	if len(last) == 0 {
		b.pushError(op, ErrBadFormat, false)
		return l.n, true
	}
	r := b.slot(op)
	r.NoReply = silent(l.text, i, count, last)
	if len(key) > KeyLenMax {
		r.fail(ErrBadFormat)
		b.push()
		return l.n, true
	}
	b.setKey(r, key)
	switch op {
	case OpIncr, OpDecr:
		r.Delta, ok = parseU64(last)
		if !ok {
			r.fail(ErrBadDelta)
		}
	case OpTouch:
		v, ok := parseI32(last)
		if !ok {
			r.fail(ErrBadExptime)
		}
		r.Exptime = int64(v)
	}
	b.push()
	return l.n, true
}

// words parses a command whose words the server understands.
func words(op Op, l *line, at int, noReply bool, b *Batch) (n int, ok bool) {
	if len(b.args)-b.nargs < ArgsMax {
		return 0, false
	}
	free := b.args[b.nargs:]
	count := 0
	for count < wordsMax-1 {
		var w []byte
		w, at = word(l.text, at)
		if len(w) == 0 {
			break
		}
		free[count] = w
		count++
	}
	r := b.slot(op)
	r.NoReply = noReply
	if noReply && count > 0 {
		count--
	}
	r.Args = free[:count:count]
	b.push()
	switch op {
	case OpFlushAll, OpShutdown, OpSnapshot, OpStats, OpWatch, OpLRUCrawler:
		return l.n, false
	}
	return l.n, true
}

// other parses a line whose first bytes are no command that is parsed here:
// an administrative command, which may have spaces before it, or an error.
func (p *Parser) other(l *line, b *Batch) (n int, ok bool) {
	name, at := word(l.text, 0)
	last, count := lastWord(l.text, at, 1, name)
	noReply := string(last) == "noreply"
	http := count > 1 && bytes.HasPrefix(last, []byte("HTTP/"))
	op := tableVerb(name)
	switch {
	case op == OpDebugTime && !p.Debug, op == OpConfig && http: // not memcached's
		op = OpNone
	}
	if op != OpNone {
		return words(op, l, at, noReply, b)
	}
	// A browser that was tricked into talking to us must not get to send a body.
	if http {
		b.slot(OpClose)
		b.push()
		return len(l.rest), false
	}
	b.pushError(OpNone, ErrUnknown, noReply)
	return l.n, true
}
