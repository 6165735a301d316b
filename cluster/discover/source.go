package discover

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/rs/zerolog"
)

// Source delivers configs, each of them complete: every pool has servers, and a
// Map can be made of it.
type Source interface {
	// Run calls deliver with the config there is, as soon as there is one, and then
	// with each that takes its place. Calls come one at a time; what is delivered is not
	// changed afterwards, and shall not be by who gets it. Run returns when ctx
	// ends. It is called once.
	Run(ctx context.Context, deliver func(*cluster.Config))
	// Reload has the source look at once, rather than when it is time, and take
	// what it finds as it is. Any goroutine may call it.
	Reload()
	// Refresh has the source look at once as well, with all the care that it takes when it
	// is time: a file must be found twice, and servers that an answer lacks stay. Any
	// goroutine may call it, and it does not block.
	Refresh()
	// Stats calls add for each of the source's figures. Any goroutine may call it.
	Stats(add func(name, value string))
}

// Options say where the config comes from. The zero value of a time is its default.
type Options struct {
	// File is a config file. It is read again when it changes.
	File string
	// Config is used if there is no File: it does not change, but for the pools
	// that the DNS lists.
	Config *cluster.Config
	// FileInterval is the time between two looks at the file; a second.
	FileInterval time.Duration

	// Resolver asks the DNS; net.DefaultResolver if it is nil.
	Resolver Resolver
	// DNSInterval is about the time between two questions, give or take a quarter;
	// ten seconds. A question may take as long too.
	DNSInterval time.Duration
	// DNSForget is for how long a server that the DNS lists no longer keeps its
	// place. The default is for ever for srv, whose names come back, and five
	// minutes for addresses, which may not; a negative one is for ever.
	DNSForget time.Duration

	// KeepFile, if it is named, has the last config: a process that starts goes on
	// from it where the DNS and the other members do not answer.
	KeepFile string

	// Gossip, if there is one, carries the config to and from the other members.
	// It is the caller's, and ends after the source.
	Gossip *Gossip
}

// The defaults of Options.
const (
	fileInterval = time.Second
	dnsInterval  = 10 * time.Second
	dnsForget    = 5 * time.Minute
)

// Open returns the source that o describes. It fails if the file cannot be read:
// a process that starts has nothing else to go on. Whatever fails later is logged
// once and changes nothing.
func Open(o Options, log zerolog.Logger) (Source, error) {
	var s Source
	var last *cluster.Config
	if o.KeepFile != "" {
		last = readKept(o.KeepFile, log)
	}
	switch {
	case o.File != "":
		f, err := openFile(o.File, log)
		if err != nil {
			return nil, err
		}
		f.every = orDefault(o.FileInterval, fileInterval)
		s = f
	case o.Config != nil:
		s = &static{o.Config}
	case o.Gossip != nil:
	default:
		return nil, errors.New("no source of a config is named: neither a file nor servers nor other members")
	}
	if s != nil {
		s = newLister(s, o, last, log)
	}
	if o.Gossip != nil {
		s = &carried{g: o.Gossip, own: s, last: last}
	}
	if o.KeepFile != "" {
		s = newKept(s, o.KeepFile, log)
	}
	return s, nil
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// static is a config that does not change.
type static struct{ c *cluster.Config }

func (s *static) Run(ctx context.Context, deliver func(*cluster.Config)) {
	deliver(s.c)
	<-ctx.Done()
}

func (s *static) Reload() {}

func (s *static) Refresh() {}

func (s *static) Stats(func(name, value string)) {}
