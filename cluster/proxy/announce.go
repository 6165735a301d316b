package proxy

import (
	"fmt"
	"strings"

	"github.com/holdfast-cache/holdfast/protocol"
)

// AnnounceNodes has clients of ElastiCache told of the backends of the first
// pool, which they then talk to without a proxy. The version is the config's epoch.
const AnnounceNodes = "nodes"

// announcement composes what "config get cluster" tells: nothing, the backends of
// the first pool, or a list of proxies.
func announcement(what string, t *tree) ([]byte, error) {
	var nodes []protocol.ClusterNode
	switch what {
	case "":
		return nil, nil
	case AnnounceNodes:
		for _, b := range t.pools[0].backends {
			n, err := protocol.ParseClusterNode(b.slot.Address)
			if err != nil {
				return nil, fmt.Errorf("cannot tell clients of %s: %w", b.name(), err)
			}
			nodes = append(nodes, n)
		}
	default:
		for _, text := range strings.Split(what, ",") {
			n, err := protocol.ParseClusterNode(strings.TrimSpace(text))
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, n)
		}
	}
	return protocol.AppendClusterConfig(nil, max(t.epoch, 1), nodes), nil
}

// clusterReply answers a question for the nodes. It reports false if there is
// nothing to tell: the request is one like any other then.
func (f *flight) clusterReply(t *tree, r *protocol.Request) bool {
	if t.announce == nil || !r.AsksCluster() {
		return false
	}
	c := f.newCell(nil, nil)
	f.reqs = append(f.reqs, request{op: protocol.OpConfig, noReply: r.NoReply, first: c, last: c + 1})
	var text []byte
	if r.Op == protocol.OpConfig {
		text = protocol.AppendConfigReply(nil, t.announce)
	} else {
		text = protocol.AppendConfigValue(nil, t.announce)
	}
	f.put(c, cellLine, protocol.StatusOther, string(text))
	return true
}
