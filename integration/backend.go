package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/holdfast-cache/holdfast/protocol"
)

// Backend is a small memcached in the test's own process that a Fault makes
// behave badly. It knows the commands that have a key, and mn, version and
// flush_all; nothing expires and nothing is evicted.
type Backend struct {
	Addr string        // host:port, the same for good, whether it listens or not
	Slow time.Duration // longer than the proxy's patience

	started int64 // unix time, as stats tells

	mu    sync.Mutex
	ln    net.Listener // nil while nobody listens
	plug  []io.Closer  // what fills the queue of a listener that never accepts
	conns map[*net.TCPConn]bool
	taken int // connections so far
	items map[string]backendItem
	cas   uint64
	fault *Fault // nil: it is well
	left  int    // how many requests the fault will still strike, below 0 all
	reads map[string]int
	wrote map[string]int

	done chan struct{} // closed by Close: whoever waits on purpose stops
	wg   sync.WaitGroup
}

// backendItem is what a Backend stores under a key.
type backendItem struct {
	value []byte
	flags uint32
	cas   uint64
}

// backends counts those started.
var backends atomic.Uint32

// NewBackend starts a Backend that is well, on a free port of a loopback address
// of its own: nobody else gets that port while it is not listening.
func NewBackend() (*Backend, error) {
	b := &Backend{
		conns: map[*net.TCPConn]bool{}, items: map[string]backendItem{}, cas: 1000,
		reads: map[string]int{}, wrote: map[string]int{}, done: make(chan struct{}),
		started: time.Now().Unix(),
	}
	n := backends.Add(1)
	ln, err := net.Listen("tcp", fmt.Sprintf("127.78.%d.%d:0", n>>8&0xff, n&0xff))
	if err != nil {
		return nil, err
	}
	b.Addr = ln.Addr().String()
	b.accept(ln)
	return b, nil
}

// Close ends the backend and waits for its connections.
func (b *Backend) Close() {
	close(b.done)
	b.hangUp()
	b.wg.Wait()
}

// Arm makes f happen from now on, to the requests that come.
func (b *Backend) Arm(f *Fault) {
	b.mu.Lock()
	b.fault, b.left = f, f.Times
	if f.Times == 0 {
		b.left = -1
	}
	b.mu.Unlock()
	if f.Arm != nil {
		f.Arm(b)
	}
}

// Disarm makes the backend well again; connections that still wait for an
// answer go on waiting.
func (b *Backend) Disarm() error {
	b.mu.Lock()
	b.fault = nil
	deaf := b.ln == nil
	b.mu.Unlock()
	if !deaf {
		return nil
	}
	b.hangUp() // the plug
	// A process that is being started holds what was open until it is another program.
	ln, err := net.Listen("tcp", b.Addr)
	for tries := 0; errors.Is(err, syscall.EADDRINUSE) && tries < 1000 && b.pause(time.Millisecond); tries++ {
		ln, err = net.Listen("tcp", b.Addr)
	}
	if err == nil {
		b.accept(ln)
	}
	return err
}

// Put stores a value as if a client had.
func (b *Backend) Put(key, value string, cas uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items[key] = backendItem{value: []byte(value), cas: cas}
}

// Seen returns how often key was asked for and how often it was to be changed.
// gat, mg and gets count as asking. A delete counts as neither: it may be sent
// again, and a proxy may send one of its own after a write whose end it does not
// know.
func (b *Backend) Seen(key string) (reads, writes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reads[key], b.wrote[key]
}

// Conns returns how many connections the backend holds and how many it has taken
// so far.
func (b *Backend) Conns() (open, taken int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns), b.taken
}

// accept takes connections until ln is closed.
func (b *Backend) accept(ln net.Listener) {
	b.mu.Lock()
	b.ln = ln
	b.mu.Unlock()
	b.wg.Add(1)
	go func() {
		defer b.wg.Done()
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conn := c.(*net.TCPConn)
			b.mu.Lock()
			if b.ln != ln { // it was closed just now
				b.mu.Unlock()
				hangUp(conn)
				return
			}
			b.conns[conn] = true
			b.taken++
			b.wg.Add(1)
			b.mu.Unlock()
			go b.serve(conn)
		}
	}()
}

// hangUp closes the listener and every connection.
func (b *Backend) hangUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ln != nil {
		hangUp(b.ln)
		b.ln = nil
	}
	for _, p := range b.plug {
		hangUp(p)
	}
	b.plug = nil
	for c := range b.conns {
		hangUp(c)
	}
}

// serve answers one connection until either side ends it.
func (b *Backend) serve(c *net.TCPConn) {
	defer b.wg.Done()
	defer func() {
		b.mu.Lock()
		delete(b.conns, c)
		b.mu.Unlock()
		hangUp(c)
	}()
	parser := protocol.Parser{InlineMax: backendValueMax}
	var batch protocol.Batch
	var buf []byte
	piece := make([]byte, 64<<10)
	for {
		for {
			n := parser.Fill(buf, &batch)
			for i := range batch.Requests {
				if !b.answer(c, &batch.Requests[i]) {
					return
				}
			}
			buf = buf[n:]
			if n == 0 && len(batch.Requests) == 0 {
				break
			}
		}
		if f := b.midway(len(buf)); f != nil {
			f.Midway(&Answer{b: b, c: c})
			return
		}
		n, err := c.Read(piece)
		if err != nil {
			return
		}
		buf = append(buf, piece[:n]...)
	}
}

// midway returns the fault that strikes a request of which n bytes have come.
func (b *Backend) midway(n int) *Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault == nil || b.fault.Midway == nil || n < midwayBytes {
		return nil
	}
	return b.fault
}

// backendValueMax is the longest value that a Backend takes, in bytes.
const backendValueMax = 64 << 20

// answer carries out a request and sends the reply, well or as the fault has it.
// It returns false if the connection is to end.
func (b *Backend) answer(c *net.TCPConn, r *protocol.Request) bool {
	f, flaw := b.strike(r)
	reply, quiet := b.execute(r, flaw)
	if f != nil && f.Send != nil {
		return f.Send(&Answer{b: b, c: c, Reply: reply, Quiet: quiet})
	}
	if quiet {
		return true
	}
	_, err := c.Write(reply)
	return err == nil
}

// strike tells whether a fault strikes the request, and counts the request.
func (b *Backend) strike(r *protocol.Request) (*Fault, Flaw) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range r.Keys {
		switch r.Op {
		case protocol.OpGet, protocol.OpGets, protocol.OpGat, protocol.OpGats, protocol.OpMetaGet:
			b.reads[string(key)]++
		case protocol.OpDelete, protocol.OpMetaDelete:
		default:
			b.wrote[string(key)]++
		}
	}
	f := b.fault
	if f == nil || b.left == 0 || b.left > 0 && len(r.Keys) == 0 {
		return nil, Flaw{}
	}
	if b.left > 0 {
		b.left--
	}
	if len(r.Keys) == 0 {
		return f, Flaw{}
	}
	return f, f.Flaw
}

// pause waits on purpose. It returns false if the backend has been closed.
func (b *Backend) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-b.done:
		return false
	}
}

// sendAll writes to every connection that is open.
func (b *Backend) sendAll(text string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for c := range b.conns {
		_, err := io.WriteString(c, text)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
