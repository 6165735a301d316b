package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-cache/holdfast/persist"
	"github.com/holdfast-cache/holdfast/server"
)

// A bootMark is a small file beside what keeps the items. It names the process
// that has them, and whether a next one that finds them may miss something of what
// that one had acknowledged.
type bootMark struct {
	path    string
	id      string // of the process before, "" if there was none
	nothing bool   // nothing is missing of what it did
}

// The words of a mark behind the boot id.
const (
	markServing = "serving" // it may end at any time, and lose something then
	markSafe    = "safe"    // nothing that was acknowledged is lost, whenever it ends
)

// readMark reads the mark of the process before.
func readMark(path string) *bootMark {
	m := &bootMark{path: path}
	text, err := os.ReadFile(path)
	if words := strings.Fields(string(text)); err == nil && len(words) == 2 {
		m.id, m.nothing = words[0], words[1] == markSafe
	}
	return m
}

// write puts the mark of this process in the place of that, and on the disk.
func (m *bootMark) write(id, state string) error {
	f, err := os.Create(m.path + ".new")
	if err != nil {
		return err
	}
	_, err = f.WriteString(id + " " + state + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(m.path+".new", m.path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(m.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// origins are the marks of the memory file and of the directory, nil where there is none.
type origins struct{ arena, dir *bootMark }

// markOrigins reads the marks there are and puts this process's in their places.
func (s *service) markOrigins() {
	id := s.node.BootID()
	if s.mem.arena != nil {
		s.marks.arena = readMark(s.o.server.MemoryFile + ".boot")
		s.mark(s.marks.arena, id, markSafe)
	}
	if s.keep != nil {
		s.marks.dir = readMark(filepath.Join(s.o.keep.Dir, "boot"))
		state := markServing
		if s.o.keep.Journal == persist.PolicyAlways {
			state = markSafe
		}
		s.mark(s.marks.dir, id, state)
	}
}

// markEnd says in the directory that all items are kept.
func (s *service) markEnd() {
	if s.marks.dir != nil {
		s.mark(s.marks.dir, s.node.BootID(), markSafe)
	}
}

// mark writes a mark. Without one a proxy takes the node for one that has lost
// something, which costs a flush and no more.
func (s *service) mark(m *bootMark, id, state string) {
	if err := m.write(id, state); err != nil {
		s.log.Warn().Err(err).Msg("the boot mark could not be written; a proxy will flush this node after its next start")
		_ = os.Remove(m.path) // an old one would say too much
	}
}

// tellOrigin tells the node where its items have come from, if it did not begin empty.
// With --serve-while-loading it is told again, and then more exactly, when all is loaded.
func (s *service) tellOrigin(started time.Time) {
	complete, items := s.mem.origin(s.keep)
	if !items {
		return
	}
	r := server.Restored{At: started.Unix()}
	from := s.marks.dir
	if s.mem.fromArena() {
		from = s.marks.arena
	}
	if from != nil {
		r.From = from.id
	}
	switch {
	case complete.IsZero():
	case from != nil && from.nothing:
		r.SnapshotTime = r.At
	default:
		// The store's clock counts whole seconds, so what is said of it may be one off.
		r.SnapshotTime = max(complete.Unix()-1, 1)
	}
	s.node.SetRestored(r)
}

// fromArena says that the items are those of the memory file.
func (m *memory) fromArena() bool { return m.arena != nil && m.arena.Note().Items > 0 }

// origin tells whether there are items of an earlier process, and a time before which no
// change that it made is missing, zero if that is not known.
func (m *memory) origin(k *keeping) (complete time.Time, items bool) {
	if m.fromArena() {
		return m.arena.Note().Complete, true
	}
	if k == nil {
		return time.Time{}, false
	}
	return k.Origin()
}
