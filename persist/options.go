package persist

import (
	"fmt"
	"time"

	"github.com/rs/zerolog"
)

// Options are the settings of a Keeper. Zero values are not defaults, but for
// Driver, FS and Clock: start from DefaultOptions.
type Options struct {
	// Driver names who keeps the items: see Register. "" is DriverDir.
	Driver string
	// Dir is the directory that DriverDir keeps them in. It is made if it is
	// missing and must belong to the user of the process.
	Dir string
	// FS is the file system of Dir, nil the system's.
	FS FS
	// Clock tells the time of the world; nil is System.
	Clock Clock
	Log   zerolog.Logger

	// SnapshotInterval is the time from the end of one snapshot to the start of
	// the next; 0 makes none by the clock.
	SnapshotInterval time.Duration
	// SnapshotRate is how fast a snapshot is written at most, in bytes of its
	// file per second; 0 is no limit. The last one, when nobody is served any more, has none.
	SnapshotRate int64
	// SnapshotKeep is how many snapshots are kept, at least 1.
	SnapshotKeep int
	// Codec compresses snapshots.
	Codec Codec

	Journal Policy
	// JournalInterval is the time between two syncs with PolicyInterval.
	JournalInterval time.Duration
	// JournalTimeout is how long the reply to a change waits for its sync with
	// PolicyAlways, before it becomes an error.
	JournalTimeout time.Duration

	// Strict refuses to start on anything that cannot be read, rather than to
	// go on with what can.
	Strict bool
	// FreezeTTL keeps the time that the process was away out of the items' lives.
	FreezeTTL bool
	// AsStale marks items stale that come back after more than this time; 0 marks none.
	AsStale time.Duration
	// OnError is what happens while nothing can be kept.
	OnError OnError
	// Exit ends the process, with OnErrorExit. It is called once, by any goroutine.
	Exit func(why error)
	// Turned is called, by any goroutine, when Keeper.Kept may have changed and when a
	// snapshot is made. It returns at once. nil: nobody wants to know.
	Turned func()

	// What tests make shorter: the time between two looks at the state, that before
	// the first attempt after a failure, and the length of segments; 0 is the usual.
	pollEvery, retryAfter time.Duration
	segment               int64
}

// DefaultOptions returns the defaults of the command line, without a directory.
func DefaultOptions() Options {
	return Options{
		SnapshotInterval: 5 * time.Minute, SnapshotRate: 64 << 20, SnapshotKeep: 2, Codec: CodecS2,
		Journal: PolicyOff, JournalInterval: time.Second, JournalTimeout: time.Second,
	}
}

// OnError is what a Keeper does while it can keep nothing: a full disk, a
// directory that has gone.
type OnError uint8

// The ways.
const (
	// OnErrorServe: serve on, as a cache that keeps nothing.
	OnErrorServe OnError = iota
	// OnErrorReadonly: answer changes with an error, serve reads.
	OnErrorReadonly
	// OnErrorExit: end the process.
	OnErrorExit
)

var onErrorNames = [...]string{OnErrorServe: "serve", OnErrorReadonly: "readonly", OnErrorExit: "exit"}

// String returns the word of the command line.
func (o OnError) String() string { return onErrorNames[o] }

// ParseOnError returns the way with that name.
func ParseOnError(s string) (OnError, error) {
	for o, name := range onErrorNames {
		if s == name {
			return OnError(o), nil
		}
	}
	return OnErrorServe, fmt.Errorf("it is serve, readonly or exit")
}

// ParseCodec returns the codec with that name.
func ParseCodec(s string) (Codec, error) {
	for c, name := range codecNames {
		if s == name {
			return Codec(c), nil
		}
	}
	return CodecRaw, fmt.Errorf("it is s2, zstd or none")
}
