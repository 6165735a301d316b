package proxy

import (
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/protocol"
)

// tally is what is counted of one place in the tree of routes. It stays over a reload if the
// place and what stands there do.
type tally struct {
	field string   // where it stands, as errors about the config name it
	text  string   // what stands there, as --check-config prints it
	names []string // of the counters
	n     [tallyMax]atomic.Uint64
}

const tallyMax = 5

// What is counted of the kinds of routes: requests are keys and commands that came
// to the route.
var tallyNames = map[string][]string{
	"replicate":  {"requests", "reads_elsewhere", "copies_failed"},
	"failover":   {"requests", "spilled", "spills_failed", "cleared", "clears_failed"},
	"warmup":     {"requests", "stayed", "fresh_hits", "brought_over", "misses"},
	"migrate":    {"requests", "stayed", "fresh_hits", "brought_over", "misses"},
	"shadow":     {"requests", "shadowed", "shadow_hits", "shadow_misses", "shadow_failed"},
	"split_hot":  {"requests", "hot", "copy_misses", "copies_failed"},
	"near_cache": {"requests", "hits", "misses"},
	"coalesce":   {"requests", "joined"},
	"rate_limit": {"requests", "refused"},
	"branch":     {"requests"}, // of a selector
}

// The counters, by their place in that table.
const (
	countRequests = 0

	replicateElsewhere = 1 // reads that a later place was asked, because one before had failed
	replicateFailed    = 2 // places that have not done a write

	failoverSpilled     = 1 // requests that went to the gutter
	failoverSpillFailed = 2 // and failed there too
	failoverCleared     = 3 // deletes at the gutter of what was written at the first place
	failoverClearFailed = 4

	handoverStayed  = 1 // the key is on the same server in both places
	handoverFresh   = 2 // the fresh place had the value
	handoverBrought = 3 // the old place had it
	handoverMissed  = 4 // neither had, or it has been deleted a moment ago

	shadowSent   = 1
	shadowHit    = 2 // reads that found something at the shadow
	shadowMissed = 3
	shadowFailed = 4

	splitHotKeys    = 1 // requests for a hot key
	splitCopyMissed = 2 // gets of a copy that went on to the key itself
	splitFailed     = 3 // copies that have not done a write

	nearHit    = 1
	nearMissed = 2

	coalesceJoined = 1 // gets that took the answer to another's

	limitRefused = 1
)

// counting is a part of every route: what it counts in.
type counting struct{ tally *tally }

func (c *counting) countIn(t *tally) { c.tally = t }

func (c *counting) count(i int) { c.tally.n[i].Add(1) }

// gauged is a route of which there is more to tell than counters.
type gauged interface {
	gauges(p *Proxy, add func(name, value string))
}

// placed is a place in the tree of routes, and what can be told of it.
type placed struct {
	*tally
	route node // nil for a pool, or a way to a route
}

// place notes what stands at field. What is counted goes on if the same stood there before a
// reload.
func (k *compiler) place(field, text, kind string) *placed {
	at := &placed{tally: &tally{field: field, text: text, names: tallyNames[kind]}}
	if i := slices.IndexFunc(k.before, func(p *placed) bool { return p.field == field && p.text == text }); i >= 0 {
		at.tally = k.before[i].tally
	}
	k.tree.places = append(k.tree.places, at)
	return at
}

// branch is one of the ways that a selector knows.
type branch struct {
	counting
	to node
}

// branches compiles the ways of a selector of a kind, which stands at field.
func (k *compiler) branches(field string, r *cluster.RouteConfig, below []cluster.RouteChild) []*branch {
	all := make([]*branch, len(below))
	for i, b := range below {
		at, text := field+"."+b.Field, ""
		if p := r.Prefix; p != nil && i < len(p.Cases) {
			text = strconv.Quote(p.Cases[i].Prefix)
		}
		if b.Route.Pool != "" {
			text = strings.TrimPrefix(text+": pool "+b.Route.Pool, ": ")
		}
		all[i] = &branch{}
		all[i].countIn(k.place(at, text, "branch").tally)
		if b.Route.Pool != "" {
			all[i].to = k.pools[b.Route.Pool]
		} else {
			all[i].to = k.node(at, b.Route)
		}
	}
	return all
}

// appendRoutes tells of every place in the tree, in the order in which --check-config
// prints them.
func (p *Proxy) appendRoutes(b []byte, t *tree) []byte {
	for _, at := range t.places {
		add := func(name, value string) { b = protocol.AppendStat(b, at.field+":"+name, value) }
		if at.text != "" {
			add("route", at.text)
		}
		for i, name := range at.names {
			add(name, strconv.FormatUint(at.n[i].Load(), 10))
		}
		if g, ok := at.route.(gauged); ok {
			g.gauges(p, add)
		}
	}
	return b
}

// gauges tells for how long there may be something in the gutter still.
func (r *failover) gauges(p *Proxy, add func(name, value string)) {
	left := r.until.Load() - p.loopTime()
	add("gutter_in_use_seconds", strconv.FormatInt(max((left+int64(time.Second)-1)/int64(time.Second), 0), 10))
}

// gauges tells what is kept.
func (r *nearCache) gauges(_ *Proxy, add func(name, value string)) {
	values, bytes := 0, 0
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		values, bytes = values+len(s.byKey), bytes+s.size
		s.mu.Unlock()
	}
	add("values", strconv.Itoa(values))
	add("bytes", strconv.Itoa(bytes))
}

// gauges tells how far a migration is.
func (r *handover) gauges(p *Proxy, add func(name, value string)) {
	if r.over == 0 {
		return
	}
	now := p.unixNano()
	state := "over: the route can be taken out"
	switch {
	case now < r.begin:
		state = "not begun"
	case now < r.begin+r.over:
		state = "under way"
	case now < r.begin+r.over+hiddenEnds:
		state = "ending"
	}
	add("state", state)
	share := float64(now-r.begin) / float64(r.over)
	add("moved_percent", strconv.FormatFloat(100*min(max(share, 0), 1), 'f', 1, 64))
}
