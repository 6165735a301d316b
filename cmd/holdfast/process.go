package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// ownFiles is how many files the server keeps open besides its clients:
// listeners, one epoll and one eventfd a thread, log and pid file.
func ownFiles(threads int) uint64 { return uint64(32 + 2*threads) }

// raiseFileLimit makes room for maxConns clients and the server's own files.
// It fails, as memcached does, if the system does not even allow the clients.
func raiseFileLimit(maxConns, threads int) error {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return fail(exitOS, "cannot read the limit of open files: %v", err)
	}
	want := uint64(maxConns) + ownFiles(threads)
	if lim.Cur >= want {
		return nil
	}
	lim.Cur = want
	if lim.Max >= want {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err == nil {
			return nil
		}
	}
	allowed := lim.Max
	lim.Max = max(lim.Max, want)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err == nil {
		return nil
	}
	// The system allows the clients but not our own files too: take what there is.
	lim.Cur, lim.Max = allowed, allowed
	if allowed < uint64(maxConns) || syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim) != nil {
		return fail(exitOS, "-c %d: the system allows only %d open files; start as root, raise the limit (ulimit -n) or lower -c", maxConns, allowed)
	}
	return nil
}

// checkFree fails if limit bytes, to be taken at the start (-L), are more than
// the system has: it would kill the server half-way rather than refuse. Where
// the system does not tell, meminfo being empty, it is tried.
func checkFree(limit int64, meminfo string) error {
	_, rest, _ := strings.Cut(meminfo, "MemAvailable:")
	var kb int64
	if _, err := fmt.Sscan(rest, &kb); err != nil || limit>>10 <= kb {
		return nil
	}
	return fail(exitOS, "-L: cannot get the memory: -m %d MB at the start is more than the %d MB that are free; lower -m or leave -L out", limit/mebi, kb>>10)
}

// raiseCoreLimit lets a crash leave a core file, as large as the system allows.
func raiseCoreLimit() error {
	lim := syscall.Rlimit{Cur: ^uint64(0), Max: ^uint64(0)}
	if syscall.Setrlimit(syscall.RLIMIT_CORE, &lim) != nil {
		if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &lim); err == nil {
			lim.Cur = lim.Max
			_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &lim)
		}
	}
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &lim); err != nil || lim.Cur == 0 {
		return fail(exitOS, "-r: the system does not allow core files; raise the hard limit (ulimit -c)")
	}
	debug.SetTraceback("crash") // a Go program dumps core only when told to
	return nil
}

// becomeUser gives up root for the user named by -u. Only root may; for others
// -u has no effect, as in memcached.
func becomeUser(name string) error {
	if name == "" || os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := lookupUser(name)
	if err != nil {
		return fail(exitNoUser, "-u %s: there is no such user", printable(name))
	}
	// EPERM: already without privileges, inside a container for example.
	if err := syscall.Setgroups(nil); err != nil && !errors.Is(err, syscall.EPERM) {
		return fail(exitOS, "-u %s: cannot drop the supplementary groups: %v", name, err)
	}
	if err := syscall.Setgid(gid); err != nil {
		return fail(exitOS, "-u %s: cannot take the user's group: %v", name, err)
	}
	if err := syscall.Setuid(uid); err != nil {
		return fail(exitOS, "-u %s: cannot become the user: %v", name, err)
	}
	return nil
}

func lookupUser(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}

// writePidFile writes the process id to path, made absolute because a daemon leaves
// its directory. The returned warning names a process that the file already
// named and that is alive.
func writePidFile(path string) (absolute, warning string, err error) {
	if absolute, err = filepath.Abs(path); err != nil {
		return "", "", err
	}
	if old, err := os.ReadFile(absolute); err == nil {
		pid, err := strconv.Atoi(strings.TrimSpace(string(old)))
		if err == nil && pid > 0 && pid != os.Getpid() && syscall.Kill(pid, 0) == nil {
			warning = fmt.Sprintf("the pid file %s named a process that is running: %d", path, pid)
		}
	}
	return absolute, warning, writeWhole(absolute, ".tmp", strconv.Itoa(os.Getpid())+"\n")
}

// keepHeap is what persistence may take of the heap, in bytes: changes that the
// journal has not written yet, 64 MiB at most, and buffers of snapshots and of loading.
const keepHeap = 160 << 20

// tuneRuntime fits Go's runtime to a server whose data lies outside its heap.
//
// The heap holds sessions and buffers only, a few megabytes, and requests
// allocate nothing: what makes garbage is connections coming and going. With
// GOGC at 100 such a small heap is collected every four megabytes, so it may
// grow to five times its live size first; the memory limit makes that margin
// harmless, by collecting eagerly once the heap is larger than sessions
// explain. The item memory is not counted in it.
//
// Every event loop may hold a processor of the scheduler's while it waits for
// the kernel, and the accepting and background goroutines need one as well.
//
// GOGC, GOMEMLIMIT and GOMAXPROCS in the environment win.
func tuneRuntime(threads, maxConns int, keeps bool) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		limit := 128<<20 + int64(maxConns)*(32<<10)
		if keeps {
			limit += keepHeap
		}
		debug.SetMemoryLimit(limit)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(threads + 2)
	}
}
