package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Load is what the generator sends. It is a closed loop: every connection sends
// a batch of requests, waits for all its replies, and sends the next. With Rate
// set it is an open loop, see schedule.
type Load struct {
	Conns      int
	Pipeline   int // requests a batch
	SetPercent int
	KeysPerGet int  // keys of one get
	Meta       bool // "mg k v" instead of "get k"
	Items      int  // keys are drawn evenly from this many
	ValueBytes int

	// Stream, if set, says what to set, and every request is a set. It ends
	// after Requests of them; without Requests a run ends by time.
	Stream   Stream
	Requests int
	Noise    bool // values that do not compress

	Rate    float64 // batches a second, of an open loop
	Threads int     // generator threads; 0 is 1
}

// Stream is a sequence of keys, with the length of the value that each would be
// stored with and its TTL as in Wire.AppendSet. The key is valid until the next call.
type Stream interface {
	Next() (key []byte, valueLen int, ttl int)
}

// Outcome is what a run saw.
type Outcome struct {
	Ops     int // every key of a multiget is one
	Hits    int
	Refused int // sets for which the server had no memory
	Elapsed time.Duration
	Latency *hdrhistogram.Histogram // of batches, in nanoseconds
}

// PerSecond is operations per second.
func (o Outcome) PerSecond() float64 { return float64(o.Ops) / o.Elapsed.Seconds() }

// replyTimeout ends a run in which no reply comes at all. It is generous: the
// worst stall of a server is a thing to be measured, not an error.
const replyTimeout = 20 * time.Second

// Run loads the server at addr for d, or until the stream ends.
func Run(addr string, w Kind, l Load, d time.Duration) (Outcome, error) {
	n := max(1, l.Threads)
	type result struct {
		Outcome
		error
	}
	results := make(chan result, n)
	share := l
	share.Conns = l.Conns / n
	for i := range n {
		go func() {
			out, err := runThread(addr, w.Wire(l.Meta), share, d, uint64(i))
			results <- result{out, err}
		}()
	}
	sum := Outcome{Latency: newHistogram()}
	var err error
	for range n {
		r := <-results
		err = errors.Join(err, r.error)
		if r.error != nil {
			continue
		}
		sum.Ops += r.Ops
		sum.Hits += r.Hits
		sum.Refused += r.Refused
		sum.Elapsed = max(sum.Elapsed, r.Elapsed)
		sum.Latency.Merge(r.Latency)
	}
	return sum, err
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Minute), 3)
}

func runThread(addr string, w Wire, l Load, d time.Duration, seed uint64) (Outcome, error) {
	g := newGenerator(w, l, seed)
	if err := g.connect(addr); err != nil {
		return Outcome{}, err
	}
	defer g.close()
	err := g.loop(d)
	return Outcome{Ops: g.ops, Hits: g.hits, Refused: g.refused, Elapsed: time.Since(g.start), Latency: g.latency}, err
}

// streamValueMax is the longest value of a Stream, in bytes.
const streamValueMax = 1 << 20

// generator drives all its connections from one thread. It is an epoll loop of
// its own because a goroutine a connection costs more CPU than the server it
// loads, and a server that waits for its load shows its idle costs instead.
type generator struct {
	load    Load
	wire    Wire
	pool    *pool
	rng     *rand.Rand
	value   []byte
	large   *largeSets // if it sends those, else nil
	keys    [][]byte
	latency *hdrhistogram.Histogram
	start   time.Time

	sent      int // requests
	ops, hits int
	refused   int
	waiting   int // batches under way
}

func newGenerator(w Wire, l Load, seed uint64) *generator {
	value := newValue(max(l.ValueBytes, streamValueMax))
	if l.Noise {
		value = newNoise(4 * streamValueMax)
	}
	return &generator{
		load: l, wire: w, value: value,
		keys: make([][]byte, max(1, l.KeysPerGet)),
		rng:  rand.New(rand.NewPCG(1, 2+seed)), latency: newHistogram(),
	}
}

func (g *generator) connect(addr string) (err error) {
	if g.pool, err = dial(addr, g.load.Conns); err != nil {
		return err
	}
	if g.large, err = newLargeSets(g.wire, g.load, g.value); err == nil && g.large != nil {
		err = g.pool.neverBlock()
	}
	if err != nil {
		g.close()
	}
	return err
}

func (g *generator) close() {
	g.pool.close()
	if g.large != nil {
		g.large.close()
	}
}

// loop runs for d, or until all requests are answered if their number is given.
func (g *generator) loop(d time.Duration) error {
	g.start = time.Now()
	if g.load.Rate > 0 {
		return g.openLoop(d)
	}
	for _, c := range g.pool.conns {
		if err := g.sendBatch(c); err != nil {
			return err
		}
	}
	for g.waiting > 0 && (g.load.Requests > 0 || time.Since(g.start) < d) {
		ready, err := g.pool.wait(replyTimeout)
		if err != nil {
			return err
		}
		if len(ready) == 0 {
			return fmt.Errorf("no reply for %v", replyTimeout)
		}
		for _, c := range ready {
			if g.large != nil && c.sending() {
				if err := g.large.push(g.pool, c); err != nil {
					return err
				}
				continue
			}
			done, err := g.receive(c)
			if err != nil {
				return err
			}
			if done {
				if err := g.sendBatch(c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// sendBatch writes c's next batch, if there is one left.
func (g *generator) sendBatch(c *conn) error {
	c.out = c.out[:0]
	batch := due{at: time.Now()}
	for range g.load.Pipeline {
		if g.load.Requests > 0 && g.sent == g.load.Requests {
			break
		}
		g.appendRequest(c, &batch)
	}
	if batch.replies == 0 {
		return nil
	}
	g.waiting++
	c.due = append(c.due, batch)
	if g.large != nil {
		return g.large.push(g.pool, c)
	}
	return c.flush()
}

// appendRequest appends one request to c.out and to what is due of its batch.
func (g *generator) appendRequest(c *conn, batch *due) {
	g.sent++
	l := &g.load
	switch {
	case g.large != nil:
		g.large.begin(c, g.rng.IntN(l.Items))
	case l.Stream != nil:
		key, size, ttl := l.Stream.Next()
		c.out = g.wire.AppendSet(c.out, key, g.valueOf(size), ttl)
	case l.SetPercent > 0 && g.rng.IntN(100) < l.SetPercent:
		g.keys[0] = appendKey(g.keys[0][:0], g.rng.IntN(l.Items))
		c.out = g.wire.AppendSet(c.out, g.keys[0], g.valueOf(l.ValueBytes), 0)
	default:
		for i := range g.keys {
			g.keys[i] = appendKey(g.keys[i][:0], g.rng.IntN(l.Items))
		}
		c.out = g.wire.AppendGet(c.out, g.keys)
		batch.replies += g.wire.Replies(len(g.keys))
		batch.ops += len(g.keys)
		return
	}
	batch.replies++
	batch.ops++
}

// valueOf is a value of n bytes: always the same, or, if it shall not compress,
// a place in a sea of noise that is seldom used twice in a while.
func (g *generator) valueOf(n int) []byte {
	at := 0
	if g.load.Noise {
		at = g.rng.IntN(len(g.value) - n + 1)
	}
	return g.value[at : at+n]
}

// receive reads once and says whether the oldest batch of c is answered.
func (g *generator) receive(c *conn) (done bool, err error) {
	if c.skip > 0 {
		if err := c.discard(); err != nil || c.skip > 0 {
			return false, err
		}
		return g.account(c, c.skipped), nil
	}
	if err := c.read(); err != nil {
		return false, err
	}
	used := 0
	for len(c.due) > 0 {
		p, err := g.wire.Next(c.in[used:])
		if err != nil {
			return false, err
		}
		if p.Len == 0 {
			if p.Need-len(c.in[used:]) >= discardMin {
				// The rest of a large value goes unseen: copying it would cost
				// as much as all that the server does to send it.
				c.skip, c.skipped = p.Need-len(c.in[used:]), p
				used = len(c.in)
			}
			break
		}
		used += p.Len
		done = g.account(c, p) || done
	}
	c.in = c.in[:copy(c.in, c.in[used:])]
	return done, nil
}

// account counts a part of a reply and says whether a batch ends with it.
func (g *generator) account(c *conn, p Part) bool {
	if p.Hit {
		g.hits++
	}
	if p.Full {
		g.refused++
	}
	if !p.Last {
		return false
	}
	c.due[0].replies--
	if c.due[0].replies > 0 {
		return false
	}
	g.ops += c.due[0].ops
	late := min(time.Since(c.due[0].at), time.Minute)
	c.due = c.due[:copy(c.due, c.due[1:])]
	g.waiting--
	_ = g.latency.RecordValue(int64(late)) // within its range by the min above
	return true
}

// discardMin is how much of a value must be missing to be discarded unseen.
const discardMin = 32 << 10
