package protocol

import (
	"strings"
	"testing"
)

const (
	badFormat  = "CLIENT_ERROR bad command line format"
	badExptime = "CLIENT_ERROR invalid exptime argument"
)

var (
	key250 = strings.Repeat("k", 250)
	key251 = strings.Repeat("k", 251)
)

func TestLine(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"get a\n", []string{`get exp=0 ["a"]`}},
		{"get a\r\r\n", []string{`get exp=0 ["a\r"]`}},
		{"get  a   b \r\n", []string{`get exp=0 ["a" "b"]`}},
		{"get a\tb\x00\x01\x80\r\n", []string{`get exp=0 ["a\tb\x00\x01\x80"]`}},
		{"\r\n", []string{"error() " + badFormat}},
		{"\n\n", []string{"error() " + badFormat, "error() " + badFormat}},
		{"a\r\n", []string{"error() " + badFormat}},
		{"mn\n", []string{"error() " + badFormat}},
		{"mn\r\n", []string{"mn"}},
		{"mn foo bar\r\n", []string{"mn"}},
		{"mg\tk\r\n", []string{"error() ERROR"}},
		{"GET a\r\n", []string{"error() ERROR"}},
		{" get a\r\n", []string{"error() ERROR"}},
		{"    \r\n", []string{"error() ERROR"}},
		{"getx a\r\n", []string{"error() ERROR"}},
		{"foo noreply\r\n", []string{"error() ERROR silent"}},
		{"noreply\r\n", []string{"error() ERROR silent"}},
		{"foo bar HTTP/1.1\r\nmn\r\n", []string{"close"}},
		{"GET / HTTP/1.1\r\n", []string{"close"}},
		{"HTTP/1.1\r\n", []string{"error() ERROR"}},
		{"get / HTTP/1.1\r\n", []string{`get exp=0 ["/" "HTTP/1.1"]`}},
		{"version\r\nquit\r\n", []string{"version", "quit"}},
		{"version foo\nquit noreply\n", []string{"version", "quit"}},
		{"refresh_certs\r\nextstore item_age 5\r\n", []string{"error() ERROR", "error() ERROR"}},
		{strings.Repeat("x", LineLenMax-1) + "\n", []string{"error() ERROR"}},
	} {
		check(t, c.in, c.want...)
	}
}

func TestGet(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"get\r\n", []string{"error(get) " + badFormat}},
		{"get   \r\n", []string{"error(get) " + badFormat}},
		{"gets\r\n", []string{"error(gets) " + badFormat}},
		{"gets a a\r\n", []string{`gets exp=0 ["a" "a"]`}},
		{"get a noreply\r\n", []string{`get exp=0 ["a" "noreply"]`}},
		{"get " + key250 + "\r\n", []string{`get exp=0 ["` + key250 + `"]`}},
		{"version\r\nget a " + key251 + " b\r\nmn\r\n", []string{"version", "error(get) " + badFormat, "mn"}},
		{"gat\r\n", []string{"error(gat) " + badFormat}},
		{"gat 5\r\n", []string{"error(gat) " + badFormat}},
		{"gat 5 a b\r\n", []string{`gat exp=5 ["a" "b"]`}},
		{"gats -1 a\r\n", []string{`gats exp=-1 ["a"]`}},
		{"gat 1.5 a\r\n", []string{"error(gat) " + badExptime}},
		{"gat 2147483648 a\r\n", []string{"error(gat) " + badExptime}},
		{"gat x " + key251 + "\r\n", []string{"error(gat) " + badExptime}},
		{"gat 0 " + key251 + "\r\n", []string{"error(gat) " + badFormat}},
	} {
		check(t, c.in, c.want...)
	}
}

func TestStorage(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"set a 1 2 3\r\nfoo\r\nmn\r\n", []string{`set ["a"] flags=1 exp=2 len=3 "foo"`, "mn"}},
		{"set a 0 0 0\n\r\n", []string{`set ["a"] ""`}},
		{"add a 0 -5 3 noreply\r\n\r\n\n\r\n", []string{`add ["a"] exp=-5 len=3 silent "\r\n\n"`}},
		{"replace a +5 010 1 foo\r\nx\r\n", []string{`replace ["a"] flags=5 exp=10 len=1 "x"`}},
		{"append a \t7 8\t 1 noreply x\r\nx\r\n", []string{`append ["a"] flags=7 exp=8 len=1 "x"`}},
		{"prepend a 4294967295 2147483647 1\r\nx\r\n", []string{`prepend ["a"] flags=4294967295 exp=2147483647 len=1 "x"`}},
		{"cas a 0 0 1 18446744073709551615 noreply\r\nx\r\n", []string{`cas ["a"] cas=18446744073709551615 len=1 silent "x"`}},
		// The block does not end where it says: bytes+2 are gone, the rest are commands.
		{"set a 0 0 3\r\nfoobar\r\nmn\r\n", []string{`set ["a"] len=3 "foo" bad`, "error() " + badFormat, "mn"}},
		{"set a 0 0 3\r\nfoo\n\nmn\r\n", []string{`set ["a"] len=3 "foo" bad`, "mn"}},
		// The length is in doubt: the block is not skipped.
		{"set a 0 0\r\nmn\r\n", []string{"error(set) " + badFormat, "mn"}},
		{"set a 0 0 noreply\r\nmn\r\n", []string{"error(set) " + badFormat, "mn"}},
		{"set noreply\r\nmn\r\n", []string{"error(set) " + badFormat, "mn"}},
		{"set a 0 0 -1\r\nmn\r\n", []string{"error(set) " + badFormat, "mn"}},
		{"set a 0 0 x noreply\r\nmn\r\n", []string{"error(set) " + badFormat, "mn"}},
		{"set a 0 0 2147483646\r\nmn\r\n", []string{"error(set) " + badFormat, "mn"}},
		// The length is known: the block is skipped.
		{"set " + key251 + " 0 0 4\r\nmn\r\n\r\nmn\r\n", []string{"error(set) " + badFormat + " len=4", "mn"}},
		{"set a x 0 4 noreply\r\nmn\r\n\r\nmn\r\n", []string{`error(set) ` + badFormat + ` ["a"] len=4 silent`, "mn"}},
		{"set a -1 0 4\r\nmn\r\n\r\nmn\r\n", []string{`error(set) ` + badFormat + ` ["a"] len=4`, "mn"}},
		{"set a 4294967296 0 1\r\nx\r\n", []string{`error(set) ` + badFormat + ` ["a"] len=1`}},
		{"set a 0 4294967296 1\r\nx\r\n", []string{`error(set) ` + badFormat + ` ["a"] len=1`}},
		{"set a 0 4294967295 1\r\nx\r\n", []string{`set ["a"] exp=-1 len=1 "x"`}}, // as libmemcached writes -1
		{"set a 0 1.5 1\r\nx\r\n", []string{`error(set) ` + badFormat + ` ["a"] len=1`}},
		{"cas a 0 0 1\r\nx\r\nmn\r\n", []string{`error(cas) ` + badFormat + ` ["a"] len=1`, "mn"}},
		{"cas a 0 0 1 noreply\r\nx\r\nmn\r\n", []string{`error(cas) ` + badFormat + ` ["a"] len=1 silent`, "mn"}},
		{"cas a 0 0 1 18446744073709551616\r\nx\r\n", []string{`error(cas) ` + badFormat + ` ["a"] len=1`}},
		// The 23rd word is the last that counts.
		{"set a 0 0 1" + strings.Repeat(" x", 17) + " noreply y\r\nx\r\n", []string{`set ["a"] len=1 silent "x"`}},
		{"set a 0 0 1" + strings.Repeat(" x", 18) + " noreply\r\nx\r\n", []string{`set ["a"] len=1 "x"`}},
	} {
		check(t, c.in, c.want...)
	}
}

func TestKeyed(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string
	}{
		{"delete a\r\n", `delete ["a"]`},
		{"delete a 0\r\n", `delete ["a"]`},
		{"delete a b c noreply\r\n", `delete ["a"] silent`},
		{"delete noreply\r\n", `delete ["noreply"] silent`},
		{"delete\r\n", "error(delete) " + badFormat},
		{"delete " + key251 + " noreply\r\n", "error(delete) " + badFormat + " silent"},
		{"incr a 18446744073709551615\r\n", `incr ["a"] delta=18446744073709551615`},
		{"decr a 1 noreply\r\n", `decr ["a"] delta=1 silent`},
		{"incr a\r\n", "error(incr) " + badFormat},
		{"incr noreply\r\n", "error(incr) " + badFormat},
		{"incr a noreply\r\n", `error(incr) CLIENT_ERROR invalid numeric delta argument ["a"] silent`},
		{"incr a -1\r\n", `error(incr) CLIENT_ERROR invalid numeric delta argument ["a"]`},
		{"incr a 18446744073709551616\r\n", `error(incr) CLIENT_ERROR invalid numeric delta argument ["a"]`},
		{"decr " + key251 + " x\r\n", "error(decr) " + badFormat},
		{"touch a -1\r\n", `touch ["a"] exp=-1`},
		{"touch a 5 noreply\r\n", `touch ["a"] exp=5 silent`},
		{"touch a\r\n", "error(touch) " + badFormat},
		{"touch a 1.5\r\n", `error(touch) ` + badExptime + ` ["a"]`},
		{"touch a noreply\r\n", `error(touch) ` + badExptime + ` ["a"] silent`},
	} {
		check(t, c.in, c.want)
	}
}

func TestAdministrative(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string
	}{
		{"flush_all\r\n", "flush_all"},
		{" flush_all 5\r\n", `flush_all ["5"]`},
		{"flush_all noreply\r\n", "flush_all silent"},
		{"flush_all 5 noreply\r\n", `flush_all ["5"] silent`},
		{"verbosity 1\r\n", `verbosity ["1"]`},
		{"cache_memlimit 64 noreply\r\n", `cache_memlimit ["64"] silent`},
		{"slabs reassign 1 2\r\n", `slabs ["reassign" "1" "2"]`},
		{"lru tune 10 20 0.1 2\r\n", `lru ["tune" "10" "20" "0.1" "2"]`},
		{"lru_crawler metadump all\r\n", `lru_crawler ["metadump" "all"]`},
		{"shutdown graceful\r\n", `shutdown ["graceful"]`},
		{"stats noreply\r\n", `stats ["noreply"]`},
		{"watch fetchers  mutations\r\n", `watch ["fetchers" "mutations"]`},
		{" stats\r\n", "error() ERROR"},
		{"debugtime p\r\n", "error() ERROR"},
	} {
		check(t, c.in, c.want)
	}
	f := newFeeder(t, 0)
	f.p.Debug = true
	f.feed([]byte("debugtime p\r\n"))
	if len(f.out) != 1 || f.out[0] != `debugtime ["p"]` {
		t.Errorf("debugtime gave %q", f.out)
	}
}
