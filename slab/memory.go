package slab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Item memory that outlives the process. Whoever maps a file, or keeps memory in
// another way, gives it to New; the store leaves it valid at every instruction
// (see the invariants in doc.go), so that the next New finds every item in it
// that was acknowledged, however this process ends. Seal makes that start fast.

// Errors of Config.Memory.
var (
	// ErrForeign: the memory is not a store's, or of a layout that this version
	// does not know.
	ErrForeign = errors.New("not the memory of a store that this version knows")
	// ErrGeometry: the memory is a store's with other pages or classes. Salvage
	// reads it.
	ErrGeometry = errors.New("the memory is of a store with other item classes")
)

// Found is what Inspect tells of memory.
type Found struct {
	// Empty: nothing has ever been in it.
	Empty bool
	// Sealed: the last process ended in order.
	Sealed bool
	// Bytes is how much of the memory the store takes.
	Bytes int64
	// Items is about how many items there are, Now what the store's clock was
	// when it was last told the time.
	Items uint64
	Now   uint32
	// Version is the highest that was given out.
	Version uint64
	// Failures is how many times in a row New did not return.
	Failures int
}

// Inspect looks at memory before New does. The error is ErrForeign, wrapped.
func Inspect(mem []byte) (Found, error) {
	if len(mem) < superBytes {
		return Found{}, fmt.Errorf("slab: %d bytes: %w", len(mem), ErrForeign)
	}
	p := superOf(mem)
	if p.isZero() {
		return Found{Empty: true}, nil
	}
	if err := p.check(len(mem)); err != nil {
		return Found{}, fmt.Errorf("slab: %w", err)
	}
	return Found{
		Sealed: p.state.Load() == memorySealed,
		Bytes:  int64(p.pages) * int64(p.pageBytes),
		Items:  p.items.Load(), Now: p.now.Load(), Version: p.ver.Load() & verMask, Failures: int(p.streak.Load()),
	}, nil
}

// IsMemory reports whether memory that begins so may be a store's. Inspect tells.
func IsMemory(head [8]byte) bool { return binary.NativeEndian.Uint64(head[:]) == superMagic }

// check says what is wrong with a super at the start of so many bytes.
func (p *super) check(bytes int) error {
	switch {
	case p.magic != superMagic:
		return ErrForeign
	case p.layout != superLayout:
		return fmt.Errorf("layout %d: %w", p.layout, ErrForeign)
	case p.sum != p.geometry():
		return fmt.Errorf("its head is damaged: %w", ErrForeign)
	case uint64(p.pages)*uint64(p.pageBytes) > uint64(bytes):
		return fmt.Errorf("cut to %d bytes of %d: %w", bytes, uint64(p.pages)*uint64(p.pageBytes), ErrForeign)
	case p.classes > classMax || p.pageBytes < pageBytesMin || p.shift < chunkAlignShift || p.shift > 12:
		return fmt.Errorf("its head makes no sense: %w", ErrForeign)
	}
	return nil
}

// MemoryNote returns the bytes of a memory that are its owner's: the store
// never looks at them. They are zero at first.
func MemoryNote(mem []byte) []byte { return superOf(mem).note[:] }

// MemoryBytes returns how many bytes of Config.Memory a store with this Config
// needs: its limit, a page that says what is where, and room for Seal.
func MemoryBytes(c Config) (int64, error) {
	cfg, err := c.resolved()
	if err != nil {
		return 0, err
	}
	page := int64(cfg.PageBytes)
	pages := (cfg.LimitBytes + page - 1) / page
	pages += 1 + (pages*sealedPageBytes+sealRoom+page-1)/page
	if pages > page-superBytes {
		return 0, fmt.Errorf("slab: memory in a file cannot be more than %d pages of %d bytes", page-superBytes, page)
	}
	return pages * page, nil
}

// Recovery is what New found in Config.Memory.
type Recovery struct {
	// Sealed: everything was taken over as it was. Otherwise each item was looked at.
	Sealed bool
	// Items were kept. The others were not: Expired had met their exptime or a
	// flush, Superseded were older versions of a key, which a crash left
	// behind, Damaged made no sense, and for NoRoom the index had none.
	Items, Expired, Superseded, Damaged, NoRoom uint64
	// Took is how long all that was; the owner sets it, for the store has no clock.
	Took time.Duration
}

// Recovered tells what New found in Config.Memory.
func (s *Store) Recovered() Recovery { return s.recovery }

// openMemory makes the memory that the store was given its own: what is written
// once is written, or found to be this store's. New calls it when the classes
// are known and the index is not.
func (s *Store) openMemory() error {
	mem := s.cfg.Memory
	if mem == nil {
		return nil
	}
	found, err := Inspect(mem)
	if err != nil {
		return err
	}
	p := superOf(mem)
	if !found.Empty && !s.fits(p) {
		return fmt.Errorf("slab: %w", ErrGeometry)
	}
	s.super = p
	s.ver, s.flushVer = &p.ver, &p.flushVer
	if found.Empty {
		p.ver.Store(1)
		p.pageBytes, p.shift, p.classes = uint32(s.cfg.PageBytes), uint32(s.shift), uint32(s.table.n)
		p.sizes = s.table.size
		p.seed = s.seed
		p.layout = superLayout
	}
	s.seed = p.seed
	// A larger memory than before is more pages of the same store.
	p.pages = uint32(len(s.pages))
	p.sum = p.geometry()
	p.magic = superMagic
	s.raiseNow(p.now.Load())
	s.flush.mu.at = p.flushAt.Load()
	return nil
}

// fits says whether the memory is divided as this store divides its own.
func (s *Store) fits(p *super) bool {
	return p.pageBytes == uint32(s.cfg.PageBytes) && p.shift == uint32(s.shift) &&
		p.classes == uint32(s.table.n) && p.sizes == s.table.size && int(p.pages) <= len(s.pages)
}

// takeOver makes the items in the memory the store's. It is the last that New does.
func (s *Store) takeOver() {
	p := s.super
	if p == nil {
		return
	}
	s.expiryUnknown()
	sealed := p.state.Load() == memorySealed
	p.streak.Add(1)
	p.state.Store(memoryRunning)
	if sealed && s.unseal() {
		s.recovery.Sealed = true
	} else {
		s.recover()
	}
	p.streak.Store(0)
}
