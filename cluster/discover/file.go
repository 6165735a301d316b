package discover

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/rs/zerolog"
)

// fileMax bounds a config file: a wrong path may name a disk.
const fileMax = 16 << 20

// racy is how long after a change of a file another one may leave it with the
// same time: then its text has to be looked at.
const racy = 3 * time.Second

// file is a config file. A text is taken when it has been found twice in a row: half
// a file may be a valid one, of fewer servers.
type file struct {
	name    string
	every   time.Duration
	log     zerolog.Logger
	reload  chan struct{}
	refresh chan struct{}
	reads   trouble
	taken   atomic.Uint64 // configs that were taken, the first included
	epoch   atomic.Uint64

	// Run's own.
	now    *cluster.Config
	good   []byte      // the text of now
	judged []byte      // the text that was judged last
	why    error       // why it was refused
	seen   []byte      // a text that has been found once and waits to be found again, nil if there is none
	info   os.FileInfo // of the file as it was read last
}

// openFile reads the file a first time.
func openFile(name string, log zerolog.Logger) (*file, error) {
	f := &file{name: name, every: fileInterval, log: log.With().Str("file", name).Logger(), reload: make(chan struct{}, 1), refresh: make(chan struct{}, 1)}
	f.reads = trouble{what: "the config file", log: f.log}
	text, err := f.read()
	if err != nil {
		return nil, err
	}
	if f.now, err = cluster.ParseConfig(name, text); err != nil {
		return nil, err
	}
	f.good, f.judged = text, text
	f.took(f.now)
	return f, nil
}

func (f *file) took(c *cluster.Config) {
	f.now = c
	f.epoch.Store(c.Epoch)
	f.taken.Add(1)
}

// read returns the text. Errors name the file.
func (f *file) read() ([]byte, error) {
	in, err := os.Open(f.name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(in, fileMax+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > fileMax:
		return nil, fmt.Errorf("%s is no config file: it has more than %d bytes", f.name, fileMax)
	}
	f.info = info
	return text, nil
}

// Run looks at the file from time to time.
func (f *file) Run(ctx context.Context, deliver func(*cluster.Config)) {
	deliver(f.now)
	for {
		every := f.every
		if f.seen != nil { // a text that has been found once is not kept waiting
			every = min(every, fileInterval)
		}
		tick := time.NewTimer(every)
		asked := false
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		case <-f.refresh:
			tick.Stop()
			if f.seen != nil {
				continue // the second look comes when it is time
			}
		case <-f.reload:
			tick.Stop()
			asked = true
		}
		if c := f.look(asked); c != nil {
			f.took(c)
			f.log.Info().Uint64("epoch", c.Epoch).Msg("the config file has changed and is taken")
			deliver(c)
		}
	}
}

// look returns the config of the file if it is another than before and good.
// asked says that somebody wants it now.
func (f *file) look(asked bool) *cluster.Config {
	if !asked && f.seen == nil && f.untouched() {
		return nil
	}
	text, err := f.read()
	switch {
	case err != nil:
		f.info, f.seen = nil, nil
		f.reads.failed(err)
		return nil
	case !asked && bytes.Equal(text, f.judged):
		f.seen = nil
		f.reads.failed(f.why)
		return nil
	case !asked && (f.seen == nil || !bytes.Equal(text, f.seen)):
		f.seen = text
		return nil
	}
	f.judged, f.seen = text, nil
	var c *cluster.Config
	c, f.why = f.judge(text)
	f.reads.failed(f.why)
	return c
}

// untouched says that the file need not be read: it is the one that was read, and
// was not changed just before.
func (f *file) untouched() bool {
	info, err := os.Stat(f.name)
	return err == nil && f.info != nil && os.SameFile(info, f.info) && info.Size() == f.info.Size() &&
		info.ModTime().Equal(f.info.ModTime()) && time.Since(info.ModTime()) > racy
}

// judge returns the config that text is, nil if it is the one there is, or why it
// cannot be taken.
func (f *file) judge(text []byte) (*cluster.Config, error) {
	if bytes.Equal(text, f.good) {
		return nil, nil
	}
	c, err := cluster.ParseConfig(f.name, text)
	if err != nil {
		return nil, err
	}
	switch same := cluster.SameOwners(c, f.now); {
	case c.Epoch < f.now.Epoch:
		return nil, fmt.Errorf("%s: epoch %d is below the present one, %d: who goes back to an earlier map gives it a higher epoch, %d or more", f.name, c.Epoch, f.now.Epoch, f.now.Epoch+1)
	case c.Epoch == f.now.Epoch && !same:
		return nil, fmt.Errorf("%s: the owners of keys have changed and the epoch is still %d: raise it to %d or more", f.name, c.Epoch, c.Epoch+1)
	}
	f.good = text
	return c, nil
}

// Reload looks at the file at once.
func (f *file) Reload() {
	f.reads.forget()
	ring(f.reload)
}

// Refresh looks at the file at once, and once more soon after if it has changed.
func (f *file) Refresh() { ring(f.refresh) }

// Stats tells of the file.
func (f *file) Stats(add func(name, value string)) {
	add("file", oneLine(f.name))
	add("file_epoch", strconv.FormatUint(f.epoch.Load(), 10))
	add("file_taken", strconv.FormatUint(f.taken.Load(), 10))
	f.reads.stats("file_", add)
}
