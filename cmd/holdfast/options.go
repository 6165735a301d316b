package main

import (
	"strings"

	"github.com/holdfast-cache/holdfast/persist"
	"github.com/holdfast-cache/holdfast/server"
	"github.com/holdfast-cache/holdfast/slab"
)

const (
	mebi        = 1 << 20
	defaultPort = 11211
	defaultHost = "127.0.0.1" // unless called memcached
)

// options is everything a command line may set for serving.
type options struct {
	name        string // what the program was called
	asMemcached bool   // behave as memcached's own command line

	server server.Config
	slab   slab.Config
	keep   persist.Options
	// keepGiven is the first option of persistence on the command line besides --data-dir.
	keepGiven         string
	serveWhileLoading bool
	clusterVersion    uint64 // --cluster-version, 0 if it is not given
	join              joinOptions

	listen      []string // -l, in order
	portGiven   bool
	listenGiven bool

	user, pidFile                  string
	daemon, coreDumps, lockMemory  bool
	showHelp, showVersion, license bool

	napiIDs       int
	itemSizeMax   int64
	memoryMB      int64
	chunkMaxGiven bool
	slabSizes     string // -o slab_sizes, checked once -n and the chunk limit are known
	noMaintainer  bool

	// warnings are about settings that are accepted without effect.
	warnings []string
}

// newOptions returns memcached's defaults.
func newOptions(name string, asMemcached bool) *options {
	o := &options{
		name: name, asMemcached: asMemcached,
		server: server.DefaultConfig(), slab: slab.DefaultConfig(), keep: persist.DefaultOptions(),
		memoryMB: 64, itemSizeMax: mebi,
	}
	o.slab.ChunkMax = mebi / 2
	return o
}

// help is the command whose -h lists the options.
func (o *options) help() string {
	if o.asMemcached {
		return o.name
	}
	return "holdfast serve"
}

func (o *options) warn(text string) { o.warnings = append(o.warnings, text) }

// finish checks the settings against each other, once all are known, and
// completes the two configurations.
func (o *options) finish() error {
	if o.napiIDs > o.server.Threads {
		return fail(exitUsage, "-N %d cannot be greater than the number of threads (-t %d)", o.napiIDs, o.server.Threads)
	}
	if err := o.finishSizes(); err != nil {
		return err
	}
	if err := o.finishKeep(); err != nil {
		return err
	}
	if err := o.finishCluster(); err != nil {
		return err
	}
	if o.slab.HotPct+o.slab.WarmPct > 80 {
		return fail(exitUsage, "hot_lru_pct and warm_lru_pct together cannot be more than 80, got %d", o.slab.HotPct+o.slab.WarmPct)
	}
	if o.slab.TempTTL >= 0 && o.noMaintainer {
		return fail(exitUsage, "temporary_ttl needs the lru_maintainer: take no_lru_maintainer out")
	}
	if o.server.AuthFile != "" {
		o.server.BindingProtocol = "ascii"
	}
	if o.server.TCPPort > 65535 || o.server.TCPPort < -1 {
		return fail(exitUsage, "invalid port number %d: use 1 to 65535, 0 for none or -1 for any free one", o.server.TCPPort)
	}
	o.server.Interface = strings.Join(o.listen, ",")
	if len(o.listen) == 0 && !o.asMemcached && o.wantsTCP() {
		o.server.Interface = defaultHost
	}
	o.server.Verbosity = min(o.server.Verbosity, 3)
	o.server.Backlog = max(o.server.Backlog, 1)
	if err := o.server.Validate(); err != nil {
		return fail(exitUsage, "%v", err)
	}
	return nil
}

// finishSizes checks -m, -I, -n and the slab sizes. The limits are memcached's.
func (o *options) finishSizes() error {
	limit, item, chunk := o.memoryMB*mebi, o.itemSizeMax, int64(o.slab.ChunkMax)
	if item > mebi && !o.chunkMaxGiven {
		chunk = mebi / 2
	}
	switch {
	case item < 1024:
		return fail(exitUsage, "-I: the largest item cannot be less than 1024 bytes")
	case item > limit/2:
		return fail(exitUsage, "-I: the largest item (%d bytes) cannot be more than half of the memory (-m %d MB): raise -m or lower -I", item, o.memoryMB)
	case item > 1<<30:
		return fail(exitUsage, "-I: the largest item cannot be more than 1g")
	case chunk > item:
		return fail(exitUsage, "slab_chunk_max (%d bytes) cannot be larger than -I (%d bytes): lower it with -o slab_chunk_max=<KB>", chunk, item)
	case item%chunk != 0:
		return fail(exitUsage, "-I (%d bytes) must be a multiple of slab_chunk_max (%d bytes)", item, chunk)
	case mebi%chunk != 0:
		return fail(exitUsage, "slab_chunk_max (%d bytes) must divide a page of %d bytes evenly", chunk, mebi)
	}
	o.slab.LimitBytes, o.slab.ItemSizeMax, o.slab.ChunkMax = limit, int(item), int(chunk)
	if o.chunkMaxGiven || o.slabSizes != "" {
		o.slab.PageBytes = mebi // who names chunk sizes gets them, also where -m is small
	}
	if o.slabSizes != "" {
		sizes, err := parseSlabSizes(o.slabSizes, o.slab.MinItemSpace, o.slab.ChunkMax)
		if err != nil {
			return err
		}
		o.slab.ClassSizes = sizes
	}
	return nil
}
