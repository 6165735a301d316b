package protocol

import "encoding/base64"

// notBase64 marks the bytes that are not in the alphabet.
const notBase64 = 0xff

// base64Values maps a byte to its six bits. The padding counts as zero bits.
var base64Values = func() (values [256]byte) {
	for i := range values {
		values[i] = notBase64
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(alphabet) {
		values[alphabet[i]] = byte(i)
	}
	values['='] = 0
	return values
}()

// decodeBase64 decodes src into dst, which has room for len(src) bytes, and
// returns the number of bytes, 0 if src cannot be decoded. It is as forgiving
// as memcached: bytes outside the alphabet are passed over, and what follows
// the padded group counts for nothing; but the padding must be there.
func decodeBase64(dst, src []byte) int {
	letters := 0
	for _, c := range src {
		if base64Values[c] != notBase64 {
			letters++
		}
	}
	if letters%4 != 0 {
		return 0
	}
	var bits uint32
	have, pads, n := 0, 0, 0
	for _, c := range src {
		v := base64Values[c]
		if v == notBase64 {
			continue
		}
		if c == '=' {
			pads++
		}
		bits = bits<<6 | uint32(v)
		if have++; have < 4 {
			continue
		}
		if pads > 2 {
			return 0
		}
		dst[n], dst[n+1], dst[n+2] = byte(bits>>16), byte(bits>>8), byte(bits)
		n += 3 - pads
		if pads > 0 {
			break
		}
		bits, have = 0, 0
	}
	return n
}

// AppendBase64 appends src in base64, padded.
func AppendBase64(dst, src []byte) []byte { return base64.StdEncoding.AppendEncode(dst, src) }
