package main

import (
	"github.com/holdfast-cache/holdfast/cluster/discover"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// joinFlags are the options of a cluster as the proxy has them. Their texts are those
// of serve.
type joinFlags struct {
	seeds, name, secret, advertise, gossip string
}

func (j *joinFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&j.seeds, "join", "", "members of a cluster to join, host or host:port with commas between: the proxy offers its config to them and takes the map with the highest epoch that any has; without --config it takes theirs")
	for _, row := range []struct {
		to   *string
		name string
	}{{&j.name, "cluster-name"}, {&j.secret, "cluster-secret-file"}, {&j.advertise, "advertise"}, {&j.gossip, "gossip"}} {
		f.StringVar(row.to, row.name, "", clusterOption(row.name).doc)
	}
}

// clusterOption is serve's option with that name.
func clusterOption(name string) *option {
	for i := range clusterFlags {
		if clusterFlags[i].long == name {
			return &clusterFlags[i]
		}
	}
	return nil
}

// apply takes over what was given, as serve does, and checks it.
func (j *joinFlags) apply(cmd *cobra.Command, o *options) error {
	f := cmd.Flags()
	for _, name := range []string{"join", "cluster-name", "cluster-secret-file", "advertise", "gossip"} {
		if !f.Changed(name) {
			continue
		}
		if err := clusterOption(name).apply(o, f.Lookup(name).Value.String()); err != nil {
			return err
		}
	}
	if len(o.join.seeds) == 0 {
		return o.join.finish(nil)
	}
	eps, err := o.endpoints()
	if err != nil {
		return err
	}
	if len(eps) > 0 && eps[0].port == 0 && o.join.advertise == "" {
		return fail(exitUsage, "--join: say where clients reach this proxy, which takes any free port: --advertise=<host>:<port>")
	}
	if err := o.join.finish(eps); err != nil {
		return err
	}
	if o.join.advertise == "" {
		o.join.advertise, err = hostPort(eps[0].host, eps[0].port)
	}
	return err
}

// openGossip joins the cluster, nil if none is to be joined.
func (o *proxyOptions) openGossip(log zerolog.Logger) (*discover.Gossip, error) {
	if len(o.join.seeds) == 0 || o.check { // who only checks a config offers it to nobody
		return nil, nil
	}
	return o.join.open(discover.KindProxy, nil, o.suspect, log)
}

// suspect has a node asked whether it answers that the other members think gone.
func (o *proxyOptions) suspect(m discover.Member) {
	if p := o.serving.Load(); p != nil && m.Kind == discover.KindNode {
		p.Suspect(m.Address)
	}
}

// leaveCluster tells the others that this member goes.
func leaveCluster(g *discover.Gossip, log zerolog.Logger) {
	if g == nil {
		return
	}
	if err := g.Close(); err != nil {
		log.Warn().Err(err).Msg("the other members will find out by themselves that this one is gone")
	}
}
