package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/holdfast-cache/holdfast/persist"
	"github.com/rs/zerolog"
)

// How often progress is shown: on a terminal, and in a log.
const (
	progressOnTerminal = 200 * time.Millisecond
	progressInLog      = 5 * time.Second
)

// keeping is what keeps the items of a server beyond its process. A nil one keeps nothing.
type keeping struct {
	*persist.Keeper
	o      *options
	log    zerolog.Logger
	stderr io.Writer
	exit   chan error    // why the server has to end, with --persist-on-error=exit
	turned chan struct{} // what the boot mark says may not be true any more
	loaded chan struct{} // closed when the loading has ended, if clients are served meanwhile
	ended  bool          // the last snapshot was made
}

// openKeeping opens the data directory, if there is one.
func openKeeping(o *options, log zerolog.Logger, stderr io.Writer) (*keeping, error) {
	if o.keep.Dir == "" {
		return nil, nil
	}
	k := &keeping{o: o, log: log, stderr: stderr, exit: make(chan error, 1), turned: make(chan struct{}, 1)}
	conf := o.keep
	conf.Log = log
	conf.Exit = func(why error) { k.exit <- why } // once, so there is room
	conf.Turned = k.turn
	var err error
	if conf.Dir, err = filepath.Abs(conf.Dir); err != nil { // -d leaves the directory
		return nil, fail(exitOS, "--data-dir: %v", err)
	}
	if k.Keeper, err = persist.Open(conf); err != nil {
		if errors.Is(err, persist.ErrInUse) {
			return nil, fail(exitOS, "%v", err)
		}
		return nil, fail(exitFailure, "%v", err)
	}
	return k, nil
}

// turn has the boot mark looked at.
func (k *keeping) turn() {
	select {
	case k.turned <- struct{}{}:
	default:
	}
}

// heard says that the journal, where replies wait for it, has all changes up to now; if
// not the boot mark is looked at again when it has.
func (k *keeping) heard() bool {
	pos := k.Appended()
	if k.Synced(pos) {
		return true
	}
	k.NotifySynced(pos, k.turn)
	return false
}

// attach gives the store its items, unless it has them from its memory file, or
// clients are to be served meanwhile: then load comes later.
func (k *keeping) attach(o *options, mem *memory, signals <-chan os.Signal) error {
	if k == nil {
		mem.whole()
		return nil
	}
	k.Start(mem.store, o.serveWhileLoading, mem.kept())
	if mem.kept() {
		return nil
	}
	if !o.serveWhileLoading {
		if err := k.loadFirst(signals); err != nil {
			return err
		}
		mem.whole()
	}
	o.server.ClockStart = k.ClockStart()
	return nil
}

// errStopped: a signal came before the server listened.
var errStopped = errors.New("stopped while loading")

// loadFirst loads the items, unless a signal ends it.
func (k *keeping) loadFirst(signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	end := onStop(signals, func(sig string) {
		k.log.Info().Str("signal", sig).Msg("stopping before all is loaded; what is kept stays as it was")
		cancel(errStopped)
	})
	err := k.load(ctx, false)
	end()
	cancel(nil)
	return err
}

// onStop calls f for every signal to stop, until end is called. Other signals are
// passed over.
func onStop(signals <-chan os.Signal, f func(sig string)) (end func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case sig := <-signals:
				if sig == syscall.SIGTERM || sig == syscall.SIGINT {
					f(sig.String())
				}
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// loadMeanwhile loads the items while clients are served, and calls whole when all are there.
func (k *keeping) loadMeanwhile(ctx context.Context, mem *memory, whole func()) {
	if k == nil || !k.o.serveWhileLoading || mem.kept() {
		return
	}
	k.loaded = make(chan struct{})
	go func() {
		defer close(k.loaded)
		if err := k.load(ctx, true); err != nil && ctx.Err() == nil {
			k.log.Error().Err(err).Msg("the items could not be loaded")
		} else if err == nil {
			mem.whole()
			whole()
		}
	}()
}

// load puts the items back and says what came of it.
func (k *keeping) load(ctx context.Context, serving bool) error {
	if k.Found().Stamp.Now == 0 && k.Found().Items == 0 {
		k.log.Info().Str("dir", k.o.keep.Dir).Msg("there is nothing to restore")
	}
	began := time.Now()
	end := k.show(func() string {
		p := k.Progress()
		return fmt.Sprintf("loading: %s of %s, %d items", humanBytes(uint64(p.Done)), humanBytes(uint64(p.Total)), p.Items)
	}, !serving)
	rec, err := k.Restore(ctx, serving)
	end()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fail(exitFailure, "%v", err)
	}
	for _, problem := range rec.Problems {
		k.log.Warn().Msg("restore: " + problem)
	}
	if rec.Source == "" {
		return nil
	}
	line := k.log.Log().Str("source", rec.Source).Uint64("items", rec.Items).
		Str("seconds", strconv.FormatFloat(time.Since(began).Seconds(), 'f', 3, 64)).
		Uint64("bytes", rec.Bytes).Uint64("dropped", rec.Dropped())
	if why := rec.Why(); why != "" {
		line = line.Str("why", why)
	}
	line.Msg("items restored")
	return nil
}

// show shows, until end is called, what say says: on a terminal in a line of its
// own, else in the log now and then.
func (k *keeping) show(say func() string, terminal bool) (end func()) {
	terminal = terminal && isTerminal(k.stderr)
	every := progressInLog
	if terminal {
		every = progressOnTerminal
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		shown := false
		for {
			select {
			case <-stop:
				if shown {
					pf(k.stderr, "\r\x1b[K")
				}
				return
			case <-tick.C:
				if terminal {
					pf(k.stderr, "\r%s\x1b[K", say())
					shown = true
				} else {
					k.log.Log().Msg(say())
				}
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// snapshot makes one, as SIGUSR1 asks.
func (k *keeping) snapshot() {
	if !k.Snapshot(func(err error) {
		if err != nil {
			k.log.Error().Err(err).Msg("the snapshot that a signal asked for failed")
			return
		}
		k.log.Log().Msg("the snapshot that a signal asked for is made")
	}) {
		k.log.Log().Msg("a signal asked for a snapshot while one is being made")
	}
}

// finish keeps the items a last time. A further signal skips that.
func (k *keeping) finish(signals <-chan os.Signal) error {
	if k == nil {
		return nil
	}
	if k.loaded != nil {
		<-k.loaded
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	deaf := onStop(signals, func(sig string) {
		k.log.Warn().Str("signal", sig).Msg("the last snapshot is skipped")
		cancel(errSkipped)
	})
	began := time.Now()
	end := k.show(func() string {
		items, _ := k.SnapshotProgress()
		return fmt.Sprintf("keeping the items: %d so far", items)
	}, true)
	err := k.Close(ctx)
	end()
	deaf()
	switch {
	case errors.Is(context.Cause(ctx), errSkipped):
		return nil
	case err != nil:
		return fail(exitFailure, "not all could be kept: %v", err)
	}
	k.ended = true
	k.log.Log().Str("seconds", strconv.FormatFloat(time.Since(began).Seconds(), 'f', 3, 64)).Msg("the items are kept")
	return nil
}

// safe says that the last snapshot was made, so that nothing is missing.
func (k *keeping) safe() bool { return k != nil && k.ended }

var errSkipped = errors.New("skipped")

// abandon lets the directory go as it was found, when the server does not come to serving.
func (k *keeping) abandon() {
	if k == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := k.Close(ctx); err != nil {
		k.log.Error().Err(err).Msg("the data directory could not be closed well")
	}
}

// later is a version that the directory knows to have been given out.
func (k *keeping) later() uint64 {
	if k == nil {
		return 0
	}
	return k.Found().Ver
}

// listensEarly says whether the sockets are opened before the items are loaded:
// if clients are to be served meanwhile, or if a low port wants root, whose
// rights are given up before the data directory is touched.
func (o *options) listensEarly() (bool, error) {
	if o.keep.Dir == "" {
		return true, nil
	}
	if err := giveDirectory(o, o.keep.Dir, "--data-dir"); err != nil || o.serveWhileLoading {
		return true, err
	}
	eps, err := o.endpoints()
	if err != nil {
		return false, err
	}
	if o.user != "" && os.Geteuid() == 0 {
		for _, ep := range eps {
			if ep.port > 0 && ep.port < 1024 {
				return true, nil
			}
		}
	}
	// A port that is taken shall be found out before the loading, not after it.
	if err := tryListening(&o.server, eps); err != nil {
		return false, err
	}
	return false, becomeUser(o.user)
}

// giveDirectory makes a directory for the user of -u if it is missing: that user may not
// make one where it belongs, in /var/lib for example. The flag is whose it is.
func giveDirectory(o *options, path, flag string) error {
	if o.user == "" || os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := lookupUser(o.user)
	if err != nil {
		return fail(exitNoUser, "-u %s: there is no such user", printable(o.user))
	}
	if err = os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fail(exitOS, "%s: %v", flag, err)
	}
	err = os.Mkdir(path, 0o700)
	if err == nil {
		err = os.Lchown(path, uid, gid)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fail(exitOS, "%s: %v", flag, err)
	}
	return nil
}

// openLate opens the sockets unless that was done before.
func openLate(o *options, lns []net.Listener, early bool) ([]net.Listener, error) {
	if early {
		return lns, nil
	}
	return openListeners(o)
}
