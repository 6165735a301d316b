package protocol

// The longest numbers the strict parsers look at, in characters. Leading zeros
// are fine up to there.
const (
	digits32Max = 11
	digits64Max = 22
)

// parseU64 reads a number of digits only.
func parseU64(s []byte) (v uint64, ok bool) {
	if len(s) > digits64Max || len(s) == 0 {
		return 0, false
	}
	for _, c := range s {
		d := uint64(c - '0')
		if d > 9 {
			return 0, false
		}
		if v > (1<<64-1-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, true
}

// parseU32 reads a number of digits only, at most 2^32-1.
func parseU32(s []byte) (uint32, bool) {
	if len(s) > digits32Max {
		return 0, false
	}
	v, ok := parseU64(s)
	return uint32(v), ok && v <= 1<<32-1
}

// parseI32 reads a number of digits with a minus before it or not. A minus
// alone is 0, as it always was.
func parseI32(s []byte) (int32, bool) {
	if len(s) > digits32Max || len(s) == 0 {
		return 0, false
	}
	limit := int64(1<<31 - 1)
	negative := s[0] == '-'
	if negative {
		s = s[1:]
		limit++
	}
	// Eleven digits cannot overflow 64 bits, so one check at the end is enough.
	var v int64
	for _, c := range s {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		v = v*10 + int64(d)
	}
	if v > limit {
		return 0, false
	}
	if negative {
		v = -v
	}
	return int32(v), true
}

// ParseUint reads a decimal number the way commands do: digits only, no sign,
// at most 22 of them, no overflow.
func ParseUint(s []byte) (uint64, bool) { return parseU64(s) }

// ParseUint32 is ParseUint for numbers up to 2^32-1, of at most 11 digits.
func ParseUint32(s []byte) (uint32, bool) { return parseU32(s) }

// ParseInt32 reads a decimal number that may be negative, the way exptimes are
// read: no plus sign, at most 11 characters, no overflow.
func ParseInt32(s []byte) (int32, bool) { return parseI32(s) }

// isSpace is what C calls white space. Words are never split there, but the
// numbers of a storage command may begin or end so.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// laxNumber reads a number as strtol does: blanks and a sign before it, and
// after it whatever follows a blank or a NUL. The result is the magnitude;
// what does not fit in 32 bits is not ok.
func laxNumber(s []byte) (v uint64, negative, ok bool) {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		negative = s[i] == '-'
		i++
	}
	start := i
	for i < len(s) && s[i]-'0' <= 9 {
		v = v*10 + uint64(s[i]-'0')
		if v > 1<<32-1 {
			return 0, false, false
		}
		i++
	}
	if i == start || i < len(s) && s[i] != 0 && !isSpace(s[i]) {
		return 0, false, false
	}
	return v, negative, true
}

// laxFlags reads the client flags of a storage command.
func laxFlags(s []byte) (uint32, bool) {
	v, negative, ok := laxNumber(s)
	return uint32(v), ok && (!negative || v == 0)
}

// laxExptime reads the expiry of a storage command. libmemcached writes a
// negative one as the 32-bit number with the same bits. Where memcached wraps
// a still larger number around, this refuses it.
func laxExptime(s []byte) (int64, bool) {
	v, negative, ok := laxNumber(s)
	if negative {
		return -int64(v), ok && v <= 1<<31
	}
	return int64(int32(v)), ok
}
