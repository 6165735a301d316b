package persist

import (
	"errors"
	"fmt"

	"github.com/holdfast-cache/holdfast/slab"
)

// KindArena is what Check calls a memory file. No file has it in a Header.
const KindArena Kind = 3

// readArena tells what is in the memory file at path, and calls visit, which may
// be nil, for every item that is whole and alive. It reports false if the file is
// none. The file is not changed. While a server has it, it cannot be read.
func readArena(fs FS, path string, visit func(e *DumpEntry) error) (Report, bool) {
	if fs != OS || !isArena(path) {
		return Report{}, false
	}
	r := Report{Name: path, Header: Header{Kind: KindArena}}
	m, err := openArenaToRead(path)
	if err != nil {
		r.Err = err
		return r, true
	}
	r.Err = errors.Join(r.readMemory(m.mem, visit), m.close())
	return r, true
}

func (r *Report) readMemory(mem []byte, visit func(e *DumpEntry) error) error {
	found, err := slab.Inspect(mem)
	if err != nil {
		return err
	}
	r.Size, r.Complete, r.MaxVer = int64(len(mem)), true, found.Version
	stamp, ok := readNote(mem)
	if !ok {
		return fmt.Errorf("it does not say when it was made: %w", ErrDamaged)
	}
	r.Header.Stamp = stamp
	var stop error
	n, err := slab.Salvage(mem, func(rec *slab.Record) {
		if visit == nil || stop != nil {
			return
		}
		e := DumpEntry{Entry: Entry{Op: OpPut, Record: *rec}, Accessed: stamp.Time(rec.LastAccess)}
		if e.Exptime != 0 {
			e.Expires = stamp.Time(e.Exptime)
		}
		stop = visit(&e)
	})
	r.Items, r.Puts, r.BadBlocks = n.Items, n.Items, n.Damaged
	return errors.Join(err, stop)
}
