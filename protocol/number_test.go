package protocol

import (
	"encoding/base64"
	"math/rand/v2"
	"testing"
)

func TestStrictNumbers(t *testing.T) {
	const no = "no"
	for _, c := range []struct {
		in            string
		u64, u32, i32 any
	}{
		{"0", uint64(0), uint32(0), int32(0)},
		{"007", uint64(7), uint32(7), int32(7)},
		{"2147483647", uint64(2147483647), uint32(2147483647), int32(2147483647)},
		{"2147483648", uint64(2147483648), uint32(2147483648), no},
		{"-2147483648", no, no, int32(-2147483648)},
		{"-2147483649", no, no, no},
		{"4294967295", uint64(4294967295), uint32(4294967295), no},
		{"4294967296", uint64(4294967296), no, no},
		{"18446744073709551615", uint64(1<<64 - 1), no, no},
		{"18446744073709551616", no, no, no},
		{"00000000005", uint64(5), uint32(5), int32(5)},
		{"000000000005", uint64(5), no, no},
		{"0000000000000000000005", uint64(5), no, no},
		{"00000000000000000000005", no, no, no},
		{"-", no, no, int32(0)},
		{"-0", no, no, int32(0)},
		{"", no, no, no},
		{"+5", no, no, no},
		{"5x", no, no, no},
		{" 5", no, no, no},
		{"--5", no, no, no},
		{"5-", no, no, no},
	} {
		result := func(v any, ok bool) any {
			if !ok {
				return no
			}
			return v
		}
		u64, ok64 := ParseUint([]byte(c.in))
		u32, ok32 := ParseUint32([]byte(c.in))
		i32, oki := ParseInt32([]byte(c.in))
		if got := result(u64, ok64); got != c.u64 {
			t.Errorf("ParseUint(%q) = %v, want %v", c.in, got, c.u64)
		}
		if got := result(u32, ok32); got != c.u32 {
			t.Errorf("ParseUint32(%q) = %v, want %v", c.in, got, c.u32)
		}
		if got := result(i32, oki); got != c.i32 {
			t.Errorf("ParseInt32(%q) = %v, want %v", c.in, got, c.i32)
		}
	}
}

func TestLaxNumbers(t *testing.T) {
	for _, c := range []struct {
		in                 string
		flags              uint32
		exptime            int64
		flagsOK, exptimeOK bool
	}{
		{"0", 0, 0, true, true},
		{"+5", 5, 5, true, true},
		{"010", 10, 10, true, true},
		{"\t\v5", 5, 5, true, true},
		{"5\tx", 5, 5, true, true},
		{"5\x00x", 5, 5, true, true},
		{"00000000000000000000000005", 5, 5, true, true},
		{"-0", 0, 0, true, true},
		{"-1", 0, -1, false, true},
		{"-2147483648", 0, -2147483648, false, true},
		{"-2147483649", 0, 0, false, false},
		{"2147483647", 2147483647, 2147483647, true, true},
		{"2147483648", 2147483648, -2147483648, true, true},
		{"4294967295", 4294967295, -1, true, true},
		{"4294967296", 0, 0, false, false},
		{"18446744073709551615", 0, 0, false, false},
		{"99999999999999999999999999", 0, 0, false, false},
		{"", 0, 0, false, false},
		{"-", 0, 0, false, false},
		{"\t", 0, 0, false, false},
		{"x", 0, 0, false, false},
		{"5x", 0, 0, false, false},
		{"1.5", 0, 0, false, false},
		{"0x10", 0, 0, false, false},
	} {
		if v, ok := laxFlags([]byte(c.in)); ok != c.flagsOK || ok && v != c.flags {
			t.Errorf("laxFlags(%q) = %v, %v", c.in, v, ok)
		}
		if v, ok := laxExptime([]byte(c.in)); ok != c.exptimeOK || ok && v != c.exptime {
			t.Errorf("laxExptime(%q) = %v, %v", c.in, v, ok)
		}
	}
}

func TestBase64(t *testing.T) {
	var dst [KeyLenMax]byte
	for in, want := range map[string]string{
		"YQ==": "a", "YWI=": "ab", "YWJj": "abc", "YWJjZA==": "abcd",
		"Y!W\tI=": "ab", "YWI=YWI=": "ab", "YW==": "a",
		"": "", "Y": "", "YW": "", "YWI": "", "Y===": "", "====": "", "!": "", "YWJjZ": "",
	} {
		if got := string(dst[:decodeBase64(dst[:], []byte(in))]); got != want {
			t.Errorf("%q decodes to %q, want %q", in, got, want)
		}
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for n := 1; n <= 187; n++ {
		in := make([]byte, n)
		for i := range in {
			in[i] = byte(rng.Uint32())
		}
		text := AppendBase64(nil, in)
		if string(text) != base64.StdEncoding.EncodeToString(in) {
			t.Fatalf("%x encodes to %q", in, text)
		}
		if len(text) > KeyLenMax {
			continue
		}
		if got := dst[:decodeBase64(dst[:], text)]; string(got) != string(in) {
			t.Fatalf("%q decodes to %x, want %x", text, got, in)
		}
	}
}
