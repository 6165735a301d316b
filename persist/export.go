package persist

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Export calls visit for the items that a restore of path would give: a
// snapshot, a segment of a journal by itself, or a directory, which is its newest
// complete snapshot and the segments above. Every item comes once, as it was
// last, whether its time has passed or not; what visit gets is valid until it returns. Damage is passed over: the
// reports tell of it. The memory it takes grows with the number of keys. Export
// stops at the first error of visit's, and returns it.
func Export(fs FS, path string, visit func(e *DumpEntry) error) ([]Report, error) {
	paths, err := exported(fs, path)
	if err != nil {
		return nil, err
	}
	x := exporter{keys: map[string]exportKey{}}
	var reports []Report
	for _, p := range paths {
		report := steady(func() Report { // to look twice makes no difference
			r, err := Dump(fs, p, x.look)
			r.Err = err
			return r
		})
		x.flushed = max(x.flushed, report.Snapshot.Flushed)
		reports = append(reports, report)
	}
	for i, p := range paths {
		if reports[i].Err != nil {
			continue
		}
		var stop error
		for n, done := 0, false; !done; n++ { // nor does this: what was handed out is not handed out again
			_, err := Dump(fs, p, func(e *DumpEntry) error {
				stop = x.pass(e, visit)
				return stop
			})
			done = err == nil
			if stop != nil || !done && n == looks {
				return reports, err
			}
		}
	}
	return reports, nil
}

// exported returns the files that make up what is at path, in order.
func exported(fs FS, path string) ([]string, error) {
	if _, err := fs.List(path); err != nil {
		return []string{path}, nil
	}
	files, err := listFiles(fs, path, false)
	if err != nil {
		return nil, err
	}
	var paths []string
	after := uint64(0)
	for i := len(files.snapshots) - 1; i >= 0 && after == 0; i-- {
		name := filepath.Join(path, snapshotName(files.snapshots[i]))
		src, err := openSnapshot(fs, name)
		if err != nil {
			continue
		}
		if src.complete {
			paths, after = append(paths, name), files.snapshots[i]
		}
		if err := src.close(); err != nil {
			return nil, err
		}
	}
	for _, seq := range files.segments {
		if seq > after {
			paths = append(paths, filepath.Join(path, segmentName(seq)))
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: no snapshot and no journal is there", path)
	}
	return paths, nil
}

// exportKey is what is known of a key after the first pass.
type exportKey struct {
	ver     uint64
	exptime uint32 // if touched
	expires time.Time
	touched bool
	gone    bool // removed up to ver, or handed out
}

// exporter finds out in a first pass which item of a key is the last, and hands
// it out in a second one.
type exporter struct {
	keys    map[string]exportKey
	flushed uint64
}

func (x *exporter) look(e *DumpEntry) error {
	k := x.keys[string(e.Key)]
	switch e.Op {
	case OpPut:
		if e.Ver > k.ver {
			x.keys[string(e.Key)] = exportKey{ver: e.Ver}
		}
	case OpRemove:
		if e.Ver >= k.ver {
			x.keys[string(e.Key)] = exportKey{ver: e.Ver, gone: true}
		}
	case OpTouch:
		if e.Ver == k.ver && !k.gone {
			k.touched, k.exptime, k.expires = true, e.Exptime, e.Expires
			x.keys[string(e.Key)] = k
		}
	case OpFlush:
		x.flushed = max(x.flushed, e.Ver)
	}
	return nil
}

func (x *exporter) pass(e *DumpEntry, visit func(e *DumpEntry) error) error {
	k := x.keys[string(e.Key)]
	if e.Op != OpPut || e.Ver != k.ver || k.gone || e.Ver <= x.flushed {
		return nil
	}
	k.gone = true
	x.keys[string(e.Key)] = k
	if k.touched {
		e.Exptime, e.Expires = k.exptime, k.expires
	}
	return visit(e)
}

// Damage is the first reason why a file of the reports is not as it was written,
// nil if all are.
func Damage(reports []Report) error {
	for i := range reports {
		r := &reports[i]
		switch {
		case r.Err != nil:
			return r.Err
		case !r.Complete:
			return fmt.Errorf("%s: it is incomplete: %w", r.Name, ErrDamaged)
		case r.Damaged():
			return fmt.Errorf("%s: %s cannot be read, %d items are lost: %w", r.Name, plural(int(r.BadBlocks)+r.GapCount, "part"), r.Lost, ErrDamaged)
		}
	}
	return nil
}

var errNoFile = errors.New("there is no such file or directory")

// Exists returns an error in plain words unless there is a file or directory at path.
func Exists(path string) error {
	if !exists(path) {
		return fmt.Errorf("%s: %w", path, errNoFile)
	}
	return nil
}
