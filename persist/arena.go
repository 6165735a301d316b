package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
	"github.com/rs/zerolog"
)

// The warm arena: item memory in a file of a memory file system. The kernel
// keeps such a file when the process ends, however it ends, so the next process
// finds every item in it (slab, "Beyond the process"). What is left to do here is
// to open the file so that nothing bad comes of it:
//
//	FILE       item memory, all of its space reserved
//	FILE.old   memory of other item classes, while it is being read
//	FILE.bad   what could not be used, kept for whoever wants to know why
//
// The file is locked while a process uses it. What is in it is believed only if
// the machine has not been started anew since, or it was closed in order:
// memory reaches a disk in no particular order.

// arenaFailures is how many times in a row a process may end while it reads a
// file before the file is set aside.
const arenaFailures = 3

// ErrInUse: another process has the file or directory.
var ErrInUse = errors.New("in use by another process")

// Arena is an open memory file and the store in it.
type Arena struct {
	path  string
	later uint64
	file  *memoryFile
	store *slab.Store
	clock Clock
	began Stamp // of this start, once it is known
	log   zerolog.Logger
	note  ArenaNote
}

// ArenaNote is what opening an arena came to, for logs and statistics.
type ArenaNote struct {
	// Source is "empty", "sealed" (taken over as it was), "scanned" (after a
	// crash) or "converted" (of other item classes).
	Source string
	slab.Recovery
	// Bytes is the size of the file; HugePages says that the system backs it
	// with large pages.
	Bytes     int64
	HugePages bool
	// SetAside is why what was there could not be used, "" if it could.
	SetAside string
	// Whole says that everything is there that the last process had: false of an
	// empty one, and of one whose process ended before its owner called Whole.
	Whole bool
	// Complete is when the store was last told the time by the last process, or
	// when that ended in order: no change before it is missing. Zero if there was none, or if it is not known.
	Complete time.Time
}

// OpenArena makes a store whose items live in the file at path, and which has
// the items that are in there already, unless they are older than version later,
// which is known to have been given out elsewhere since. If later is not 0 items
// are to be loaded from there, and what such a load has left unfinished is
// cleared: it is begun anew. conf is the store's,
// without Memory. The file is made if it is not there. Close ends it; the store
// is closed by that too.
func OpenArena(path string, conf slab.Config, later uint64, clock Clock, log zerolog.Logger) (*Arena, error) {
	began := time.Now()
	a := &Arena{path: path, later: later, clock: clock, log: log.With().Str("file", path).Logger()}
	need, err := slab.MemoryBytes(conf)
	if err != nil {
		return nil, err
	}
	if a.file, err = openMemoryFile(path); err != nil {
		return nil, err
	}
	if err := a.open(conf, need); err != nil {
		return nil, errors.Join(err, a.file.close())
	}
	a.note.Took = time.Since(began)
	a.note.Bytes = int64(len(a.file.mem))
	a.note.HugePages = a.file.hugePages()
	return a, nil
}

// open makes the store on the open file, whatever is in it.
func (a *Arena) open(conf slab.Config, need int64) error {
	if a.file.onDisk() {
		a.log.Warn().Msg("the memory file is on a disk: requests will wait for it, and it survives a crash of the process but not of the machine; put it on a tmpfs, such as /dev/shm")
	}
	found, err := a.makeRoom(need)
	if err != nil {
		return err
	}
	conf.Memory, conf.Now = a.file.mem, max(conf.Now, found.Now)
	if then, ok := readNote(a.file.mem); ok {
		a.began = a.clock.World().Resume(then)
		conf.Now = max(conf.Now, a.began.Now)
		if !found.Empty {
			a.note.Complete = then.Time(found.Now)
		}
	}
	a.note.Whole = !found.Empty && *wholeMark(a.file.mem) != 0
	a.store, err = slab.New(conf)
	var old oldMemory
	switch {
	case errors.Is(err, slab.ErrGeometry):
		a.log.Info().Msg("the memory file is of a server with other item classes; its items are read into a new one")
		if old, err = a.file.detach(a.path+".old", need); err != nil {
			return err
		}
		var file *memoryFile
		if file, err = openMemoryFile(a.path); err != nil {
			return errors.Join(err, old.close())
		}
		a.file = file
		if err = a.file.resize(need); err == nil {
			conf.Memory = a.file.mem
			a.store, err = slab.New(conf)
		}
	case err == nil:
		old, err = openOldMemory(a.path + ".old") // if the last process did not finish with it
	}
	if err != nil {
		return errors.Join(err, old.close())
	}
	a.note.Recovery = a.store.Recovered()
	switch {
	case a.note.Sealed:
		a.note.Source = "sealed"
	case found.Empty:
		a.note.Source = "empty"
	default:
		a.note.Source = "scanned"
	}
	a.stamp()
	return a.convert(old)
}

// makeRoom looks at the file, sets it aside if it cannot be used, and has it
// reserve the space that the store needs.
func (a *Arena) makeRoom(need int64) (slab.Found, error) {
	found, why := a.inspect()
	if why == "" && !found.Empty && a.later > 0 && *wholeMark(a.file.mem) == 0 {
		a.log.Info().Msg("the last start ended before everything was loaded into the memory file; it is begun anew")
		found = slab.Found{Empty: true}
		if err := a.file.clear(); err != nil {
			return found, err
		}
	}
	if why == "" {
		return found, a.file.resize(max(need, found.Bytes))
	}
	a.note.SetAside = why
	bad := a.path + ".bad"
	if err := a.file.replace(bad); err != nil {
		return found, err
	}
	err := a.file.resize(need)
	if errors.Is(err, errNoSpace) {
		// No room for both, and a cache starts.
		bad = ""
		if err = os.Remove(a.path + ".bad"); err == nil {
			err = a.file.resize(need)
		}
	}
	a.log.Warn().Str("why", why).Str("kept", bad).Msg("the memory file cannot be used; starting empty")
	return slab.Found{Empty: true}, err
}

// inspect maps the file as it is and looks at it. why is what is against using it.
func (a *Arena) inspect() (found slab.Found, why string) {
	size, err := a.file.size()
	if err == nil && size == 0 {
		return slab.Found{Empty: true}, ""
	}
	if err == nil {
		err = a.file.remap(size)
	}
	if err == nil {
		found, err = slab.Inspect(a.file.mem)
	}
	if err != nil {
		return found, err.Error()
	}
	if found.Empty {
		return found, ""
	}
	if found.Failures >= arenaFailures {
		return found, fmt.Sprintf("the last %d starts from it failed", found.Failures)
	}
	if found.Version < a.later {
		return found, "later items are kept elsewhere"
	}
	then, ok := readNote(a.file.mem)
	if world := a.clock.World(); !found.Sealed && (!ok || then.Boot != world.Boot) && !a.file.volatile {
		return found, "the machine went down while it was in use"
	}
	return found, ""
}

// convert puts the items of other memory into the store, and gives it up.
func (a *Arena) convert(old oldMemory) error {
	if old.mem == nil {
		return nil
	}
	found, err := slab.Inspect(old.mem)
	if err != nil {
		a.log.Warn().Err(err).Msg("a memory file that was to be read cannot be; it is kept as it is")
		return nil
	}
	a.store.BeginRestore(found.Version, int(found.Items))
	w := a.store.NewWorker()
	full := uint64(0)
	n, err := slab.Salvage(old.mem, func(r *slab.Record) {
		if res := w.Restore(r); res == slab.NoMemory || res == slab.TooLarge {
			full++
		}
	})
	a.store.EndRestore(true)
	n.NoRoom += full
	a.note.Whole = *wholeMark(old.mem) != 0
	if a.note.Whole {
		a.Whole()
	}
	a.note.Source, a.note.Recovery = "converted", n
	then, ok := readNote(old.mem)
	if at := then.Time(found.Now); !ok {
		a.note.Complete = time.Time{}
	} else if a.note.Complete.IsZero() || at.Before(a.note.Complete) {
		a.note.Complete = at
	}
	return errors.Join(err, old.close())
}

// Store returns the store in the arena.
func (a *Arena) Store() *slab.Store { return a.store }

// Note tells what was found when the arena was opened.
func (a *Arena) Note() ArenaNote { return a.note }

// Whole marks the memory as one that has everything: items that are kept
// elsewhere need not be put into it again. Until then a crash leaves a part only.
func (a *Arena) Whole() { *wholeMark(a.file.mem) = 1 }

// Close ends the store. Nobody may use it any more. In an orderly end the next
// start is spared from reading every item.
func (a *Arena) Close() error {
	a.stamp()
	err := a.store.Seal()
	if err != nil {
		err = fmt.Errorf("%s is not sealed, so the next start reads every item: %w", a.path, err)
	}
	return errors.Join(err, a.file.sync(), a.store.Close(), a.file.close())
}

// The note in the memory: a Stamp, its checksum, and whether the memory is whole.

func wholeMark(mem []byte) *byte { return &slab.MemoryNote(mem)[stampBytes+4] }

func (a *Arena) stamp() {
	s := a.clock.World()
	if r := s.Resume(a.began); a.began.WallNs != 0 && r.Now >= a.store.Now() {
		s = r
	} else {
		s.Now = a.store.Now()
	}
	a.began = s
	var b [stampBytes + 4]byte
	s.put(b[:])
	binary.LittleEndian.PutUint32(b[stampBytes:], crc32.Checksum(b[:stampBytes], castagnoli))
	copy(slab.MemoryNote(a.file.mem), b[:])
}

func readNote(mem []byte) (Stamp, bool) {
	b := slab.MemoryNote(mem)[:stampBytes+4]
	if bytes.Count(b, []byte{0}) == len(b) {
		return Stamp{}, false
	}
	return parseStamp(b), crc32.Checksum(b[:stampBytes], castagnoli) == binary.LittleEndian.Uint32(b[stampBytes:])
}

var errNoDir = errors.New("no data directory (start with --data-dir)")
