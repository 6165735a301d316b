package proxy

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/cluster/health"
	"github.com/holdfast-cache/holdfast/cluster/spool"
	"github.com/holdfast-cache/holdfast/server"
	"github.com/rs/zerolog"
)

// Config is the settings of a Proxy that do not change while it runs.
type Config struct {
	Version         string // what version answers
	EnableShutdown  bool   // -A
	DisableFlushAll bool   // -F
	// Announce is what "config get cluster" tells: AnnounceNodes, a list of proxies,
	// or nothing.
	Announce string
	// Refetch has the source of the config looked at, because a node has heard of a newer
	// one; nil if there is none. It must not block, and is called by any goroutine.
	Refetch func()
	// Discovery calls add for each figure of that source, for statistics; nil if there
	// are none. It is called by any goroutine.
	Discovery func(add func(name, value string))
	// BufferLimit is how many bytes of values and replies may wait in the proxy.
	BufferLimit int64
	// ValueMax is the longest value, in bytes.
	ValueMax int
	// Spool keeps the journals of the backends for a later process; nil: nobody does.
	// It is the caller's, to be closed when nothing is served any more.
	Spool *spool.Dir
}

// Proxy is the Handler of a server that keeps nothing itself: it sends each
// request to the backend that owns its key. Make it with New.
type Proxy struct {
	cfg      Config
	log      zerolog.Logger
	host     server.Host
	budget   budget
	valueMax int
	tree     atomic.Pointer[tree]
	started  time.Time
	newer    newerMaps
	// suspicions counts calls of Suspect: loops look after backends when it changes.
	suspicions atomic.Uint64

	mu struct {
		sync.Mutex
		executors []*executor
		nextID    int
		backends  map[identity]*backend
		guards    map[string]*health.Pool // by the name of the pool
		migrating map[string]int64        // when migrations of the tree without a start have begun
	}
}

var _ server.Handler = (*Proxy)(nil)

// identity is what makes two slots the same backend across a reload.
type identity struct {
	pool, name, address     string
	timeout, connectTimeout time.Duration
}

// tree is a config, compiled. It never changes; a reload makes another.
type tree struct {
	epoch  uint64
	sum    uint64 // of the map, which tells it from others
	pools  []*pool
	root   node
	routes *cluster.RouteConfig // what root was made of; nil for the only pool
	places []*placed            // of the tree of routes, from the root on
	caches []forgetter          // routes that answer with what was read for others
	// migrating is when migrations without a start have begun, by their places.
	migrating map[string]int64
	active    bool   // there are routes beside pools and selectors
	text      []byte // the config it was made of, as YAML

	announce []byte // what clients of ElastiCache are told
}

// forgetter is a route that can be made to forget what it has read, at the beginning
// and the end of a flush_all.
type forgetter interface{ forget() }

// New returns a proxy for the pools of conf.
func New(cfg Config, conf *cluster.Config, log zerolog.Logger) (*Proxy, error) {
	p := &Proxy{cfg: cfg, log: log, started: time.Now(), valueMax: cfg.ValueMax}
	p.budget.limit = cfg.BufferLimit
	p.mu.backends, p.mu.guards = map[identity]*backend{}, map[string]*health.Pool{}
	return p, p.Reload(conf)
}

// Reload puts conf in the place of the config there is. Backends that are in both
// keep their connections; requests under way end on the old one. If there is an
// error nothing has changed.
func (p *Proxy) Reload(conf *cluster.Config) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, err := conf.YAML()
	if err != nil {
		return err
	}
	t := &tree{epoch: conf.Epoch, text: text}
	var fresh []*backend
	for _, pc := range conf.Pools {
		m, err := cluster.NewMap(conf.Epoch, pc)
		if err != nil {
			return fmt.Errorf("%s: %w", cluster.PoolTitle(pc.Name), err)
		}
		o := optionsOf(pc)
		pl := &pool{name: pc.Name, m: m, poolOptions: o}
		for _, s := range m.Slots() {
			pl.backends = append(pl.backends, p.backendLocked(pc.Name, s, &o, &fresh))
		}
		t.pools = append(t.pools, pl)
	}
	p.resolveAll(fresh)
	t.migrating = map[string]int64{}
	if err := p.routeLocked(t, conf.Routes); err != nil {
		return err
	}
	if err := newEpoch(p.tree.Load(), t); err != nil {
		return err
	}
	if err := t.compileEpochs(conf); err != nil {
		return err
	}
	if t.announce, err = announcement(p.cfg.Announce, t); err != nil {
		return err
	}
	p.settleLocked(t)
	for _, pl := range t.pools {
		for _, b := range pl.backends {
			b.health.Retime(pl.health.Ramp, pl.health.HoldMin, pl.health.HoldMax)
		}
	}
	p.mu.migrating = t.migrating
	p.tree.Store(t)
	p.newer.newest.Store(0)
	p.retireLocked(t)
	p.pokeLocked()
	return nil
}

// pokeLocked has all loops look at what has changed. The caller holds mu.
func (p *Proxy) pokeLocked() {
	for _, x := range p.mu.executors {
		if x.loop != nil {
			x.loop.Poke()
		}
	}
}

// newEpoch refuses a tree that gives keys other owners than the one before and
// does not say so by a higher epoch: of two maps of one epoch nobody could tell
// which is newer.
func newEpoch(old, t *tree) error {
	if old == nil || t.epoch > old.epoch {
		return nil
	}
	for _, pl := range t.pools {
		for _, was := range old.pools {
			if was.name != pl.name {
				continue
			}
			if share, _ := cluster.Moved(was.m, pl.m, epochKeys); share > 0 {
				return fmt.Errorf("%s gives keys other owners: raise epoch above %d", cluster.PoolTitle(pl.name), old.epoch)
			}
		}
	}
	return nil
}

// epochKeys is how many keys two maps are compared by.
const epochKeys = 4096

// retireLocked lets go of the backends that t does not have. Each loop closes its
// lanes to them when nothing is under way there any more. The caller holds mu.
func (p *Proxy) retireLocked(t *tree) {
	used := map[*backend]bool{}
	for _, pl := range t.pools {
		for _, b := range pl.backends {
			used[b] = true
		}
	}
	for id, b := range p.mu.backends {
		if !used[b] {
			b.retired.Store(true)
			p.mu.guards[b.pool].Remove(b.health)
			b.leave()
			delete(p.mu.backends, id)
		}
	}
}

// optionsOf are the settings of a pool, with defaults for what it does not say.
func optionsOf(pc *cluster.PoolConfig) poolOptions {
	o := poolOptions{
		timeout: pc.Timeout, connectTimeout: pc.ConnectTimeout, queueMax: queueMax,
		getMiss: pc.GetError == "miss", multigetFail: pc.MultigetError == "fail",
		health: health.DefaultOptions(),
	}
	o.health.Ramp = int64(pc.Ramp)
	if pc.HoldDown > 0 {
		o.health.HoldMin, o.health.HoldMax = int64(pc.HoldDown), 60*int64(pc.HoldDown)
	}
	if o.timeout == 0 {
		o.timeout = defaultTimeout
	}
	if o.connectTimeout == 0 {
		o.connectTimeout = defaultConnectTimeout
	}
	return o
}

// Describe returns what the config comes to, for people.
func (p *Proxy) Describe() string {
	var w strings.Builder
	t := p.tree.Load()
	fmt.Fprintf(&w, "epoch %d\n", t.epoch)
	for _, pl := range t.pools {
		fmt.Fprintf(&w, "%s, servers: %d, timeout %v\n", cluster.PoolTitle(pl.name), len(pl.backends), pl.timeout)
		for i, b := range pl.backends {
			fmt.Fprintf(&w, "  %d  %s  %s\n", i, b.slot.Name, b.slot.Address)
		}
	}
	if t.routes != nil {
		fmt.Fprintln(&w, "routes")
		describe(&w, t.routes, "", 1)
	}
	return w.String()
}

// What a pool has that says nothing else.
const (
	defaultTimeout        = 250 * time.Millisecond
	defaultConnectTimeout = 100 * time.Millisecond
	queueMax              = 16 << 20
)

// backendLocked returns the backend of a slot, the one there is if it is the same, or a
// new one that it adds to fresh. The caller holds mu.
func (p *Proxy) backendLocked(pool string, s cluster.Slot, o *poolOptions, fresh *[]*backend) *backend {
	id := identity{pool, s.Name, s.Address, o.timeout, o.connectTimeout}
	if b := p.mu.backends[id]; b != nil {
		return b
	}
	guard := p.mu.guards[pool]
	if guard == nil {
		guard = &health.Pool{}
		p.mu.guards[pool] = guard
	}
	b := newBackend(p.mu.nextID, pool, s, o, guard, server.LoopTime())
	p.mu.nextID++
	p.mu.backends[id] = b
	*fresh = append(*fresh, b)
	return b
}

// Attach keeps the host.
func (p *Proxy) Attach(h server.Host) { p.host = h }

// unixNano is the time of day.
func (p *Proxy) unixNano() int64 { return time.Now().UnixNano() }

// loopTime is the time of the loops.
func (p *Proxy) loopTime() int64 { return server.LoopTime() }

// migrationStart is when a migration of t begins, in Unix nanoseconds: as the config says,
// or when it was loaded first. The caller holds mu.
func (p *Proxy) migrationStart(t *tree, field string, m *cluster.MigrateRoute) int64 {
	if at, err := m.Begin(); err == nil && !at.IsZero() {
		return at.UnixNano()
	}
	var places strings.Builder
	fmt.Fprintln(&places, field)
	describe(&places, m.From, "from", 0)
	describe(&places, m.To, "to", 0)
	begin, ok := p.mu.migrating[places.String()]
	if !ok {
		begin = p.unixNano()
	}
	t.migrating[places.String()] = begin
	return begin
}

// NewExecutor returns the executor of one loop.
func (p *Proxy) NewExecutor() server.Executor {
	x := &executor{p: p}
	x.blobs.budget = &p.budget
	p.mu.Lock()
	p.mu.executors = append(p.mu.executors, x)
	p.mu.Unlock()
	return x
}
