package persist

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
)

// Driver is where a Keeper keeps items: the directory of DriverDir, or whatever
// else is registered. The Keeper decides when to do what; the driver knows how.
//
// Find comes first, then Restore and Start, each once: Start before Restore if
// clients are served meanwhile, else after it. Snapshot, Probe and
// Stats may come from Start on, and Close ends it all. Only one of Find, Restore,
// Snapshot and Probe is called at a time, except that a Snapshot may be cut short
// by its context.
type Driver interface {
	Source
	Sink
	// Stats calls add for each line that "stats persistence" shall have about the driver.
	Stats(add func(name, value string))
	// Close makes durable what is not yet and lets everything go.
	Close() error
}

// Source gives back what an earlier process kept.
type Source interface {
	// Find looks at what there is, without reading it all. An error means that
	// the process should not start.
	Find() (Found, error)
	// Restore puts the items into s, between its BeginRestore and EndRestore.
	// What cannot be trusted is left out and counted. An error says that less was restored
	// than there may be; what was restored stays.
	Restore(ctx context.Context, s *slab.Store, o RestoreOptions) (Recovery, error)
}

// Sink takes the items of this process.
type Sink interface {
	// Start prepares for the changes of s. It returns whom to tell of them, nil
	// if the sink takes snapshots only. Trouble is no error: e is told of it.
	Start(s *slab.Store, e Events) Journal
	// Snapshot keeps all items as they are, each at some moment during the call.
	// last says that s is not changed any more, nor is anybody served who could be slowed down.
	Snapshot(ctx context.Context, s *slab.Store, last bool) (SnapshotInfo, error)
	// Probe finds out whether a Snapshot has a chance.
	Probe() error
}

// Journal is told of changes and says when they are safe.
type Journal interface {
	slab.Journal
	// Appended returns the position after the last change told of.
	Appended() uint64
	// Synced reports whether all before pos is as safe as was promised.
	Synced(pos uint64) bool
	// NotifySynced has wake called once, by any goroutine, when Synced(pos) or
	// when it has taken too long.
	NotifySynced(pos uint64, wake func())
	// Grown returns how many bytes the journal takes since the last Snapshot.
	Grown() int64
}

// Events are what a Sink tells its Keeper, from any goroutine.
type Events struct {
	// Trouble says why changes are not kept at present, "" that they are again.
	Trouble func(reason string)
	// Wanted asks for a Snapshot soon.
	Wanted func()
}

// Found is what a Source knows without reading everything.
type Found struct {
	// Ver is a version that none of the items exceeds, nor any that was given
	// out before it was written down. The store's own go on well above it.
	Ver uint64
	// Items is about how many there are.
	Items uint64
	// Stamp ties the store's clock to the world's; one whose Now is 0 says that
	// nothing was kept.
	Stamp Stamp
	// Last is the store's clock at the last sign of life.
	Last uint32
	// Begin is the store's clock at which Restore must begin, because items that
	// are dead by now may have been given a longer life later; 0 is the present.
	Begin uint32
	// Complete is when the newest snapshot was begun: it has every change before
	// that, and may lack later ones. Zero if there is none or it is not known.
	Complete time.Time
	// Damaged says that not all can be read that should be there, so that what can be
	// may be older than what was kept.
	Damaged bool
}

// RestoreOptions are how items are put back.
type RestoreOptions struct {
	// Marks are set on every item.
	Marks slab.Marks
	// Progress is called from time to time, if it is not nil.
	Progress func(RestoreProgress)
}

// Recovery is what a Source has given back.
type Recovery struct {
	Restored
	// Source says in a few words what it came from.
	Source string
	// Distrusted are items that were put back and removed again, because a change
	// of them may be missing.
	Distrusted uint64
	// Problems are what could not be read or trusted, each in a line.
	Problems []string
	// Complete is a time before which no change that the last process made is
	// missing in what was put back; zero if that is not known.
	Complete time.Time
	// Rebase asks for a Snapshot soon: what there is is damaged, or slow to read.
	Rebase bool
}

// DriverDir is the driver that keeps items in the files of a directory.
const DriverDir = "dir"

var drivers = struct {
	sync.Mutex
	open map[string]func(*Options) (Driver, error)
}{open: map[string]func(*Options) (Driver, error){DriverDir: openDir}}

// Register makes a driver known by a name. open takes possession of the place
// that the options name, and fails if it may not be used; it must not keep items yet. A
// name that is taken is a mistake in the program: Register panics.
func Register(name string, open func(*Options) (Driver, error)) {
	drivers.Lock()
	defer drivers.Unlock()
	if drivers.open[name] != nil {
		panic("persist: there is a driver called " + name)
	}
	drivers.open[name] = open
}

// openDriver opens the driver that the options name.
func openDriver(o *Options) (Driver, error) {
	drivers.Lock()
	open := drivers.open[o.Driver]
	var names []string
	for name := range drivers.open {
		names = append(names, name)
	}
	drivers.Unlock()
	if open == nil {
		slices.Sort(names)
		return nil, fmt.Errorf("there is no driver %q, only %s", o.Driver, strings.Join(names, ", "))
	}
	return open(o)
}
