package server

import (
	"fmt"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// noPin is a value that nobody keeps account of.
type noPin struct{}

func (noPin) Unpin() {}

// tcpPair returns the ends of a connection over loopback, blocking.
func tcpPair(tb testing.TB) (a, b int) {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	to, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	from, err := ln.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	fds := [2]int{}
	for i, c := range []net.Conn{to, from} {
		f, err := c.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			tb.Fatal(err)
		}
		if err := unix.SetNonblock(int(f.Fd()), false); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _, _ = f.Close(), c.Close() })
		fds[i] = int(f.Fd())
	}
	return fds[0], fds[1]
}

// BenchmarkValueOut writes a get's reply to a socket, its value copied into the
// output first or straight from where it lies, and drops it at the other end. It
// shows from which length on the latter costs less (see pinMin). hot: the value is
// one of a few that the processor's caches hold.
func BenchmarkValueOut(b *testing.B) {
	values, scratch := make([]byte, 256<<20), make([]byte, 1<<20)
	for i := range values {
		values[i] = byte(i >> 8)
	}
	for _, size := range []int{1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10} {
		for _, among := range []int{1 << 20, len(values)} {
			for _, how := range []string{"copied", "pinned"} {
				b.Run(fmt.Sprintf("value=%dK/hot=%v/%s", size>>10, among < len(values), how), func(b *testing.B) {
					to, from := tcpPair(b)
					l := &epollLoop{lane: newLane(&toyHandler{}, &bufferPool{}, &laneConfig{})}
					o := Output{Buf: make([]byte, 0, 1<<20)}
					at := 0
					for b.Loop() {
						value := values[at : at+size]
						at = (at + 97*size) % (among - size)
						o.Buf = append(o.Buf, "VALUE key:000000000000 0 16384\r\n"...)
						if how == "pinned" {
							o.Pin([][]byte{value}, noPin{})
						} else {
							o.Buf = append(o.Buf, value...)
						}
						o.Buf = append(o.Buf, "\r\nEND\r\n"...)
						for o.Pending() > 0 {
							_, n, errno := l.writeOnce(to, &o)
							if errno != 0 {
								b.Fatal(errno)
							}
							o.wrote(n)
							for n > 0 {
								got, _, err := unix.Recvfrom(from, scratch, unix.MSG_TRUNC)
								if err != nil {
									b.Fatal(err)
								}
								n -= got
							}
						}
					}
				})
			}
		}
	}
}
