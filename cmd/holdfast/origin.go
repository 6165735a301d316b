package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-cache/holdfast/server"
)

// A bootMark is a small file beside what keeps the items. It names the process
// that has them, and whether a next one that finds them may miss something of what
// that one had acknowledged:
//
//	ID safe|serving [TIME]
//
// TIME is there if that process itself had begun with less than the one before it had
// acknowledged, and its store was not flushed since: nothing before TIME is missing, in
// unix seconds, and 0 says that this is not known.
type bootMark struct {
	path    string
	id      string // of the process before, "" if there was none
	nothing bool   // nothing is missing of what it did
	lacking
	text string // of the mark that stands
}

// lacking is what a process began with: less than was acknowledged, and since when.
type lacking struct {
	lacks bool
	since int64
}

// The words of a mark behind the boot id.
const (
	markServing = "serving" // it may end at any time, and lose something then
	markSafe    = "safe"    // nothing that was acknowledged is lost, whenever it ends
)

// readMark reads the mark of the process before. One that is not whole says nothing.
func readMark(path string) *bootMark {
	m := &bootMark{path: path}
	text, err := os.ReadFile(path)
	words := strings.Fields(string(text))
	if err != nil || len(words) < 2 || len(words) > 3 || !strings.HasSuffix(string(text), "\n") {
		return m
	}
	if len(words) == 3 {
		if m.since, err = strconv.ParseInt(words[2], 10, 64); err != nil {
			return m
		}
		m.lacks = true
	}
	m.id, m.nothing, m.text = words[0], words[1] == markSafe, string(text)
	return m
}

// write puts the mark of this process in the place of that, and on the disk.
func (m *bootMark) write(id, state string, l lacking) error {
	text := id + " " + state
	if l.lacks {
		text += " " + strconv.FormatInt(l.since, 10)
	}
	if text += "\n"; text == m.text {
		return nil
	}
	m.text = "" // what stands if this fails is not known
	f, err := os.Create(m.path + ".new")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
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
	if err = errors.Join(dir.Sync(), dir.Close()); err == nil {
		m.text = text
	}
	return err
}

// origins are the marks of the memory file and of the directory, nil where there is
// none, and what this process has begun with.
type origins struct {
	arena, dir *bootMark
	mu         sync.Mutex // of what follows, and of the marks
	began      lacking
	serving    bool // the marks are those of this process
	ended      bool // all items are kept, and it will not change any more
}

// readMarks reads the marks there are.
func (s *service) readMarks() {
	if s.mem.arena != nil {
		s.marks.arena = readMark(s.o.server.MemoryFile + ".boot")
	}
	if s.keep != nil {
		s.marks.dir = readMark(filepath.Join(s.o.keep.Dir, "boot"))
	}
}

// markServe puts this process's marks in the place of those, before its first client.
func (s *service) markServe() {
	s.marks.mu.Lock()
	s.marks.serving = true
	s.marks.mu.Unlock()
	s.mark()
}

// markEnd says in the directory that all items are kept.
func (s *service) markEnd() {
	s.marks.mu.Lock()
	s.marks.ended = true
	s.marks.mu.Unlock()
	s.mark()
}

// followMarks keeps the mark of the directory true, until ctx ends. It says safe only as
// long as nothing acknowledged can be lost: while the disk is in trouble it does not.
// A disk that cannot even take that leaves the old mark, and nothing is
// acknowledged then that it would be wrong about: a reply has waited for the disk.
func (s *service) followMarks(ctx context.Context) {
	if s.keep == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.keep.turned:
			s.mark()
		}
	}
}

// mark writes the marks, if they have changed.
func (s *service) mark() {
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	if !s.marks.serving {
		return
	}
	// After a flush nothing is left of what was too old; but a directory must have heard of it.
	began := s.marks.began
	flushed := began.lacks && s.mem.store.Flushes() > 0
	if s.marks.arena != nil {
		s.markLocked(s.marks.arena, markSafe, began.unless(flushed))
	}
	if s.marks.dir != nil {
		state, safe := markServing, s.marks.ended || s.keep.Kept()
		if safe {
			state = markSafe
		}
		s.markLocked(s.marks.dir, state, began.unless(flushed && safe && s.keep.heard()))
	}
}

// unless is l, or nothing.
func (l lacking) unless(made bool) lacking {
	if made {
		return lacking{}
	}
	return l
}

// markLocked writes a mark. Without one a proxy takes the node for one that has lost
// something, which costs a flush and no more. The caller holds marks.mu.
func (s *service) markLocked(m *bootMark, state string, l lacking) {
	err := m.write(s.node.BootID(), state, l)
	if err == nil {
		return
	}
	s.log.Warn().Err(err).Msg("the boot mark could not be written; a proxy will flush this node after its next start")
	_ = os.Remove(m.path) // an old one would say too much; if it stays, it names another process
}

// tellOrigin tells the node where its items have come from, if it did not begin empty.
// With --serve-while-loading it is told again, and then more exactly, when all is loaded.
func (s *service) tellOrigin(started time.Time) {
	complete, items, whole := s.mem.origin(s.keep)
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
	case from != nil && from.nothing && whole:
		r.SnapshotTime = r.At
	default:
		// The store's clock counts whole seconds, so what is said of it may be one off.
		r.SnapshotTime = max(complete.Unix()-1, 1)
	}
	if from != nil && from.lacks { // what that process was without, this one is without, too
		r.SnapshotTime = min(r.SnapshotTime, from.since)
	}
	s.marks.mu.Lock()
	s.marks.began = lacking{r.SnapshotTime < r.At, r.SnapshotTime}
	s.marks.mu.Unlock()
	s.node.SetRestored(r)
	s.mark()
}

// fromArena says that the items are those of the memory file.
func (m *memory) fromArena() bool { return m.arena != nil && m.arena.Note().Items > 0 }

// origin tells whether there are items of an earlier process, a time before which no
// change that it made is missing, zero if that is not known, and whether all that was
// kept could be read.
func (m *memory) origin(k *keeping) (complete time.Time, items, whole bool) {
	if m.fromArena() {
		return m.arena.Note().Complete, true, true
	}
	if k == nil {
		return time.Time{}, false, false
	}
	return k.Origin()
}
