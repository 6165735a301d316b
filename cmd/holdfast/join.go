package main

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/cluster/discover"
	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/server"
	"github.com/rs/zerolog"
)

// joinOptions are what a command line says of a cluster to join.
type joinOptions struct {
	seeds     []string
	name      string
	secret    []byte
	advertise string // where clients reach this member, host:port; "" is where it listens
	gossip    string // where members talk, host:port; "" is chosen
	given     string // the first option on the command line besides --join
	nodesMap  bool   // config get cluster tells the nodes of the map
}

// defaultCluster is the name of a cluster without one.
const defaultCluster = "holdfast"

// setSeeds takes the members to ask: host or host:port with commas between.
func setSeeds(j *joinOptions, v string) error {
	for _, text := range strings.Split(v, ",") {
		address, err := hostPort(text, discover.GossipPort)
		if err != nil {
			return fail(exitFailure, "--join: %v", err)
		}
		j.seeds = append(j.seeds, address)
	}
	return nil
}

// hostPort checks host, host:port or [ipv6]:port, and adds the port if it is missing.
func hostPort(text string, port int) (string, error) {
	n, err := protocol.ParseClusterNode(text)
	if err == nil && strings.Contains(text, "|") {
		err = fail(exitFailure, "%q is no address: host:port is", text)
	}
	if err != nil {
		return "", err
	}
	if host := strings.Trim(text, "[]"); host == n.Host { // there is no port
		n.Port = port
	}
	return net.JoinHostPort(n.Host, strconv.Itoa(n.Port)), nil
}

// readSecret reads the file of a secret. Line ends around it are not part of it.
func readSecret(name string, warn func(string)) ([]byte, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fail(exitFailure, "--cluster-secret-file: %v", err)
	}
	secret := bytes.TrimSpace(text)
	if len(secret) < discover.SecretMin {
		return nil, fail(exitFailure, "--cluster-secret-file %s: a secret has %d bytes at least, not %d; openssl rand -hex 32 makes a good one", printable(name), discover.SecretMin, len(secret))
	}
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o007 != 0 {
		warn("the secret of the cluster can be read by everybody on this machine: chmod 600 " + printable(name))
	}
	return secret, nil
}

// finish checks the options against each other. listen are the addresses that clients
// are served at, as far as they are known.
func (j *joinOptions) finish(listen []endpoint) error {
	switch {
	case len(j.seeds) == 0 && j.given != "":
		return fail(exitUsage, "%s belongs to a cluster: add --join=<members>", j.given)
	case len(j.seeds) == 0:
		return nil
	case j.advertise == "" && (len(listen) == 0 || !specific(listen[0].host)):
		return fail(exitUsage, "--join: say where clients reach this member: --advertise=<host>:<port>")
	}
	if j.name == "" {
		j.name = defaultCluster
	}
	if j.gossip == "" {
		j.gossip = net.JoinHostPort(gossipHost(listen), strconv.Itoa(discover.GossipPort))
	}
	return nil
}

// specific says whether host is one address and not all of them.
func specific(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host != "" && (err != nil || !ip.IsUnspecified())
}

// gossipHost is where members talk unless it is said: where clients are served, if
// that is one numeric address, else everywhere.
func gossipHost(listen []endpoint) string {
	if len(listen) == 1 && specific(listen[0].host) {
		if _, err := netip.ParseAddr(listen[0].host); err == nil {
			return listen[0].host
		}
	}
	return "0.0.0.0"
}

// open joins. lns are what this member serves at, suspected, which may be nil, hears of
// members that others think gone.
func (j *joinOptions) open(kind string, lns []net.Listener, suspected func(discover.Member), log zerolog.Logger) (*discover.Gossip, error) {
	address := j.advertise
	for _, ln := range lns {
		if address == "" && ln.Addr().Network() == "tcp" {
			address = ln.Addr().String()
		}
	}
	g, err := discover.OpenGossip(discover.GossipOptions{
		Cluster: j.name, Secret: j.secret, Listen: j.gossip, Seeds: j.seeds, Kind: kind, Address: address, Suspected: suspected,
	}, log)
	if err != nil {
		return nil, fail(exitUsage, "--join: %v", err)
	}
	log.Info().Str("cluster", j.name).Str("gossip", g.Addr()).Str("advertise", address).Strs("seeds", j.seeds).Msg("joining")
	return g, nil
}

// membership is a server as a node of a cluster. A nil one is of none.
type membership struct {
	g    *discover.Gossip
	log  zerolog.Logger
	stop context.CancelFunc
	done sync.WaitGroup
	end  sync.Once
}

// openMembership joins the cluster, if one is to be joined, and has node tell of it.
func openMembership(o *options, node *server.Node, lns []net.Listener, log zerolog.Logger) (*membership, error) {
	if len(o.join.seeds) == 0 {
		return nil, nil
	}
	g, err := o.join.open(discover.KindNode, lns, nil, log)
	if err != nil {
		return nil, err
	}
	m := &membership{g: g, log: log}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	node.SetClusterStats(g.Stats)
	if o.join.nodesMap {
		source, err := discover.Open(discover.Options{Gossip: g}, log)
		if err != nil {
			return nil, err
		}
		m.done.Go(func() {
			source.Run(ctx, func(c *cluster.Config) {
				node.SetCluster(c.Epoch, nodesOf(c, g.Address()))
			})
		})
	}
	return m, nil
}

// nodesOf are the nodes of the pool that the one at address is in; if it is in none,
// of the only pool there is.
func nodesOf(c *cluster.Config, address string) []protocol.ClusterNode {
	var nodes []protocol.ClusterNode
	for _, p := range c.Pools {
		m, err := cluster.NewMap(c.Epoch, p)
		if err != nil {
			continue
		}
		nodes = nodes[:0]
		ours := len(c.Pools) == 1
		for _, s := range m.Slots() {
			if n, err := protocol.ParseClusterNode(s.Address); err == nil { // a Unix socket is nobody else's
				nodes = append(nodes, n)
			}
			ours = ours || s.Address == address
		}
		if ours {
			return nodes
		}
	}
	return nil
}

// leave tells the others that this node goes. It may be called more than once.
func (m *membership) leave() {
	if m == nil {
		return
	}
	m.end.Do(func() {
		m.stop()
		m.done.Wait()
		leaveCluster(m.g, m.log)
	})
}
