package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/holdfast-cache/holdfast/server"
)

const (
	helpColumn = 34 // where the explanations begin
	helpWidth  = 100
)

// printUsage writes the help of the server's command line from the two tables.
func printUsage(w io.Writer, o *options) {
	if o.asMemcached {
		pf(w, "memcached %s\n", server.Version)
	} else {
		pf(w, "Serve items from memory over memcached's protocol.\n\nUsage:\n  holdfast serve [options]\n  holdfast <options>\n\n"+
			"Every option of memcached 1.6 is taken in every spelling of its own: -p11211, -p 11211, --port=11211.\n\nOptions:\n")
	}
	group := ""
	for i := range flagTable {
		opt := &flagTable[i]
		if opt.group != group {
			group = opt.group
			pf(w, "\n%s:\n", group)
		}
		entry(w, optionNames(opt), opt.doc)
	}
	pf(w, "\nSuboptions of -o, separated by commas:\n")
	for i := range suboptionTable {
		sub := &suboptionTable[i]
		if sub.refused != "" {
			continue
		}
		name, doc := "   "+sub.name, sub.doc
		switch {
		case sub.optional:
			name += "[=<" + sub.arg + ">]"
		case sub.arg != "":
			name += "=<" + sub.arg + ">"
		}
		if sub.def != "" {
			doc += " (default: " + sub.def + ")"
		}
		entry(w, name, doc)
	}
	pf(w, "\nNot in this version: suboptions ssl_* (TLS), ext_* (external storage) and proxy_*.\n")
	pf(w, "\nSignals: TERM and INT end the server, USR1 does so gracefully, HUP reads the -Y file again. With --data-dir, TERM\n"+
		"and INT keep the items first, which a second one skips, and USR1 makes a snapshot and goes on serving.\n"+
		"Environment: MEMCACHED_PORT_FILENAME (see -p), HOLDFAST_DEBUG_CLOCK=1 (the command debugtime moves the clock, for tests).\n")
}

// optionNames is the left column: -p, --port=<num>.
func optionNames(opt *option) string {
	short := fmt.Sprintf("-%c, ", opt.short)
	switch {
	case opt.short == 0:
		short = "    "
	case opt.long == "":
		return short[:2] + " <" + opt.arg + ">"
	}
	switch {
	case opt.optional:
		return short + "--" + opt.long + "[=<" + opt.arg + ">]"
	case opt.arg != "":
		return short + "--" + opt.long + "=<" + opt.arg + ">"
	}
	return short + "--" + opt.long
}

// entry writes a name and its explanation, folded at the column.
func entry(w io.Writer, name, doc string) {
	line := name
	if len(line) >= helpColumn {
		line += " "
	} else {
		line += strings.Repeat(" ", helpColumn-len(line))
	}
	for i, word := range strings.Fields(doc) {
		if i > 0 && len(line)+1+len(word) > helpWidth {
			pf(w, "%s\n", strings.TrimRight(line, " "))
			line = strings.Repeat(" ", helpColumn)
		} else if i > 0 {
			line += " "
		}
		line += word
	}
	pf(w, "%s\n", line)
}

// printVersion writes what -V and "holdfast version" say.
func printVersion(w io.Writer, o *options) {
	if o.asMemcached {
		pf(w, "memcached %s\n", server.Version)
		return
	}
	pf(w, "holdfast %s\n", server.Version)
}

// printLicense names the program and every module that is linked into it.
func printLicense(w io.Writer) {
	pf(w, "Holdfast %s speaks memcached's protocol and contains no code of memcached.\nIt is linked from these Go modules, each under its own licence:\n", server.Version)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			pf(w, "  %s %s\n", dep.Path, dep.Version)
		}
	}
}

// pf prints; what cannot be printed on standard output is not worth a word.
func pf(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
