package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/cluster/proxy"
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
	bufferLimit string
	valueMax    string
	timeout     time.Duration
	connectTime time.Duration
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
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Serve many nodes behind one address",
		Long: `Serve many nodes, Holdfast or memcached, behind one address. Clients talk to the
proxy as to one server, in the classic or the meta protocol. The nodes are a list
(--nodes, shared by jump over xxh3), or the pools of a YAML file (--config, whose
fields 'holdfast proxy --fields' lists); 'holdfast which' says who owns a key.

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
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, stderr) },
	}
	f := cmd.Flags()
	f.StringVar(&o.nodes, "nodes", "", "servers with commas between, in order: add at the end")
	f.StringVar(&o.config, "config", "", "config file, - for standard input")
	f.BoolVar(&o.check, "check-config", false, "print what the config comes to, and exit")
	f.StringVar(&o.against, "against", "", "with --check-config: what share of keys would move, compared with this file or with the proxy that runs at this address")
	f.StringVar(&o.announce, "cluster-nodes", "", "what 'config get cluster' tells clients of ElastiCache: nodes for those of the first pool, or host:port of proxies with commas between (default: the command is unknown)")
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
	f.DurationVar(&o.timeout, "timeout", 0, "time for a request, where the pool says nothing (default 250ms)")
	f.DurationVar(&o.connectTime, "connect-timeout", 0, "time for a connection, where the pool says nothing (default 100ms)")
	return cmd
}

// run checks the config and serves.
func (o *proxyOptions) run(cmd *cobra.Command, stderr io.Writer) error {
	o.portGiven, o.listenGiven = cmd.Flags().Changed("port"), cmd.Flags().Changed("listen")
	if o.against != "" && !o.check {
		return fail(exitUsage, "--against belongs to --check-config")
	}
	conf, err := o.load(cmd.InOrStdin())
	if err != nil {
		return err
	}
	limit, err := parseSize(o.bufferLimit)
	if err != nil {
		return fail(exitUsage, "--buffer-limit: %v", err)
	}
	valueMax, err := parseSize(o.valueMax)
	if err != nil {
		return fail(exitUsage, "-I: %v", err)
	}
	if err := o.server.Validate(); err != nil {
		return fail(exitUsage, "%v", err)
	}
	if o.server.Transport != server.TransportEpoll {
		return fail(exitOS, "the proxy runs on Linux only, for it needs epoll")
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGHUP)
	log := newLogger(stderr)
	p, err := proxy.New(proxy.Config{
		Version: o.server.Version, EnableShutdown: o.server.EnableShutdown, DisableFlushAll: o.server.DisableFlushAll,
		BufferLimit: int64(limit), ValueMax: int(valueMax), Announce: o.announce,
	}, conf, log)
	if err != nil {
		return fail(exitFailure, "%v", err)
	}
	if o.check {
		pf(cmd.OutOrStdout(), "%s", p.Describe())
		if o.against != "" {
			return o.compare(cmd.OutOrStdout(), conf)
		}
		return nil
	}
	if err := prepareProcess(&o.options); err != nil {
		return err
	}
	lns, err := openListeners(&o.options)
	if err != nil {
		return err
	}
	return o.serve(p, lns, log, signals)
}

// serve serves until a signal or a client ends it.
func (o *proxyOptions) serve(p *proxy.Proxy, lns []net.Listener, log zerolog.Logger, signals <-chan os.Signal) error {
	srv, err := server.New(&o.server, p, log)
	if err != nil {
		closeAll(lns)
		return fail(exitFailure, "%v", err)
	}
	removePid := announce(&o.options, log, lns)
	defer removePid()
	zerolog.SetGlobalLevel(logLevel(o.server.Verbosity))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	handled := make(chan struct{})
	go func() {
		defer close(handled)
		o.handleSignals(ctx, cancel, p, log, signals)
	}()
	err = srv.Serve(ctx, lns...)
	cancel()
	<-handled
	if err != nil {
		return fail(exitFailure, "%v", err)
	}
	log.Info().Msg("stopped")
	return nil
}

// handleSignals ends the proxy on TERM, INT and USR1, and reads the config again on HUP.
func (o *proxyOptions) handleSignals(ctx context.Context, cancel func(), p *proxy.Proxy, log zerolog.Logger, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				log.Info().Str("signal", sig.String()).Msg("stopping")
				cancel()
				continue
			}
			if err := o.reload(p); err != nil {
				log.Error().Err(err).Msg("the config was not taken; the old one stays")
			} else {
				log.Info().Msg("the config was read again")
			}
		}
	}
}

func (o *proxyOptions) reload(p *proxy.Proxy) error {
	if o.config == "" || o.config == "-" {
		return fmt.Errorf("there is no config file to read again")
	}
	conf, err := o.load(nil)
	if err != nil {
		return err
	}
	return p.Reload(conf)
}

// load reads the config, or makes one of the list of nodes.
func (o *proxyOptions) load(stdin io.Reader) (*cluster.Config, error) {
	conf := &cluster.Config{Epoch: 1}
	switch {
	case (o.config == "") == (o.nodes == ""):
		return nil, fail(exitUsage, "give either --nodes or --config; run 'holdfast proxy --help'")
	case o.nodes != "":
		pool := &cluster.PoolConfig{}
		for _, address := range strings.Split(o.nodes, ",") {
			pool.Servers = append(pool.Servers, cluster.ServerConfig{Address: strings.TrimSpace(address)})
		}
		conf.Pools = []*cluster.PoolConfig{pool}
		if _, err := cluster.NewMap(1, pool); err != nil {
			return nil, fail(exitUsage, "--nodes: %v", err)
		}
	default:
		text, err := readFile(o.config, stdin)
		if err != nil {
			return nil, err
		}
		if conf, err = cluster.ParseConfig(o.config, text); err != nil {
			return nil, err
		}
	}
	for _, p := range conf.Pools {
		if p.Timeout == 0 {
			p.Timeout = o.timeout
		}
		if p.ConnectTimeout == 0 {
			p.ConnectTimeout = o.connectTime
		}
	}
	return conf, nil
}
