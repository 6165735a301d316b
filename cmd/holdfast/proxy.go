package main

import (
	"context"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/cluster/discover"
	"github.com/holdfast-cache/holdfast/cluster/proxy"
	"github.com/holdfast-cache/holdfast/cluster/spool"
	"github.com/holdfast-cache/holdfast/server"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// proxyOptions is the command line of the proxy.
type proxyOptions struct {
	options     // of the listeners and connections
	config      string
	nodes       string
	check       bool
	against     string
	announce    string
	joinFlags   joinFlags
	keepFile    string
	configEach  time.Duration
	journalDir  string
	fields      bool
	bufferLimit string
	valueMax    string
	timeout     time.Duration
	connectTime time.Duration
	serving     atomic.Pointer[proxy.Proxy] // once there is one
}

// Defaults of the proxy that differ from the server's.
const (
	proxyPort     = 11210
	proxyRequests = 64
	proxyConns    = 4096
)

// newProxyCommand serves many nodes behind one address.
func newProxyCommand(stderr io.Writer) *cobra.Command {
	o := &proxyOptions{options: *newOptions("holdfast", false)}
	o.memoryMB = 0
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Serve many nodes behind one address",
		Long: `Serve many nodes, Holdfast or memcached, behind one address. Clients talk to the
proxy as to one server, in the classic or the meta protocol. The nodes are a list
(--nodes, shared by jump over xxh3), or the pools of a YAML file (--config, whose
fields 'holdfast proxy --fields' shows); 'holdfast which' says who owns a key.

Routes, in that file, say which pool serves a request: by prefix or command, or by a
route that replicates, fails over to a gutter, warms up, migrates, shadows, splits hot
keys, caches nearby, coalesces or limits. They nest; --check-config prints them.

A node that is down keeps its keys: they fail, or miss, until it is back. Errors of
the proxy's own are SERVER_ERROR hf-timeout, hf-down, hf-reset, hf-proto or hf-limit,
and the name of the node.`,
		Example: `  holdfast proxy --nodes 10.0.0.1,10.0.0.2,10.0.0.3
  holdfast proxy -l 127.0.0.1 -p 11210 --nodes a:11211,b:11211,c:11211
  holdfast proxy --config pools.yml --check-config`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fail(exitUsage, "unexpected argument %q: nodes are given by --nodes; run 'holdfast proxy --help'", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.fields {
				pf(cmd.OutOrStdout(), "%s", cluster.ExampleConfig)
				return nil
			}
			return o.run(cmd, stderr)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.fields, "fields", false, "show a config file with every field, and exit")
	f.StringVar(&o.nodes, "nodes", "", "servers with commas between, in order: add at the end")
	f.StringVar(&o.config, "config", "", "config file, - for standard input")
	f.BoolVar(&o.check, "check-config", false, "print what the config comes to, and exit")
	f.StringVar(&o.against, "against", "", "with --check-config: what share of keys would move, compared with this file or with the proxy that runs at this address")
	f.StringVar(&o.announce, "cluster-nodes", "", "what 'config get cluster' tells clients of ElastiCache: nodes for those of the first pool, or host:port of proxies with commas between (default: the command is unknown)")
	o.joinFlags.add(cmd)
	f.StringVar(&o.keepFile, "keep-config", "", "file that has the last config: what the proxy goes on from when it starts while neither the DNS nor a member answers")
	f.DurationVar(&o.configEach, "config-interval", time.Second, "time between two looks at the config file; it is looked at too on a HUP signal, and when a node has heard of a newer one")
	f.StringVar(&o.journalDir, "journal-dir", "", "directory of this proxy alone, where it writes down which keys a node may have missed writes of: one that is killed and started again deletes those (default: they are forgotten)")
	f.StringSliceVarP(&o.listen, "listen", "l", nil, "address to listen on: host, host:port or * for all (default 127.0.0.1)")
	f.IntVarP(&o.server.TCPPort, "port", "p", proxyPort, "TCP port to listen on; -1 is any free one")
	f.StringVarP(&o.server.UnixSocket, "unix-socket", "s", "", "Unix socket to listen on; TCP then needs -p or -l as well")
	f.IntVarP(&o.server.Threads, "threads", "t", o.server.Threads, "threads that serve clients")
	f.IntVarP(&o.server.MaxConns, "conn-limit", "c", proxyConns, "clients at once")
	f.IntVarP(&o.server.ReqsPerEvent, "max-reqs-per-event", "R", proxyRequests, "requests of one client before the next has its turn")
	f.CountVarP(&o.server.Verbosity, "verbose", "v", "log more: -v notices, -vv commands")
	f.StringVarP(&o.user, "user", "u", "", "user to run as, when started by root")
	f.StringVarP(&o.pidFile, "pidfile", "P", "", "write the process id to this file")
	f.BoolVarP(&o.server.EnableShutdown, "enable-shutdown", "A", false, "let clients stop the proxy with the shutdown command")
	f.BoolVarP(&o.server.DisableFlushAll, "disable-flush-all", "F", false, "refuse flush_all, which goes to every node")
	f.StringVarP(&o.valueMax, "max-item-size", "I", "128m", "longest value that is taken; k, m or g may follow")
	f.StringVar(&o.bufferLimit, "buffer-limit", "256m", "most bytes of values and replies that wait in the proxy; beyond it requests fail with hf-limit")
	f.DurationVar(&o.server.StallTimeout, "client-timeout", time.Minute, "time after which a client is cut off that takes none of the replies that wait for it, or sends no more of a value; 0 is never")
	f.DurationVar(&o.timeout, "timeout", 0, "time for a request, where the pool says nothing (default 250ms)")
	f.DurationVar(&o.connectTime, "connect-timeout", 0, "time for a connection, where the pool says nothing (default 100ms)")
	return cmd
}

// run checks the config and serves.
func (o *proxyOptions) run(cmd *cobra.Command, stderr io.Writer) error {
	o.portGiven, o.listenGiven = cmd.Flags().Changed("port"), cmd.Flags().Changed("listen")
	settings, err := o.settings(cmd)
	if err != nil {
		return err
	}
	log := newLogger(stderr)
	if err := o.joinFlags.apply(cmd, &o.options); err != nil {
		return err
	}
	for _, text := range o.warnings {
		log.Warn().Msg(text)
	}
	o.warnings = nil
	gossip, err := o.openGossip(log)
	if err != nil {
		return err
	}
	defer leaveCluster(gossip, log)
	source, err := o.source(cmd.InOrStdin(), gossip, log)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	configs := make(chan *cluster.Config)
	go source.Run(ctx, func(c *cluster.Config) {
		select {
		case configs <- o.withDefaults(c):
		case <-ctx.Done():
		}
	})
	conf, err := firstConfig(configs, signals)
	if err != nil {
		return err
	}
	settings.Refetch, settings.Discovery = source.Refresh, source.Stats
	if o.check {
		return o.show(cmd.OutOrStdout(), settings, conf, log)
	}
	lns, err := o.prepare()
	if err != nil {
		return err
	}
	if o.journalDir != "" {
		if settings.Spool, err = spool.Open(o.journalDir, log); err != nil {
			closeAll(lns)
			return fail(exitOS, "--journal-dir: %v", err)
		}
		defer closeSpool(settings.Spool, log)
	}
	p, err := proxy.New(settings, conf, log)
	if err != nil {
		closeAll(lns)
		return fail(exitFailure, "%v", err)
	}
	o.serving.Store(p)
	s := &proxyService{o: o, p: p, source: source, configs: configs, log: log, signals: signals, cancel: cancel}
	return s.serve(ctx, lns)
}

// closeSpool leaves the journals to the next process.
func closeSpool(d *spool.Dir, log zerolog.Logger) {
	if err := d.Close(); err != nil {
		log.Error().Err(err).Msg("--journal-dir could not be closed well")
	}
}

// show prints what conf comes to.
func (o *proxyOptions) show(w io.Writer, settings proxy.Config, conf *cluster.Config, log zerolog.Logger) error {
	p, err := proxy.New(settings, conf, log)
	if err != nil {
		return fail(exitFailure, "%v", err)
	}
	pf(w, "%s", p.Describe())
	if o.against != "" {
		return o.compare(w, conf)
	}
	return nil
}

// prepare opens the sockets and gives up root, before anything is written.
func (o *proxyOptions) prepare() ([]net.Listener, error) {
	if err := prepareProcess(&o.options); err != nil {
		return nil, err
	}
	if o.journalDir != "" {
		if err := giveDirectory(&o.options, o.journalDir, "--journal-dir"); err != nil {
			return nil, err
		}
	}
	return openListeners(&o.options)
}

// settings are those of the proxy that are not in the config.
func (o *proxyOptions) settings(cmd *cobra.Command) (proxy.Config, error) {
	c := proxy.Config{
		Version: o.server.Version, EnableShutdown: o.server.EnableShutdown, DisableFlushAll: o.server.DisableFlushAll,
		Announce: o.announce,
	}
	switch {
	case o.against != "" && !o.check:
		return c, fail(exitUsage, "--against belongs to --check-config")
	case o.configEach <= 0:
		return c, fail(exitUsage, "--config-interval %v: it is a time above 0, 1s for example", o.configEach)
	case o.journalDir == "" && cmd.Flags().Changed("journal-dir"):
		return c, fail(exitUsage, "--journal-dir: the directory is missing")
	}
	limit, err := parseSize(o.bufferLimit)
	if err != nil {
		return c, fail(exitUsage, "--buffer-limit: %v", err)
	}
	valueMax, err := parseSize(o.valueMax)
	if err != nil {
		return c, fail(exitUsage, "-I: %v", err)
	}
	c.BufferLimit, c.ValueMax = int64(limit), int(valueMax)
	if err := o.server.Validate(); err != nil {
		return c, fail(exitUsage, "%v", err)
	}
	if o.server.Transport != server.TransportEpoll {
		return c, fail(exitOS, "the proxy runs on Linux only, for it needs epoll")
	}
	return c, nil
}

// firstConfigTime is how long the start waits for a config: the DNS may have to be
// asked for the servers.
const firstConfigTime = 30 * time.Second

// firstConfig waits for the config to start with.
func firstConfig(configs <-chan *cluster.Config, signals <-chan os.Signal) (*cluster.Config, error) {
	late := time.NewTimer(firstConfigTime)
	defer late.Stop()
	for {
		select {
		case c := <-configs:
			return c, nil
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				return nil, &failure{code: exitFailure}
			}
		case <-late.C:
			return nil, fail(exitFailure, "no config was found in %v: check what it says under discover, or whether a member of --join has a map", firstConfigTime)
		}
	}
}

// proxyService is a proxy that serves.
type proxyService struct {
	o       *proxyOptions
	p       *proxy.Proxy
	source  discover.Source
	configs <-chan *cluster.Config
	log     zerolog.Logger
	signals <-chan os.Signal
	cancel  func()
}

// serve serves until a signal or a client ends it.
func (s *proxyService) serve(ctx context.Context, lns []net.Listener) error {
	srv, err := server.New(&s.o.server, s.p, s.log)
	if err != nil {
		closeAll(lns)
		return fail(exitFailure, "%v", err)
	}
	removePid := announce(&s.o.options, s.log, lns)
	defer removePid()
	// What becomes of the nodes is logged at any verbosity: it is what a proxy is asked about.
	zerolog.SetGlobalLevel(min(logLevel(s.o.server.Verbosity), zerolog.InfoLevel))
	handled := make(chan struct{})
	go func() {
		defer close(handled)
		s.follow(ctx)
	}()
	err = srv.Serve(ctx, lns...)
	s.cancel()
	<-handled
	if err != nil {
		return fail(exitFailure, "%v", err)
	}
	s.log.Info().Msg("stopped")
	return nil
}

// follow takes new configs, ends the proxy on TERM, INT and USR1, and has the
// config looked at on HUP.
func (s *proxyService) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-s.configs:
			if err := s.p.Reload(c); err != nil {
				s.log.Error().Err(err).Msg("the config was not taken; the old one stays")
			} else {
				s.log.Warn().Uint64("epoch", c.Epoch).Msg("a new config was taken")
			}
		case sig := <-s.signals:
			if sig == syscall.SIGHUP {
				s.source.Reload()
				continue
			}
			s.log.Info().Str("signal", sig.String()).Msg("stopping")
			s.cancel()
		}
	}
}

// source opens where the config comes from.
func (o *proxyOptions) source(stdin io.Reader, gossip *discover.Gossip, log zerolog.Logger) (discover.Source, error) {
	from := discover.Options{Gossip: gossip, KeepFile: o.keepFile, FileInterval: o.configEach}
	switch {
	case o.config == "" && o.nodes == "" && gossip != nil: // the map of the cluster
	case (o.config == "") == (o.nodes == ""):
		return nil, fail(exitUsage, "give either --nodes or --config, or --join a cluster that has a map; run 'holdfast proxy --help'")
	case o.nodes != "":
		pool := &cluster.PoolConfig{}
		for _, address := range strings.Split(o.nodes, ",") {
			pool.Servers = append(pool.Servers, cluster.ServerConfig{Address: strings.TrimSpace(address)})
		}
		if _, err := cluster.NewMap(1, pool); err != nil {
			return nil, fail(exitUsage, "--nodes: %v", err)
		}
		from.Config = &cluster.Config{Epoch: 1, Pools: []*cluster.PoolConfig{pool}}
	case o.config == "-":
		text, err := readFile(o.config, stdin)
		if err != nil {
			return nil, err
		}
		if from.Config, err = cluster.ParseConfig(o.config, text); err != nil {
			return nil, err
		}
	default:
		from.File = o.config
	}
	s, err := discover.Open(from, log)
	if err != nil {
		return nil, fail(exitFailure, "%v", err)
	}
	return s, nil
}

// withDefaults gives the pools the times of the command line where they have none.
func (o *proxyOptions) withDefaults(c *cluster.Config) *cluster.Config {
	c = c.Clone()
	for _, p := range c.Pools {
		if p.Timeout == 0 {
			p.Timeout = o.timeout
		}
		if p.ConnectTimeout == 0 {
			p.ConnectTimeout = o.connectTime
		}
	}
	return c
}
