package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a proxy that was killed leaves behind: the keys whose writes nodes may have missed.

// spooled is a proxy of one node, which is started again and again.
type spooled struct {
	t    *testing.T
	node *Process
	p    *Process
	args []string
}

func newSpooled(t *testing.T, node Spec, args ...string) *spooled {
	t.Helper()
	n, err := Start(node)
	if err != nil {
		t.Fatal(err)
	}
	x := &spooled{t: t, node: n, args: append([]string{"--nodes", n.Addr, "--timeout", "200ms", "-t", "2"}, args...)}
	t.Cleanup(func() {
		_ = n.Kill()
		if x.p != nil {
			_ = x.p.Kill()
		}
	})
	x.start()
	return x
}

func (x *spooled) start() {
	x.t.Helper()
	p, err := Start(Spec{Binary: holdfastBinary(x.t), Command: "proxy", Args: x.args})
	if err != nil {
		x.t.Fatal(err)
	}
	x.p = p
}

func (x *spooled) signal(p *Process, sig syscall.Signal) {
	x.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		x.t.Fatal(err)
	}
}

// fails sends text until it has had an error of the proxy's so many times.
func (x *spooled) fails(text string, times int) {
	x.t.Helper()
	s := speak(x.t, x.p)
	for range times {
		if got := s.ask(text, 1); !strings.HasPrefix(got, "SERVER_ERROR hf-") {
			x.t.Fatalf("%.40q was answered %q", text, got)
		}
	}
}

// get returns the value of key, "-" for none, as soon as the node is read again.
func (x *spooled) get(key string) (value string) {
	x.t.Helper()
	waitFor(x.t, "the node is read", func() bool {
		s := speak(x.t, x.p)
		switch line := s.ask("get "+key+"\r\n", 1); {
		case line == "END\r\n":
			value = "-"
		case strings.HasPrefix(line, "VALUE "):
			value = strings.TrimSpace(s.ask("", 1))
		default:
			return false
		}
		return true
	})
	return value
}

func (x *spooled) want(values map[string]string) {
	x.t.Helper()
	for key, want := range values {
		if got := x.get(key); got != want {
			x.t.Errorf("%s is %s, want %s\nthe proxy's standard error ends:\n%s", key, got, want, x.p.Stderr())
		}
	}
}

// miss has the node miss writes of "timed", "down" and "deleted", kills the proxy and
// starts it anew, then lets the node go on.
func (x *spooled) miss() {
	x.t.Helper()
	s := speak(x.t, x.p)
	for _, key := range []string{"kept", "timed", "down", "deleted"} {
		setKey(s, key, "1")
	}
	x.signal(x.node, syscall.SIGSTOP)
	x.fails("set timed 0 0 1\r\n2\r\n", 4) // and is down then
	waitFor(x.t, "the node is down", func() bool {
		stats, err := x.p.Stats("stats backends")
		return err == nil && stats["backend:"+x.node.Addr+":state"] != "up"
	})
	x.fails("set down 0 0 1\r\n2\r\n", 1)
	x.fails("delete deleted\r\n", 1)
	x.restart()
	x.signal(x.node, syscall.SIGCONT)
}

func (x *spooled) restart() {
	x.t.Helper()
	if err := x.p.Kill(); err != nil {
		x.t.Fatal(err)
	}
	x.start()
}

func (x *spooled) flushes() string {
	x.t.Helper()
	stats, err := x.node.Stats("stats")
	if err != nil {
		x.t.Fatal(err)
	}
	return stats["cmd_flush"]
}

func spoolNodes(t *testing.T) map[string]Spec {
	t.Helper()
	return map[string]Spec{
		"memcached": {Binary: program(t, "memcached"), Args: []string{"-m", "64", "-t", "2"}},
		"holdfast":  {Binary: holdfastBinary(t), Args: []string{"-m", "64", "-t", "2"}},
	}
}

// A proxy that is killed while a node is away, and started again, deletes what the node
// has missed when that is back, and leaves the rest: it does not flush.
func TestSpoolProxyKilled(t *testing.T) {
	for name, node := range spoolNodes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "journal")
			x := newSpooled(t, node, "--journal-dir", dir)
			x.miss()
			x.want(map[string]string{"kept": "1", "timed": "-", "down": "-", "deleted": "-"})
			if got := x.flushes(); got != "0" {
				t.Errorf("%s flushes", got)
			}
			// What is made up for is not deleted again.
			s := speak(t, x.p)
			setKey(s, "down", "3")
			waitFor(t, "the journal is empty", func() bool {
				stats, err := x.p.Stats("stats backends")
				return err == nil && stats["backend:"+x.node.Addr+":journal_keys"] == "0"
			})
			x.restart()
			x.want(map[string]string{"kept": "1", "down": "3"})
			if stats, err := x.p.Stats("stats"); err != nil || stats["journal_spool"] != "ok" || stats["journal_spool_files"] != "1" {
				t.Errorf("%v, %v", err, stats)
			}
			// One proxy has the directory.
			second, err := Launch(Spec{Binary: holdfastBinary(t), Command: "proxy", Args: x.args})
			if err != nil {
				t.Fatal(err)
			}
			if err := second.Ended(); err == nil || !strings.Contains(second.Stderr(), "in use by another proxy") {
				t.Errorf("a second proxy: %v, %s", err, second.Stderr())
			}
			if err := x.p.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Without the spool the next proxy does not know: what the node has stays.
func TestSpoolProxyForgets(t *testing.T) {
	for name, node := range spoolNodes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newSpooled(t, node)
			x.miss()
			x.want(map[string]string{"kept": "1", "down": "1", "deleted": "1"})
			if got := x.flushes(); got != "0" {
				t.Errorf("%s flushes", got)
			}
		})
	}
}

// With a spool that is damaged, or one of too many keys, that node alone is flushed.
func TestSpoolProxyFlushes(t *testing.T) {
	for _, how := range []string{"damaged", "too many keys"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "journal")
			x := newSpooled(t, spoolNodes(t)["holdfast"], "--journal-dir", dir)
			other, err := Start(spoolNodes(t)["holdfast"])
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = other.Kill() })
			x.args[1] += "," + other.Addr
			x.restart() // with both
			s := speak(t, x.p)
			for i := range 100 {
				setKey(s, fmt.Sprint("key", i), "1")
			}
			x.signal(x.node, syscall.SIGSTOP)
			if how == "damaged" {
				x.overwrite(0, 100)
			} else {
				for from := 0; from < 150_000; from += 5000 { // of which the node has half
					x.overwrite(from, from+5000)
				}
			}
			if how == "damaged" {
				files, err := filepath.Glob(filepath.Join(dir, "*.spool"))
				if err != nil || len(files) != 2 {
					t.Fatalf("%v, %v", files, err)
				}
				slices.SortFunc(files, func(a, b string) int { return int(sizeOf(t, b) - sizeOf(t, a)) })
				data, err := os.ReadFile(files[0])
				if err != nil {
					t.Fatal(err)
				}
				data[len(data)/2] ^= 1
				if err := os.WriteFile(files[0], data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			x.restart()
			x.signal(x.node, syscall.SIGCONT)
			hits, older := 0, 0
			for i := range 100 {
				switch x.get(fmt.Sprint("key", i)) {
				case "1":
					older++
				case "2":
					hits++
				}
			}
			if older > 0 || hits == 0 || hits == 100 {
				t.Errorf("%d are older than they may be, %d of 100 are hits: one node of two is to be flushed", older, hits)
			}
			n, err := other.Stats("stats")
			if got := x.flushes(); err != nil || got != "1" || n["cmd_flush"] != "0" {
				t.Errorf("%s flushes of one, %s of the other, %v", got, n["cmd_flush"], err)
			}
		})
	}
}

// overwrite sets keys by number, whatever becomes of each.
func (x *spooled) overwrite(from, to int) {
	x.t.Helper()
	c, r := dial(x.t, x.p)
	defer hangUp(c)
	if err := c.SetDeadline(time.Now().Add(startWait)); err != nil {
		x.t.Fatal(err)
	}
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "set key%d 0 0 1\r\n2\r\n", i)
	}
	sent := make(chan error, 1)
	go func() { sent <- Whole(c, []byte(b.String())) }()
	for range to - from {
		line, err := r.ReadString('\n')
		if err != nil || line != "STORED\r\n" && !strings.HasPrefix(line, "SERVER_ERROR hf-") {
			x.t.Fatalf("%q, %v", line, err)
		}
	}
	if err := <-sent; err != nil {
		x.t.Fatal(err)
	}
}

// At rest every write that failed by an answer has been made up for, though the proxy was
// killed meanwhile. What was not answered at all is not: its fate stays open.
func TestStaleProxyRestartsWithSpool(t *testing.T) {
	for _, b := range []backend{plainMemcached, holdfastRemembers} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			kind := holdfastFront(shortTimeout, "hold_down: 2ms")
			kind.keeps = false
			spec := kind.spec
			kind.spec = func(t *testing.T, dir string, nodes []string) Spec {
				s := spec(t, dir, nodes)
				s.Args = append(s.Args, "--journal-dir", filepath.Join(dir, "journal"))
				return s
			}
			run := newStaleRun(t, 3, staleKeys, kind, b, killed, stopped)
			run.restarts = true
			err := run.run(staleTime(t, 3*time.Second))
			t.Log(run.tell())
			if err == nil {
				err = run.settled()
			}
			if err != nil {
				t.Fatalf("%v\nthe proxy's standard error ends:\n%s", err, run.x.proxy.Stderr())
			}
		})
	}
}
