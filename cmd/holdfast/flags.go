package main

import (
	"strconv"
	"strings"
)

// notYet is the answer to options of memcached's whose feature is still to come.
const notYet = "is not in this version of Holdfast"

// laterOptions and laterCommands are names of Holdfast's own whose features are
// still to come: who tries one is told so, rather than that it is unknown.
var (
	laterOptions = []string{
		"replica-of", "metrics",
	}
	laterCommands = []string{"top"}
)

// flagTable is every option of the server's command line, in the order of the help.
var flagTable = []option{
	{
		short: 'p', long: "port", arg: "num",
		doc: "TCP port to listen on; 0 is none, -1 any free one, written to the file that $MEMCACHED_PORT_FILENAME names (default: 11211)",
		apply: func(o *options, v string) error {
			o.portGiven = true
			return setInt(&o.server.TCPPort, "-p", v)
		},
	},
	{short: 'U', long: "udp-port", arg: "num", doc: "accepted as 0 only: UDP is not served, because it lets a cache be abused to amplify attacks", apply: refuseUDP},
	{
		short: 's', long: "unix-socket", arg: "file",
		doc:   "Unix socket to listen on; TCP then needs -p or -l to be said as well",
		apply: func(o *options, v string) error { o.server.UnixSocket = v; return nil },
	},
	{short: 'a', long: "unix-mask", arg: "mode", doc: "permissions of the Unix socket, in octal (default: 700)", apply: setUnixMask},
	{short: 'A', long: "enable-shutdown", doc: "let clients stop the server with the shutdown command", apply: func(o *options, _ string) error { o.server.EnableShutdown = true; return nil }},
	{
		short: 'l', long: "listen", arg: "addr",
		doc: "address to listen on: host, host:port, [ipv6]:port or * for all; several with commas, or -l again (default: 127.0.0.1, or * when called memcached)",
		apply: func(o *options, v string) error {
			o.listenGiven = true
			o.listen = append(o.listen, v)
			return nil
		},
	},
	{short: 'd', long: "daemon", doc: "run in the background; returns once the server listens", apply: func(o *options, _ string) error { o.daemon = true; return nil }},
	{short: 'r', long: "enable-coredumps", doc: "raise the core file limit", apply: func(o *options, _ string) error { o.coreDumps = true; return nil }},
	{short: 'u', long: "user", arg: "user", doc: "user to run as, when started by root", apply: func(o *options, v string) error { o.user = v; return nil }},
	{
		short: 'm', long: "memory-limit", arg: "num",
		doc: "memory in megabytes for items and their index; g may follow for gigabytes (default: 64)",
		apply: func(o *options, v string) (err error) {
			o.memoryMB, err = parseMegabytes(v)
			return err
		},
	},
	{short: 'M', long: "disable-evictions", doc: "answer an error when memory is full instead of evicting", apply: func(o *options, _ string) error { o.slab.NoEvict = true; return nil }},
	{short: 'c', long: "conn-limit", arg: "num", doc: "clients at once; the server's own files are not counted (default: 1024)", apply: func(o *options, v string) error { return setPositive(&o.server.MaxConns, "-c", v) }},
	{short: 'k', long: "lock-memory", doc: "keep all memory out of swap", apply: func(o *options, _ string) error { o.lockMemory = true; return nil }},
	{
		short: 'v', long: "verbose", arg: "level", optional: true,
		doc:   "log more: -v errors and notices, -vv commands and replies as well, -vvv inner states",
		apply: func(o *options, _ string) error { o.server.Verbosity++; return nil },
	},
	{short: 'h', long: "help", doc: "print this help and exit", apply: func(o *options, _ string) error { o.showHelp = true; return errStop }},
	{short: 'i', long: "license", doc: "print what this program is made of and exit", apply: func(o *options, _ string) error { o.license = true; return errStop }},
	{short: 'V', long: "version", doc: "print the version and exit", apply: func(o *options, _ string) error { o.showVersion = true; return errStop }},
	{short: 'P', long: "pidfile", arg: "file", doc: "write the process id to this file; removed at the end when started with -d", apply: func(o *options, v string) error { o.pidFile = v; return nil }},
	{short: 'f', long: "slab-growth-factor", arg: "num", doc: "ratio of one item class to the next (default: 1.25)", apply: setGrowthFactor},
	{short: 'n', long: "slab-min-size", arg: "bytes", doc: "room for key, value and flags in the smallest class (default: 48)", apply: func(o *options, v string) error { return setPositive(&o.slab.MinItemSpace, "-n", v) }},
	{
		short: 'L', long: "enable-largepages", doc: "back all item memory with large pages, allocated at the start",
		apply: func(o *options, _ string) error {
			o.slab.HugePages, o.slab.Prealloc = true, true
			return nil
		},
	},
	{short: 'D', long: "", arg: "char", doc: "delimiter between key prefix and id in stats detail, and collect it (default: ':', not collected)", apply: setDelimiter},
	{short: 't', long: "threads", arg: "num", doc: "threads that serve clients (default: 4)", apply: setThreads},
	{short: 'R', long: "max-reqs-per-event", arg: "num", doc: "requests of one client before the next has its turn (default: 20)", apply: func(o *options, v string) error { return setPositive(&o.server.ReqsPerEvent, "-R", v) }},
	{short: 'C', long: "disable-cas", doc: "keep no CAS values", apply: func(o *options, _ string) error { o.slab.NoCAS = true; return nil }},
	{short: 'b', long: "listen-backlog", arg: "num", doc: "connections the system may keep waiting (default: 1024)", apply: func(o *options, v string) error { return setInt(&o.server.Backlog, "-b", v) }},
	{short: 'B', long: "protocol", arg: "name", doc: "ascii or auto; binary " + notYet + " (default: auto)", apply: setProtocol},
	{
		short: 'I', long: "max-item-size", arg: "size",
		doc: "largest item; k, m or g may follow (default: 1m, least: 1k, most: 1g and half of -m)",
		apply: func(o *options, v string) (err error) {
			o.itemSizeMax, err = parseSize(v)
			return err
		},
	},
	{short: 'F', long: "disable-flush-all", doc: "refuse the flush_all command", apply: func(o *options, _ string) error { o.server.DisableFlushAll = true; return nil }},
	{short: 'X', long: "disable-dumping", doc: "refuse stats cachedump, lru_crawler metadump and mgdump", apply: func(o *options, _ string) error { o.server.DisableDump = true; return nil }},
	{short: 'W', long: "disable-watch", doc: "refuse the watch command", apply: func(o *options, _ string) error { o.server.DisableWatch = true; return nil }},
	{short: 'Y', long: "auth-file", arg: "file", doc: "ask clients for a password: one user:password a line, read again on SIGHUP", apply: func(o *options, v string) error { o.server.AuthFile = v; return nil }},
	{short: 'N', long: "napi-ids", arg: "num", doc: "accepted without effect: threads are not bound to network queues", apply: setNapiIDs},
	{short: 'Z', long: "enable-ssl", doc: "TLS " + notYet, apply: refuse("-Z: TLS " + notYet + "; put a TLS proxy such as stunnel in front")},
	{short: 'S', long: "enable-sasl", doc: "SASL " + notYet, apply: refuse("-S: SASL belongs to the binary protocol, which " + notYet + "; use -Y <file> for passwords in the text protocol")},
	{
		short: 'e', long: "memory-file", arg: "file",
		doc: "item memory in this file, on a memory file system such as /dev/shm: items survive the end of the process, a crash too. All of -m is reserved in it, and the index comes on top",
		apply: func(o *options, v string) error {
			if v == "" {
				return fail(exitFailure, "-e: no file given")
			}
			o.server.MemoryFile = v
			return nil
		},
	},
	{short: 'o', long: "extended", arg: "list", doc: "suboptions, separated by commas; see below", apply: applySuboptions},
}

// errStop ends option parsing early: -h, -i and -V look at nothing behind them.
var errStop = fail(exitOK, "")

func refuse(sentence string) func(*options, string) error {
	return func(*options, string) error { return fail(exitUsage, "%s", sentence) }
}

func refuseUDP(_ *options, v string) error {
	var port int
	if err := setInt(&port, "-U", v); err != nil {
		return err
	}
	if port != 0 {
		return fail(exitUsage, "-U %d: UDP is not served, because it lets a cache be abused to amplify attacks; use TCP or a Unix socket", port)
	}
	return nil
}

func setUnixMask(o *options, v string) error {
	mode, err := strconv.ParseUint(v, 8, 32)
	if err != nil || mode > 0o7777 {
		return fail(exitFailure, "-a %s: permissions are octal digits, 700 for example", printable(v))
	}
	o.server.UnixMask = uint32(mode) & 0o777
	return nil
}

// growthFactorMax is the store's bound: one class from the least item to the largest.
const growthFactorMax = 100

func setGrowthFactor(o *options, v string) error {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f > 1) || f > growthFactorMax {
		return fail(exitFailure, "-f %s: the factor must be a number greater than 1 and at most %d", printable(v), growthFactorMax)
	}
	o.slab.GrowthFactor = f
	return nil
}

func setDelimiter(o *options, v string) error {
	if v == "" {
		return fail(exitFailure, "-D: no delimiter given; a colon for example: -D :")
	}
	o.server.PrefixDelimiter, o.server.DetailEnabled = v[0], true
	return nil
}

func setThreads(o *options, v string) error {
	if err := setPositive(&o.server.Threads, "-t", v); err != nil {
		return err
	}
	if o.server.Threads > 64 {
		o.warn("-t: more than 64 threads are not recommended; no more than the machine has cores is best")
	}
	if o.server.Threads > 1024 {
		return fail(exitFailure, "-t %d: at most 1024 threads", o.server.Threads)
	}
	return nil
}

func setProtocol(o *options, v string) error {
	switch v {
	case "auto":
		o.server.BindingProtocol = "auto-negotiate"
	case "ascii":
		o.server.BindingProtocol = "ascii"
	case "binary":
		return fail(exitUsage, "-B binary: the binary protocol %s; use -B ascii or -B auto", notYet)
	default:
		return fail(exitUsage, "-B %s: the protocol is ascii or auto", printable(v))
	}
	return nil
}

func setNapiIDs(o *options, v string) error {
	o.warn("-N has no effect: threads are not bound to network queues")
	return setPositive(&o.napiIDs, "-N", v)
}

func setInt(p *int, name, v string) error {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return fail(exitFailure, "%s %s: not a whole number", name, quoteEmpty(v))
	}
	*p = int(n)
	return nil
}

func setPositive(p *int, name, v string) error {
	if err := setInt(p, name, v); err != nil {
		return err
	}
	if *p <= 0 {
		return fail(exitFailure, "%s %s: must be greater than 0", name, v)
	}
	return nil
}

// parseMegabytes reads the argument of -m. memcached knows plain numbers only;
// m and g are what people write in a container's manifest.
func parseMegabytes(v string) (int64, error) {
	digits, unit := v, int64(1)
	switch {
	case strings.HasSuffix(v, "m"), strings.HasSuffix(v, "M"):
		digits = v[:len(v)-1]
	case strings.HasSuffix(v, "g"), strings.HasSuffix(v, "G"):
		digits, unit = v[:len(v)-1], 1024
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 0 {
		return 0, fail(exitFailure, "-m %s: not a number of megabytes", quoteEmpty(v))
	}
	return n * unit, nil
}

// parseSize reads the argument of -I, in bytes.
func parseSize(v string) (int64, error) {
	digits, unit := v, int64(1)
	if v != "" {
		switch v[len(v)-1] {
		case 'k', 'K':
			unit = 1 << 10
		case 'm', 'M':
			unit = mebi
		case 'g', 'G':
			unit = 1 << 30
		}
		if unit > 1 {
			digits = v[:len(v)-1]
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return 0, fail(exitFailure, "-I %s: not a size; 4m for example", quoteEmpty(v))
	}
	return n * unit, nil
}

func quoteEmpty(v string) string {
	if v == "" {
		return `""`
	}
	return printable(v)
}
