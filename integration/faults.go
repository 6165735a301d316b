package integration

import (
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Fault is a way for a Backend to behave badly.
type Fault struct {
	Name string
	Does string // one line for people
	// Times is how many requests it strikes after it was armed, 0 all of them.
	Times int
	// Flaw is what it does to a reply, Send how it sends it, if not as usual. Send
	// returns false if the connection has ended.
	Flaw Flaw
	Send func(a *Answer) bool
	// Midway is what it does when a request is longer than midwayBytes and that much of
	// it has come.
	Midway func(a *Answer) bool
	// Arm is what happens when the fault begins.
	Arm func(b *Backend)
	// Cold has the proxy started when the fault is there already.
	Cold bool
	// Hangs says that nothing but its patience ends a proxy's waiting.
	Hangs bool
	// Size is how long the values are that are stored and set, in bytes; 0 is short.
	Size int
	// Strikes are the kinds of replies that differ.
	Strikes ReplyKind
	// Codes are what Holdfast may say of it: the words behind "hf-".
	Codes string
	// Enough says that what a get is due comes before what is wrong, and may be given.
	Enough bool
	// Shifts says that the reply of one request can be taken for the next one's.
	Shifts bool
}

// ReplyKind is a set of kinds of replies.
type ReplyKind uint

// The kinds: VALUE and END, one line of words, a meta command's, one with the key
// in it and one with a value; and the reply to a request that has a value in it.
const (
	ValueReply ReplyKind = 1 << iota
	LineReply
	MetaReply
	MetaKeyReply
	MetaValueReply
	StoreReply

	AnyReply = ValueReply | LineReply | MetaReply
)

// midwayBytes is more than a proxy holds back before it begins to send a request.
const midwayBytes = 256 << 10

// Answer is a reply about to be sent.
type Answer struct {
	Reply []byte
	Quiet bool // none is wanted
	b     *Backend
	c     *net.TCPConn
}

// Send writes the reply, unless none is wanted.
func (a *Answer) Send() bool { return a.Quiet || a.write(a.Reply) }

func (a *Answer) write(b []byte) bool {
	_, err := a.c.Write(b)
	return err == nil
}

// half is a beginning of the reply that ends within the value if there is one.
func (a *Answer) half() []byte {
	if a.Quiet {
		return nil
	}
	return a.Reply[:len(a.Reply)/2]
}

// stallShort is how long a backend takes that is slow, but not too slow.
const stallShort = 30 * time.Millisecond

// hangTimeout is the patience given to a proxy whose backend will not answer;
// atOnceTimeout that of one that need not wait to know.
const (
	hangTimeout   = 200 * time.Millisecond
	atOnceTimeout = 2 * time.Second
)

// fin ends the sending side and takes what still comes, so that no reset
// overtakes the bytes before it.
func (a *Answer) fin() bool {
	if a.c.CloseWrite() == nil && a.c.SetReadDeadline(time.Now().Add(atOnceTimeout)) == nil {
		_, _ = io.Copy(io.Discard, a.c) // whatever it is
	}
	return false
}

// mute says nothing more until the other side has had enough.
func (a *Answer) mute() bool {
	_, _ = io.Copy(io.Discard, a.c) // whatever it is
	return false
}

// deaf reads nothing more until the backend is closed.
func (a *Answer) deaf() bool {
	<-a.b.done
	return false
}

// reset ends the connection by RST.
func (a *Answer) reset() bool {
	if a.c.SetLinger(0) == nil {
		hangUp(a.c)
	}
	return false
}

// cork holds back what is written until the connection is closed for writing.
func (a *Answer) cork() {
	raw, err := a.c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1) // without it there are two segments
		})
	}
	_ = err // as above
}

// refuse has the kernel answer connections by RST and ends those there are.
func refuse(b *Backend) { b.hangUp() }

// unconnectable has nobody answer connections at all, as when a host is gone: the
// listener's queue is full and is never emptied.
func unconnectable(b *Backend) {
	b.hangUp()
	addr, err := net.ResolveTCPAddr("tcp", b.Addr)
	if err != nil {
		panic(err) // Addr came from a listener
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return // it refuses instead
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.plug = append(b.plug, os.NewFile(uintptr(fd), "plug"))
	if syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) != nil ||
		syscall.Bind(fd, &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}) != nil || syscall.Listen(fd, 0) != nil {
		return
	}
	for range 3 {
		c, err := net.DialTimeout("tcp", b.Addr, stallShort)
		if err != nil {
			return
		}
		b.plug = append(b.plug, c)
	}
}

// sizes of values around the limit that memcached has by default
const megabyte = 1 << 20

// Faults are all there are. The first is none: the row that shows what a proxy
// can do at all.
var Faults = []*Fault{
	{Name: "none", Does: "is well"},

	{Name: "refuse", Does: "closes its connections and refuses new ones", Arm: refuse, Strikes: AnyReply, Codes: "down reset"},
	{Name: "refuse from the start", Does: "refuses connections since before the proxy started", Arm: refuse, Cold: true, Strikes: AnyReply, Codes: "down reset"},
	{Name: "no connection", Does: "closes its connections, new ones are never made", Arm: unconnectable, Hangs: true, Strikes: AnyReply, Codes: "down reset timeout"},
	{Name: "black hole", Does: "takes requests and never answers", Send: func(*Answer) bool { return true }, Hangs: true, Strikes: AnyReply, Codes: "timeout down"},
	{Name: "black hole from the start", Does: "the same since before the proxy started", Send: func(*Answer) bool { return true }, Cold: true, Hangs: true, Strikes: AnyReply, Codes: "timeout down"},
	{Name: "slow", Does: "answers after a time that is still good", Send: func(a *Answer) bool { return a.b.pause(stallShort) && a.Send() }},
	{Name: "too slow", Does: "answers after the proxy's patience has ended", Send: func(a *Answer) bool { return a.b.pause(a.b.Slow) && a.Send() }, Hangs: true, Strikes: AnyReply, Codes: "timeout down"},

	{Name: "byte at a time", Does: "sends a segment for each byte", Send: func(a *Answer) bool {
		ok := true
		for i := 0; ok && !a.Quiet && i < len(a.Reply); i++ {
			ok = a.write(a.Reply[i : i+1])
		}
		return ok
	}},
	{Name: "half and FIN in one", Does: "sends half a reply and FIN in one segment", Send: func(a *Answer) bool {
		a.cork()
		return a.write(a.half()) && a.fin()
	}, Strikes: AnyReply, Codes: "reset proto"},
	{Name: "half and FIN in two", Does: "sends half a reply, then FIN", Send: func(a *Answer) bool {
		return a.write(a.half()) && a.b.pause(stallShort/3) && a.fin()
	}, Strikes: AnyReply, Codes: "reset proto"},
	{Name: "half and RST", Does: "sends half a reply, then RST", Send: func(a *Answer) bool {
		return a.write(a.half()) && a.b.pause(stallShort/3) && a.reset()
	}, Strikes: AnyReply, Codes: "reset proto"},
	{Name: "half and nothing", Does: "sends half a reply and no more", Send: func(a *Answer) bool { return a.write(a.half()) && a.mute() }, Hangs: true, Strikes: AnyReply, Codes: "timeout down proto"},
	{Name: "FIN", Does: "closes in place of an answer", Send: (*Answer).fin, Strikes: AnyReply, Codes: "reset down"},
	{Name: "FIN once", Does: "closes in place of an answer, then is well", Send: (*Answer).fin, Times: 1, Strikes: AnyReply, Codes: "reset"},
	{Name: "RST", Does: "resets in place of an answer", Send: (*Answer).reset, Strikes: AnyReply, Codes: "reset down"},
	{Name: "RST once", Does: "resets in place of an answer, then is well", Send: (*Answer).reset, Times: 1, Strikes: AnyReply, Codes: "reset"},

	{Name: "wrong key", Does: "names another key", Flaw: Flaw{Key: "stranger"}, Strikes: ValueReply | MetaKeyReply, Codes: "proto down"},
	{Name: "wrong opaque", Does: "names another opaque", Flaw: Flaw{Opaque: "stranger"}, Strikes: MetaReply, Codes: "proto down"},
	{Name: "no opaque", Does: "leaves the opaque out", Flaw: Flaw{NoOpaque: true}, Strikes: MetaReply, Codes: "proto down"},
	{Name: "extra END", Does: "says END once more behind a reply", Flaw: Flaw{Tail: "END\r\n"}, Times: 1, Shifts: true, Codes: "proto reset"},
	{Name: "END out of the blue", Does: "says END that nobody asked for, on connections at rest", Times: 1, Arm: func(b *Backend) {
		_ = b.sendAll("END\r\n") // to those that are open
		b.pause(stallShort)      // it has arrived before the next request
	}, Shifts: true, Codes: "proto reset"},
	{Name: "VALUE twice", Does: "gives each VALUE twice", Flaw: Flaw{Twice: true}, Strikes: ValueReply, Enough: true, Codes: "proto down"},
	{Name: "out of memory", Does: "says SERVER_ERROR out of memory", Flaw: Flaw{Line: outOfMemory}, Strikes: AnyReply, Codes: "proto"},
	{Name: "garbage line", Does: "says a line of nonsense", Flaw: Flaw{Line: "\x80\xff\x00nonsense\r\n"}, Strikes: AnyReply, Codes: "proto down"},
	{Name: "garbage", Does: "sends 100 KB that are no lines", Flaw: Flaw{Line: strings.Repeat("\xa5", 100_000)}, Strikes: AnyReply, Codes: "proto down reset"},
	{Name: "wrong word", Does: "answers with the reply to another command", Flaw: Flaw{Line: "RESET\r\n"}, Strikes: AnyReply, Codes: "proto down"},
	{Name: "huge length", Does: "gives a value a length of 20 digits", Flaw: Flaw{Size: "18446744073709551615"}, Strikes: ValueReply | MetaValueReply, Codes: "proto limit down"},
	{Name: "negative length", Does: "gives a value the length -1", Flaw: Flaw{Size: "-1"}, Strikes: ValueReply | MetaValueReply, Codes: "proto limit down"},
	{Name: "short length", Does: "gives a value the length 1", Flaw: Flaw{Size: "1"}, Strikes: ValueReply | MetaValueReply, Codes: "proto down"},
	{Name: "no CRLF", Does: "ends a value in something else", Flaw: Flaw{BlockEnd: "__"}, Strikes: ValueReply | MetaValueReply, Codes: "proto down"},

	{Name: "half of 1 MB and FIN", Does: "sends half of a long value, then FIN", Send: func(a *Answer) bool {
		return a.write(a.half()) && a.fin()
	}, Size: megabyte, Strikes: AnyReply, Codes: "reset proto"},
	{Name: "half of 1 MB and RST", Does: "sends half of a long value, then RST", Send: func(a *Answer) bool {
		return a.write(a.half()) && a.b.pause(stallShort/3) && a.reset()
	}, Size: megabyte, Strikes: AnyReply, Codes: "reset proto"},
	{Name: "half of 1 MB and nothing", Does: "sends half of a long value and no more", Send: func(a *Answer) bool {
		return a.write(a.half()) && a.mute()
	}, Size: megabyte, Hangs: true, Strikes: AnyReply, Codes: "timeout down proto"},
	{Name: "wrong key of 1 MB", Does: "names another key, of a long value", Flaw: Flaw{Key: "stranger"}, Size: megabyte, Strikes: ValueReply | MetaKeyReply, Codes: "proto down"},
	{Name: "1 MB without CRLF", Does: "ends a long value in something else", Flaw: Flaw{BlockEnd: "__"}, Size: megabyte, Strikes: ValueReply | MetaValueReply, Codes: "proto down"},
	{Name: "RST amid a set", Does: "resets while a long value is sent to it", Midway: (*Answer).reset, Size: megabyte, Strikes: StoreReply, Codes: "reset down"},
	{Name: "deaf amid a set", Does: "reads no more while a long value is sent to it", Midway: (*Answer).deaf, Size: 8 * megabyte, Hangs: true, Strikes: StoreReply, Codes: "timeout down"},

	{Name: "1 MB - 1", Does: "is well, values are 1 MB less a byte", Size: megabyte - 1},
	{Name: "1 MB", Does: "is well, values are 1 MB", Size: megabyte},
	{Name: "1 MB + 1", Does: "is well, values are 1 MB and a byte", Size: megabyte + 1},
}

const outOfMemory = "SERVER_ERROR out of memory storing object\r\n"
