package server

import (
	"github.com/holdfast-cache/holdfast/protocol"
)

// SetCluster has the node answer "config get cluster", and a get of
// protocol.ClusterKey, with version and nodes; without nodes it goes back to
// knowing neither. A version that is not above the one before is passed over, and
// false returned: clients take what has a higher number, and nothing else. Any
// goroutine may call it.
func (n *Node) SetCluster(version uint64, nodes []protocol.ClusterNode) bool {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	if len(nodes) == 0 {
		n.cluster.payload.Store(nil)
		return true
	}
	if n.cluster.payload.Load() != nil && version <= n.cluster.version {
		return false
	}
	n.cluster.version = version
	payload := protocol.AppendClusterConfig(nil, version, nodes)
	n.cluster.payload.Store(&payload)
	return true
}

// SetClusterStats has f answer "stats cluster": it calls add for each line.
// Any goroutine may call it, and f is called by any.
func (n *Node) SetClusterStats(f func(add func(name, value string))) { n.cluster.stats.Store(&f) }

// clusterStats is stats cluster.
func (n *Node) clusterStats(w *statWriter) {
	if f := n.cluster.stats.Load(); f != nil {
		(*f)(w.str)
		return
	}
	w.str("cluster", "off")
}

// clusterReply appends the answer to a question for the nodes. It reports false
// if there is none to give.
func (x *executor) clusterReply(s *Session, r *protocol.Request) bool {
	payload := x.node.cluster.payload.Load()
	if payload == nil {
		return false
	}
	switch {
	case r.NoReply:
	case r.Op == protocol.OpConfig:
		s.Out.Buf = protocol.AppendConfigReply(s.Out.Buf, *payload)
	default:
		s.Out.Buf = protocol.AppendConfigValue(s.Out.Buf, *payload)
	}
	return true
}
