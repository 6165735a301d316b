package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Kind is which family of servers a target is of: it decides on its flags and
// on the protocol it is spoken to in.
type Kind int

// The kinds.
const (
	Memcached Kind = iota // and Holdfast
	Pogocache
	Redis
	Bare          // all flags are in Target.Program; spoken to as memcached
	HoldfastProxy // these three stand before servers of the first kind
	MemcachedProxy
	Nutcracker
)

// kindOf knows a server by the name of its program.
func kindOf(program string) Kind {
	switch base := filepath.Base(program); {
	case strings.HasPrefix(base, "redis"), strings.HasPrefix(base, "valkey"):
		return Redis
	case strings.HasPrefix(base, "pogocache"):
		return Pogocache
	case strings.HasPrefix(base, "nutcracker"):
		return Nutcracker
	default:
		return Memcached
	}
}

// Wire is a new Wire for a generator thread. Who asks for meta commands must
// know that Redis has none.
func (k Kind) Wire(meta bool) Wire {
	switch {
	case k == Redis:
		return respWire{}
	case meta:
		return &metaWire{}
	default:
		return &textWire{}
	}
}

// flags are the arguments that make a server of this kind listen on "{port}"
// of loopback, with so many worker threads and that many MiB for items.
func (k Kind) flags(threads, memory int) []string {
	t, m := strconv.Itoa(threads), strconv.Itoa(memory)
	switch k {
	case Bare:
		return nil
	case Redis:
		return []string{
			"--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--io-threads", t,
			"--maxmemory", m + "mb", "--maxmemory-policy", "allkeys-lru", "--maxclients", "8192", "--loglevel", "warning",
		}
	case Pogocache:
		return []string{"-p", "{port}", "-h", "127.0.0.1", "--threads", t, "--maxmemory", m + "mb", "--maxconns", "8192"}
	case HoldfastProxy:
		return []string{"-p", "{port}", "-l", "127.0.0.1", "-t", t, "-c", "8192", "--timeout", "20s", "--nodes", "{nodes}"}
	case Nutcracker:
		return []string{"-c", "{dir}/" + nutcrackerFile, "-a", "127.0.0.1", "-s", "{stats}", "-o", "{dir}/log", "-p", "{dir}/pid"}
	case MemcachedProxy:
		return append(Memcached.flags(threads, memory), "-o", "proxy_config={dir}/"+luaFile)
	default:
		return []string{"-p", "{port}", "-l", "127.0.0.1", "-t", t, "-m", m, "-c", "8192", "-u", "root"}
	}
}

// FindTargets makes the list of servers, Holdfast first, from paths that may
// have a name before them (name=path). A rival that is not installed is left
// out with a word to complain, but for the first, which bars are for.
func FindTargets(holdfast, rivals string, complain func(string)) ([]Target, error) {
	first, _, _ := strings.Cut(rivals, ",")
	if _, file, named := strings.Cut(first, "="); named {
		first = file
	}
	if _, err := exec.LookPath(first); err != nil {
		return nil, fmt.Errorf("the rival that bars are for is not there, install it or name another first (name=path): %w", err)
	}
	return findTargets(holdfast, rivals, complain)
}

// findTargets is FindTargets for those who can do without the first rival. With
// none left there is nothing to compare.
func findTargets(holdfast, rivals string, complain func(string)) ([]Target, error) {
	path, err := exec.LookPath(holdfast)
	if err != nil {
		return nil, fmt.Errorf("no holdfast binary (make build makes it): %w", err)
	}
	targets := []Target{{Name: "holdfast", Program: []string{path, "serve"}, Kind: Memcached}}
	for _, r := range strings.Split(rivals, ",") {
		name, file, named := strings.Cut(r, "=")
		if !named {
			name, file = filepath.Base(r), r
		}
		path, err := exec.LookPath(file)
		if err != nil {
			complain(fmt.Sprintf("%s is left out: %v", name, err))
			continue
		}
		targets = append(targets, Target{Name: name, Program: []string{path}, Kind: kindOf(path)})
	}
	if len(targets) == 1 {
		return nil, errors.New("no rival found: install memcached, or name one with -rivals")
	}
	return targets, nil
}

// Version is what the server's program says of itself.
func (t Target) Version() string {
	flag := "-V"
	switch t.Kind {
	case Redis, Pogocache:
		flag = "--version"
	}
	out, err := exec.Command(t.Program[0], flag).CombinedOutput() // nutcracker writes it on the other
	if err != nil {
		return "unknown: " + err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
