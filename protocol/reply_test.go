package protocol

import "testing"

func TestReplies(t *testing.T) {
	key := []byte("key")
	r := &Request{Op: OpMetaGet, Keys: [][]byte{{0, 0xff}}}
	r.Meta.Order = [MetaFlagsMax]byte{'v', 'O', 'k'}
	r.Meta.N = 3
	r.Meta.Opaque = []byte("xyz")
	r.Meta.Binary = true
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{AppendErr(nil, ErrBadChunk), "CLIENT_ERROR bad data chunk\r\n"},
		{AppendLine(nil, "x"), "x\r\n"},
		{AppendNumber(nil, 0), "0\r\n"},
		{AppendNumber(nil, 1<<64-1), "18446744073709551615\r\n"},
		{AppendValue(nil, key, 0, 0), "VALUE key 0 0\r\n"},
		{AppendValueCAS(nil, key, 1<<32-1, 1048576, 12), "VALUE key 4294967295 1048576 12\r\n"},
		{AppendVersion(nil, "1.6.45-holdfast"), "VERSION 1.6.45-holdfast\r\n"},
		{AppendStat(nil, "a", "b c"), "STAT a b c\r\n"},
		{AppendStatUint(nil, "a", 10), "STAT a 10\r\n"},
		{AppendMetaValue(nil, 100), "VA 100"},
		{AppendFlag(nil, 'W'), " W"},
		{AppendFlagUint(nil, 'c', 77), " c77"},
		{AppendFlagInt(nil, 't', -1), " t-1"},
		{AppendOpaque(nil, &Meta{}), " O"},
		{AppendKeyFlag(nil, key, false), " kkey"},
		{AppendKeyFlag(nil, key, true), " ka2V5 b"},
		{AppendEcho(nil, r), " Oxyz kAP8= b"},
		{
			AppendMetaDebug(nil, &MetaDebug{Key: key, Exptime: -1, Age: 3, CAS: 4, Class: 5, Size: 66}),
			"ME key exp=-1 la=3 cas=4 fetch=no cls=5 size=66\r\n",
		},
		{
			AppendMetaDebug(nil, &MetaDebug{Key: key, Binary: true, Exptime: 9, Fetched: true}),
			"ME a2V5 exp=9 la=0 cas=0 fetch=yes cls=0 size=0\r\n",
		},
	} {
		if string(c.got) != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestRepliesAllocateNothing(t *testing.T) {
	out := make([]byte, 0, 1024)
	key := []byte("key")
	m := &Meta{Opaque: []byte("xyz")}
	if n := testing.AllocsPerRun(100, func() {
		dst := AppendValueCAS(out, key, 5, 100, 1<<60)
		dst = AppendMetaValue(dst, 100)
		dst = AppendOpaque(dst, m)
		dst = AppendKeyFlag(dst, key, true)
		dst = AppendFlagInt(dst, 't', -1)
		dst = AppendFlagUint(dst, 'c', 1<<60)
		dst = AppendErr(dst, ErrBadFormat)
		AppendNumber(dst, 1<<60)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
