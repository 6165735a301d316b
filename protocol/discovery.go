package protocol

import (
	"fmt"
	"strconv"
	"strings"
)

// What clients of ElastiCache ask for the list of the nodes that share their
// keys: "config get cluster" or, before version 1.4.14, a get of ClusterKey. Both
// tell the same payload, a version that only grows and the nodes in an order that
// stays:
//
//	CONFIG cluster 0 <length>        VALUE AmazonElastiCache:cluster 0 <length>
//	<version>                        <version>
//	<host>|<ip>|<port> <host>|…      <host>|<ip>|<port> <host>|…
//
//	END                              END
//
// Lines inside the payload end in LF alone, and the length counts both of them.

// ClusterKey is the key under which older clients get the payload.
const ClusterKey = "AmazonElastiCache:cluster"

// ClusterNode is one node of the payload.
type ClusterNode struct {
	// Host and IP are a name and an address of the node. Clients use one or the
	// other, so neither may be empty; the same in both is fine.
	Host, IP string
	Port     int
}

// ParseClusterNode reads a node from host, host:port, [ipv6]:port or, where the
// two differ, host|ip|port. The port is 11211 if left out.
func ParseClusterNode(text string) (ClusterNode, error) {
	n, port := ClusterNode{}, "11211"
	if parts := strings.Split(text, "|"); len(parts) == 3 {
		n.Host, n.IP, port = parts[0], parts[1], parts[2]
	} else {
		n.Host = text
		if i := strings.LastIndexByte(text, ':'); i >= 0 && (strings.Count(text, ":") == 1 || strings.HasSuffix(text[:i], "]")) {
			n.Host, port = text[:i], text[i+1:]
		}
		if inside, ok := strings.CutPrefix(n.Host, "["); ok && strings.HasSuffix(inside, "]") {
			n.Host = inside[:len(inside)-1]
		}
		n.IP = n.Host
	}
	p, ok := parseU64([]byte(port))
	if !ok || p < 1 || p > 65535 {
		return n, fmt.Errorf("%q is no node: the port is a number from 1 to 65535", text)
	}
	n.Port = int(p)
	if !nodeWord(n.Host) || !nodeWord(n.IP) {
		return n, fmt.Errorf("%q is no node: host:port, [ipv6]:port or host|ip|port", text)
	}
	return n, nil
}

// nodeWord says whether s can stand between two bars.
func nodeWord(s string) bool {
	return KeyOK([]byte(s)) && !strings.ContainsAny(s, "|,[]/")
}

// String is the node as it stands in the payload.
func (n ClusterNode) String() string { return n.Host + "|" + n.IP + "|" + strconv.Itoa(n.Port) }

// AppendClusterConfig appends the payload, with both of its line ends.
func AppendClusterConfig(dst []byte, version uint64, nodes []ClusterNode) []byte {
	dst = append(AppendUint(dst, version), '\n')
	for i, n := range nodes {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, n.String()...)
	}
	return append(dst, '\n')
}

// AppendConfigReply appends the whole reply to config get cluster.
func AppendConfigReply(dst, payload []byte) []byte {
	dst = AppendUint(append(dst, "CONFIG cluster 0 "...), uint64(len(payload)))
	dst = append(append(dst, CRLF...), payload...)
	return append(append(dst, CRLF...), ReplyEnd...)
}

// AppendConfigValue appends the whole reply to a get of ClusterKey.
func AppendConfigValue(dst, payload []byte) []byte {
	dst = append(AppendValue(dst, []byte(ClusterKey), 0, len(payload)), payload...)
	return append(append(dst, CRLF...), ReplyEnd...)
}

// AsksCluster says whether r is one of the two questions for the payload. A get of
// several keys is not one, nor is gets.
func (r *Request) AsksCluster() bool {
	switch r.Op {
	case OpConfig:
		return len(r.Args) == 2 && string(r.Args[0]) == "get" && string(r.Args[1]) == "cluster"
	case OpGet:
		return len(r.Keys) == 1 && string(r.Keys[0]) == ClusterKey && !r.More && !r.Continued
	}
	return false
}
