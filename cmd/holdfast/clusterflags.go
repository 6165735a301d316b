package main

import (
	"strconv"
	"strings"

	"github.com/holdfast-cache/holdfast/protocol"
)

// clusterFlags are the options of a node that is one of many. They have no
// letters: those are memcached's.
var clusterFlags = []option{
	{
		long: "join", arg: "list", doc: "members of a cluster to join, host or host:port with commas between, at the port of --gossip (7946 if left out); every member may be given the same few, itself among them. This node is announced to proxies and carries the map of the cluster for them; it serves what it is asked for, whoever asks",
		apply: func(o *options, v string) error { return setSeeds(&o.join, v) },
	},
	{
		long: "cluster-name", arg: "name", doc: "name of the cluster: members of another do not hear each other (default: " + defaultCluster + ")",
		apply: func(o *options, v string) error { o.join.name = v; return nil },
	},
	{
		long: "cluster-secret-file", arg: "file", doc: "file with the secret that all members know, of 16 bytes or more: it encrypts what they say and signs the map. Needed unless all are on this machine",
		apply: func(o *options, v string) (err error) { o.join.secret, err = readSecret(v, o.warn); return err },
	},
	{
		long: "advertise", arg: "addr", doc: "host:port where clients and proxies reach this member (default: the first address of -l)",
		apply: func(o *options, v string) (err error) {
			if o.join.advertise, err = hostPort(v, defaultPort); err != nil {
				return fail(exitFailure, "--advertise: %v", err)
			}
			return nil
		},
	},
	{
		long: "gossip", arg: "addr", doc: "address:port where members talk to each other, on TCP and UDP (default: the address of -l if it is one, or else all, and port 7946)",
		apply: func(o *options, v string) error { o.join.gossip = v; return nil },
	},
	{
		long: "cluster-nodes", arg: "list", doc: "nodes that 'config get cluster' tells to clients of ElastiCache, which then spread their keys themselves: host:port or host|ip|port with commas between, in an order that stays; or map, with --join, for those of the cluster's map (default: the command is unknown, as in memcached)",
		apply: setClusterNodes,
	},
	{
		long: "cluster-version", arg: "num", doc: "number of this list of nodes: clients take it only if the number has grown (default: 1)",
		apply: func(o *options, v string) (err error) {
			if o.clusterVersion, err = strconv.ParseUint(v, 10, 63); err != nil || o.clusterVersion == 0 {
				return fail(exitFailure, "--cluster-version %s: it is a whole number from 1", quoteEmpty(v))
			}
			return nil
		},
	},
}

func init() {
	for i := range clusterFlags {
		opt := &clusterFlags[i]
		opt.group = "Cluster"
		switch opt.long {
		case "cluster-name", "cluster-secret-file", "advertise", "gossip":
			apply := opt.apply
			opt.apply = func(o *options, v string) error {
				if o.join.given == "" {
					o.join.given = "--" + opt.long
				}
				return apply(o, v)
			}
		}
	}
	flagTable = append(flagTable, clusterFlags...)
}

func setClusterNodes(o *options, v string) error {
	o.server.ClusterNodes = nil
	if o.join.nodesMap = v == "map"; o.join.nodesMap {
		return nil
	}
	seen := map[protocol.ClusterNode]bool{}
	for _, text := range strings.Split(v, ",") {
		n, err := protocol.ParseClusterNode(text)
		if err != nil {
			return fail(exitFailure, "--cluster-nodes: %v", err)
		}
		if seen[n] {
			return fail(exitFailure, "--cluster-nodes: %s is there twice", printable(text))
		}
		seen[n] = true
		o.server.ClusterNodes = append(o.server.ClusterNodes, n)
	}
	return nil
}

// finishCluster checks the options of a cluster against each other.
func (o *options) finishCluster() error {
	switch {
	case o.join.nodesMap && len(o.join.seeds) == 0:
		return fail(exitUsage, "--cluster-nodes=map is the map of a cluster: add --join=<members>, or list the nodes")
	case o.clusterVersion > 0 && len(o.server.ClusterNodes) == 0:
		return fail(exitUsage, "--cluster-version is the number of a list: add --cluster-nodes=<list>")
	}
	o.server.ClusterVersion = max(o.clusterVersion, 1)
	if len(o.join.seeds) == 0 {
		return o.join.finish(nil)
	}
	eps, err := o.endpoints()
	if err != nil {
		return err
	}
	return o.join.finish(eps)
}
