package proxy

import (
	"github.com/holdfast-cache/holdfast/protocol"
)

// call is one request to one backend, or through a route, and what is needed to
// match its reply. It belongs to whoever made it and must stay until done.
type call struct {
	op protocol.Op
	// key is the only key, or the first.
	key []byte
	// head is the request line as it goes upstream, with its end.
	head []byte
	// value is the data block without its line end, valid while the call is started;
	// a long one is in blob instead, with its line end.
	value    []byte
	hasValue bool
	blob     *blob

	// A get of several keys: the cells of its keys, linked by cell.next. cur is the
	// first that has no answer yet.
	cells     []cell
	cur, last int16

	// opaque is what we put into a meta request, to know its reply by; the client's
	// own stands in its place again before the client sees it.
	opaque uint32 // 0: none
	client []byte // the client's opaque
	owned  bool   // the client has one
	binary bool   // the key came as base64

	// retry says that the call may be sent once more if no byte of a reply came:
	// a plain read that has not been sent twice.
	retry bool
	// write says that the backend may have changed something, so that the key must
	// be invalidated there if no answer came.
	write bool
	blind bool // a write that leaves nothing of what the item was
	// own says that it is the proxy's own call: it is sent whatever the state of
	// the backend.
	own bool
	// bulk says that its value is long, or was when last seen.
	bulk     bool
	start    int64
	deadline int64
	limit    int64 // for deadline, where a route has made the call; 0 is none

	// Of a client's batch, where routes are (order.go): where the call goes, whether it
	// has its answer, and the next of the same key, which waits for that.
	node  node
	over  bool
	next  *call
	waits bool

	to   completer
	cell int16 // where the answer belongs, for the completer
}

// completer takes the answer to a call. Slices are valid during the call only;
// a blob that is not nil becomes the completer's.
type completer interface {
	// hit takes the value of one key of a get: the line without its end, and the
	// data block without its end or in a blob.
	hit(c *call, cell int16, line, value []byte, b *blob)
	// done takes the rest and ends the call.
	done(c *call, a *answer)
}

// answer ends a call.
type answer struct {
	// status is that of the reply: StatusEnd for a get that went well. A call
	// that failed on the way has StatusServerError and failed set.
	status protocol.Status
	failed bool
	// line is the reply without its line end, value its data block, if it has one.
	line     []byte
	value    []byte
	hasValue bool
	blob     *blob
}

// noCell ends a list of cells.
const noCell = int16(-1)

// cell is one key, or one reply without a key, of a client's batch.
type cell struct {
	key      []byte
	next     int16
	pool     *pool // whose policies count; nil for a reply of our own
	state    cellState
	status   protocol.Status
	from, to int32 // in the flight's replies
	blob     *blob // stands behind replies[from:to]
}

type cellState uint8

const (
	cellMiss   cellState = iota // nothing came: a key that is not there
	cellHit                     // a value
	cellLine                    // a reply line, with a data block or without
	cellFailed                  // an error of our own
)

// isStore says whether op has a data block.
func isStore(op protocol.Op) bool {
	return op >= protocol.OpSet && op <= protocol.OpCas || op == protocol.OpMetaSet
}

// isGet says whether op is one of the get family.
func isGet(op protocol.Op) bool { return op >= protocol.OpGet && op <= protocol.OpGats }

// isMeta says whether the reply to op has return flags.
func isMeta(op protocol.Op) bool { return op >= protocol.OpMetaGet && op <= protocol.OpMetaArith }
