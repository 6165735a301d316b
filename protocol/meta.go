package protocol

// span is a word of the line being parsed: text[from:to].
type span struct{ from, to int }

// metaWordsMax is how many words a meta command may have, name and key included.
const metaWordsMax = 20

// meta parses mg, ms, md, ma and me. As with storage, an ms whose error comes
// to light before the length of its data block leaves the block in the stream.
func (p *Parser) meta(op Op, l *line, b *Batch) (n int, ok bool) {
	key, i := keyWord(l.text, l.at)
	before := 2
	var length int32
	ok = len(key) > 0
	if op == OpMetaSet {
		var size []byte
		size, i = word(l.text, i)
		length, ok = parseI32(size)
		ok = ok && length >= 0 && length <= ValueLenMax
		before++
	}
	var flags []span
	if ok {
		flags, ok = b.splitFlags(l.text, i, wordsMax-before)
	}
	if !ok {
		b.pushError(op, ErrBadFormat, false)
		return l.n, true
	}
	r := b.slot(op)
	r.Meta.reset(key)
	if err := b.metaArgs(r, op, l.text, key, flags, before); err != nil {
		r.fail(err)
	}
	if op == OpMetaSet {
		return p.block(r, l, int(length), b)
	}
	b.push()
	return l.n, true
}

// splitFlags finds at most limit words of text from i on. Not ok means that one
// of them cannot be a flag at all.
func (b *Batch) splitFlags(text []byte, i, limit int) (flags []span, ok bool) {
	n := 0
	for n < limit {
		for i < len(text) && text[i] == ' ' {
			i++
		}
		if i == len(text) {
			break
		}
		if c := text[i]; (c < 'A' || c > 'z') && c-'0' > 9 {
			return nil, false
		}
		from := i
		for i < len(text) && text[i] != ' ' {
			i++
		}
		b.words[n] = span{from, i}
		n++
	}
	return b.words[:n], true
}

// reset empties m for a command whose key stands as keyText on the line.
func (m *Meta) reset(keyText []byte) {
	m.N = 0
	m.Mode = 0
	m.Binary = false
	m.Quiet = false
	m.seen = 0
	m.TTL = 0
	m.Vivify = 0
	m.Recache = 0
	m.CAS = 0
	m.NewCAS = 0
	m.Delta = 1
	m.Initial = 0
	m.Opaque = nil
	m.KeyText = keyText
}

// metaArgs fills in the key and the flags of r. before is how many words stand
// before the flags.
func (b *Batch) metaArgs(r *Request, op Op, text, key []byte, flags []span, before int) *Error {
	if op == OpMetaDebug {
		// me knows one flag, and only in the first place.
		return b.metaKey(r, key, len(flags) > 0 && string(text[flags[0].from:flags[0].to]) == "b", ErrBadFormat)
	}
	err := b.metaFlags(r, text, key, flags, before)
	if err != nil {
		if op == OpMetaArith {
			return ErrInvalidOrDup
		}
		return err
	}
	m := &r.Meta
	if m.Has('M') {
		if op == OpMetaSet && !validSetMode(m.Mode) {
			return ErrBadSetMode
		}
		if op == OpMetaArith && !validArithMode(m.Mode) {
			return ErrBadArithMode
		}
	}
	if len(m.Opaque) > OpaqueLenMax {
		return ErrOpaqueTooLong
	}
	return nil
}

// metaFlags reads the flags from left to right. A flag that is unknown or given
// twice ends it at once; of other mistakes the last one is told, except that
// one in F gives way to any other.
func (b *Batch) metaFlags(r *Request, text, key []byte, flags []span, before int) *Error {
	if len(key) > KeyLenMax {
		return ErrBadFormat
	}
	if len(flags)+before > metaWordsMax {
		return ErrTooManyFlags
	}
	m := &r.Meta
	var err *Error
	for _, f := range flags {
		c := text[f.from]
		if c < 'A' {
			return ErrInvalidFlag
		}
		bit := uint64(1) << (c - 'A')
		if m.seen&bit != 0 {
			return ErrDuplicateFlag
		}
		m.seen |= bit
		m.Order[m.N] = c
		m.N++
		if metaFlagKinds[c-'A'] == flagPlain {
			continue
		}
		if e := b.metaFlag(r, c, text[f.from+1:f.to], key); e != nil {
			if e == ErrInvalidFlag {
				return e
			}
			if err == nil || e != ErrBadFormat {
				err = e
			}
		}
	}
	if !m.Binary {
		b.setKey(r, key)
	}
	return err
}

// flagKind tells the flags that need a closer look from the others.
type flagKind uint8

const (
	flagUnknown flagKind = iota
	flagPlain            // whether it is there is all there is to know
	flagArg
)

// metaFlagKinds holds the flags from A to z. All commands know all flags. P and
// L carry hints for proxies.
var metaFlagKinds = func() (kinds ['z' - 'A' + 1]flagKind) {
	for _, c := range "kstcfvhluxIPL" {
		kinds[c-'A'] = flagPlain
	}
	for _, c := range "bqOMNTRFCEJD" {
		kinds[c-'A'] = flagArg
	}
	return kinds
}()

// metaFlag reads one flag and its argument.
func (b *Batch) metaFlag(r *Request, c byte, arg, key []byte) *Error {
	m := &r.Meta
	ok := true
	bad := ErrBadToken
	switch c {
	case 'b':
		return b.metaKey(r, key, true, ErrBadBase64)
	case 'q':
		m.Quiet = true
	case 'O':
		m.Opaque = arg
	case 'M':
		m.Mode = ' '
		if len(arg) > 0 {
			m.Mode = arg[0]
		}
	case 'N':
		m.Vivify, ok = parseTTL(arg)
	case 'T':
		m.TTL, ok = parseTTL(arg)
	case 'R':
		m.Recache, ok = parseTTL(arg)
	case 'F':
		r.Flags, ok = parseU32(arg)
		bad = ErrBadFormat
	case 'C':
		m.CAS, ok = parseU64(arg)
	case 'E':
		m.NewCAS, ok = parseU64(arg)
	case 'J':
		m.Initial, ok = parseU64(arg)
		bad = ErrBadInitial
	case 'D':
		m.Delta, ok = parseU64(arg)
		bad = ErrBadMetaDelta
	default:
		return ErrInvalidFlag
	}
	if !ok {
		return bad
	}
	return nil
}

func parseTTL(arg []byte) (int64, bool) {
	v, ok := parseI32(arg)
	return int64(v), ok
}

// metaKey gives r its key, decoded if binary. bad is the error if it is not base64.
func (b *Batch) metaKey(r *Request, key []byte, binary bool, bad *Error) *Error {
	if len(key) > KeyLenMax {
		return ErrBadFormat
	}
	if binary {
		r.Meta.Binary = true
		n := decodeBase64(b.scratch[b.nscratch:], key)
		if n == 0 {
			return bad
		}
		key = b.scratch[b.nscratch : b.nscratch+n : b.nscratch+n]
		b.nscratch += n
	}
	b.setKey(r, key)
	return nil
}

// validSetMode knows add, append, prepend, replace and set. 0 is what memcached
// takes for no mode.
func validSetMode(c byte) bool {
	switch c {
	case 0, 'E', 'A', 'P', 'R', 'S':
		return true
	}
	return false
}

func validArithMode(c byte) bool {
	switch c {
	case 0, 'I', '+', 'D', '-':
		return true
	}
	return false
}
