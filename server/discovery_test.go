package server

import (
	"strings"
	"testing"

	"github.com/holdfast-cache/holdfast/protocol"
)

// TestClusterPayload asks a node for the nodes of its cluster in both ways, and
// before and after they change.
func TestClusterPayload(t *testing.T) {
	node := testNode(t, func(c *Config) {
		c.ClusterVersion = 7
		c.ClusterNodes = []protocol.ClusterNode{{Host: "a.example", IP: "10.0.0.1", Port: 11211}, {Host: "::1", IP: "::1", Port: 11311}}
	}, nil)
	c := newClient(t, node, 0)
	const payload = "7\na.example|10.0.0.1|11211 ::1|::1|11311\n"
	const key = protocol.ClusterKey
	ask := func(line, want string) {
		t.Helper()
		if got := string(c.say([]byte(line + "\r\n"))); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	ask("config get cluster", "CONFIG cluster 0 41\r\n"+payload+"\r\nEND\r\n")
	ask("get "+key, "VALUE "+key+" 0 41\r\n"+payload+"\r\nEND\r\n")
	ask("config get cluster noreply", "")
	for _, line := range []string{"config", "config get", "config get nodes", "config set cluster", "config get cluster now", "CONFIG get cluster"} {
		ask(line, "ERROR\r\n")
	}
	// A key like any other where it is not asked for as clients do.
	ask("gets "+key, "END\r\n")
	ask("get "+key+" a", "END\r\n")

	nodes := []protocol.ClusterNode{{Host: "b", IP: "b", Port: 1}}
	for _, version := range []uint64{6, 7} {
		if node.SetCluster(version, nodes) {
			t.Errorf("version %d was taken after 7", version)
		}
	}
	ask("config get cluster", "CONFIG cluster 0 41\r\n"+payload+"\r\nEND\r\n")
	if !node.SetCluster(8, nodes) {
		t.Error("version 8 was not taken after 7")
	}
	ask("config get cluster", "CONFIG cluster 0 8\r\n8\nb|b|1\n\r\nEND\r\n")
	node.SetCluster(9, nil)
	ask("config get cluster", "ERROR\r\n")
	ask("get "+key, "END\r\n")
	ask("set "+key+" 0 0 1\r\nx\r\nget "+key, "STORED\r\nVALUE "+key+" 0 1\r\nx\r\nEND\r\n")
}

// TestIdentity looks at what tells one start and one content of a node from another.
func TestIdentity(t *testing.T) {
	node := testNode(t, nil, nil)
	c := newClient(t, node, 0)
	want := func(line, name, exp string) {
		t.Helper()
		_, values := askStats(t, c, line)
		if got := values[name]; got != exp {
			t.Errorf("%s: %s is %s, want %s", line, name, got, exp)
		}
	}
	want("stats cluster", "cluster", "off")
	want("stats identity", "flush_generation", "0")
	want("stats identity", "restored_at", "0")
	want("stats identity", "snapshot_time", "0")
	_, values := askStats(t, c, "stats identity")
	id := values["boot_id"]
	if len(id) != 16 || strings.Trim(id, "0123456789abcdef") != "" {
		t.Errorf("boot_id is %q", id)
	}
	_, values = askStats(t, newClient(t, testNode(t, nil, nil), 0), "stats identity")
	if values["boot_id"] == id {
		t.Error("two starts have the same boot_id")
	}

	c.say([]byte("flush_all\r\nflush_all 10\r\nflush_all -1\r\nstats reset\r\n"))
	want("stats", "flush_generation", "2") // of those 10 seconds nothing has happened, and then they were forgotten
	c.say([]byte("flush_all 10\r\n"))
	want("stats", "flush_generation", "2")
	node.clock.shift(11)
	node.tick()
	want("stats identity", "flush_generation", "3")
	want("stats", "boot_id", id)

	node.SetClusterStats(func(add func(name, value string)) { add("cluster", "tests") })
	want("stats cluster", "cluster", "tests")

	node.SetRestored(Restored{At: 1_800_000_100, SnapshotTime: 1_800_000_000})
	want("stats identity", "restored_at", "1800000100")
	want("stats", "snapshot_time", "1800000000")
}
