package persist

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// badSuffix marks a file that was set aside: it is evidence, and not read again.
const badSuffix = ".bad"

// badMax is how many files are kept as evidence; the oldest go first.
const badMax = 8

// probeName is what is written to find out whether something can be.
const probeName = "probe"

// lockName is the file whose lock says whose the directory is.
const lockName = "lock"

// prepareDir makes the directory, unless it is there, and checks that it may be
// used: it must be this user's own, for whoever can put a file there can put
// items into the cache.
func prepareDir(fs FS, dir string) error {
	if fs != OS {
		return fs.MkdirAll(dir)
	}
	info, err := os.Lstat(dir)
	if errors.Is(err, os.ErrNotExist) {
		if err = fs.MkdirAll(dir); err == nil {
			info, err = os.Lstat(dir)
		}
	}
	switch {
	case err != nil:
		return err
	case info.Mode()&os.ModeSymlink != 0:
		return errors.New("it is a link: name the directory itself")
	case !info.IsDir():
		return errors.New("it is not a directory")
	}
	return checkOwner(info)
}

// fileKind returns what a file of the directory is by its name, 0 if it is not
// one of the Keeper's, and its number. bad says that it was set aside.
func fileKind(name string) (kind Kind, seq uint64, bad bool) {
	name, bad = strings.CutSuffix(name, badSuffix)
	if hex, ok := strings.CutPrefix(name, "snap-"); ok {
		hex, ok = strings.CutSuffix(hex, ".hfs")
		if seq, err := strconv.ParseUint(hex, 16, 64); ok && err == nil && snapshotName(seq) == name {
			return KindSnapshot, seq, bad
		}
	}
	if seq, ok := segmentSeq(name); ok {
		return KindJournal, seq, bad
	}
	return 0, 0, false
}

// exists reports whether the system has a file of that name.
func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// isFile reports whether an open file is the one that the system has of that name.
func isFile(f io.Closer, name string) bool {
	of, is := f.(*os.File)
	if !is {
		return true // a system without locks
	}
	a, err := of.Stat()
	b, e := os.Lstat(name)
	return err == nil && e == nil && os.SameFile(a, b)
}

// dirFiles is what a directory holds. Numbers are in ascending order.
type dirFiles struct {
	snapshots, segments []uint64
	bad                 []string // names, oldest number first
	highest             uint64   // number of any of them
}

// listFiles looks at a directory, and removes what an earlier process has left half done.
func listFiles(fs FS, dir string, clean bool) (f dirFiles, err error) {
	names, err := fs.List(dir)
	if err != nil {
		return f, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, tmpSuffix) {
			stem := strings.TrimSuffix(name, tmpSuffix)
			if kind, _, _ := fileKind(stem); clean && (kind != 0 || stem == probeName) {
				_ = fs.Remove(filepath.Join(dir, name)) // if not now, then at the next start
			}
			continue
		}
		kind, seq, bad := fileKind(name)
		switch {
		case bad:
			f.bad = append(f.bad, name)
		case kind == KindSnapshot:
			f.snapshots = append(f.snapshots, seq)
		case kind == KindJournal:
			f.segments = append(f.segments, seq)
		default:
			continue
		}
		f.highest = max(f.highest, seq)
	}
	return f, nil
}

// isForeign reports whether a file that cannot be read is one of a later version
// of Holdfast, rather than damaged: such a file is left where it is.
func isForeign(fs FS, name string) bool {
	f, err := fs.Open(name)
	if err != nil {
		return false
	}
	r := &reader{f: f, name: name, room: make([]byte, windowBytes)}
	defer func() { _ = r.close() }()
	return errors.Is(r.begin(), ErrForeign) && r.wellSigned()
}

// lastNow returns the store's clock at the last block of a file, 0 if it has none.
func lastNow(r *reader) (now uint32) {
	var b block
	for r.read(&b) == nil {
		now = max(now, b.now)
	}
	return now
}

// probe writes a file and removes it again.
func probe(fs FS, dir string) (err error) {
	name := filepath.Join(dir, probeName+tmpSuffix)
	f, err := fs.Create(name)
	if err != nil {
		return err
	}
	n, err := f.Write(make([]byte, headerBytes))
	if err == nil && n < headerBytes {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), fs.Remove(name))
}

// plural writes a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
