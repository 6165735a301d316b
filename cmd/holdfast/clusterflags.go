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
		long: "cluster-nodes", arg: "list", doc: "nodes that 'config get cluster' tells to clients of ElastiCache, which then spread their keys themselves: host:port or host|ip|port with commas between, in an order that stays (default: the command is unknown, as in memcached)",
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
		clusterFlags[i].group = "Cluster"
	}
	flagTable = append(flagTable, clusterFlags...)
}

func setClusterNodes(o *options, v string) error {
	o.server.ClusterNodes = nil
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
	if o.clusterVersion > 0 && len(o.server.ClusterNodes) == 0 {
		return fail(exitUsage, "--cluster-version is the number of a list: add --cluster-nodes=<list>")
	}
	o.server.ClusterVersion = max(o.clusterVersion, 1)
	return nil
}
