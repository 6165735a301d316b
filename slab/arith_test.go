package slab

import "testing"

func TestParseNumber(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want uint64
		ok   bool
	}{
		{"0", 0, true},
		{"42", 42, true},
		{"  42", 42, true},
		{"+5", 5, true},
		{"0005", 5, true},
		{"5 a", 5, true},
		{"5\r\n6", 5, true},
		{"5\x00x", 5, true},
		{"18446744073709551615", 1<<64 - 1, true},
		{"18446744073709551616", 0, false},
		{"99999999999999999999999", 0, false},
		{"-18446744073709551615", 1, true},
		{"-9223372036854775809", 1<<63 - 1, true},
		{"-9223372036854775808", 1 << 63, false},
		{"-0", 0, true},
		{"-5", 0, false},
		{"", 0, false},
		{" ", 0, false},
		{"+", 0, false},
		{"abc", 0, false},
		{"5a", 0, false},
		{"5.5", 0, false},
	} {
		got, ok := parseNumber([]byte(tc.in))
		if ok != tc.ok || ok && got != tc.want {
			t.Errorf("%q: %d %t, want %d %t", tc.in, got, ok, tc.want, tc.ok)
		}
	}
}

func TestArith(t *testing.T) {
	s, w := newStore(t, nil)
	k := s.keyString("n")
	for _, tc := range []struct {
		start string
		op    ArithOp
		res   Result
		value uint64
		text  string
	}{
		{"5", ArithOp{Delta: 3}, Hit, 8, "8"},
		{"99", ArithOp{Delta: 1}, Hit, 100, "100"},
		{"10", ArithOp{Delta: 1, Decrement: true}, Hit, 9, "9 "},
		{"10", ArithOp{Delta: 11, Decrement: true}, Hit, 0, "0 "},
		{"18446744073709551615", ArithOp{Delta: 2}, Hit, 1, "1                   "},
		{" 7", ArithOp{Delta: 1}, Hit, 8, "8 "},
		{"", ArithOp{Delta: 1}, NonNumeric, 0, ""},
		{"x", ArithOp{Delta: 1}, NonNumeric, 0, "x"},
		{"5", ArithOp{Delta: 1, Compare: true, CAS: 1}, Exists, 0, "5"},
		{"5", ArithOp{Delta: 1, Compare: true}, Hit, 6, "6"},
	} {
		mustSet(t, w, "n", tc.start, SetOp{Flags: 6, Exptime: 2000})
		r := w.Arith(k, &tc.op)
		if r.Result != tc.res || r.Value != tc.value {
			t.Errorf("%q %+v: %+v", tc.start, tc.op, r)
		}
		wantValue(t, w, "n", tc.text)
		w.Get(k, nil, func(v *View) {
			if v.Flags() != 6 || v.Exptime() != 2000 || r.Result == Hit && v.CAS() != r.CAS {
				t.Errorf("%q %+v: flags %d, exptime %d, CAS %d of %d", tc.start, tc.op, v.Flags(), v.Exptime(), v.CAS(), r.CAS)
			}
		})
		checkStore(t, s)
	}
}

func TestArithMeta(t *testing.T) {
	s, w := newStore(t, nil)
	k := s.keyString("n")
	if r := w.Arith(k, &ArithOp{Delta: 1}); r.Result != Miss {
		t.Errorf("missing: %+v", r)
	}
	r := w.Arith(k, &ArithOp{Delta: 1, Vivify: true, VivifyExptime: 1500, Initial: 13, NewCAS: 5, Binary: true})
	if r.Result != Stored || r.Value != 13 || r.CAS != 5 || r.Exptime != 1500 || !r.Binary {
		t.Errorf("vivified: %+v", r)
	}
	r = w.Arith(k, &ArithOp{Delta: 1, SetExptime: true, Exptime: 1700, Compare: true, CAS: 5})
	if r.Result != Hit || r.Value != 14 || r.CAS == 5 || r.Exptime != 1700 || r.ExptimeBefore != 1500 || !r.Binary {
		t.Errorf("counted: %+v", r)
	}
	w.Delete(k, &DeleteOp{Invalidate: true})
	w.Arith(k, &ArithOp{Delta: 1})
	w.Get(k, &GetOp{Meta: true}, func(v *View) {
		if !v.Stale {
			t.Error("counting in place lost the stale mark")
		}
	})
	w.Arith(k, &ArithOp{Delta: 1000})
	w.Get(k, &GetOp{Meta: true}, func(v *View) {
		if v.Stale {
			t.Error("a longer number kept the stale mark")
		}
	})
	mustSet(t, w, "n", pattern(600<<10, 3), SetOp{})
	if r := w.Arith(k, &ArithOp{Delta: 1}); r.Result != NonNumeric {
		t.Errorf("chained: %+v", r)
	}
	checkStore(t, s)
}
