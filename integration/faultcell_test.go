package integration

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// faultCell is one cell of the matrix: one fault, one command, alone or amid
// others, on one proxy. Each has two backends and a proxy process of its own, so
// that no cell sees what another one has left behind.
type faultCell struct {
	kind      *proxyKind
	fault     *Fault
	command   *faultCommand
	pipelined bool
}

// String names the cell.
func (c *faultCell) String() string {
	mode := "idle"
	if c.pipelined {
		mode = "pipelined"
	}
	return c.fault.Name + "/" + c.command.name + "/" + mode
}

// cellResult is what came of a cell.
type cellResult struct {
	main Outcome // of the command
	then Outcome // the first of what followed on the same connection that was not in order
	late bool    // the reply came by the proxy's timeout, although it could have known
	slot string  // the bad backend
	err  error   // of the apparatus
}

// String is the result in the words of the table.
func (r *cellResult) String() string {
	if r.err != nil {
		return "not run: " + r.err.Error()
	}
	text := string(r.main.Label)
	if r.late {
		text += " at its timeout"
	}
	if r.then.Label != "" {
		text += ", then " + string(r.then.Label)
	}
	return text
}

// detail is the result with what was read.
func (r *cellResult) detail() string {
	text := r.String()
	for _, o := range []Outcome{r.main, r.then} {
		if o.Text != "" {
			text += " [" + o.Text + "]"
		}
	}
	return text
}

// run plays the cell. scale lengthens all times, for a second try on a machine that
// is busy.
func (c *faultCell) run(scale int) *cellResult {
	s := &faultStage{faultCell: c, timeout: atOnceTimeout * time.Duration(min(scale, 3)), res: &cellResult{}}
	if c.fault.Hangs {
		s.timeout = hangTimeout * time.Duration(scale)
	}
	s.res.err = s.play()
	s.strike()
	return s.res
}

// faultStage is a cell being played.
type faultStage struct {
	*faultCell
	timeout   time.Duration
	backends  []*Backend
	proxy     *Process
	client    *StrictConn
	keys      faultKeys
	good, bad *Backend
	res       *cellResult
}

// strike ends whatever was started.
func (s *faultStage) strike() {
	if s.client != nil {
		hangUp(s.client)
	}
	if s.proxy != nil {
		s.res.err = errors.Join(s.res.err, s.proxy.Kill())
	}
	for _, b := range s.backends {
		b.Close()
	}
}

// play sets the stage, plays the script and looks at the backends afterwards.
func (s *faultStage) play() error {
	for range 2 {
		b, err := NewBackend()
		if err != nil {
			return err
		}
		b.Slow = s.timeout * 3 / 2
		s.backends = append(s.backends, b)
	}
	if err := s.open(); err != nil {
		return err
	}
	if err := s.learnKeys(); err != nil {
		return err
	}
	s.seed()
	if s.fault.Cold {
		hangUp(s.client)
		if err := s.proxy.Kill(); err != nil {
			return err
		}
	}
	s.bad.Arm(s.fault)
	if s.fault.Cold {
		if err := s.open(); err != nil {
			return err
		}
	}
	script := s.idle
	if s.pipelined {
		script = s.pipeline
	}
	if err := script(); err != nil {
		return err
	}
	s.checkBackends()
	s.checkTime()
	return nil
}

// open starts the proxy and connects to it.
func (s *faultStage) open() (err error) {
	if s.proxy, err = s.kind.start(s.backends, s.timeout); err != nil {
		return err
	}
	c, err := s.proxy.Dial()
	if err == nil {
		s.client = NewStrictConn(c)
	}
	return err
}

// learnKeys finds keys of both backends.
func (s *faultStage) learnKeys() error {
	owned, err := learnOwners(s.client, s.backends, []int{5, 2})
	if err != nil {
		return err
	}
	s.keys.good, s.keys.bad = owned[0], owned[1]
	s.good, s.bad = s.backends[0], s.backends[1]
	s.res.slot = s.bad.Addr
	return nil
}

// learnOwners asks for keys through a proxy and looks which backend is asked,
// whatever the placement is, until each owns as many as are wanted.
func learnOwners(client *StrictConn, backends []*Backend, want []int) (owned [][]string, err error) {
	owned = make([][]string, len(backends))
	for i := range 40 * len(backends) {
		name := fmt.Sprintf("key%d", i)
		ask := Ask{Text: "get " + name + "\r\n", Values: []KeyValue{}}
		if err := client.Send(ask); err != nil {
			return nil, err
		}
		if o := client.Read(ask); o.Label != LabelOK {
			return nil, fmt.Errorf("get %s of healthy backends: %s %s", name, o.Label, o.Text)
		}
		enough := true
		for j, b := range backends {
			if reads, _ := b.Seen(name); reads == 1 {
				owned[j] = append(owned[j], name)
			}
			enough = enough && len(owned[j]) >= want[j]
		}
		if enough {
			return owned, nil
		}
	}
	return nil, fmt.Errorf("too few keys belong to one of the backends: %q", owned)
}

// seed stores the values. The good backend holds other ones under the bad one's
// keys, as if they had been its own once.
func (s *faultStage) seed() {
	for _, key := range s.keys.good {
		s.good.Put(key, s.keys.value(key), casOfSeeds)
	}
	s.keys.size = s.fault.Size
	for _, key := range s.keys.bad {
		s.bad.Put(key, s.keys.value(key), casOfSeeds)
		s.good.Put(key, "overwritten long ago", casOfSeeds)
	}
	if s.command.number {
		s.bad.Put(s.keys.bad[0], numberSeed, casOfSeeds)
	}
}

// ask makes the request for a key of the good backend, whose values are short.
func (s *faultStage) healthy(i int) Ask {
	short := faultKeys{}
	return short.get(s.keys.good[i])
}

// command is the cell's own request.
func (s *faultStage) request() Ask {
	a := s.command.ask(&s.keys, s.keys.bad[0])
	for i, kv := range a.Values {
		if slices.Contains(s.keys.good, kv.Key) {
			short := faultKeys{}
			a.Values[i].Value = short.value(kv.Key)
		}
	}
	return a
}

// idle asks one thing after the other: the command, a healthy key, another key of
// the bad backend once that is well, a healthy key.
func (s *faultStage) idle() error {
	a := s.request()
	if err := s.client.Send(a); err != nil {
		s.res.main = trouble(err)
		return nil
	}
	s.res.main = s.client.Read(a)
	if s.res.main.Label == LabelSilent {
		s.note(s.client.Quiet(s.settle()))
	}
	s.next(s.healthy(2), LabelOK)
	return s.recovered()
}

// pipeline asks for a healthy key, the command, another key of the bad backend and
// a healthy key in one piece.
func (s *faultStage) pipeline() error {
	script := []Ask{s.healthy(2), s.request(), s.keys.get(s.keys.bad[1]), s.healthy(3)}
	script[1].MissFollows = s.kind.misses
	if err := s.client.Send(script...); err != nil {
		s.res.main = trouble(err)
		return nil
	}
	before := s.client.Read(script[0])
	s.res.main = s.client.Read(script[1])
	if before.Label != LabelOK {
		s.res.main = before
		s.res.then = before
		return nil
	}
	s.follow(s.client.Read(script[2]), s.neighbour()...)
	s.follow(s.client.Read(script[3]), LabelOK)
	if s.res.main.Label == LabelSilent {
		s.note(s.client.Quiet(s.settle()))
	}
	return s.recovered()
}

// recovered makes the backend well and asks on, then waits for replies too many.
func (s *faultStage) recovered() error {
	if err := s.bad.Disarm(); err != nil {
		return err
	}
	s.next(s.keys.get(s.keys.bad[1]), s.neighbour()...)
	s.next(s.healthy(4), LabelOK)
	s.note(s.client.Quiet(s.settle()))
	return nil
}

// neighbour is what may come of a get of another key of the bad backend: never
// a miss, unless a reply that was too many can be taken for its own.
func (s *faultStage) neighbour() []Label {
	if s.fault.Shifts || s.kind.misses {
		return []Label{LabelOK, LabelError, LabelMiss}
	}
	return []Label{LabelOK, LabelError}
}

// settle is how long to listen for what should not come.
func (s *faultStage) settle() time.Duration {
	if s.fault.Hangs {
		return s.timeout*3/2 + stallShort
	}
	return stallShort / 2
}

// next asks one thing, unless the connection has had it.
func (s *faultStage) next(a Ask, allowed ...Label) {
	if s.res.then.Label != "" {
		return
	}
	if err := s.client.Send(a); err != nil {
		s.note(trouble(err))
		return
	}
	s.follow(s.client.Read(a), allowed...)
}

// follow keeps an outcome that is not allowed, if it is the first.
func (s *faultStage) follow(o Outcome, allowed ...Label) {
	if !slices.Contains(allowed, o.Label) {
		s.note(o)
	}
}

// note keeps the first outcome that is not in order. An error too many behind a
// request that must be silent is that request's.
func (s *faultStage) note(o Outcome) {
	if s.res.then.Label != "" || o.Label == LabelSilent {
		return
	}
	stray := []Label{LabelError, LabelAmid, LabelStray, LabelOutOfStep}
	if s.res.main.Label == LabelSilent && s.fault.Strikes&s.command.kinds != 0 && slices.Contains(stray, o.Label) {
		s.res.main = Outcome{Label: LabelStray, Text: o.Text}
		o = Outcome{Label: LabelOutOfStep}
	}
	s.res.then = o
}

// checkBackends looks at what the backends were asked.
func (s *faultStage) checkBackends() {
	key := s.keys.bad[0]
	_, writes := s.bad.Seen(key)
	movedReads, movedWrites := s.good.Seen(key)
	if writes > 1 {
		s.res.main = Outcome{Label: LabelRetried, Text: fmt.Sprintf("%d times; %s", writes, s.res.main.Label)}
	}
	if movedReads+movedWrites > 0 {
		s.res.main = Outcome{Label: LabelMoved, Text: string(s.res.main.Label)}
	}
}

// checkTime tells whether the proxy has waited for nothing.
func (s *faultStage) checkTime() {
	s.res.late = !s.fault.Hangs && s.res.main.After > s.timeout*9/10 && s.res.main.Label != LabelHang
}

// expected lists what may come of the cell according to Holdfast's promises.
func (c *faultCell) expected() []string {
	f := c.fault
	var labels []Label
	switch {
	case c.command.class == "noreply":
		labels = []Label{LabelSilent}
	case f.Shifts:
		labels = []Label{LabelOK, LabelError, LabelMiss}
		if f.Arm == nil || c.command.kinds&ValueReply == 0 { // what came first was right
			labels = []Label{LabelOK, LabelError}
		}
		if c.command.class == "multiget" {
			labels = append(labels, LabelPartial) // a key of several sent one by one
		}
	case f.Strikes&c.command.kinds == 0:
		labels = []Label{LabelOK}
	case c.command.class == "multiget":
		labels = []Label{LabelPartial}
	default:
		labels = []Label{LabelError}
	}
	if f.Strikes == MetaReply && c.command.class == "quiet" {
		labels = append(labels, LabelOK) // the client has no opaque; who adds none sees none
	}
	if f.Enough && c.command.class == "get" && f.Strikes&c.command.kinds != 0 {
		labels = append(labels, LabelOK)
	}
	if f.Times == 1 && f.Strikes&c.command.kinds != 0 && c.command.reads {
		labels = append(labels, LabelOK) // asked once more
	}
	if f.Flaw.Line == outOfMemory && c.command.class == "multiget" {
		labels = append(labels, LabelError) // the backend's own
	}
	var texts []string
	for _, l := range labels {
		texts = append(texts, string(l))
	}
	return texts
}

// wrong tells what differs from what was promised, "" if nothing.
func (c *faultCell) wrong(r *cellResult) string {
	want := c.expected()
	if !slices.Contains(want, r.String()) {
		return fmt.Sprintf("%s: %s, expected %s", c, r.detail(), strings.Join(want, " or "))
	}
	if r.main.Label == LabelError && !c.kind.errors(c.fault, r.slot, r.main.Text) {
		return fmt.Sprintf("%s: %q, expected hf- and one of %q, and %s", c, r.main.Text, c.fault.Codes, r.slot)
	}
	return ""
}
