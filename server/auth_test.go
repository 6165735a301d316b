package server

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeTimers stands in for the clock and the timers of an authGate.
type fakeTimers struct {
	now    time.Time
	timers []*fakeTimer
}

type fakeTimer struct {
	due     time.Time
	f       func()
	stopped bool
}

func (c *fakeTimers) after(d time.Duration, f func()) func() bool {
	timer := &fakeTimer{due: c.now.Add(d), f: f}
	c.timers = append(c.timers, timer)
	return func() bool {
		timer.stopped = true
		return true
	}
}

// pass lets time pass and fires what is due.
func (c *fakeTimers) pass(d time.Duration) {
	c.now = c.now.Add(d)
	for _, timer := range c.timers {
		if !timer.stopped && !timer.due.After(c.now) {
			timer.stopped = true
			timer.f()
		}
	}
}

// waits is how long the last timer still runs.
func (c *fakeTimers) waits() time.Duration {
	if len(c.timers) == 0 {
		return 0
	}
	return c.timers[len(c.timers)-1].due.Sub(c.now)
}

// authNode returns a node with a file of passwords, the path of the file, and
// its timers.
func authNode(t *testing.T, text string) (*Node, string, *fakeTimers) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n := testNode(t, func(c *Config) { c.AuthFile = file }, nil)
	timers := &fakeTimers{now: time.Unix(1700000000, 0)}
	n.admins.auth.after = timers.after
	n.admins.auth.now = func() time.Time { return timers.now }
	return n, file, timers
}

const twoUsers = "foo:bar\nbaz:b c:d\r\n\nfoo:second\n"

// logInLine is the request that shows a password.
func logInLine(token string) []byte {
	return fmt.Appendf(nil, "set any 0 0 %d\r\n%s\r\n", len(token), token)
}

func TestAuthDialogues(t *testing.T) {
	const unauthenticated = "CLIENT_ERROR unauthenticated\r\n"
	const let = "STORED\r\nMN\r\n"
	for _, test := range []struct{ say, want string }{
		{"version\r\n", unauthenticated},
		{"get a b c\r\n", unauthenticated},
		{"mg a v\r\n", unauthenticated},
		{"ms key 8\r\nany data\r\n", unauthenticated + unauthenticated},
		{"add a 0 0 7\r\nfoo bar\r\n", unauthenticated + unauthenticated},
		{"stats\r\n", unauthenticated},
		{"flush_all noreply\r\n", unauthenticated},
		{"nonsense\r\n", unauthenticated},
		{"watch\r\n", unauthenticated},
		{"shutdown\r\n", unauthenticated},
		{"mn\r\nversion\r\n", ""},
		{"quit\r\nversion\r\n", ""},
		{"\nversion\r\n", ""},
		{"abcde\nversion\r\n", ""},
		{"abcdef\n", unauthenticated},
		{"quit b\r\n", unauthenticated},
		{strings.Repeat("x", 2049), ""},
		{"set a\r\n", unauthenticated},
		{" set a 0 0 7\r\n", unauthenticated},
		{"set a 0 0 -1\r\n", unauthenticated},
		{"set a 0 0 4294967296\r\n", unauthenticated},
		{"set  a x y 7 z\r\nfoo bar\r\nmn\r\n", let},
		{"set " + strings.Repeat("k", 300) + " 0 0 7\r\nfoo bar\r\nmn\r\n", let},
		{"set a 0 0 7\r\nfoo bar\r\nmn\r\n", let},
		{"set a 0 0 7 noreply\r\nfoo bar\r\nmn\r\n", let},
		{"set a 0 0 10\r\nfoo second\r\nmn\r\n", let},
		{"set a 0 0 9\r\nbaz b c:d\r\nmn\r\n", let},
		{"get a\r\nset a 0 0 7\r\nfoo bar\r\nmn\r\n", unauthenticated + let},
		{"set a 0 0 6\r\nfoobar\r\n", "CLIENT_ERROR bad authentication token format\r\n"},
		{"set a 0 0 0\r\n\r\n", "CLIENT_ERROR bad authentication token format\r\n"},
		{"set a 0 0 6\r\nfoo bar\r", "CLIENT_ERROR bad command line termination\r\n"},
		{"set a 0 0 16385\r\nversion\r\n", "CLIENT_ERROR auth token too long\r\n" + unauthenticated},
		{"set a 0 0 2147483647\r\n", "CLIENT_ERROR auth token too long\r\n"},
		{"set a 0 0 16384\r\n", ""},
	} {
		for _, step := range []int{0, 1} {
			n, _, _ := authNode(t, twoUsers)
			got := string(newClient(t, n, step).say([]byte(test.say)))
			if got != test.want {
				t.Errorf("%q in steps of %d: got %q, want %q", test.say, step, got, test.want)
			}
		}
	}
}

// TestAuthLongToken sends a password that does not fit into the read buffer's
// share, and one that is too long.
func TestAuthLongToken(t *testing.T) {
	password := strings.Repeat("p", authTokenMax-4)
	n, _, _ := authNode(t, "foo:"+password+"\n")
	c := newClient(t, n, 1000)
	got := string(c.say(logInLine("foo " + password)))
	if got != "STORED\r\n" {
		t.Errorf("got %q", got)
	}
	c = newClient(t, n, 1000)
	got = string(c.say(logInLine("foo " + password + "p")))
	if !strings.HasPrefix(got, "CLIENT_ERROR auth token too long\r\n") {
		t.Errorf("got %q", got)
	}
}

// TestAuthWrongPasswordWaits: the answer comes late, nothing overtakes it, and
// the next try is possible.
func TestAuthWrongPasswordWaits(t *testing.T) {
	n, _, timers := authNode(t, twoUsers)
	c := newClient(t, n, 0)
	if got := string(c.say([]byte("set a 0 0 7\r\nfoo baz\r\nversion\r\nset a 0 0 7\r\nfoo bar\r\nmn\r\n"))); got != "" {
		t.Fatalf("at once: %q", got)
	}
	timers.pass(authDelayFirst - 1)
	if got := string(c.say(nil)); got != "" {
		t.Fatalf("too early: %q", got)
	}
	timers.pass(1)
	const want = "CLIENT_ERROR authentication failure\r\nCLIENT_ERROR unauthenticated\r\nSTORED\r\nMN\r\n"
	if got := string(c.say(nil)); got != want {
		t.Errorf("in time: %q", got)
	}
	_, v := askStats(t, c, "stats")
	if v["auth_cmds"] != "2" || v["auth_errors"] != "1" {
		t.Errorf("auth_cmds %s, auth_errors %s", v["auth_cmds"], v["auth_errors"])
	}
}

// TestAuthDelayGrows: each wrong password of a source waits longer, on every
// connection, up to a bound; another source waits as little as ever.
func TestAuthDelayGrows(t *testing.T) {
	n, _, timers := authNode(t, twoUsers)
	guess := func(from string, token string) (*client, time.Duration) {
		c := newClient(t, n, 0)
		c.s.Remote = netip.MustParseAddrPort(from)
		before := len(timers.timers)
		c.say(logInLine(token))
		if len(timers.timers) == before {
			return c, 0
		}
		return c, timers.waits()
	}
	for i, want := range []time.Duration{250, 500, 1000, 2000, 2000, 2000} {
		if _, got := guess("10.0.0.1:1000", "foo wrong"); got != want*time.Millisecond {
			t.Errorf("try %d waits %v, want %v ms", i, got, int(want))
		}
	}
	if _, got := guess("10.0.0.2:1000", "foo wrong"); got != authDelayFirst {
		t.Errorf("another address waits %v", got)
	}
	if _, got := guess("10.0.0.1:1000", "foo bar"); got != 0 {
		t.Errorf("a right password waits %v", got)
	}
	for range authPatience {
		guess("10.0.0.1:1000", "foo wrong")
	}
	c, got := guess("10.0.0.1:1000", "foo bar")
	if got != authDelayMax {
		t.Errorf("after many guesses a right password waits %v", got)
	}
	timers.pass(got)
	if out := string(c.say([]byte("mn\r\n"))); out != "STORED\r\nMN\r\n" {
		t.Errorf("then: %q", out)
	}
	timers.pass(authForget + 1)
	if _, got := guess("10.0.0.1:1000", "foo wrong"); got != authDelayFirst {
		t.Errorf("much later a wrong password waits %v", got)
	}
}

// TestAuthSourcesBounded: the memory for sources has a limit.
func TestAuthSourcesBounded(t *testing.T) {
	n, _, _ := authNode(t, twoUsers)
	g := n.admins.auth
	for i := range authSourcesMax + 100 {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		g.check(netip.AddrPortFrom(addr, 1), []byte("a"), []byte("b"))
	}
	if len(g.mu.sources) > authSourcesMax {
		t.Errorf("%d sources", len(g.mu.sources))
	}
	a := authSourceOf(netip.MustParseAddrPort("[2001:db8::1]:1"))
	if b := authSourceOf(netip.MustParseAddrPort("[2001:db8::ffff]:2")); a != b {
		t.Errorf("one network is two sources: %v and %v", a, b)
	}
	if a, b := authSourceOf(netip.MustParseAddrPort("1.2.3.4:1")), authSourceOf(netip.MustParseAddrPort("[::ffff:1.2.3.4]:2")); a != b {
		t.Errorf("one address is two sources: %v and %v", a, b)
	}
}

// TestAuthHangUp: a client that leaves while it waits stops its timer, and a
// timer that fires all the same does no harm.
func TestAuthHangUp(t *testing.T) {
	n, _, timers := authNode(t, twoUsers)
	c := newClient(t, n, 0)
	c.say(logInLine("foo wrong"))
	c.s.abort(c.lane)
	if !timers.timers[0].stopped {
		t.Error("the timer still runs")
	}
	timers.timers[0].f()
}

func TestAuthReload(t *testing.T) {
	n, file, _ := authNode(t, "foo:bar")
	ok := func(token string) bool {
		return string(newClient(t, n, 0).say(logInLine(token))) == "STORED\r\n"
	}
	if !ok("foo bar") || ok("new pass") {
		t.Fatal("the first file does not count")
	}
	for _, bad := range []string{"", "\n\n", "new:pass\nno colon\n"} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := n.ReloadAuth(); err == nil {
			t.Errorf("%q is accepted", bad)
		} else if strings.Contains(err.Error(), "no colon\n") {
			t.Errorf("the error quotes the file: %v", err)
		}
		if !ok("foo bar") || ok("new pass") {
			t.Errorf("after %q the passwords have changed", bad)
		}
	}
	var many strings.Builder
	for i := range 500 {
		fmt.Fprintf(&many, "user%d:pass%d\n", i, i)
	}
	if err := os.WriteFile(file, []byte(many.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.ReloadAuth(); err != nil {
		t.Fatal(err)
	}
	if ok("foo bar") || !ok("user0 pass0") || !ok("user499 pass499") || ok("user1 pass2") {
		t.Error("the new file does not count")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := n.ReloadAuth(); err == nil || !ok("user7 pass7") {
		t.Errorf("a missing file: %v", err)
	}
	if err := testNode(t, nil, nil).ReloadAuth(); err != nil {
		t.Errorf("without a file: %v", err)
	}
}

// TestAuthMissingFile: a node without its passwords lets nobody in.
func TestAuthMissingFile(t *testing.T) {
	n := testNode(t, func(c *Config) { c.AuthFile = filepath.Join(t.TempDir(), "none") }, nil)
	if got := string(newClient(t, n, 0).say([]byte("version\r\n"))); got != "CLIENT_ERROR unauthenticated\r\n" {
		t.Errorf("got %q", got)
	}
	if ok, _ := n.admins.auth.check(netip.AddrPort{}, nil, nil); ok {
		t.Error("an empty password is let in")
	}
}
