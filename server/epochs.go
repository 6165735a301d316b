package server

import (
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/holdfast-cache/holdfast/protocol"
)

// Bounds of what a node remembers of the maps that proxies go by.
const (
	epochPoolsMax = 64
	epochNameMax  = 255 // bytes of the name of a pool
	// epochLife is for how long an epoch counts that nobody has told again, in seconds.
	epochLife = 600
)

// epochs are the newest maps that this node has heard of, by the name of the pool. A
// proxy tells that of its own, "stats epochs <pool> <epoch> <sum>", and is answered
// with the newest: one whose map is older learns of it by way of the nodes that it
// shares with others. The sum tells maps apart that differ in more than the number.
//
// Anybody who may ask for statistics may tell an epoch, a false one too. That is why
// nothing is done here but to remember it: the harm of a lie is that proxies look
// once more, every few seconds at the most, at where their maps come from, until it has
// not been told for epochLife. Who tells many names has others forgotten, which
// are told again with the next requests.
type epochs struct {
	mu    sync.Mutex
	pools map[string]*epochHeard
}

// epochHeard is the newest map of one pool.
type epochHeard struct {
	epoch  uint64
	sum    uint64
	at     uint32 // store time when it was told last
	behind uint64 // how often somebody told of an older map
}

// tell notes an epoch that was told at now and returns the newest.
func (e *epochs) tell(pool string, epoch, sum uint64, now uint32) (newest, newestSum uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.pools[pool]
	if p == nil {
		if e.pools == nil {
			e.pools = map[string]*epochHeard{}
		}
		e.makeRoom()
		e.pools[pool] = &epochHeard{epoch: epoch, sum: sum, at: now}
		return epoch, sum
	}
	switch {
	case epoch > p.epoch || now-p.at >= epochLife:
		p.epoch, p.sum, p.at = epoch, sum, now
	case epoch == p.epoch:
		p.at = now
	case sum != p.sum:
		p.behind++
	}
	return p.epoch, p.sum
}

// makeRoom forgets the pool that was told of longest ago, if there are too many. The
// caller holds mu.
func (e *epochs) makeRoom() {
	if len(e.pools) < epochPoolsMax {
		return
	}
	oldest := ""
	for name, p := range e.pools {
		if o := e.pools[oldest]; o == nil || p.at < o.at {
			oldest = name
		}
	}
	delete(e.pools, oldest)
}

// epochsCommand answers stats epochs with the words after it: none asks for all that was
// heard.
func (n *Node) epochsCommand(b []byte, args [][]byte) []byte {
	w := statWriter{b: b}
	now := n.clock.now()
	if len(args) == 0 {
		n.epochs.show(&w, now)
		return append(w.b, protocol.ReplyEnd...)
	}
	if len(args) == 3 && len(args[0]) <= epochNameMax {
		epoch, ok := protocol.ParseUint(args[1])
		sum, err := strconv.ParseUint(string(args[2]), 16, 64)
		if ok && err == nil {
			epoch, sum = n.epochs.tell(string(args[0]), epoch, sum, now)
			w.uint("epoch", epoch)
			w.str("sum", strconv.FormatUint(sum, 16))
			return append(w.b, protocol.ReplyEnd...)
		}
	}
	return append(b, "CLIENT_ERROR usage: stats epochs [<pool> <epoch> <sum>]\r\n"...)
}

// show writes what was heard, in the order of the pools' names.
func (e *epochs) show(w *statWriter, now uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(e.pools)) {
		p := e.pools[name]
		w.prefix = "pool:" + name + ":"
		w.uint("epoch", p.epoch)
		w.str("sum", strconv.FormatUint(p.sum, 16))
		w.uint("told_seconds_ago", uint64(now-p.at))
		w.uint("behind", p.behind)
	}
	w.prefix = ""
}
