package protocol

import (
	"strings"
	"testing"
)

const allFlags = "b k q s t c f h l u v x I P L O N1 T1 R1 F1 C1 E1 J1 D1 M"

func firstFlags(n int) string { return strings.Join(strings.Fields(allFlags)[:n], " ") }

func TestMeta(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string
	}{
		{"mg a\r\n", `mg ["a"] `},
		{"mg a v  f t\r\n", `mg ["a"] vft`},
		{"mg a k x I M vv Pxyz Lxyz\r\n", `mg ["a"] kxIMvPL M `},
		{"mg a O k\r\n", `mg ["a"] Ok O`},
		{"mg a T-1 N30 R5 E7 q\r\n", `mg ["a"] TNREq T-1 N30 R5 C0 E7 D1 J0`},
		{"mg a T- N-0\r\n", `mg ["a"] TN`},
		{"ma a D5 J10 Mdecr\r\n", `error(ma) CLIENT_ERROR invalid mode for ma M token ["a"]`},
		{"ma a D5 J10 MD\r\n", `ma ["a"] DJM MD T0 N0 R0 C0 E0 D5 J10`},
		{"ma a M+\r\n", `ma ["a"] M M+`},
		{"md a I C12 x\r\n", `md ["a"] ICx T0 N0 R0 C12 E0 D1 J0`},
		{"me a\r\n", `me ["a"] `},
		{"me a O" + strings.Repeat("o", 40) + " q q q\r\n", `me ["a"] `},
		{"mg YWI= b k\r\n", `mg ["ab"] bk text=YWI=`},
		{"me YWI= b\r\n", `me ["ab"]  text=YWI=`},
		{"me YWI= q b\r\n", `me ["YWI="] `},
	} {
		check(t, c.in, c.want)
	}
}

func TestMetaSet(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"ms a 3\r\nfoo\r\nmn\r\n", []string{`ms ["a"] len=3  "foo"`, "mn"}},
		{"ms a 3 F9 T60 c MA N5\r\nfoo\r\n", []string{`ms ["a"] flags=9 len=3 FTcMN MA T60 N5 R0 C0 E0 D1 J0 "foo"`}},
		{"ms YWI= 3 b I\r\nfoo\r\n", []string{`ms ["ab"] len=3 bI text=YWI= "foo"`}},
		{"ms a 3 q\r\nfooo\r\nmn\r\n", []string{`ms ["a"] len=3 q "foo" bad`, "error() " + badFormat, "mn"}},
		// The length is in doubt: the block is not skipped.
		{"ms a\r\nmn\r\n", []string{"error(ms) " + badFormat, "mn"}},
		{"ms a S3\r\nmn\r\n", []string{"error(ms) " + badFormat, "mn"}},
		{"ms a -1\r\nmn\r\n", []string{"error(ms) " + badFormat, "mn"}},
		{"ms a 2147483646\r\nmn\r\n", []string{"error(ms) " + badFormat, "mn"}},
		{"ms a 4 =\r\nmn\r\n", []string{"error(ms) " + badFormat, "mn"}},
		// The length is known: the block is skipped.
		{"ms " + key251 + " 4\r\nmn\r\n\r\nmn\r\n", []string{"error(ms) " + badFormat + " len=4", "mn"}},
		{"ms a 4 Tx\r\nmn\r\n\r\nmn\r\n", []string{`error(ms) CLIENT_ERROR bad token in command line format ["a"] len=4`, "mn"}},
		{"ms a 4 Me\r\nmn\r\n\r\nmn\r\n", []string{`error(ms) CLIENT_ERROR invalid mode for ms M token ["a"] len=4`, "mn"}},
		{"ms a 4 M\r\nmn\r\n\r\nmn\r\n", []string{`error(ms) CLIENT_ERROR invalid mode for ms M token ["a"] len=4`, "mn"}},
		{"ms a 4 O" + strings.Repeat("o", 32) + "\r\nmn\r\n\r\nmn\r\n", []string{`error(ms) CLIENT_ERROR opaque token too long ["a"] len=4`, "mn"}},
		{"ms a 4 " + firstFlags(18) + "\r\nmn\r\n\r\nmn\r\n", []string{`error(ms) CLIENT_ERROR options flags are too long len=4`, "mn"}},
	} {
		check(t, c.in, c.want...)
	}
}

func TestMetaErrors(t *testing.T) {
	const (
		badToken = "CLIENT_ERROR bad token in command line format"
		masked   = "error(ma) CLIENT_ERROR invalid or duplicate flag"
	)
	for _, c := range []struct {
		in   string
		want string
	}{
		{"mg\r\n", "error(mg) " + badFormat},
		{"mg  \r\n", "error(mg) " + badFormat},
		{"mg " + key251 + "\r\n", "error(mg) " + badFormat},
		{"me " + key251 + "\r\n", "error(me) " + badFormat},
		{"me Y b\r\n", "error(me) " + badFormat},
		{"mg a =\r\n", "error(mg) " + badFormat},
		{"mg a k k \x80\r\n", "error(mg) " + badFormat},
		{"mg a k k\r\n", `error(mg) CLIENT_ERROR duplicate flag`},
		{"mg a z\r\n", `error(mg) CLIENT_ERROR invalid flag`},
		{"mg a 5\r\n", `error(mg) CLIENT_ERROR invalid flag`},
		{"mg a _\r\n", `error(mg) CLIENT_ERROR invalid flag`},
		{"mg a S100\r\n", `error(mg) CLIENT_ERROR invalid flag`},
		{"mg YWI= " + firstFlags(18) + "\r\n", `mg ["ab"] bkqstcfhluvxIPLONT O text=YWI= T1 N1 R0 C0 E0 D1 J0`},
		{"mg YWI= " + firstFlags(19) + "\r\n", "error(mg) CLIENT_ERROR options flags are too long"},
		{"mg a Tx\r\n", `error(mg) ` + badToken + ` ["a"]`},
		{"mg a T\r\n", `error(mg) ` + badToken + ` ["a"]`},
		{"mg a N2147483648\r\n", `error(mg) ` + badToken + ` ["a"]`},
		{"mg a R1.5\r\n", `error(mg) ` + badToken + ` ["a"]`},
		{"mg a C-1\r\n", `error(mg) ` + badToken + ` ["a"]`},
		{"mg a Ex\r\n", `error(mg) ` + badToken + ` ["a"]`},
		{"mg a F4294967296\r\n", `error(mg) ` + badFormat + ` ["a"]`},
		{"mg a Jx\r\n", `error(mg) CLIENT_ERROR invalid numeric initial value ["a"]`},
		{"mg a Dx\r\n", `error(mg) CLIENT_ERROR invalid numeric delta value ["a"]`},
		// Of several mistakes the last is told, F gives way, and a flag that is
		// unknown or twice there beats all.
		{"mg a Dx Tx\r\n", `error(mg) ` + badToken + ` ["a"]`},
		{"mg a Tx Dx\r\n", `error(mg) CLIENT_ERROR invalid numeric delta value ["a"]`},
		{"mg a Tx Fx\r\n", `error(mg) ` + badToken + ` ["a"]`},
		{"mg a Fx Tx\r\n", `error(mg) ` + badToken + ` ["a"]`},
		{"mg Y Tx b\r\n", `error(mg) CLIENT_ERROR error decoding key`},
		{"mg a Tx k k\r\n", `error(mg) CLIENT_ERROR duplicate flag`},
		{"mg a Tx z\r\n", `error(mg) CLIENT_ERROR invalid flag`},
		{"mg a z k k\r\n", `error(mg) CLIENT_ERROR invalid flag`},
		{"mg Y b\r\n", "error(mg) CLIENT_ERROR error decoding key"},
		{"mg YWI b\r\n", "error(mg) CLIENT_ERROR error decoding key"},
		{"mg Y=== b\r\n", "error(mg) CLIENT_ERROR error decoding key"},
		{"mg ! b\r\n", "error(mg) CLIENT_ERROR error decoding key"},
		{"mg a O" + strings.Repeat("o", 31) + "\r\n", `mg ["a"] O O` + strings.Repeat("o", 31)},
		{"mg a O" + strings.Repeat("o", 32) + "\r\n", `error(mg) CLIENT_ERROR opaque token too long ["a"]`},
		{"md a O" + strings.Repeat("o", 32) + "\r\n", `error(md) CLIENT_ERROR opaque token too long ["a"]`},
		{"ma a O" + strings.Repeat("o", 32) + "\r\n", `error(ma) CLIENT_ERROR opaque token too long ["a"]`},
		{"ma a O" + strings.Repeat("o", 32) + " Mx\r\n", `error(ma) CLIENT_ERROR invalid mode for ma M token ["a"]`},
		// ma tells no two mistakes apart.
		{"ma\r\n", "error(ma) " + badFormat},
		{"ma a =\r\n", "error(ma) " + badFormat},
		{"ma " + key251 + "\r\n", masked},
		{"ma a k k\r\n", masked},
		{"ma a z\r\n", masked},
		{"ma a Dx\r\n", masked + ` ["a"]`},
		{"ma a Tx\r\n", masked + ` ["a"]`},
		{"ma Y b\r\n", masked},
		{"ma YWI= " + firstFlags(19) + "\r\n", masked},
	} {
		check(t, c.in, c.want)
	}
}
