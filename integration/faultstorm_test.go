package integration

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// faultRig is a proxy before backends of which each knows its keys.
type faultRig struct {
	proxy    *Process
	backends []*Backend
	owned    [][]string // keys, by backend
	keys     faultKeys
}

// newFaultRig starts a proxy before n backends, each with keysEach values, which
// nobody is to change.
func newFaultRig(t *testing.T, kind *proxyKind, n, keysEach int, timeout time.Duration) *faultRig {
	t.Helper()
	r := &faultRig{}
	want := []int{}
	for range n {
		b, err := NewBackend()
		if err != nil {
			t.Fatal(err)
		}
		b.Slow = timeout * 3 / 2
		t.Cleanup(b.Close)
		r.backends = append(r.backends, b)
		want = append(want, keysEach)
	}
	var err error
	if r.proxy, err = kind.start(r.backends, timeout); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end := r.proxy.Kill
		if kind.wellBehaved {
			end = r.proxy.Stop // and says so, whatever it has been through
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	if r.owned, err = learnOwners(r.client(t), r.backends, want); err != nil {
		t.Fatal(err)
	}
	for i, b := range r.backends {
		for _, keys := range r.owned {
			for _, key := range keys {
				b.Put(key, "overwritten long ago", casOfSeeds)
			}
		}
		for _, key := range r.owned[i] {
			b.Put(key, r.keys.value(key), casOfSeeds)
		}
	}
	return r
}

// client connects to the proxy until the test ends.
func (r *faultRig) client(t *testing.T) *StrictConn {
	t.Helper()
	c, err := r.proxy.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hangUp(c) })
	return NewStrictConn(c)
}

// ask sends a and reads what comes.
func ask(t *testing.T, c *StrictConn, a Ask) Outcome {
	t.Helper()
	if err := c.Send(a); err != nil {
		t.Fatal(err)
	}
	return c.Read(a)
}

// stormClients and stormPipeline are how much is asked in a storm, stormFaults how
// many faults come over it; stormsEach is how many there are.
const (
	stormClients  = 8
	stormPipeline = 150
	stormFaults   = 60
	stormsEach    = 3
)

// stormResult is what clients saw of a storm.
type stormResult struct {
	mu         sync.Mutex
	replies    int
	errors     map[string]int // lines of errors
	violations []string
}

// storm has clients pipeline what they like while backends behave badly now and
// then. What a client is told must be right or an error, and each reply its own.
func storm(t *testing.T, kind *proxyKind) *stormResult {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := newFaultRig(t, kind, 3, 8, hangTimeout)
	res := &stormResult{errors: map[string]int{}}
	var clients sync.WaitGroup
	over := make(chan struct{})
	for i := range stormClients {
		c := r.client(t)
		rng := rand.New(rand.NewPCG(seed, uint64(1+i)))
		clients.Add(1)
		go func() {
			defer clients.Done()
			defer func() { hangUp(c) }()
			for well := true; well; {
				select {
				case <-over:
					return
				default:
				}
				if rng.IntN(20) > 0 {
					well = r.round(rng, c, kind, res)
				} else {
					c = r.leave(t, rng, c, kind)
				}
			}
		}()
	}
	r.weather(t, rand.New(rand.NewPCG(seed, 0)))
	close(over)
	clients.Wait()
	r.calm(t, res)
	t.Logf("%d replies, errors: %v", res.replies, res.errors)
	return res
}

// weather arms and disarms faults on two of the backends.
func (r *faultRig) weather(t *testing.T, rng *rand.Rand) {
	var faults []*Fault
	for _, f := range Faults[1:] {
		if !f.Shifts && f.Size == 0 && !f.Cold {
			faults = append(faults, f)
		}
	}
	for range stormFaults {
		b := r.backends[rng.IntN(2)]
		b.Arm(faults[rng.IntN(len(faults))])
		b.pause(time.Duration(rng.IntN(20)) * time.Millisecond)
		if err := b.Disarm(); err != nil {
			t.Error(err)
		}
		b.pause(time.Duration(rng.IntN(20)) * time.Millisecond)
	}
}

// calm asks for every value once more, and takes nothing but that and an error of
// a backend that is not trusted yet.
func (r *faultRig) calm(t *testing.T, res *stormResult) {
	c := r.client(t)
	for _, owned := range r.owned {
		for _, key := range owned {
			if o := ask(t, c, r.keys.get(key)); o.Label != LabelOK && o.Label != LabelError {
				res.violations = append(res.violations, fmt.Sprintf("get %s afterwards: %s %s", key, o.Label, o.Text))
			}
		}
	}
}

// leave hangs up in the middle of a pipeline, or of a request, and comes back.
func (r *faultRig) leave(t *testing.T, rng *rand.Rand, c *StrictConn, kind *proxyKind) *StrictConn {
	var text strings.Builder
	for range 1 + rng.IntN(20) {
		if a, ok := r.randomAsk(rng, kind); ok {
			text.WriteString(a.Text)
		}
	}
	_, _ = io.WriteString(c.c, text.String()[:rng.IntN(1+text.Len())]) // it may be gone already
	hangUp(c)
	next, err := r.proxy.Dial()
	if err != nil {
		t.Errorf("the proxy takes no more clients: %v", err)
		return c
	}
	return NewStrictConn(next)
}

// round sends one pipeline and reads the replies. It returns false if one of them
// was wrong.
func (r *faultRig) round(rng *rand.Rand, c *StrictConn, kind *proxyKind, res *stormResult) bool {
	var script []Ask
	for range 1 + rng.IntN(1+rng.IntN(stormPipeline)) {
		if a, ok := r.randomAsk(rng, kind); ok {
			a.SameFollows = true
			script = append(script, a)
		}
	}
	var violation string
	lines := map[string]int{}
	if err := c.Send(script...); err != nil {
		violation = err.Error()
	}
	for i := 0; i < len(script) && violation == ""; i++ {
		a := script[i]
		o := c.Read(a)
		allowed := []Label{LabelOK, LabelError, LabelSilent}
		if len(a.Values) > 1 {
			allowed = append(allowed, LabelPartial, LabelMiss)
		}
		if o.Label == LabelError {
			lines[o.Text]++
		}
		if !slices.Contains(allowed, o.Label) {
			violation = fmt.Sprintf("%d of %d, %s: %s %s", i, len(script), quote(a.Text), o.Label, o.Text)
		}
	}
	res.mu.Lock()
	defer res.mu.Unlock()
	res.replies += len(script)
	for line, n := range lines {
		res.errors[line] += n
	}
	if violation != "" {
		res.violations = append(res.violations, violation)
	}
	return violation == ""
}

// randomAsk asks for what is stored, or writes what nobody asks for.
func (r *faultRig) randomAsk(rng *rand.Rand, kind *proxyKind) (Ask, bool) {
	command := faultCommands[rng.IntN(len(faultCommands))]
	owned := r.owned[rng.IntN(len(r.owned))]
	key := owned[rng.IntN(len(owned))]
	switch {
	case slices.Contains(kind.lacks, command.name):
		return Ask{}, false
	case command.class == "multiget":
		var names []string
		for _, owned := range r.owned {
			names = append(names, owned[:1+rng.IntN(len(owned))]...)
		}
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		return Ask{Text: "get " + strings.Join(names, " ") + "\r\n", Values: r.keys.stored(names...)}, true
	case command.reads:
		return command.ask(&r.keys, key), true
	case command.name == "set" || command.class == "noreply" || command.name == "ms" || command.name == "ms q":
		return command.ask(&r.keys, fmt.Sprintf("scratch%d", rng.IntN(100))), true
	}
	return Ask{}, false
}

// TestFaultStorm mixes everything: many clients, pipelines, faults that come and
// go. The same through nutcracker shows that it would notice.
func TestFaultStorm(t *testing.T) {
	t.Run("nutcracker", func(t *testing.T) {
		if res := storm(t, nutcracker(t)); len(res.violations) == 0 {
			t.Error("nothing was noticed")
		}
	})
	t.Run("holdfast", func(t *testing.T) {
		for range stormsEach { // a new proxy forgives what the last one has learnt
			kind := holdfastProxy(t)
			kind.threads = 4
			res := storm(t, kind)
			for _, v := range res.violations {
				t.Error(v)
			}
			if len(res.errors) == 0 {
				t.Error("no request has failed: there was no storm")
			}
		}
	})
}
