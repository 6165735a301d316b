package discover

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/memberlist"
	"github.com/rs/zerolog"
)

// The kinds of members.
const (
	KindNode  = "node"
	KindProxy = "proxy"
)

// MemberState is what members think of one of them. It moves no key.
type MemberState string

// The states. A member that is suspected stays in the list.
const (
	Alive     MemberState = "alive"
	Suspected MemberState = "suspected"
	Left      MemberState = "left"
)

// Member is one of a cluster.
type Member struct {
	Kind    string
	Address string // where clients reach it, host:port
	Gossip  string // where members reach it, host:port
	State   MemberState
}

// membersMax is how many members that are gone are remembered.
const membersMax = 1024

// roster is all members that have been met, by kind and address.
type roster map[string]*entry

type entry struct {
	Member
	// starts are memberlist's names of those starts of the member that are alive: for
	// a while the one before may be taken for alive too, and be told of later.
	starts map[string]bool
}

// Members returns all members that have been met, this one included, in the order of
// their addresses.
func (g *Gossip) Members() []Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]Member, 0, len(g.mu.members))
	for _, e := range g.mu.members {
		all = append(all, e.Member)
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Or(natural(a.Address, b.Address), strings.Compare(a.Kind, b.Kind)) })
	return all
}

// note notes what is known of a start of a member now. It reports false if that changes nothing.
func (r roster) note(n *memberlist.Node, state MemberState) (Member, bool) {
	words := strings.Fields(string(n.Meta))
	if len(words) < 2 || words[0] != KindNode && words[0] != KindProxy {
		return Member{}, false
	}
	kind, address := words[0], words[1]
	if len(words) > 2 && words[2] == string(Left) {
		state = Left
	}
	e := r[kind+" "+address]
	if e == nil {
		r.forget()
		e = &entry{Member: Member{Kind: kind, Address: address}, starts: map[string]bool{}}
		r[kind+" "+address] = e
	}
	if state == Alive {
		e.starts[n.Name], e.Gossip = true, n.Address()
	} else {
		delete(e.starts, n.Name)
	}
	before := e.State
	switch {
	case len(e.starts) > 0:
		e.State = Alive
	case before != Left:
		e.State = state
	}
	return e.Member, e.State != before
}

// forget makes room when too many are gone.
func (r roster) forget() {
	if len(r) < membersMax {
		return
	}
	maps.DeleteFunc(r, func(_ string, e *entry) bool { return e.State != Alive })
}

// watcher gets memberlist's events. It is called with locks of memberlist's held, so it
// only takes notes.
type watcher Gossip

// NotifyJoin is called when a member is there, or there again.
func (w *watcher) NotifyJoin(n *memberlist.Node) { w.note(n, Alive) }

// NotifyUpdate is called when what a member says of itself has changed.
func (w *watcher) NotifyUpdate(n *memberlist.Node) { w.note(n, Alive) }

// NotifyLeave is called when a member has left, which it has said of itself before,
// or is thought to be gone.
func (w *watcher) NotifyLeave(n *memberlist.Node) { w.note(n, Suspected) }

func (w *watcher) note(n *memberlist.Node, state MemberState) {
	w.mu.Lock()
	m, known := w.mu.members.note(n, state)
	w.mu.Unlock()
	if !known {
		return
	}
	w.log.Info().Str("kind", m.Kind).Str("address", m.Address).Str("state", string(m.State)).Msg("a member of the cluster")
	if m.State == Suspected {
		select {
		case w.suspects <- m:
		default: // so many at once: it is more likely us
		}
	}
}

// carrier hands the map on and says who this member is.
type carrier Gossip

// NodeMeta says who this member is, and that it leaves: memberlist does not tell who
// has left from who is gone.
func (c *carrier) NodeMeta(int) []byte {
	meta := c.o.Kind + " " + c.o.Address
	if c.leaving.Load() {
		meta += " " + string(Left)
	}
	return []byte(meta)
}

// NotifyMsg is called with a map that another member has just got.
func (c *carrier) NotifyMsg(m []byte) { (*Gossip)(c).receive(m, false) }

// GetBroadcasts has nothing for packets: a map may not fit into one.
func (c *carrier) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState is the map, for an exchange with another member.
func (c *carrier) LocalState(bool) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.signed
}

// MergeRemoteState is called with the map of another member.
func (c *carrier) MergeRemoteState(m []byte, _ bool) { (*Gossip)(c).receive(m, true) }

// logWriter takes memberlist's log: a date, a level in brackets, a text. What a
// member cannot do about another is no error of this one.
type logWriter struct{ log zerolog.Logger }

func (w *logWriter) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	level := zerolog.DebugLevel
	if i := strings.Index(text, "[ERR]"); i >= 0 {
		level = zerolog.WarnLevel
	}
	if i := strings.Index(text, "] "); i >= 0 {
		text = text[i+2:]
	}
	w.log.WithLevel(level).Msg(oneLine(strings.TrimPrefix(text, "memberlist: ")))
	return len(line), nil
}
