package discover

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/rs/zerolog"
)

// lister fills in the servers of pools that the DNS lists. What has no such pool
// passes through it unchanged.
type lister struct {
	inner    Source
	resolver Resolver
	interval time.Duration
	forget   time.Duration
	log      zerolog.Logger
	kept     map[string][]string // what lists had in an earlier process

	mu    sync.Mutex
	lists map[string]*list // by the field discover
}

// list is one name of the DNS that is asked for again and again.
type list struct {
	spec    string
	d       cluster.Discovery
	asks    trouble
	reload  chan struct{}
	refresh chan struct{} // as reload, but what an answer lacks stays
	cancel  context.CancelFunc
	done    chan struct{}
	size    atomic.Int64
	gone    atomic.Int64
}

// listed is what a list says now.
type listed struct {
	l     *list
	order []string
}

// newLister fills in what inner leaves open. last is what an earlier process had, nil
// if that is not known.
func newLister(inner Source, o Options, last *cluster.Config, log zerolog.Logger) *lister {
	l := &lister{kept: map[string][]string{}, inner: inner, resolver: o.Resolver, interval: orDefault(o.DNSInterval, dnsInterval), forget: o.DNSForget, log: log, lists: map[string]*list{}}
	if l.resolver == nil {
		l.resolver = net.DefaultResolver
	}
	if last != nil {
		for _, p := range last.Pools {
			for _, s := range p.Servers {
				l.kept[p.Discover] = append(l.kept[p.Discover], s.Address)
			}
		}
	}
	return l
}

// Run asks for every list that the newest config names, and delivers when each is
// known: from an answer or, if there is none, from what an earlier process had.
func (s *lister) Run(ctx context.Context, deliver func(*cluster.Config)) {
	ctx, cancel := context.WithCancel(ctx)
	configs := make(chan *cluster.Config)
	answers := make(chan listed)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.inner.Run(ctx, func(c *cluster.Config) {
			select {
			case configs <- c:
			case <-ctx.Done():
			}
		})
	}()
	defer func() {
		cancel()
		<-ended
		s.retire(nil)
	}()
	var base, last *cluster.Config
	orders := map[*list][]string{}
	for {
		select {
		case <-ctx.Done():
			return
		case base = <-configs:
			s.follow(ctx, base, answers)
		case a := <-answers:
			orders[a.l] = a.order
		}
		if c := s.filled(base, orders, last); c != nil {
			last = c
			deliver(c)
		}
	}
}

// follow starts the lists that c names and are not followed yet, and ends the others.
func (s *lister) follow(ctx context.Context, c *cluster.Config, answers chan<- listed) {
	wanted := map[string]bool{}
	for _, p := range c.Pools {
		if p.Discover != "" {
			wanted[p.Discover] = true
		}
	}
	s.retire(wanted)
	s.mu.Lock()
	defer s.mu.Unlock()
	for spec := range wanted {
		if s.lists[spec] != nil {
			continue
		}
		d, err := cluster.ParseDiscovery(spec)
		if err != nil {
			continue // a config is checked before it comes here
		}
		l := &list{spec: spec, d: d, reload: make(chan struct{}, 1), refresh: make(chan struct{}, 1), done: make(chan struct{})}
		l.asks = trouble{what: "the DNS", log: s.log.With().Str("discover", spec).Logger(), alike: true}
		var own context.Context
		own, l.cancel = context.WithCancel(ctx)
		s.lists[spec] = l
		go s.poll(own, l, answers)
	}
}

// retire ends the lists that are not wanted and waits for them.
func (s *lister) retire(wanted map[string]bool) {
	s.mu.Lock()
	var ended []*list
	for spec, l := range s.lists {
		if !wanted[spec] {
			ended = append(ended, l)
			delete(s.lists, spec)
		}
	}
	s.mu.Unlock()
	for _, l := range ended {
		l.cancel()
		<-l.done
	}
}

// poll asks for one list until ctx ends.
func (s *lister) poll(ctx context.Context, l *list, answers chan<- listed) {
	defer close(l.done)
	r := roll{forget: s.forget}
	r.update(s.kept[l.spec], time.Now(), false)
	if r.forget == 0 && l.d.Type != "srv" {
		r.forget = dnsForget
	}
	exactly, told := false, false
	for {
		question, cancel := context.WithTimeout(ctx, s.interval)
		found, err := ask(question, s.resolver, l.d)
		cancel()
		if ctx.Err() != nil {
			return
		}
		l.asks.failed(err)
		now := time.Now()
		changed := err == nil && r.update(found, now, exactly)
		if changed || !told && len(r.order) > 0 {
			told = true
			l.size.Store(int64(len(r.order)))
			l.asks.log.Info().Strs("servers", r.order).Bool("answered", err == nil).Msg("servers are listed")
			select {
			case answers <- listed{l, r.order}:
			case <-ctx.Done():
				return
			}
		}
		if err == nil {
			l.gone.Store(int64(r.missing(now)))
			exactly = false
		}
		wait := time.NewTimer(jittered(s.interval))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		case <-l.reload:
			wait.Stop()
			exactly = true
		case <-l.refresh:
			wait.Stop()
		}
	}
}

// filled returns base with the servers of all lists, nil if one of them is not known
// yet. Whenever the owners of keys change the epoch grows. With lists it is a unix
// time, so that it grows over restarts as well.
func (s *lister) filled(base *cluster.Config, orders map[*list][]string, last *cluster.Config) *cluster.Config {
	if base == nil {
		return nil
	}
	c, known := s.substituted(base, orders)
	if !known {
		return nil
	}
	epoch := base.Epoch
	switch {
	case last != nil && cluster.SameOwners(c, last):
		epoch = max(epoch, last.Epoch)
	case c != base:
		epoch = max(epoch, uint64(time.Now().Unix()))
		fallthrough
	default:
		if last != nil {
			epoch = max(epoch, last.Epoch+1)
		}
	}
	if epoch != base.Epoch && c == base {
		c = base.Clone()
	}
	if c != base {
		c.Epoch = epoch
	}
	return c
}

// substituted returns base itself if no pool of it is listed, else a copy with the
// servers that the lists have, or that are given for the beginning.
func (s *lister) substituted(base *cluster.Config, orders map[*list][]string) (c *cluster.Config, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(orders, func(l *list, _ []string) bool { return s.lists[l.spec] != l })
	c = base
	for i, p := range base.Pools {
		if p.Discover == "" {
			continue
		}
		if c == base {
			c = base.Clone()
		}
		order := orders[s.lists[p.Discover]]
		switch {
		case order == nil && len(p.Servers) == 0:
			return nil, false
		case order == nil:
			continue
		}
		c.Pools[i].Servers = make([]cluster.ServerConfig, len(order))
		for j, address := range order {
			c.Pools[i].Servers[j] = cluster.ServerConfig{Address: address, Weight: 1}
		}
	}
	return c, true
}

// Reload has the inner source and all lists looked at at once. Servers that an
// answer lacks go.
func (s *lister) Reload() {
	s.inner.Reload()
	for _, l := range s.all() {
		l.asks.forget()
		ring(l.reload)
	}
}

// Refresh has the inner source and all lists looked at at once.
func (s *lister) Refresh() {
	s.inner.Refresh()
	for _, l := range s.all() {
		ring(l.refresh)
	}
}

// all are the lists there are, by name.
func (s *lister) all() []*list {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.lists), func(a, b *list) int { return cmp.Compare(a.spec, b.spec) })
}

// Stats tells of the inner source and of every list.
func (s *lister) Stats(add func(name, value string)) {
	s.inner.Stats(add)
	for _, l := range s.all() {
		prefix := "dns:" + l.spec + ":"
		add(prefix+"servers", strconv.FormatInt(l.size.Load(), 10))
		add(prefix+"missing", strconv.FormatInt(l.gone.Load(), 10))
		l.asks.stats(prefix, add)
	}
}
