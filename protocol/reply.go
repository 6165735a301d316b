package protocol

import "strconv"

// The replies that are always the same, with their line ends. Append them to
// the output with append.
const (
	ReplyStored    = "STORED\r\n"
	ReplyNotStored = "NOT_STORED\r\n"
	ReplyExists    = "EXISTS\r\n"
	ReplyNotFound  = "NOT_FOUND\r\n"
	ReplyDeleted   = "DELETED\r\n"
	ReplyTouched   = "TOUCHED\r\n"
	ReplyOK        = "OK\r\n"
	ReplyEnd       = "END\r\n"
	ReplyReset     = "RESET\r\n"
	ReplyError     = "ERROR\r\n"
	// ReplyMetaNoop answers mn, ReplyMetaMiss an mg or me that found nothing.
	ReplyMetaNoop = "MN\r\n"
	ReplyMetaMiss = "EN\r\n"
	// CRLF ends every line and every data block.
	CRLF = "\r\n"
)

// The codes that a meta reply begins with; return flags and CRLF follow them.
const (
	MetaHit       = "HD"
	MetaValue     = "VA"
	MetaMiss      = "EN"
	MetaNotFound  = "NF"
	MetaNotStored = "NS"
	MetaExists    = "EX"
)

// AppendErr appends the reply line of e.
func AppendErr(dst []byte, e *Error) []byte {
	dst = append(dst, e.Text...)
	return append(dst, CRLF...)
}

// AppendLine appends text as a line.
func AppendLine(dst []byte, text string) []byte {
	dst = append(dst, text...)
	return append(dst, CRLF...)
}

// AppendUint appends v in decimal.
func AppendUint(dst []byte, v uint64) []byte {
	if v < 10 {
		return append(dst, '0'+byte(v))
	}
	return strconv.AppendUint(dst, v, 10)
}

// AppendInt appends v in decimal.
func AppendInt(dst []byte, v int64) []byte {
	return strconv.AppendInt(dst, v, 10)
}

// AppendNumber appends the reply of incr and decr: v on a line.
func AppendNumber(dst []byte, v uint64) []byte {
	dst = AppendUint(dst, v)
	return append(dst, CRLF...)
}

// AppendValue appends the line that stands before an item's data block in the
// reply to get and gat. size is the length of the value in bytes. The caller
// appends the value and CRLF, and at the very end ReplyEnd.
func AppendValue(dst, key []byte, flags uint32, size int) []byte {
	dst = appendValue(dst, key, flags, size)
	return append(dst, CRLF...)
}

// AppendValueCAS is AppendValue for gets and gats.
func AppendValueCAS(dst, key []byte, flags uint32, size int, cas uint64) []byte {
	dst = appendValue(dst, key, flags, size)
	dst = append(dst, ' ')
	dst = AppendUint(dst, cas)
	return append(dst, CRLF...)
}

func appendValue(dst, key []byte, flags uint32, size int) []byte {
	dst = append(dst, "VALUE "...)
	dst = append(dst, key...)
	dst = append(dst, ' ')
	dst = AppendUint(dst, uint64(flags))
	dst = append(dst, ' ')
	return AppendUint(dst, uint64(size))
}

// AppendVersion appends the reply to version.
func AppendVersion(dst []byte, version string) []byte {
	dst = append(dst, "VERSION "...)
	return AppendLine(dst, version)
}

// AppendStat appends one line of stats.
func AppendStat(dst []byte, name, value string) []byte {
	dst = append(dst, "STAT "...)
	dst = append(dst, name...)
	dst = append(dst, ' ')
	return AppendLine(dst, value)
}

// AppendStatUint appends one line of stats whose value is a number.
func AppendStatUint(dst []byte, name string, value uint64) []byte {
	dst = append(dst, "STAT "...)
	dst = append(dst, name...)
	dst = append(dst, ' ')
	return AppendNumber(dst, value)
}

// AppendMetaValue appends the beginning of a meta reply with a value of size
// bytes: the code and the length.
func AppendMetaValue(dst []byte, size int) []byte {
	dst = append(dst, "VA "...)
	return AppendUint(dst, uint64(size))
}

// AppendFlag appends the return flag c without an argument: W, X or Z.
func AppendFlag(dst []byte, c byte) []byte { return append(dst, ' ', c) }

// AppendFlagUint appends the return flag c with a number behind it: f, c, s, l, h.
func AppendFlagUint(dst []byte, c byte, v uint64) []byte {
	dst = append(dst, ' ', c)
	return AppendUint(dst, v)
}

// AppendFlagInt appends the return flag c with a number that may be negative: t.
func AppendFlagInt(dst []byte, c byte, v int64) []byte {
	dst = append(dst, ' ', c)
	return AppendInt(dst, v)
}

// AppendOpaque appends the return flag O: what the client gave, even if empty.
func AppendOpaque(dst []byte, m *Meta) []byte {
	dst = append(dst, " O"...)
	return append(dst, m.Opaque...)
}

// AppendKeyFlag appends the return flag k. A binary key is two words: the key
// in base64, and b.
func AppendKeyFlag(dst, key []byte, binary bool) []byte {
	dst = append(dst, " k"...)
	if !binary {
		return append(dst, key...)
	}
	dst = AppendBase64(dst, key)
	return append(dst, " b"...)
}

// AppendEcho appends those return flags of r that need no item, O and k, in the
// order of the request: all that a miss, and md, may show.
func AppendEcho(dst []byte, r *Request) []byte {
	for _, c := range r.Meta.Order[:r.Meta.N] {
		switch c {
		case 'O':
			dst = AppendOpaque(dst, &r.Meta)
		case 'k':
			dst = AppendKeyFlag(dst, r.Key(), r.Meta.Binary)
		}
	}
	return dst
}

// MetaDebug is what me tells about an item.
type MetaDebug struct {
	Key     []byte
	Binary  bool   // the key was stored as base64
	Exptime int64  // seconds left, -1 is never
	Age     uint64 // seconds since the last access
	CAS     uint64
	Fetched bool
	Class   int
	Size    int // bytes, all told
}

// AppendMetaDebug appends the reply to me.
func AppendMetaDebug(dst []byte, d *MetaDebug) []byte {
	dst = append(dst, "ME "...)
	if d.Binary {
		dst = AppendBase64(dst, d.Key)
	} else {
		dst = append(dst, d.Key...)
	}
	dst = append(dst, " exp="...)
	dst = AppendInt(dst, d.Exptime)
	dst = append(dst, " la="...)
	dst = AppendUint(dst, d.Age)
	dst = append(dst, " cas="...)
	dst = AppendUint(dst, d.CAS)
	dst = append(dst, " fetch="...)
	if d.Fetched {
		dst = append(dst, "yes"...)
	} else {
		dst = append(dst, "no"...)
	}
	dst = append(dst, " cls="...)
	dst = AppendUint(dst, uint64(d.Class))
	dst = append(dst, " size="...)
	dst = AppendUint(dst, uint64(d.Size))
	return append(dst, CRLF...)
}

// The header of the binary protocol, which is known just well enough to refuse it.
const (
	binaryRequestMagic  = 0x80
	binaryResponseMagic = 0x81
	binaryHeaderLen     = 24
	binaryUnknown       = 0x81
)

// AppendBinaryUnknown appends the reply of the binary protocol to a command
// nobody knows. header is the Value of an OpBinary request.
func AppendBinaryUnknown(dst, header []byte) []byte {
	const text = "Unknown command"
	var reply [binaryHeaderLen]byte
	reply[0] = binaryResponseMagic
	reply[1] = header[1] // opcode
	reply[7] = binaryUnknown
	reply[11] = byte(len(text))
	copy(reply[12:16], header[12:16]) // opaque
	dst = append(dst, reply[:]...)
	return append(dst, text...)
}
