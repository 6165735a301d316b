package server

import (
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/rs/zerolog"
)

// The bounds of one connection, in bytes.
const (
	// inputMax is the size of a lane's read buffer, and so the most input that
	// waits for one connection.
	inputMax = 64 << 10
	// waryMax is how much is read at first when a long value may follow its
	// request line: what is read with the line has to be copied into the item.
	waryMax = 2 << 10
	// inlineMax is the longest value that is waited for in the read buffer; a
	// longer one that is not there yet goes straight into item memory.
	inlineMax = 8 << 10
	// outputMax is how much unwritten output stops a connection from being
	// read and executed. One batch may go beyond it.
	outputMax = 256 << 10
	// directMin and directMax bound the reads that go straight into a Sink. One of
	// directMax has the loop's other connections wait for some 80 µs; with half of
	// that a set of 1 MB costs a tenth more, with twice nothing less.
	directMin = 8 << 10
	directMax = 512 << 10
	// outputStart and outputKeep are the size of a lane's output buffer at first
	// and at most, between two turns.
	outputStart = 64 << 10
	outputKeep  = 1 << 20
	// vecMax is how many pieces one write hands to the kernel.
	vecMax = 64
)

// lane is what the sessions of one loop share: they have it one after another,
// each for its turn. Nothing in it belongs to a connection.
type lane struct {
	exec   Executor
	gate   Gatekeeper // nil: nobody needs a password
	keeper Keeper     // nil: no reply waits for one
	batch  protocol.Batch
	in     []byte       // where reads land
	out    []byte       // replies of the turn, empty between turns
	pins   []pinnedSpan // likewise
	vec    [vecMax][]byte
	// promises are the replies of the turn that may have to wait for the keeper.
	promises []promise
	buffers  *bufferPool
	conf     *laneConfig
	n        laneCounters
}

// laneConfig is what all lanes of a server have in common.
type laneConfig struct {
	reqs      int          // -R
	debug     bool         // debugtime is a command
	verbosity atomic.Int32 // from 2 on, commands are logged
	log       zerolog.Logger
}

// laneCounters are what the connections of a lane have done.
type laneCounters struct {
	bytesRead, bytesWritten, yields, idleKicks, stallKicks atomic.Uint64
}

// newLane returns a lane with an executor of its own.
func newLane(h Handler, buffers *bufferPool, conf *laneConfig) *lane {
	l := &lane{
		exec: h.NewExecutor(), buffers: buffers, conf: conf,
		in: make([]byte, inputMax), out: make([]byte, 0, outputStart),
	}
	if g, is := l.exec.(Gatekeeper); is && g.Gated() {
		l.gate = g
	}
	if p, is := l.exec.(Promiser); is {
		l.keeper = p.Promises()
	}
	return l
}

// bytes is how much memory the shared buffers take, about.
func (l *lane) bytes() uint64 { return inputMax + outputStart }

// addTo adds the counters to st.
func (n *laneCounters) addTo(st *ConnStats) {
	st.BytesRead += n.bytesRead.Load()
	st.BytesWritten += n.bytesWritten.Load()
	st.Yields += n.yields.Load()
	st.IdleKicks += n.idleKicks.Load()
	st.StallKicks += n.stallKicks.Load()
}

// takeBack gets the output buffers back from a session that has no output left.
func (l *lane) takeBack(o *Output) {
	l.out, l.pins = o.Buf[:0], o.pins[:0]
	o.Buf, o.pins = nil, nil
	if cap(l.out) > outputKeep {
		l.out = make([]byte, 0, outputStart)
	}
	if cap(l.pins) > 4*vecMax {
		l.pins = nil
	}
}
