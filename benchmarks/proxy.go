package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// What a proxy costs, beside other proxies: each in turn stands before plain
// servers that are the same for all, and its own process is measured. What it
// stands before is started anew with it.
//
// The backends share the proxy's core. It is busy all the time then, and the
// generator waits: a proxy that waits for backends beside the generator wakes up
// for less at a time and shows that instead, the more the faster it is.

const (
	proxyBackends = 3  // behind a proxy
	proxyMemory   = 64 // MiB that a proxy is given which takes the flags of a server
)

var (
	proxyStage = &Stage{
		Name: "three backends", Threads: 1, Memory: 256, Backends: proxyBackends, Prepare: fill(10_000, 100),
	}
	proxyLarge = &Stage{
		Name: "three backends, 100 KB values", Threads: 1, Memory: 1024, Backends: proxyBackends, Prepare: fill(1000, 100_000),
	}
	proxyIdle = &Stage{
		Name: "three backends, idle clients", Threads: 1, Memory: 64, Backends: proxyBackends, Prepare: fill(1000, 100),
	}
)

// idleProxyBar is how many bytes of a proxy an idle client may take.
const idleProxyBar = 6 << 10

// proxyMeasures is the table of proxies. No bar is above what memcached's takes.
func proxyMeasures() []Measure {
	measures := []Measure{
		{Name: "get, 50 connections", Unit: "µs/op", Bar: 1, Stage: proxyStage, Func: cpu(gets)},
		{Name: "set, 50 connections", Unit: "µs/op", Bar: 1, Stage: proxyStage, Func: cpu(sets)},
		{Name: "pipeline 16, 10 % sets", Unit: "µs/op", Bar: 1, Stage: proxyStage, Func: cpu(mixed)},
		{Name: "multiget 50", Unit: "µs/key", Bar: 1, Stage: proxyStage, Func: cpu(multiget)},
		{Name: "get 100 KB", Unit: "µs/op", Bar: 1, Stage: proxyLarge, Func: cpu(large)},
		{Name: "set 100 KB", Unit: "µs/op", Bar: 1, Stage: proxyLarge, Func: cpu(onlySets(large))},
		{Name: "idle client, of 5,000", Unit: "B", Rule: Absolute, Bar: idleProxyBar, Stage: proxyIdle, Func: idleConnections},
		{Name: "p99 at half load, get", Unit: "µs", Bar: 1, Stage: proxyStage, Func: tailAtHalfLoad(gets, 99)},
		{Name: "p99 at half load, pipeline 16", Unit: "µs", Bar: 1, Stage: proxyStage, Func: tailAtHalfLoad(mixed, 99)},
		{Name: "p99 at half load, multiget 50", Unit: "µs", Bar: 1, Stage: proxyStage, Func: tailAtHalfLoad(multiget, 99)},
	}
	for i := range measures {
		measures[i].Family = "proxy"
	}
	return measures
}

// FindProxies makes the list of proxies, Holdfast's first, and of rivals those
// that are installed. A memcached is one if it was built so.
func FindProxies(holdfast, rivals string, complain func(string)) ([]Target, error) {
	targets, err := findTargets(holdfast, rivals, complain)
	if err != nil {
		return nil, err
	}
	targets[0].Program = []string{targets[0].Program[0], "proxy"}
	targets[0].Kind = HoldfastProxy
	proxies := targets[:1]
	for _, t := range targets[1:] {
		if t.Kind == Memcached {
			if out, err := exec.Command(t.Program[0], "-h").Output(); err != nil || !strings.Contains(string(out), "proxy_config") {
				complain(t.Name + " is left out: it was built without --enable-proxy")
				continue
			}
			t.Kind = MemcachedProxy
			if t.Name == "memcached" {
				t.Name = "memcached's proxy"
			}
		}
		proxies = append(proxies, t)
	}
	if len(proxies) == 1 {
		return nil, errors.New("no rival found: install nutcracker, or name a memcached with a proxy by -proxies memcached=path")
	}
	return proxies, nil
}

// useProxies has b measure proxies, all before the same kind of server.
func (b *Bench) useProxies(holdfast, rivals, backend string) (err error) {
	if b.Targets, err = FindProxies(holdfast, rivals, b.Log); err != nil {
		return err
	}
	if backend == "" {
		backend = holdfast // it leaves the proxy more of their core than others
	}
	path, err := exec.LookPath(backend)
	if err != nil {
		return fmt.Errorf("nothing to stand behind the proxies: %w", err)
	}
	b.Backend = Target{Name: filepath.Base(path), Program: []string{path}, Kind: Memcached}
	if strings.HasPrefix(b.Backend.Name, "holdfast") {
		b.Backend.Program = append(b.Backend.Program, "serve")
	}
	return nil
}

// backends are the servers behind a proxy, and the directory of its configuration.
type backends struct {
	servers []*Process
	dir     string
}

// stop ends them. It does nothing for a target without backends.
func (b *backends) stop() {
	if b == nil {
		return
	}
	for _, p := range b.servers {
		p.Stop()
	}
	_ = os.RemoveAll(b.dir) // at worst a small file stays
}

// startProxy starts backends and t before them.
func (s *Session) startProxy(t Target) (err error) {
	b := &backends{}
	s.backends = b
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	if b.dir, err = os.MkdirTemp("", "holdfast-bench-"); err != nil {
		return err
	}
	cores, _ := placement(s.stage.Threads, runtime.NumCPU())
	var nodes []string
	for range s.stage.Backends {
		p, err := Start(s.bench.Backend, 1, s.stage.Memory, cores...)
		if err != nil {
			return err
		}
		b.servers = append(b.servers, p)
		nodes = append(nodes, p.Addr)
	}
	s.Process, err = b.startBefore(t, nodes, cores)
	return err
}

// startBefore starts a proxy with one thread before those nodes. Files that it
// needs for that are written first.
func (b *backends) startBefore(t Target, nodes []string, cores []int) (*Process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	stats, err := freePort()
	if err != nil {
		return nil, err
	}
	file, text := "", ""
	switch t.Kind {
	case MemcachedProxy:
		file, text = luaFile, luaConfig(nodes)
	case Nutcracker:
		file, text = nutcrackerFile, nutcrackerConfig(port, nodes)
	}
	if file != "" {
		if err := os.WriteFile(filepath.Join(b.dir, file), []byte(text), 0o644); err != nil {
			return nil, fmt.Errorf("configure %s: %w", t.Name, err)
		}
	}
	fill := strings.NewReplacer("{dir}", b.dir, "{nodes}", strings.Join(nodes, ","), "{stats}", strconv.Itoa(stats))
	flags := t.Kind.flags(1, proxyMemory)
	for i, f := range flags {
		flags[i] = fill.Replace(f)
	}
	return t.start(port, flags, cores)
}

// The files that rivals read their configuration from.
const (
	luaFile        = "proxy.lua"
	nutcrackerFile = "nutcracker.yml"
)

// luaConfig is for memcached's proxy: one pool with its default placement, and
// every command that has a key goes to it.
func luaConfig(nodes []string) string {
	var b strings.Builder
	b.WriteString("function mcp_config_pools()\n  return mcp.pool({\n")
	for i, n := range nodes {
		host, port, _ := net.SplitHostPort(n) // it is ours, made by JoinHostPort
		fmt.Fprintf(&b, "    mcp.backend(\"node%d\", %q, %q),\n", i+1, host, port)
	}
	b.WriteString("  })\nend\n\nfunction mcp_config_routes(pool)\n")
	b.WriteString("  local direct = mcp.funcgen_new()\n  local to = direct:new_handle(pool)\n")
	b.WriteString("  direct:ready({ n = \"direct\", f = function(context)\n")
	b.WriteString("    return function(request) return context:enqueue_and_wait(request, to) end\n  end })\n")
	b.WriteString("  mcp.attach(mcp.CMD_ANY_STORAGE, direct)\nend\n")
	return b.String()
}

// nutcrackerConfig is one pool with the placement that its documentation names first.
func nutcrackerConfig(port int, nodes []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "pool:\n  listen: 127.0.0.1:%d\n  hash: fnv1a_64\n  distribution: ketama\n  preconnect: true\n  servers:\n", port)
	for i, n := range nodes {
		fmt.Fprintf(&b, "    - %s:1 node%d\n", n, i+1)
	}
	return b.String()
}
