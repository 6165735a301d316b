package main

import (
	"errors"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/holdfast-cache/holdfast/persist"
	"github.com/holdfast-cache/holdfast/server"
	"github.com/holdfast-cache/holdfast/slab"
	"github.com/rs/zerolog"
)

// memory is the store and what its items live in: memory of the process's own,
// or the file that -e names.
type memory struct {
	store *slab.Store
	arena *persist.Arena // nil: memory of its own
	log   zerolog.Logger
}

// openMemory makes the store. later is a version that has been given out, as far
// as the data directory knows: a memory file that does not is left from before.
func openMemory(o *options, later uint64, log zerolog.Logger) (*memory, error) {
	m := &memory{log: log}
	var err error
	if o.server.MemoryFile == "" {
		if m.store, err = slab.New(o.slab); err != nil {
			return nil, storeFailure(err)
		}
		return m, nil
	}
	path, err := filepath.Abs(o.server.MemoryFile) // -d leaves the directory
	if err != nil {
		return nil, fail(exitOS, "-e: %v", err)
	}
	m.arena, err = persist.OpenArena(path, o.slab, later, persist.System, log)
	var errno syscall.Errno
	switch {
	case errors.Is(err, persist.ErrInUse) || errors.As(err, &errno):
		return nil, fail(exitOS, "-e: %v", err)
	case err != nil:
		return nil, fail(exitUsage, "-e: %v", err)
	}
	m.store = m.arena.Store()
	o.server.ClockStart = m.store.Now()
	m.tell()
	return m, nil
}

// tell says what was in the memory file.
func (m *memory) tell() {
	n := m.arena.Note()
	line := m.log.Info().Str("source", n.Source).Uint64("items", n.Items).
		Str("seconds", strconv.FormatFloat(n.Took.Seconds(), 'f', 3, 64)).Bool("huge_pages", n.HugePages)
	if why := n.Why(); why != "" {
		line = line.Str("dropped", why)
	}
	line.Msg("item memory is in a file")
	if !n.HugePages {
		m.log.Info().Msg("the memory file has small pages, which makes large caches slower; mount its tmpfs with huge=within_size (mount -o remount,huge=within_size does it for files made later)")
	}
}

// kept says that the store has the items of an earlier process, all of them: one
// that was killed while it loaded them from a directory leaves a part.
func (m *memory) kept() bool { return m.arena != nil && m.arena.Note().Whole }

// whole is told when nothing is to be loaded any more.
func (m *memory) whole() {
	if m.arena != nil {
		m.arena.Whole()
	}
}

// close ends the store when nobody uses it any more.
func (m *memory) close() {
	if m.arena == nil {
		_ = m.store.Close()
		return
	}
	if err := m.arena.Close(); err != nil {
		m.log.Warn().Err(err).Msg("-e")
	}
}

// keeper is what the node is told keeps its items, nil if nothing does.
func (m *memory) keeper(k *keeping) server.Keeper {
	switch {
	case k != nil && m.arena != nil:
		return bothKeep{k.Keeper, m.arena}
	case k != nil:
		return k.Keeper
	case m.arena != nil:
		return persist.ArenaKeeper{Arena: m.arena}
	}
	return nil
}

// bothKeep is a directory and an arena.
type bothKeep struct {
	*persist.Keeper
	arena *persist.Arena
}

// Stats tells of both.
func (b bothKeep) Stats(add func(name, value string)) {
	b.Keeper.Stats(add)
	b.arena.Stats(add)
}
