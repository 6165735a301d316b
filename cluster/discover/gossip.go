package discover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/rs/zerolog"
)

// GossipPort is where members talk to each other unless told otherwise, on TCP
// and UDP.
const GossipPort = 7946

const (
	rejoinEvery  = 30 * time.Second
	rejoinFirst  = time.Second // while no seed has been met yet
	leaveTimeout = time.Second
	// SecretMin is the shortest secret, in bytes.
	SecretMin = 16
)

// GossipOptions say who a member is and whom it knows.
type GossipOptions struct {
	// Cluster is the name of the cluster. Members of another do not hear each other.
	Cluster string
	// Secret is known to all members, SecretMin bytes at least: it encrypts what
	// they say and signs the map. It may be empty if all are on this machine.
	Secret []byte
	// Listen is the host:port for the talk between members, on TCP and UDP; the port may be 0.
	Listen string
	// Seeds are members that are asked for the others, host:port, or host with GossipPort.
	Seeds []string
	// Kind is what this member is: KindNode or KindProxy.
	Kind string
	// Address is where clients reach this member, host:port.
	Address string
	// Suspected is called, if it is not nil, when others think that a member is
	// gone: a reason to ask it, and for nothing else. It must not block.
	Suspected func(Member)

	rejoin time.Duration            // between two joins, for tests
	tune   func(*memberlist.Config) // for tests
}

// Gossip is this process as a member of a cluster: it knows the others, and carries
// the map with the highest epoch that any of them has had.
type Gossip struct {
	o        GossipOptions
	log      zerolog.Logger
	key      []byte // of maps
	list     *memberlist.Memberlist
	joins    trouble
	maps     trouble
	joined   chan struct{} // closed after the first try
	quit     context.CancelFunc
	done     sync.WaitGroup
	changed  chan struct{} // there is a new map
	flood    chan struct{} // the map is to be told to all
	meet     chan struct{} // the seeds are to be joined now
	suspects chan Member
	leaving  atomic.Bool

	mu struct {
		sync.Mutex
		config  *cluster.Config // nil: none
		signed  []byte
		taken   uint64 // maps of others
		offered uint64 // maps of our own
		refused uint64
		members roster
	}
}

// OpenGossip starts to listen and to look for the others, which may take its time.
// Close ends it.
func OpenGossip(o GossipOptions, log zerolog.Logger) (*Gossip, error) {
	host, port, err := o.check()
	if err != nil {
		return nil, err
	}
	g := &Gossip{
		o: o, log: log.With().Str("cluster", o.Cluster).Logger(),
		joined: make(chan struct{}), changed: make(chan struct{}, 1), flood: make(chan struct{}, 1), meet: make(chan struct{}, 1), suspects: make(chan Member, 64),
	}
	g.joins = trouble{what: "the list of members to join", log: g.log, alike: true}
	g.maps = trouble{what: "a map of the cluster", log: g.log}
	g.mu.members = roster{}
	key, secret, err := keys(o.Secret, o.Cluster)
	if err != nil {
		return nil, err
	}
	g.key = key
	conf := memberlist.DefaultLANConfig()
	// Another name at every start: who comes back at once is not taken for the one
	// that the others think gone.
	conf.Name = fmt.Sprintf("%s#%08x", o.Address, rand.Uint32())
	conf.Label = "holdfast/" + o.Cluster
	conf.BindAddr, conf.BindPort, conf.AdvertisePort = host.String(), port, port
	if at, err := netip.ParseAddrPort(o.Address); err == nil && host.IsUnspecified() && !at.Addr().IsUnspecified() {
		conf.AdvertiseAddr = at.Addr().String()
	}
	if len(o.Secret) > 0 {
		conf.SecretKey = secret
	}
	conf.TCPTimeout = 3 * time.Second
	conf.SuspicionMult = 5
	conf.Delegate, conf.Events = (*carrier)(g), (*watcher)(g)
	conf.LogOutput = &logWriter{g.log.Sample(&zerolog.BurstSampler{Burst: 5, Period: time.Minute})}
	if o.tune != nil {
		o.tune(conf)
	}
	if g.list, err = memberlist.Create(conf); err != nil {
		return nil, fmt.Errorf("talk between members: %w", err)
	}
	ctx, quit := context.WithCancel(context.Background())
	g.quit = quit
	g.done.Go(func() { g.join(ctx) })
	g.done.Go(func() { g.tell(ctx) })
	g.done.Go(func() { g.suspect(ctx) })
	return g, nil
}

// check returns where to listen.
func (o *GossipOptions) check() (netip.Addr, int, error) {
	name, service, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("talk between members: %w", err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("talk between members: %q is no port", service)
	}
	host, err := netip.ParseAddr(name)
	switch {
	case name == "localhost":
		host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case name == "":
		host = netip.IPv4Unspecified()
	case err != nil:
		return host, 0, fmt.Errorf("talk between members: %q is no address of this machine: it is a number such as 10.0.0.1", name)
	}
	switch {
	case o.Cluster == "" || len(o.Cluster) > 200 || strings.ContainsFunc(o.Cluster, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return host, 0, errors.New("a cluster has a name: one word of 200 bytes at most")
	case o.Kind != KindNode && o.Kind != KindProxy:
		return host, 0, fmt.Errorf("%q is no kind of member", o.Kind)
	case o.Address == "" || len(o.Address) > 255 || strings.ContainsAny(o.Address, " \r\n"):
		return host, 0, fmt.Errorf("%q is no address that clients can reach", o.Address)
	case len(o.Secret) > 0 && len(o.Secret) < SecretMin:
		return host, 0, fmt.Errorf("the secret of a cluster has %d bytes at least, not %d", SecretMin, len(o.Secret))
	case len(o.Secret) == 0 && !(host.IsLoopback() && o.seedsLocal()):
		return host, 0, errors.New("members on other machines need a secret: without one anybody could say who owns a key")
	}
	return host, int(port), nil
}

// seedsLocal says whether all seeds are on this machine.
func (o *GossipOptions) seedsLocal() bool {
	for _, s := range o.Seeds {
		host := s
		if h, _, err := net.SplitHostPort(s); err == nil {
			host = h
		}
		if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

// Address is where clients reach this member.
func (g *Gossip) Address() string { return g.o.Address }

// Addr is where this member talks to others.
func (g *Gossip) Addr() string { return g.list.LocalNode().Address() }

// join meets the seeds, again and again: after a partition both sides have given the
// other up, and only this brings them together.
func (g *Gossip) join(ctx context.Context) {
	every, met := orDefault(g.o.rejoin, rejoinEvery), len(g.o.Seeds) == 0
	for first := true; ; first = false {
		if len(g.o.Seeds) > 0 {
			n, err := g.list.Join(g.o.Seeds)
			if n > 0 {
				met, err = true, nil // one is enough: it knows the others
			}
			if err != nil {
				err = errors.New(strings.Join(strings.Fields(err.Error()), " "))
			}
			g.joins.failed(err)
		}
		if first {
			close(g.joined)
		}
		wait := every
		if !met {
			wait = min(rejoinFirst, every)
		}
		if !pause(ctx, jittered(wait), g.meet) {
			return
		}
	}
}

// pause waits for d, or until it is told not to, and reports false if ctx has ended.
func pause(ctx context.Context, d time.Duration, now <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-now:
	}
	return true
}

// suspect hands suspicions to who wants them.
func (g *Gossip) suspect(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-g.suspects:
			if g.o.Suspected != nil {
				g.o.Suspected(m)
			}
		}
	}
}

// tell hands a new map to all members at once. Who does not get it gets it by one of
// the exchanges with a random member that happen all the time.
func (g *Gossip) tell(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.flood:
			g.mu.Lock()
			signed := g.mu.signed
			g.mu.Unlock()
			self := g.list.LocalNode().Name
			for _, n := range g.list.Members() {
				if n.Name != self && ctx.Err() == nil {
					_ = g.list.SendReliable(n, signed) // an exchange makes up for it
				}
			}
		}
	}
}

// Offer has the cluster carry c if its epoch is above that of the map it has. An
// error says why it does not.
func (g *Gossip) Offer(c *cluster.Config) error {
	signed, err := sign(g.key, c)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := g.mu.config; now != nil {
		switch {
		case cluster.SameOwners(c, now) && c.Epoch == now.Epoch && !bytes.Equal(signed, g.mu.signed):
			return fmt.Errorf("what has changed moves no key, but is not carried either without a higher epoch: raise it to %d or more", now.Epoch+1)
		case cluster.SameOwners(c, now) && c.Epoch <= now.Epoch:
			return nil
		case c.Epoch < now.Epoch:
			return fmt.Errorf("the cluster has a newer map, of epoch %d, and epoch %d is not taken: raise it to %d or more", now.Epoch, c.Epoch, now.Epoch+1)
		case c.Epoch == now.Epoch:
			return fmt.Errorf("the cluster has another map of epoch %d: raise it to %d or more", now.Epoch, now.Epoch+1)
		}
	}
	g.mu.offered++
	g.takeLocked(c, signed, true)
	return nil
}

// takeLocked makes c the map. The caller holds mu.
func (g *Gossip) takeLocked(c *cluster.Config, signed []byte, flood bool) {
	g.mu.config, g.mu.signed = c, signed
	ring(g.changed)
	if flood {
		ring(g.flood)
	}
}

// receive looks at a map that another member has. flood says that it came by an
// exchange: the others may not have it either.
func (g *Gossip) receive(m []byte, flood bool) {
	if len(m) == 0 {
		return // it has none
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	epoch, err := signedEpoch(m)
	if err == nil && g.mu.config != nil && (epoch < g.mu.config.Epoch || bytes.Equal(m, g.mu.signed)) {
		return
	}
	var c *cluster.Config
	if err == nil {
		c, err = open(g.key, m)
	}
	if err == nil && g.mu.config != nil && epoch == g.mu.config.Epoch {
		if cluster.SameOwners(c, g.mu.config) {
			return
		}
		err = fmt.Errorf("there are two maps of epoch %d in the cluster: publish one of a higher epoch", epoch)
	}
	if err != nil {
		g.mu.refused++
		g.maps.failed(err)
		return
	}
	g.maps.failed(nil)
	g.mu.taken++
	g.log.Info().Uint64("epoch", epoch).Msg("the cluster has a new map")
	g.takeLocked(c, bytes.Clone(m), flood)
}

// Config returns the map that the cluster carries, nil if there is none. It is not to be changed.
func (g *Gossip) Config() *cluster.Config {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.config
}

// Stats calls add for each of the member's figures.
func (g *Gossip) Stats(add func(name, value string)) {
	g.mu.Lock()
	epoch, taken, offered, refused := uint64(0), g.mu.taken, g.mu.offered, g.mu.refused
	if g.mu.config != nil {
		epoch = g.mu.config.Epoch
	}
	g.mu.Unlock()
	members, count := g.Members(), map[MemberState]int{}
	for _, m := range members {
		count[m.State]++
	}
	add("cluster", g.o.Cluster)
	add("gossip_addr", g.Addr())
	for _, state := range []MemberState{Alive, Suspected, Left} {
		add("gossip_"+string(state), strconv.Itoa(count[state]))
	}
	add("gossip_health", strconv.Itoa(g.list.GetHealthScore()))
	add("gossip_epoch", strconv.FormatUint(epoch, 10))
	add("gossip_maps_taken", strconv.FormatUint(taken, 10))
	add("gossip_maps_offered", strconv.FormatUint(offered, 10))
	add("gossip_maps_refused", strconv.FormatUint(refused, 10))
	g.joins.stats("gossip_join_", add)
	for _, m := range members {
		add(m.Kind+":"+m.Address, string(m.State))
	}
}

// Close leaves the cluster, so that the others need not wonder, and ends all.
func (g *Gossip) Close() error {
	g.quit()
	g.leaving.Store(true)
	err := errors.Join(g.list.UpdateNode(leaveTimeout), g.list.Leave(leaveTimeout))
	if err != nil {
		err = fmt.Errorf("leaving the cluster: %w", err)
	}
	return errors.Join(err, g.end())
}

// end ends all without a word to the others.
func (g *Gossip) end() error {
	g.quit()
	err := g.list.Shutdown()
	g.done.Wait()
	return err
}

// ring leaves a note for one who looks at c from time to time.
func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
