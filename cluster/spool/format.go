package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The bytes of a file, little-endian:
//
//	header   magic 8 │ state │ ^state │ n 2 │ name n │ sum 4 of all but the states
//	record   kind │ n │ check 2 of both │ key n │ sum 4 of all
//
// The state can be written alone, in place, where a disk is full. A record's length has
// a check of its own, so that a damaged one is not taken for one that was cut off.
const (
	magic     = "HFSPOOL\x01"
	stateAt   = len(magic)
	nameAt    = stateAt + 4
	nameMax   = 1 << 10
	sumBytes  = 4
	headBytes = 4 // of a record, before the key

	stateComplete = byte(0)
	stateLost     = byte(1) // keys are missing

	kindKey    = byte('k')
	kindBinary = byte('b') // a key that is sent in base64

	// keyMax is the longest key of the protocol, in bytes.
	keyMax = 250
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged is what a file is that has other bytes than were written to it.
var ErrDamaged = errors.New("the spool is damaged")

// A Key is a key of a journal.
type Key struct {
	Key    string
	Binary bool
}

// appendHeader appends the header of a file for name, of which it takes nameMax bytes.
func appendHeader(dst []byte, state byte, name string) []byte {
	name = name[:min(len(name), nameMax)]
	from := len(dst)
	dst = append(append(dst, magic...), state, ^state)
	dst = append(binary.LittleEndian.AppendUint16(dst, uint16(len(name))), name...)
	return binary.LittleEndian.AppendUint32(dst, headerSum(dst[from:]))
}

func headerSum(head []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:stateAt], castagnoli), castagnoli, head[stateAt+2:])
}

// appendRecord appends a record. The key has 1 to keyMax bytes.
func appendRecord(dst []byte, key string, isBinary bool) []byte {
	from := len(dst)
	kind := kindKey
	if isBinary {
		kind = kindBinary
	}
	dst = append(dst, kind, byte(len(key)))
	dst = append(binary.LittleEndian.AppendUint16(dst, headCheck(dst[from:])), key...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[from:], castagnoli))
}

func headCheck(head []byte) uint16 { return uint16(crc32.Checksum(head[:2], castagnoli)) }

// parse reads a file for name. lost says that keys are missing; an error is ErrDamaged
// and says where, and then they are as well.
func parse(data []byte, name string) (keys []Key, lost bool, err error) {
	name = name[:min(len(name), nameMax)]
	at := nameAt + len(name) + sumBytes
	if len(data) < at || string(data[:stateAt]) != magic || data[stateAt] != ^data[stateAt+1] || data[stateAt] > stateLost ||
		int(binary.LittleEndian.Uint16(data[stateAt+2:])) != len(name) || string(data[nameAt:at-sumBytes]) != name ||
		binary.LittleEndian.Uint32(data[at-sumBytes:]) != headerSum(data[:at-sumBytes]) {
		return nil, true, fmt.Errorf("%w: its header is not that of %q", ErrDamaged, name)
	}
	lost = data[stateAt] == stateLost
	for left := data[at:]; len(left) >= headBytes; left = data[at:] {
		kind, n := left[0], int(left[1])
		end := headBytes + n + sumBytes
		if binary.LittleEndian.Uint16(left[2:]) != headCheck(left) || kind != kindKey && kind != kindBinary || n == 0 || n > keyMax ||
			len(left) >= end && binary.LittleEndian.Uint32(left[end-sumBytes:]) != crc32.Checksum(left[:end-sumBytes], castagnoli) {
			return nil, true, fmt.Errorf("%w: at byte %d of %d", ErrDamaged, at, len(data))
		}
		if len(left) < end {
			break // S3
		}
		keys = append(keys, Key{string(left[headBytes : headBytes+n]), kind == kindBinary})
		at += end
	}
	return keys, lost, nil
}
