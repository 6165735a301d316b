package proxy

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/protocol"
)

// node is where a call can go: a pool, a selector, or a route. Nodes never change
// once compiled, but for counters and the like, which all loops share.
type node interface {
	// start sees to it that c is answered, once: c.to.done is called, perhaps before
	// start returns. It is called with c.start set to now. c has one key; its value
	// is there during the call only. After that what is left of c is there until done.
	start(x *executor, c *call)
	// home is the pool whose policies count when key fails.
	home(key []byte, op protocol.Op) *pool
	// patience is how long an answer may take, in nanoseconds: the timeouts of pools
	// that are asked one after another add up.
	patience() int64
}

// selector is a node that chooses another by key and command alone.
type selector interface {
	node
	way(key []byte, op protocol.Op) *branch
}

// pick follows selectors to a pool or a route.
func pick(n node, key []byte, op protocol.Op) node {
	for {
		s, ok := n.(selector)
		if !ok {
			return n
		}
		b := s.way(key, op)
		b.count(countRequests)
		n = b.to
	}
}

// prefixes chooses by the longest prefix.
type prefixes struct {
	lengths []int // of the prefixes, falling
	to      map[string]*branch
	other   *branch
	longest int64 // patience
}

func (s *prefixes) way(key []byte, _ protocol.Op) *branch {
	for _, n := range s.lengths {
		if n > len(key) {
			continue
		}
		if to, ok := s.to[string(key[:n])]; ok {
			return to
		}
	}
	return s.other
}

func (s *prefixes) start(x *executor, c *call) { pick(s, c.key, c.op).start(x, c) }

func (s *prefixes) home(key []byte, op protocol.Op) *pool { return s.way(key, op).to.home(key, op) }

func (s *prefixes) patience() int64 { return s.longest }

// commands chooses by the class of a command.
type commands struct {
	to      [classes]*branch
	longest int64
}

func (s *commands) way(_ []byte, op protocol.Op) *branch { return s.to[classOf(op)] }

func (s *commands) start(x *executor, c *call) { pick(s, c.key, c.op).start(x, c) }

func (s *commands) home(key []byte, op protocol.Op) *pool { return s.way(key, op).to.home(key, op) }

func (s *commands) patience() int64 { return s.longest }

// routeLocked compiles the routes of a config for the pools that t has already.
// The caller holds p.mu.
func (p *Proxy) routeLocked(t *tree, conf *cluster.RouteConfig) error {
	if conf == nil {
		if len(t.pools) > 1 {
			return fmt.Errorf("routes: there are %d pools; say with routes which of them serves what", len(t.pools))
		}
		t.root = t.pools[0]
		return nil
	}
	k := compiler{p: p, pools: map[string]*pool{}, tree: t}
	if old := p.tree.Load(); old != nil {
		k.before = old.places
	}
	for _, pl := range t.pools {
		k.pools[pl.name] = pl
	}
	t.routes, t.root = conf, k.node("routes", conf)
	return nil
}

// compiler makes nodes of a checked config. It knows the pools by name.
type compiler struct {
	p      *Proxy
	pools  map[string]*pool
	tree   *tree
	before []*placed // of the tree that is there
}

// node compiles one route. field is where it stands.
func (k *compiler) node(field string, r *cluster.RouteConfig) node {
	kind, below := r.Kind()
	if kind == "pool" {
		k.place(field, describeOne(r), kind)
		return k.pools[r.Pool]
	}
	field += "." + kind
	at := k.place(field, describeOne(r), kind)
	if kind == "prefix" || kind == "command" {
		ways := k.branches(field, r, below)
		longest := int64(0)
		for _, w := range ways {
			longest = max(longest, w.to.patience())
		}
		if kind == "prefix" {
			return newPrefixes(r.Prefix, ways, longest)
		}
		return newCommands(below, ways, longest)
	}
	to := make([]node, len(below))
	for i, b := range below {
		to[i] = k.node(field+"."+b.Field, b.Route)
	}
	k.tree.active = true
	at.route = k.route(kind, field, r, to)
	at.route.(interface{ countIn(*tally) }).countIn(at.tally)
	return at.route
}

// route makes a route of a kind, which stands at field, over those below it.
func (k *compiler) route(kind, field string, r *cluster.RouteConfig, to []node) node {
	sum := int64(0)
	for _, n := range to {
		sum += n.patience()
	}
	switch kind {
	case "replicate":
		return newReplicate(r.Replicate, to, sum)
	case "failover":
		return newFailover(r.Failover, to, sum)
	case "warmup":
		return &handover{fresh: to[0], old: to[1], wait: 2*to[0].patience() + sum}
	case "migrate":
		m := newMigrate(r.Migrate, to, 2*to[1].patience()+sum)
		m.begin = k.p.migrationStart(k.tree, field, r.Migrate)
		return m
	case "shadow":
		return newShadow(r.Shadow, to)
	case "split_hot":
		return newSplitHot(r.SplitHot, to[0])
	case "near_cache":
		n := newNearCache(r.NearCache, to[0])
		k.tree.caches = append(k.tree.caches, n)
		return n
	case "coalesce":
		n := &coalesce{to: to[0]}
		k.tree.caches = append(k.tree.caches, n)
		return n
	}
	return newRateLimit(r.RateLimit, to[0])
}

func newPrefixes(conf *cluster.PrefixRoute, to []*branch, longest int64) *prefixes {
	s := &prefixes{to: map[string]*branch{}, other: to[len(to)-1], longest: longest}
	for i, c := range conf.Cases {
		s.to[c.Prefix] = to[i]
		if !slices.Contains(s.lengths, len(c.Prefix)) {
			s.lengths = append(s.lengths, len(c.Prefix))
		}
	}
	slices.SortFunc(s.lengths, func(a, b int) int { return b - a })
	return s
}

func newCommands(below []cluster.RouteChild, to []*branch, longest int64) *commands {
	s := &commands{longest: longest}
	for i := range s.to {
		s.to[i] = to[len(to)-1]
	}
	for i, b := range below {
		if c := slices.Index(classNames[:], b.Field); c >= 0 {
			s.to[c] = to[i]
		}
	}
	return s
}

// describe prints a tree of routes, for people.
func describe(w io.Writer, r *cluster.RouteConfig, label string, depth int) {
	_, below := r.Kind()
	line := describeOne(r)
	if label != "" {
		line = label + ": " + line
	}
	fmt.Fprintf(w, "%s%s\n", strings.Repeat("  ", depth), line)
	for i, b := range below {
		label := b.Field
		if p := r.Prefix; p != nil && i < len(p.Cases) {
			label = strconv.Quote(p.Cases[i].Prefix)
		}
		describe(w, b.Route, label, depth+1)
	}
}

// describeOne says what a route is, without those below it.
func describeOne(r *cluster.RouteConfig) string {
	line, _ := r.Kind()
	if line == "pool" {
		line += " " + r.Pool
	}
	if s := r.Settings(); s != "" {
		line += " (" + s + ")"
	}
	return line
}
