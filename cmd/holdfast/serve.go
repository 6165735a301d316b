package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-cache/holdfast/server"
	"github.com/holdfast-cache/holdfast/slab"
	"github.com/rs/zerolog"
)

// serveCommand reads the options of a server and runs it.
func serveCommand(name string, args []string, asMemcached bool, stdout, stderr io.Writer) error {
	o := newOptions(name, asMemcached)
	operands, err := parseOptions(flagTable, args, o)
	if err != nil && !errors.Is(err, errStop) {
		return err
	}
	switch {
	case o.showHelp:
		printUsage(stdout, o)
		return nil
	case o.license:
		printLicense(stdout)
		return nil
	case o.showVersion:
		printVersion(stdout, o)
		return nil
	}
	if len(operands) > 0 {
		// memcached passes over them in silence; here that would hide a typing mistake.
		if !asMemcached {
			return fail(exitUsage, "unexpected argument %q: options begin with -; run 'holdfast serve -h' for the list", operands[0])
		}
		o.warn("ignored on the command line: " + strings.Join(operands, " "))
	}
	if err := o.finish(); err != nil {
		return err
	}
	if o.daemon && !isDaemon() {
		return startDaemon(os.Args, stderr)
	}
	return serve(o, stderr)
}

// serve runs a server until a signal or a client ends it.
func serve(o *options, stderr io.Writer) error {
	if err := prepareProcess(o); err != nil {
		return err
	}
	// From here on a signal waits for its handler. They are never given back: one
	// that comes while the process ends must not change its exit code.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGHUP)
	log := newLogger(stderr)
	o.server.DebugClock = os.Getenv("HOLDFAST_DEBUG_CLOCK") == "1"

	early, err := o.listensEarly()
	if err != nil {
		return err
	}
	var lns []net.Listener
	if early {
		if lns, err = openListeners(o); err != nil {
			return err
		}
	}
	k, err := openKeeping(o, log, stderr)
	if err != nil {
		closeAll(lns)
		return err
	}
	mem, err := openMemory(o, k.later(), log)
	if err != nil {
		k.abandon()
		closeAll(lns)
		return err
	}
	defer mem.close()
	defer k.abandon() // unless finish has come first
	if err := k.attach(o, mem, signals); err != nil {
		closeAll(lns)
		if errors.Is(err, errStopped) {
			return nil
		}
		return err
	}
	s := &service{o: o, log: log, mem: mem, keep: k, signals: signals, started: time.Now()}
	return s.run(lns, early)
}

// service is a server about to serve.
type service struct {
	o       *options
	log     zerolog.Logger
	mem     *memory
	keep    *keeping // nil: nothing is kept
	node    *server.Node
	member  *membership // nil: of no cluster
	signals <-chan os.Signal
	started time.Time
	marks   origins
}

// run listens, if that has not been done early, serves, and keeps the items at the end.
func (s *service) run(lns []net.Listener, early bool) error {
	o, log := s.o, s.log
	zerolog.SetGlobalLevel(zerolog.Disabled) // a bad password file is an exit code here, not a log line
	s.node = server.NewNode(&o.server, s.mem.store, log)
	if k := s.mem.keeper(s.keep); k != nil {
		s.node.SetKeeper(k)
	}
	s.readMarks()
	s.tellOrigin(s.started)
	defer s.node.Close()
	err := s.node.ReloadAuth()
	zerolog.SetGlobalLevel(zerolog.InfoLevel) // the start-up lines show at every -v
	if err != nil {
		closeAll(lns)
		return fail(exitFailure, "-Y: %v", err)
	}
	if lns, err = openLate(o, lns, early); err != nil {
		return err
	}
	srv, err := server.New(&o.server, handler{s.node}, log)
	if err != nil {
		closeAll(lns)
		return fail(exitFailure, "%v", err)
	}
	if o.lockMemory {
		if err := lockMemory(); err != nil {
			log.Warn().Err(err).Msg("-k: memory could not be locked; raise the limit (ulimit -l)")
		}
	}
	if o.server.Verbosity >= 2 {
		logClasses(log, s.mem.store)
	}
	if s.member, err = openMembership(o, s.node, lns, log); err != nil {
		closeAll(lns)
		return err
	}
	defer s.member.leave()
	removePid := announce(o, log, lns)
	defer removePid()
	if o.daemon {
		if err := daemonReady(o.server.Verbosity > 0, o.coreDumps); err != nil {
			closeAll(lns)
			return fail(exitFailure, "-d: %v", err)
		}
	}
	zerolog.SetGlobalLevel(logLevel(o.server.Verbosity))
	if err := s.serve(srv, lns); err != nil {
		return err
	}
	log.Info().Msg("stopped")
	return nil
}

// serve serves until a signal, a client or trouble ends it, and keeps the items.
func (s *service) serve(srv *server.Server, lns []net.Listener) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var handled sync.WaitGroup
	handled.Go(func() { s.handleSignals(ctx, cancel, srv) })
	s.markServe()
	handled.Go(func() { s.followMarks(ctx) })
	s.keep.loadMeanwhile(ctx, s.mem, func() { s.tellOrigin(s.started) })
	err := srv.Serve(ctx, lns...)
	s.member.leave()
	cancel(nil)    // a client may have ended it
	handled.Wait() // further signals are finish's
	s.node.Close()
	if err != nil && !errors.Is(err, context.Canceled) {
		return fail(exitFailure, "%v", err)
	}
	if err = s.keep.finish(s.signals); err == nil && s.keep.safe() {
		s.markEnd()
	}
	var trouble *failure
	if errors.As(context.Cause(ctx), &trouble) {
		return trouble
	}
	return err
}

// prepareProcess sets limits and checks what root may do, before anything opens.
func prepareProcess(o *options) error {
	if o.coreDumps {
		if err := raiseCoreLimit(); err != nil {
			return err
		}
	}
	if o.lockMemory {
		allowLocking()
	}
	if err := raiseFileLimit(o.server.MaxConns, o.server.Threads); err != nil {
		return err
	}
	if os.Geteuid() == 0 && o.user == "" {
		if o.asMemcached {
			return fail(exitUsage, "must add '-u root' to start as root")
		}
		o.warn("running as root: add -u <user> to run as someone with fewer rights")
	}
	if o.user != "" && os.Geteuid() == 0 {
		if _, _, err := lookupUser(o.user); err != nil {
			return fail(exitNoUser, "-u %s: there is no such user", printable(o.user))
		}
	}
	if o.slab.Prealloc {
		meminfo, _ := os.ReadFile("/proc/meminfo") // Linux only
		if err := checkFree(o.slab.LimitBytes, string(meminfo)); err != nil {
			return err
		}
	}
	if o.daemon && o.server.AuthFile != "" {
		path, err := filepath.Abs(o.server.AuthFile) // read again on HUP, from another directory
		if err != nil {
			return fail(exitOS, "-Y %s: %v", printable(o.server.AuthFile), err)
		}
		o.server.AuthFile = path
	}
	tuneRuntime(o.server.Threads, o.server.MaxConns, o.keep.Dir != "")
	signal.Ignore(syscall.SIGPIPE) // a log reader that goes away must not end the server
	return nil
}

// openListeners opens TCP first, then gives up root, then opens the Unix
// socket: low ports need root, and the socket file belongs to the user.
func openListeners(o *options) ([]net.Listener, error) {
	eps, err := o.endpoints()
	if err != nil {
		return nil, err
	}
	lns, err := listenTCP(&o.server, eps)
	if err != nil {
		return nil, err
	}
	if err := becomeUser(o.user); err != nil {
		closeAll(lns)
		return nil, err
	}
	if o.server.UnixSocket != "" {
		ln, err := listenUnix(&o.server)
		if err != nil {
			closeAll(lns)
			return nil, err
		}
		lns = append(lns, ln)
	}
	return lns, nil
}

// announce writes the pid file, the start-up line and, last, the port file:
// whoever waits for that one finds the rest done. The returned function removes
// the pid file if that is the daemon's duty.
func announce(o *options, log zerolog.Logger, lns []net.Listener) (removePid func()) {
	removePid = func() {}
	if o.pidFile != "" {
		path, warning, err := writePidFile(o.pidFile)
		if err != nil {
			log.Warn().Err(err).Msg("the pid file could not be written")
		} else if o.daemon {
			removePid = func() { _ = os.Remove(path) }
		}
		if warning != "" {
			log.Warn().Msg(warning)
		}
	}
	for _, text := range o.warnings {
		log.Warn().Msg(text)
	}
	addrs := make([]string, len(lns))
	for i, ln := range lns {
		addrs[i] = ln.Addr().String()
	}
	event := log.Info().Str("version", server.Version).Int("pid", os.Getpid()).
		Int("threads", o.server.Threads).Strs("listen", addrs)
	if o.memoryMB > 0 { // not a proxy
		event.Int64("memory_mb", o.memoryMB)
	}
	switch {
	case len(lns) == 0:
		log.Warn().Msg("there is nothing to listen on: -p is 0 and there is no -s")
		event.Msg("started")
	case o.listenGiven || o.server.UnixSocket != "":
		event.Msg("listening")
	case o.asMemcached:
		log.Warn().Msg("listening on all addresses, as memcached does by default: anyone who can reach this port can use the cache; restrict it with -l 127.0.0.1")
		event.Msg("listening")
	default:
		event.Msg("listening on this machine only; open it to others with -l 0.0.0.0 or -l '*'")
	}
	if err := writePortFile(os.Getenv("MEMCACHED_PORT_FILENAME"), lns); err != nil {
		log.Warn().Err(err).Msg("the file named by MEMCACHED_PORT_FILENAME could not be written")
	}
	return removePid
}

// logClasses shows the item classes at -vv, in memcached's words.
func logClasses(log zerolog.Logger, store *slab.Store) {
	for id := 1; ; id++ {
		class := store.ClassStats(id)
		if class.ChunkSize == 0 {
			return
		}
		log.Info().Msgf("slab class %3d: chunk size %9d perslab %7d", id, class.ChunkSize, class.ChunksPerPage)
	}
}

// storeFailure tells a setting that cannot be from memory that cannot be had.
func storeFailure(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return fail(exitOS, "cannot get the memory: %v; lower -m", err)
	}
	return fail(exitUsage, "%s", strings.TrimPrefix(err.Error(), "slab: "))
}

// handleSignals cancels on TERM and INT, and with why if the items cannot be kept
// and that shall end the server. On USR1 it makes a snapshot, or asks srv for a graceful end if nothing is kept;
// on HUP it has the node read the password file again. It returns when ctx ends.
func (s *service) handleSignals(ctx context.Context, cancel func(why error), srv *server.Server) {
	var exit <-chan error
	if s.keep != nil {
		exit = s.keep.exit
	}
	for {
		select {
		case <-ctx.Done():
			return
		case why := <-exit:
			s.log.Error().Err(why).Msg("stopping, as --persist-on-error=exit says")
			cancel(&failure{code: exitFailure, text: "items cannot be kept: " + why.Error()})
		case sig := <-s.signals:
			switch {
			case sig == syscall.SIGHUP:
				if err := s.node.ReloadAuth(); err != nil {
					s.log.Error().Err(err).Msg("the password file was not taken; the old one stays")
				}
			case sig == syscall.SIGUSR1 && s.keep != nil:
				s.keep.snapshot()
			case sig == syscall.SIGUSR1:
				s.log.Info().Msg("gracefully stopping")
				srv.RequestShutdown(true)
			default:
				s.log.Info().Str("signal", sig.String()).Msg("stopping")
				cancel(nil)
			}
		}
	}
}
