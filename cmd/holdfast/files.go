package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/holdfast-cache/holdfast/persist"
	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/slab"
	"github.com/spf13/cobra"
)

// newCheckCommand verifies files of a data directory.
func newCheckCommand() *cobra.Command {
	var asJSON, blocks bool
	cmd := &cobra.Command{
		Use:   "check <dir|file>",
		Short: "Verify snapshots, journals and memory files",
		Long: `Read every snapshot and journal of a data directory, or one file, and verify
every block; or the memory file of a server (-e) that has ended. The exit code is 1 if something is not as it was written. A server
may be using the directory meanwhile. The torn end that a crash leaves on a journal is no damage.`,
		Args: oneArg("a data directory or a file of one"),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			var each func(string, persist.BlockReport)
			rows := [][]string{{"FILE", "OFFSET", "TYPE", "ENTRIES", "BYTES", "STORED", "CODEC", "ERROR"}}
			if blocks {
				each = func(file string, b persist.BlockReport) { rows = append(rows, blockRow(file, &b)) }
			}
			if err := persist.Exists(args[0]); err != nil {
				return fail(exitFailure, "%v", err)
			}
			reports, err := persist.Check(persist.OS, args[0], each)
			if err != nil {
				return fail(exitFailure, "%v", err)
			}
			if blocks && !asJSON {
				if err := table(out, rows); err != nil {
					return err
				}
				pf(out, "\n")
			}
			if err := printReports(out, reports, asJSON); err != nil {
				return err
			}
			if err := persist.Damage(reports); err != nil {
				return fail(exitFailure, "%v", err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of a table")
	cmd.Flags().BoolVar(&blocks, "blocks", false, "list every block too")
	return cmd
}

func blockRow(file string, b *persist.BlockReport) []string {
	text := ""
	if b.Err != nil {
		text = b.Err.Error()
	}
	return []string{
		filepath.Base(file), strconv.FormatInt(b.At, 10), b.Type, strconv.FormatUint(uint64(b.Entries), 10),
		strconv.FormatUint(uint64(b.Raw), 10), strconv.FormatUint(uint64(b.Stored), 10), b.Codec.String(), text,
	}
}

// fileReport is a Report as check prints it.
type fileReport struct {
	File    string `json:"file"`
	Kind    string `json:"kind"`
	State   string `json:"state"`
	Bytes   int64  `json:"bytes"`
	Blocks  uint64 `json:"blocks"`
	Entries uint64 `json:"entries"`
	Puts    uint64 `json:"puts"`
	Touches uint64 `json:"touches"`
	Removes uint64 `json:"removes"`
	Flushes uint64 `json:"flushes"`
	Bad     uint64 `json:"bad_blocks"`
	Gaps    int    `json:"gaps"`
	Lost    uint64 `json:"lost"`
	Error   string `json:"error,omitempty"`
}

func newFileReport(r *persist.Report) fileReport {
	f := fileReport{
		File: r.Name, Kind: "unknown", State: "ok", Bytes: r.Size, Blocks: r.Blocks, Entries: r.Items,
		Puts: r.Puts, Touches: r.Touches, Removes: r.Removes, Flushes: r.Flushes, Bad: r.BadBlocks, Gaps: r.GapCount, Lost: r.Lost,
	}
	switch r.Header.Kind {
	case persist.KindSnapshot:
		f.Kind = "snapshot"
	case persist.KindJournal:
		f.Kind = "journal"
	case persist.KindArena:
		f.Kind = "memory"
	}
	switch {
	case r.Err != nil:
		f.State, f.Error = "unreadable", r.Err.Error()
	case !r.Complete:
		f.State = "incomplete"
	case r.Damaged():
		f.State = "damaged"
	case r.TornTail:
		f.State = "ok, torn end"
	}
	return f
}

func printReports(out io.Writer, reports []persist.Report, asJSON bool) error {
	files := make([]fileReport, len(reports))
	for i := range reports {
		files[i] = newFileReport(&reports[i])
	}
	if asJSON {
		return printJSON(out, files)
	}
	rows := [][]string{{"FILE", "KIND", "STATE", "SIZE", "BLOCKS", "PUTS", "TOUCHES", "REMOVES", "FLUSHES", "BAD BLOCKS", "GAPS"}}
	n := func(v uint64) string { return strconv.FormatUint(v, 10) }
	for _, f := range files {
		rows = append(rows, []string{
			filepath.Base(f.File), f.Kind, f.State, humanBytes(uint64(f.Bytes)), n(f.Blocks),
			n(f.Puts), n(f.Touches), n(f.Removes), n(f.Flushes), n(f.Bad), strconv.Itoa(f.Gaps),
		})
	}
	return table(out, rows)
}

// newDumpCommand prints the items of files.
func newDumpCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "dump <file|dir>",
		Short: "Print the items of a snapshot, a journal, a data directory or a memory file",
		Long: `Print the items of a snapshot, of a segment of a journal, of the memory file of a
server (-e) that has ended, or of a data directory as
a restart would have them: as JSON, one item a line, or as commands that any
memcached can load:

  holdfast dump /var/lib/holdfast --format memcached | nc -N cache2 11211

A key that the text protocol cannot carry is sent by a meta command, in base64.`,
		Args: oneArg("a data directory or a file of one"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
			var visit func(*persist.DumpEntry) error
			switch format {
			case "json":
				visit = func(e *persist.DumpEntry) error { return dumpJSON(w, e) }
			case "memcached":
				var b []byte
				visit = func(e *persist.DumpEntry) error {
					b = appendItem(b[:0], e, true)
					_, err := w.Write(b)
					return err
				}
			default:
				return fail(exitUsage, "--format %s: it is json or memcached", quoteEmpty(format))
			}
			err := export(args[0], visit)
			if e := w.Flush(); e != nil && err == nil {
				err = fail(exitFailure, "cannot print: %v", e)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "json", "json or memcached")
	return cmd
}

// export is persist.Export for items that are alive. Damage is an error at the end.
func export(path string, visit func(*persist.DumpEntry) error) error {
	if err := persist.Exists(path); err != nil {
		return fail(exitFailure, "%v", err)
	}
	now := time.Now()
	reports, err := persist.Export(persist.OS, path, func(e *persist.DumpEntry) error {
		if !e.Expires.IsZero() && !e.Expires.After(now) {
			return nil
		}
		return visit(e)
	})
	var f *failure
	switch {
	case errors.As(err, &f):
		return f
	case err != nil:
		return fail(exitFailure, "%v", err)
	}
	if err := persist.Damage(reports); err != nil {
		return fail(exitFailure, "%v; the rest was taken", err)
	}
	return nil
}

// dumpedItem is an item as dump prints it. What is no text is in base64.
type dumpedItem struct {
	Key         string     `json:"key,omitempty"`
	KeyBase64   []byte     `json:"key_base64,omitempty"`
	Flags       uint32     `json:"flags"`
	Expires     *time.Time `json:"expires,omitempty"`
	Accessed    time.Time  `json:"accessed"`
	CAS         uint64     `json:"cas"`
	Stale       bool       `json:"stale,omitempty"`
	Value       *string    `json:"value,omitempty"`
	ValueBase64 []byte     `json:"value_base64,omitempty"`
}

func dumpJSON(w io.Writer, e *persist.DumpEntry) error {
	d := dumpedItem{Flags: e.Flags, Accessed: e.Accessed.UTC().Truncate(time.Second), CAS: e.CAS, Stale: e.Marks&slab.MarkStale != 0}
	if d.CAS == 0 {
		d.CAS = e.Ver
	}
	if !e.Expires.IsZero() {
		expires := e.Expires.UTC().Truncate(time.Second)
		d.Expires = &expires
	}
	if utf8.Valid(e.Key) {
		d.Key = string(e.Key)
	} else {
		d.KeyBase64 = e.Key
	}
	if utf8.Valid(e.Value) {
		value := string(e.Value)
		d.Value = &value
	} else {
		d.ValueBase64 = e.Value
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(&d)
}

// appendItem appends the command that stores an item; a quiet one has no reply
// unless it fails. An exptime is a point in time, as the item's life goes on meanwhile.
func appendItem(b []byte, e *persist.DumpEntry, quiet bool) []byte {
	exptime := int64(0)
	if !e.Expires.IsZero() {
		exptime = e.Expires.Unix()
	}
	if e.Marks&slab.MarkBinary == 0 && protocol.KeyOK(e.Key) {
		return protocol.AppendStore(b, protocol.OpSet, e.Key, e.Flags, exptime, e.Value, quiet)
	}
	flags := "b F" + strconv.FormatUint(uint64(e.Flags), 10)
	if exptime != 0 {
		flags += " T" + strconv.FormatInt(exptime, 10)
	}
	if quiet {
		flags += " q"
	}
	return protocol.AppendMetaSet(b, protocol.AppendBase64(nil, e.Key), e.Value, flags)
}

// oneArg wants one argument.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fail(exitUsage, "'%s' needs %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

// newLoadCommand sends the items of files to a server.
func newLoadCommand() *cobra.Command {
	a := &admin{}
	cmd := &cobra.Command{
		Use:   "load <file|dir>",
		Short: "Send the items of a snapshot, a journal or a data directory to a server",
		Long: `Send the items of a snapshot, of a segment of a journal, or of a data directory to a
running server, Holdfast or memcached, in place of what it has of the same keys.`,
		Args: oneArg("a data directory or a file of one"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(c *client, out io.Writer) error {
				l := loader{c: c}
				err := export(args[0], l.add)
				if e := l.flush(); err == nil {
					err = e
				}
				if l.refused > 0 {
					pf(out, "loaded %d items, %d were refused: %s\n", l.stored, l.refused, l.why)
				} else {
					pf(out, "loaded %d items\n", l.stored)
				}
				if err == nil && l.refused > 0 {
					return &failure{code: exitFailure}
				}
				return err
			})
		},
	}
	a.connectFlags(cmd)
	return cmd
}

// How much load sends before it reads the replies, so that neither side waits for the other.
const (
	loadRequests = 200
	loadBytes    = 64 << 10
)

// loader sends items in small batches.
type loader struct {
	c       *client
	buf     []byte
	waiting int // requests in buf
	stored  int
	refused int
	why     string // the first refusal
}

func (l *loader) add(e *persist.DumpEntry) error {
	l.buf = appendItem(l.buf, e, false)
	if l.waiting++; l.waiting < loadRequests && len(l.buf) < loadBytes {
		return nil
	}
	return l.flush()
}

// flush sends what waits and reads the replies.
func (l *loader) flush() error {
	if l.waiting == 0 {
		return nil
	}
	n := l.waiting
	err := l.c.send(l.buf)
	l.buf, l.waiting = l.buf[:0], 0
	for ; n > 0 && err == nil; n-- {
		var r *protocol.Response
		r, err = l.c.next()
		switch {
		case r != nil && (r.Status == protocol.StatusStored || r.Status == protocol.StatusMetaHit):
			l.stored++
		case r != nil: // a refusal is not the end of it
			l.refused++
			if l.why == "" {
				l.why = printable(string(r.Line))
			}
			err = nil
		}
	}
	return err
}
