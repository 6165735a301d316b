package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cache/holdfast/persist"
)

// keepFlags are the options of persistence, Holdfast's own. They have no letters:
// those are memcached's.
var keepFlags = []option{
	{
		long: "data-dir", arg: "dir", doc: "keep items in this directory: snapshots, and the journal if there is one",
		apply: func(o *options, v string) error {
			if v == "" {
				return fail(exitFailure, "--data-dir: no directory given")
			}
			o.keep.Dir = v
			return nil
		},
	},
	{
		long: "snapshot-interval", arg: "time", doc: "time between two snapshots, 90s or 5m for example; 0 makes them only when asked, when the journal has grown and at the end (default: 5m)",
		apply: keepTime("--snapshot-interval", func(o *options) *time.Duration { return &o.keep.SnapshotInterval }),
	},
	{
		long: "snapshot-rate", arg: "size", doc: "most that a snapshot writes per second; k, m or g may follow, 0 is no limit (default: 64m)",
		apply: func(o *options, v string) (err error) {
			o.keep.SnapshotRate, err = parseBytes("--snapshot-rate", v)
			return err
		},
	},
	{
		long: "snapshot-keep", arg: "num", doc: "snapshots that are kept: the older ones are for the day that the newest cannot be read (default: 2)",
		apply: func(o *options, v string) error { return setPositive(&o.keep.SnapshotKeep, "--snapshot-keep", v) },
	},
	{long: "snapshot-codec", arg: "name", doc: "s2, zstd or none: how snapshots are compressed; zstd is smaller and slower (default: s2)", apply: keepWord("--snapshot-codec", func(o *options) *persist.Codec { return &o.keep.Codec }, persist.ParseCodec)},
	{
		long: "journal", arg: "policy", doc: "off, os, interval or always: write down each change and sync it never, every --journal-interval, or before it is answered (default: off)",
		apply: keepWord("--journal", func(o *options) *persist.Policy { return &o.keep.Journal }, persist.ParsePolicy),
	},
	{
		long: "journal-interval", arg: "time", doc: "with --journal=interval: time between two syncs, and so about what a power cut costs (default: 1s)",
		apply: keepTime("--journal-interval", func(o *options) *time.Duration { return &o.keep.JournalInterval }),
	},
	{
		long: "journal-timeout", arg: "time", doc: "with --journal=always: how long a change waits for its sync before it is answered with an error (default: 1s)",
		apply: keepTime("--journal-timeout", func(o *options) *time.Duration { return &o.keep.JournalTimeout }),
	},
	{
		long: "restore", arg: "mode", doc: "lenient or strict: go on without what is damaged, or refuse to start (default: lenient)",
		apply: keepChoice("--restore", "lenient", "strict", func(o *options) *bool { return &o.keep.Strict }),
	},
	{
		long: "restore-ttl", arg: "mode", doc: "elapsed or freeze: whether the lives of items go on while the server is away (default: elapsed)",
		apply: keepChoice("--restore-ttl", "elapsed", "freeze", func(o *options) *bool { return &o.keep.FreezeTTL }),
	},
	{
		long: "restore-as-stale", arg: "time", doc: "mark items stale, for meta clients, that come back after more than this time (default: never)",
		apply: keepTime("--restore-as-stale", func(o *options) *time.Duration { return &o.keep.AsStale }),
	},
	{long: "serve-while-loading", doc: "answer at once, with misses for what is not loaded yet, rather than when all is", apply: func(o *options, _ string) error { o.serveWhileLoading = true; return nil }},
	{
		long: "persist-on-error", arg: "mode", doc: "serve, readonly or exit: what to do while nothing can be kept, the disk being full for example (default: serve)",
		apply: keepWord("--persist-on-error", func(o *options) *persist.OnError { return &o.keep.OnError }, persist.ParseOnError),
	},
}

func init() {
	for i := range keepFlags {
		opt := &keepFlags[i]
		opt.group = "Persistence"
		if opt.long != "data-dir" {
			apply := opt.apply
			opt.apply = func(o *options, v string) error {
				if o.keepGiven == "" {
					o.keepGiven = "--" + opt.long
				}
				return apply(o, v)
			}
		}
	}
	flagTable = append(flagTable, keepFlags...)
}

// finishKeep checks the options of persistence against each other.
func (o *options) finishKeep() error {
	k := &o.keep
	switch {
	case k.Dir == "" && o.keepGiven != "":
		return fail(exitUsage, "%s needs a directory to keep items in: add --data-dir=<dir>", o.keepGiven)
	case k.Journal == persist.PolicyInterval && k.JournalInterval <= 0:
		return fail(exitUsage, "--journal-interval must be longer than 0; with --journal=always every change is synced")
	case k.Journal == persist.PolicyAlways && k.JournalTimeout <= 0:
		return fail(exitUsage, "--journal-timeout must be longer than 0")
	case k.Strict && o.serveWhileLoading:
		return fail(exitUsage, "--restore=strict cannot refuse to start with --serve-while-loading: leave one of them out")
	}
	return nil
}

// keepTime takes a duration: a plain number is seconds.
func keepTime(name string, field func(*options) *time.Duration) func(*options, string) error {
	return func(o *options, v string) error {
		if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
			*field(o) = time.Duration(seconds) * time.Second
			return nil
		}
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			return fail(exitFailure, "%s %s: not a time; 90s, 5m or 1h30m for example", name, quoteEmpty(v))
		}
		*field(o) = d
		return nil
	}
}

// keepWord takes one of the words that parse knows.
func keepWord[T any](name string, field func(*options) *T, parse func(string) (T, error)) func(*options, string) error {
	return func(o *options, v string) error {
		word, err := parse(v)
		if err != nil {
			return fail(exitFailure, "%s %s: %v", name, quoteEmpty(v), err)
		}
		*field(o) = word
		return nil
	}
}

// keepChoice takes one of two words; the second sets the field.
func keepChoice(name, no, yes string, field func(*options) *bool) func(*options, string) error {
	return func(o *options, v string) error {
		if v != no && v != yes {
			return fail(exitFailure, "%s %s: it is %s or %s", name, quoteEmpty(v), no, yes)
		}
		*field(o) = v == yes
		return nil
	}
}

// parseBytes reads a size with k, m or g behind it.
func parseBytes(name, v string) (int64, error) {
	digits, unit := v, int64(1)
	for suffix, n := range map[string]int64{"k": 1 << 10, "m": mebi, "g": 1 << 30} {
		if d, ok := strings.CutSuffix(strings.ToLower(v), suffix); ok {
			digits, unit = d, n
		}
	}
	n, err := strconv.ParseInt(digits, 10, 33)
	if err != nil || n < 0 {
		return 0, fail(exitFailure, "%s %s: not a size; 64m for example", name, quoteEmpty(v))
	}
	return n * unit, nil
}
