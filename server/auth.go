package server

import (
	"bytes"
	"net/netip"
	"sync"
	"time"

	"github.com/holdfast-cache/holdfast/protocol"
)

const (
	// authTokenMax is the longest "user password" a client may send, in bytes.
	authTokenMax = 16384
	// authLineMin is the shortest line, in bytes and without its line feed, that
	// a client may begin with: a shorter one ends the connection.
	authLineMin = 6
)

// The replies to a client that has not shown a password yet.
const (
	replyStored          = protocol.ReplyStored
	replyUnauthenticated = "CLIENT_ERROR unauthenticated\r\n"
	replyAuthFailure     = "CLIENT_ERROR authentication failure\r\n"
	replyAuthBadFormat   = "CLIENT_ERROR bad authentication token format\r\n"
	replyAuthTooLong     = "CLIENT_ERROR auth token too long\r\n"
	replyAuthTermination = "CLIENT_ERROR bad command line termination\r\n"
)

// What a wrong password costs.
const (
	authDelayFirst        = 250 * time.Millisecond
	authDelayMax          = 2 * time.Second
	authDelayDoublingsMax = 8
	// authForget is how long a source is remembered after its last wrong password.
	authForget = 10 * time.Minute
	// authSourcesMax bounds the memory for it.
	authSourcesMax = 4096
	// authPatience is how many wrong passwords a source may send before its
	// right ones wait too.
	authPatience = 20
	// authSourceBitsV6: an IPv6 customer has at least a network of this prefix.
	authSourceBitsV6 = 64
)

// authGate keeps out clients that have not shown a password. The file of
// passwords can be read again at any time.
//
// A wrong password is answered late, and later each time that the same address
// sends one, up to authDelayMax. An address that goes on
// guessing has its right passwords answered late too; otherwise a guesser would
// take silence for an answer and hang up.
type authGate struct {
	file  string
	after func(d time.Duration, f func()) (stop func() bool) // time.AfterFunc; replaced in tests
	now   func() time.Time

	mu struct {
		sync.Mutex
		users   *authSet
		sources map[netip.Addr]*authSource // bounded by authSourcesMax
	}
}

// authSource is what is known of one address.
type authSource struct {
	failures int
	last     time.Time
}

// newAuthGate returns a gate that lets nobody in until load has succeeded.
func newAuthGate(file string) *authGate {
	g := &authGate{file: file, now: time.Now}
	g.after = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	g.mu.users = &authSet{}
	g.mu.sources = make(map[netip.Addr]*authSource)
	return g
}

// load reads the file of passwords. If that fails the passwords stay as they were.
func (g *authGate) load() error {
	users, err := readAuthFile(g.file)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.users = users
	return nil
}

// check says whether the user has this password, and how late the answer must be.
func (g *authGate) check(remote netip.AddrPort, user, password []byte) (ok bool, delay time.Duration) {
	g.mu.Lock()
	users := g.mu.users
	g.mu.Unlock()
	ok = users.has(user, password)

	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	addr := authSourceOf(remote)
	src := g.mu.sources[addr]
	if src != nil && now.Sub(src.last) > authForget {
		delete(g.mu.sources, addr)
		src = nil
	}
	if ok {
		if src != nil && src.failures > authPatience {
			return true, authDelay(src.failures)
		}
		return true, 0
	}
	if src == nil {
		src = g.newSourceLocked(addr, now)
	}
	src.failures++
	src.last = now
	return false, authDelay(src.failures)
}

// newSourceLocked makes room for addr and starts counting. The caller holds mu.
func (g *authGate) newSourceLocked(addr netip.Addr, now time.Time) *authSource {
	if len(g.mu.sources) >= authSourcesMax {
		// Whoever has been quiet longest among a few: a full scan for each wrong
		// password would be a way to keep the server busy.
		var oldest netip.Addr
		looked, last := 0, now
		for a, s := range g.mu.sources {
			if looked == 0 || s.last.Before(last) {
				oldest, last = a, s.last
			}
			if looked++; looked == 16 {
				break
			}
		}
		delete(g.mu.sources, oldest)
	}
	src := &authSource{}
	g.mu.sources[addr] = src
	return src
}

// authSourceOf is what counts as one source: an IPv4 address, an IPv6 network,
// or all Unix sockets together.
func authSourceOf(remote netip.AddrPort) netip.Addr {
	addr := remote.Addr().Unmap()
	if addr.Is6() {
		if p, err := addr.WithZone("").Prefix(authSourceBitsV6); err == nil {
			return p.Addr()
		}
	}
	return addr
}

// authDelay is how late the n-th wrong password is answered.
func authDelay(n int) time.Duration {
	return min(authDelayFirst<<min(n-1, authDelayDoublingsMax), authDelayMax)
}

// Gated says whether clients must show a password.
func (x *executor) Gated() bool { return x.node.admins.auth != nil }

// Greet answers one line of a client that has not shown a password yet. Only a
// set is understood, and of it only the length: its data block is the password.
// Nothing else is read out of these bytes.
func (x *executor) Greet(s *Session, in []byte) (n int) {
	line, rest, whole := bytes.Cut(in, []byte("\n"))
	switch {
	case !whole && len(in) <= protocol.LineLenMax:
		return 0
	case !whole || len(line) < authLineMin:
		s.Close()
		return len(in)
	}
	n = len(line) + 1
	size, is := authTokenSize(bytes.TrimSuffix(line, []byte("\r")))
	switch {
	case !is:
		s.Out.Buf = append(s.Out.Buf, replyUnauthenticated...)
		return n
	case size > authTokenMax:
		s.Out.Buf = append(s.Out.Buf, replyAuthTooLong...)
		return n
	}
	end := int(size) + len(protocol.CRLF)
	if len(rest) < end {
		return 0
	}
	token, ended := bytes.CutSuffix(rest[:end], []byte(protocol.CRLF))
	if ended {
		x.logIn(s, token)
	} else {
		s.Out.Buf = append(s.Out.Buf, replyAuthTermination...)
	}
	return n + end
}

// authTokenSize is the length of the data block that line announces, if it is a
// set. What stands before the length does not matter.
func authTokenSize(line []byte) (size uint32, is bool) {
	if !bytes.HasPrefix(line, []byte("set")) {
		return 0, false
	}
	words := 0
	for word := range bytes.SplitSeq(line, []byte(" ")) {
		if len(word) == 0 {
			continue
		}
		if words++; words == 5 {
			return parseUint32(word)
		}
	}
	return 0, false
}

// logIn checks "user password" and answers, now or later. No worker lock is held.
func (x *executor) logIn(s *Session, token []byte) {
	user, password, found := bytes.Cut(token, []byte(" "))
	if !found {
		s.Out.Buf = append(s.Out.Buf, replyAuthBadFormat...)
		return
	}
	gate := x.node.admins.auth
	ok, delay := gate.check(s.Remote, user, password)
	x.w.Lock()
	x.c.authCmds++
	if !ok {
		x.c.authErrors++
	}
	x.w.Unlock()
	if delay > 0 {
		s.Stream(gate.answerLater(s, ok, delay))
		return
	}
	s.Authenticated = true
	s.Out.Buf = append(s.Out.Buf, replyStored...)
}

// lateAnswer is the Producer of an answer to a password that is held back.
type lateAnswer struct {
	ok   bool
	mu   sync.Mutex
	s    *Session // nil once the session has gone
	due  bool
	stop func() bool
}

// answerLater returns the Producer of the answer to a right or wrong password
// that s gets after delay.
func (g *authGate) answerLater(s *Session, ok bool, delay time.Duration) *lateAnswer {
	a := &lateAnswer{ok: ok, s: s}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stop = g.after(delay, a.fire)
	return a
}

// fire lets the answer out.
func (a *lateAnswer) fire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.due = true
	if a.s != nil {
		a.s.Wake()
	}
}

// Produce gives the answer once it is due.
func (a *lateAnswer) Produce(s *Session) Progress {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.due {
		return ProducerWait
	}
	if a.ok {
		s.Authenticated = true
		s.Out.Buf = append(s.Out.Buf, replyStored...)
	} else {
		s.Out.Buf = append(s.Out.Buf, replyAuthFailure...)
	}
	a.s = nil
	return ProducerDone
}

// Abort drops the answer.
func (a *lateAnswer) Abort() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.s = nil
	a.stop()
}
