package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// proxyKind is a proxy that the faults are tried on.
type proxyKind struct {
	name   string
	binary string
	// command says how to run it, with its files in dir and a socket there, before
	// these backends.
	command func(k *proxyKind, dir, socket string, backends []string, timeout time.Duration) (*exec.Cmd, error)
	// lacks are the commands that it does not know.
	lacks []string
	// threads are how many loops the proxy has, 0 for one.
	threads int
	// wellBehaved says that it ends when it is asked to, and with exit code 0.
	wellBehaved bool
	// misses says that a failed read is answered as a miss.
	misses bool
	// errors tells whether an error line is in order.
	errors func(f *Fault, slot, line string) bool
}

// start starts a proxy before backends.
func (k *proxyKind) start(backends []*Backend, timeout time.Duration) (*Process, error) {
	dir, err := os.MkdirTemp("", "proxy")
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, b := range backends {
		addrs = append(addrs, b.Addr)
	}
	socket := filepath.Join(dir, "sock")
	cmd, err := k.command(k, dir, socket, addrs, timeout)
	if err != nil {
		return nil, err
	}
	return StartAt(cmd, dir, "unix", socket)
}

// nutcracker is Debian's twemproxy.
func nutcracker(t *testing.T) *proxyKind {
	t.Helper()
	path, err := exec.LookPath("nutcracker")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/nutcracker") // not in every user's path
	}
	if err != nil {
		t.Fatalf("the faults need a proxy whose reactions are known: %v", err)
	}
	return &proxyKind{
		name: "nutcracker", binary: path, command: nutcrackerCommand, errors: anyServerError,
		lacks: []string{"gat", "mg", "ms", "md", "ma", "mg q", "ms q", "md q", "ma q"},
	}
}

// nutcrackers counts those started: each needs an address for its statistics.
var nutcrackers atomic.Uint32

func nutcrackerCommand(k *proxyKind, dir, socket string, backends []string, timeout time.Duration) (*exec.Cmd, error) {
	config := fmt.Sprintf(`pool:
  listen: %s 0600
  hash: md5
  distribution: ketama
  timeout: %d
  preconnect: false
  auto_eject_hosts: false
  servers:
`, socket, timeout.Milliseconds())
	for _, b := range backends {
		config += "  - " + b + ":1\n"
	}
	file := filepath.Join(dir, "nutcracker.yml")
	n := nutcrackers.Add(1)
	stats := net.IPv4(127, 77, byte(n>>8), byte(n)).String()
	return exec.Command(k.binary, "-c", file, "-a", stats, "-o", filepath.Join(dir, "log")), os.WriteFile(file, []byte(config), 0o600)
}

// memcachedProxy is a memcached built with --enable-proxy, if one is named; nil
// if not: no distribution has it.
func memcachedProxy() *proxyKind {
	path := os.Getenv("HOLDFAST_MEMCACHED_PROXY")
	if path == "" {
		return nil
	}
	return &proxyKind{name: "memcached's proxy", binary: path, command: memcachedProxyCommand, errors: anyServerError}
}

func memcachedProxyCommand(k *proxyKind, dir, socket string, backends []string, timeout time.Duration) (*exec.Cmd, error) {
	var config strings.Builder
	fmt.Fprintf(&config, `function mcp_config_pools()
  mcp.backend_connect_timeout(%.3f)
  mcp.backend_read_timeout(%.3f)
  return mcp.pool({
`, timeout.Seconds(), timeout.Seconds())
	for _, b := range backends {
		host, port, err := net.SplitHostPort(b)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&config, "    mcp.backend('%s', '%s', %s),\n", b, host, port)
	}
	config.WriteString(`  })
end
function mcp_config_routes(pool)
  local route = mcp.funcgen_new()
  local handle = route:new_handle(pool)
  route:ready({ n = "all", f = function(rctx)
    return function(r) return rctx:enqueue_and_wait(r, handle) end
  end })
  mcp.attach(mcp.CMD_ANY_STORAGE, route)
end
`)
	file := filepath.Join(dir, "proxy.lua")
	cmd := exec.Command(k.binary, "-s", socket, "-t", "1", "-o", "proxy_config="+file)
	if os.Getuid() == 0 {
		cmd.Args = append(cmd.Args, "-u", "root")
	}
	return cmd, os.WriteFile(file, []byte(config.String()), 0o600)
}

// anyServerError is what to expect of other people's proxies.
func anyServerError(*Fault, string, string) bool { return true }

// holdfastProxy is the proxy of this tree.
func holdfastProxy(t *testing.T) *proxyKind {
	t.Helper()
	return &proxyKind{
		name: "holdfast proxy", binary: holdfastBinary(t), command: holdfastProxyCommand, errors: holdfastErrors, wellBehaved: true,
	}
}

func holdfastProxyCommand(k *proxyKind, _, socket string, backends []string, timeout time.Duration) (*exec.Cmd, error) {
	cmd := exec.Command(k.binary, "proxy", "-s", socket, "-t", strconv.Itoa(max(1, k.threads)), "--nodes", strings.Join(backends, ","),
		"--timeout", timeout.String(), "--connect-timeout", timeout.String())
	if os.Getuid() == 0 {
		cmd.Args = append(cmd.Args, "-u", "root")
	}
	return cmd, nil
}

// holdfastErrors wants the words that are promised: what happened, and to which
// node.
func holdfastErrors(f *Fault, slot, line string) bool {
	if f.Flaw.Line == line+"\r\n" {
		return true // the node's own
	}
	for _, code := range strings.Fields(f.Codes) {
		if line == "SERVER_ERROR hf-"+code+" "+slot {
			return true
		}
	}
	return false
}
