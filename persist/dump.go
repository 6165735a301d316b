package persist

import (
	"errors"
	"io"
	"time"
)

// DumpEntry is an entry with its times as the world tells them.
type DumpEntry struct {
	Entry
	Expires  time.Time // the zero Time is never
	Accessed time.Time
}

// Dump calls visit for the entries of a snapshot or a journal segment, in the
// order of the file, or for the items of a memory file, in none; what visit gets is valid until it returns. Blocks that are
// damaged are passed over: the Report that comes back counts them. Dump stops at
// the first error of visit's, and returns it.
func Dump(fs FS, path string, visit func(e *DumpEntry) error) (Report, error) {
	if r, is := readArena(fs, path, visit); is {
		return r, r.Err
	}
	r, err := openReader(fs, path)
	if err != nil {
		return Report{Name: path, Err: err}, err
	}
	c := checker{r: r, report: Report{Name: path, Header: r.head, Size: r.size}}
	err = errors.Join(c.dump(visit), r.close())
	c.finish()
	return c.report, err
}

func (c *checker) dump(visit func(e *DumpEntry) error) error {
	defer c.unpack.close()
	var d DumpEntry
	var b block
	for {
		if err := c.r.read(&b); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		c.end = b.end()
		c.synced = max(c.synced, int64(b.synced)*headerBytes)
		// The block is read as a whole first: its entries are good together or not at all.
		if c.block(&b) != nil || b.typ != blockEntries {
			continue
		}
		payload, err := c.unpack.unpack(&b)
		if err != nil {
			return err
		}
		err = eachEntry(payload, b.entries, &d.Entry, func(*Entry) error {
			d.Expires, d.Accessed = time.Time{}, time.Time{}
			if d.Exptime != 0 {
				d.Expires = c.r.head.Stamp.Time(d.Exptime)
			}
			if d.Op == OpPut {
				d.Accessed = c.r.head.Stamp.Time(d.LastAccess)
			}
			return visit(&d)
		})
		if err != nil {
			return err
		}
	}
}
