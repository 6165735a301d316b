package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startKeeping starts a Holdfast that keeps its items in dir. The test ends it.
func startKeeping(t *testing.T, dir string, args ...string) *Process {
	t.Helper()
	p, err := Start(Spec{Binary: holdfastBinary(t), Args: append([]string{"--data-dir", dir}, args...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

// speaker is a connection that says lines and hears them.
type speaker struct {
	t *testing.T
	w func(text string)
	r *bufio.Reader
}

func speak(t *testing.T, p *Process) *speaker {
	t.Helper()
	c, err := p.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(startWait)); err != nil {
		t.Fatal(err)
	}
	return &speaker{t: t, r: bufio.NewReader(c), w: func(text string) {
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}}
}

// ask says text and returns n lines of the reply.
func (s *speaker) ask(text string, n int) string {
	s.t.Helper()
	s.w(text)
	var b strings.Builder
	for range n {
		line, err := s.r.ReadString('\n')
		if err != nil {
			s.t.Fatalf("%.60q: %v", text, err)
		}
		b.WriteString(line)
	}
	return b.String()
}

func (s *speaker) want(text, reply string) {
	s.t.Helper()
	if got := s.ask(text, strings.Count(reply, "\n")); got != reply {
		s.t.Fatalf("%.80q: got %.200q, want %.200q", text, got, reply)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(startWait); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// persistence returns a line of "stats persistence".
func persistence(t *testing.T, p *Process, name string) string {
	t.Helper()
	stats, err := p.Stats("stats persistence")
	if err != nil {
		t.Fatal(err)
	}
	return stats[name]
}

var journalPolicies = []string{"off", "os", "interval", "always"}

// After SIGTERM and a start everything is there as it was: values of all sizes,
// flags, the rest of the time, CAS, stale and token marks.
func TestPersistRestart(t *testing.T) {
	for _, policy := range journalPolicies {
		t.Run(policy, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			p := startKeeping(t, dir, "--journal="+policy)
			s := speak(t, p)
			big := strings.Repeat("0123456789", 70_000)
			s.want("set plain 7 0 5\r\nvalue\r\n", "STORED\r\n")
			s.want("set timed 0 3600 1\r\nx\r\n", "STORED\r\n")
			s.want("set dead 0 1 1\r\nx\r\n", "STORED\r\n")
			s.want(fmt.Sprintf("set big 1 0 %d\r\n%s\r\n", len(big), big), "STORED\r\n")
			s.want("ms ZCBl 3 b E1234567 F9\r\nabc\r\n", "HD\r\n")
			s.want("set stale 0 0 1\r\nx\r\nmd stale I\r\n", "STORED\r\nHD\r\n")
			s.want("set gone 0 0 1\r\nx\r\ndelete gone\r\n", "STORED\r\nDELETED\r\n")
			s.want("set n 0 0 1\r\n9\r\nincr n 1\r\n", "STORED\r\n10\r\n")
			cas := s.ask("gets plain\r\n", 3)
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
			p = startKeeping(t, dir, "--journal="+policy)
			s = speak(t, p)
			s.want("gets plain\r\n", cas)
			s.want("get big\r\n", fmt.Sprintf("VALUE big 1 %d\r\n%s\r\nEND\r\n", len(big), big))
			s.want("mg ZCBl b v c f\r\n", "VA 3 c1234567 f9\r\nabc\r\n")
			s.want("mg stale v\r\nmg stale v\r\n", "VA 1 X W\r\nx\r\nVA 1 Z X\r\nx\r\n")
			s.want("get gone n\r\n", "VALUE n 0 2\r\n10\r\nEND\r\n")
			if got := s.ask("mg timed t\r\n", 1); got < "HD t3590" || got > "HD t3600\r\n" {
				t.Errorf("the rest of the time: %q", got)
			}
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// After kill -9 what the journal has taken is there: with always that is all
// that was answered, with the others what was a moment ago.
func TestPersistKill(t *testing.T) {
	for _, policy := range journalPolicies[1:] {
		t.Run(policy, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			for round := range 4 {
				p := startKeeping(t, dir, "--journal="+policy, "--serve-while-loading")
				waitFor(t, "it is loaded", func() bool { return persistence(t, p, "state") == "ok" })
				answered := hammer(t, p, round, 150*time.Millisecond, policy == "always")
				if policy != "always" {
					s := speak(t, p)
					s.want(fmt.Sprintf("set last 0 0 1\r\n%d\r\n", round), "STORED\r\n")
					waitFor(t, "the last change is in the file", func() bool {
						out, _ := exec.Command(holdfastBinary(t), "dump", dir).Output()
						return bytes.Contains(out, fmt.Appendf(nil, `"key":"last","flags":0,"accessed":`)) && bytes.Contains(out, fmt.Appendf(nil, `"value":"%d"`, round))
					})
				}
				if err := p.Kill(); err != nil {
					t.Fatal(err)
				}
				p = startKeeping(t, dir, "--journal="+policy)
				s := speak(t, p)
				for key, allowed := range answered {
					got := s.ask("get "+key+"\r\n", 1)
					if strings.HasPrefix(got, "VALUE") {
						got = s.ask("", 2)
						got, _, _ = strings.Cut(got, "\r\n")
					} else {
						got = ""
					}
					if got != allowed.last && got != allowed.pending {
						t.Fatalf("round %d: %s is %q, want %q, or %q which was not answered", round, key, got, allowed.last, allowed.pending)
					}
				}
				if err := p.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// outcome is what a key may be: the last value answered for, or the one that was
// on its way. "" is no item.
type outcome struct{ last, pending string }

// hammer changes keys for a while, by several connections with keys of their own,
// and kills the server while they are at it if kill is set.
func hammer(t *testing.T, p *Process, round int, d time.Duration, kill bool) map[string]outcome {
	t.Helper()
	var mu sync.Mutex
	all := map[string]outcome{}
	var group sync.WaitGroup
	stop := make(chan struct{})
	for n := range 4 {
		c, err := p.Dial()
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			defer func() { _ = c.Close() }()
			rng := rand.New(rand.NewPCG(uint64(round), uint64(n)))
			r := bufio.NewReader(c)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("r%d-c%d-%d", round, n, rng.IntN(200))
				value, request := "", "delete "+key+"\r\n"
				if rng.IntN(5) > 0 {
					value = fmt.Sprint(i) + strings.Repeat("v", rng.IntN(300))
					request = fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, len(value), value)
				}
				mu.Lock()
				o := all[key]
				o.pending = value
				all[key] = o
				mu.Unlock()
				if _, err := c.Write([]byte(request)); err != nil {
					return
				}
				if _, err := r.ReadString('\n'); err != nil {
					return
				}
				mu.Lock()
				all[key] = outcome{value, value}
				mu.Unlock()
			}
		})
	}
	timer := time.NewTimer(d)
	<-timer.C
	if kill {
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	group.Wait()
	return all
}

// A full disk stops nobody: the server serves, says that it keeps nothing, and
// keeps again, by itself, when there is room.
func TestPersistDiskFull(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Log("only root may mount a small disk: the one that is only readable is tested")
		testReadOnly(t)
		return
	}
	for _, policy := range journalPolicies {
		t.Run(policy, func(t *testing.T) {
			disk := mountSmall(t, "1m")
			p := startKeeping(t, disk, "--journal="+policy, "--snapshot-interval=1s", "--snapshot-codec=none", "--journal-timeout=200ms")
			s := speak(t, p)
			value := strings.Repeat("x", 10_000)
			for i := range 300 {
				got := s.ask(fmt.Sprintf("set k%d 0 0 10000\r\n%s\r\n", i, value), 1)
				if got != "STORED\r\n" && (policy != "always" || got != "SERVER_ERROR persistence timeout\r\n") {
					t.Fatalf("set %d: %q", i, got)
				}
				if policy == "always" && got != "STORED\r\n" {
					break // it is full
				}
			}
			waitFor(t, "it is degraded", func() bool { return persistence(t, p, "state") == "degraded" })
			s.want("get k0\r\n", "VALUE k0 0 10000\r\n"+value+"\r\nEND\r\n")
			if out, err := exec.Command(holdfastBinary(t), "admin", "--addr", p.Addr, "persistence").CombinedOutput(); err == nil || !bytes.Contains(out, []byte("cannot keep items")) {
				t.Fatalf("admin persistence: %v\n%s", err, out)
			}
			if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=300m,mode=700"); err != nil {
				t.Fatalf("remount: %v", err)
			}
			waitFor(t, "it keeps again", func() bool { return persistence(t, p, "state") == "ok" })
			s.want("set after 0 0 1\r\nx\r\n", "STORED\r\n")
			waitFor(t, "a snapshot is made", func() bool { // one that the clock has begun may be in the way
				return s.ask("snapshot\r\n", 1) == "OK\r\n"
			})
			if err := p.Kill(); err != nil {
				t.Fatal(err)
			}
			s = speak(t, startKeeping(t, disk, "--journal="+policy))
			s.want("get k0 after\r\n", "VALUE k0 0 10000\r\n"+value+"\r\nVALUE after 0 1\r\nx\r\nEND\r\n")
		})
	}
}

// Wherever it is that the disk gets full, in a header, in a block, at the end of a
// snapshot or a journal, the server goes on, says so, and keeps again when there is
// room; and nothing that a kill leaves behind is a wrong value.
func TestPersistFullAnywhere(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Log("only root may mount a small disk")
		return
	}
	degraded, rounds := 0, 8
	if os.Getenv("HOLDFAST_LONG") != "" {
		rounds = 100
	}
	for round := range rounds {
		disk := mountSmall(t, "8m")
		policy := journalPolicies[1+round%3]
		dir := filepath.Join(disk, "data")
		args := []string{"--journal=" + policy, "--snapshot-interval=1s", "--snapshot-codec=none", "--journal-timeout=50ms"}
		p := startKeeping(t, dir, args...)
		s := speak(t, p)
		may := make([]map[string]bool, 20)
		version := 0
		set := func(sure bool) {
			for i := range may {
				version++
				value := fmt.Sprintf("%05000d", version)
				got := s.ask(fmt.Sprintf("set k%d 0 0 5000\r\n%s\r\n", i, value), 1)
				if got != "STORED\r\n" && (sure || got != "SERVER_ERROR persistence timeout\r\n") {
					t.Fatalf("round %d: set answered %q", round, got)
				}
				if sure || may[i] == nil {
					may[i] = map[string]bool{}
				}
				may[i][value] = true
			}
		}
		set(true)
		s.want("snapshot\r\n", "OK\r\n")
		fill := filepath.Join(disk, "fill")
		leave(t, disk, fill, int64(round%25)*(20<<10))
		for i := 0; i < 20 && persistence(t, p, "state") != "degraded"; i++ {
			set(false)
			s.ask("snapshot\r\n", 1)
		}
		s.want("mg k0 s\r\n", "HD s5000\r\n")
		degraded += strings.Count(persistence(t, p, "state"), "degraded")
		if round%2 == 0 { // it gets room, and has all
			if err := os.Remove(fill); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "it keeps again", func() bool { return persistence(t, p, "state") == "ok" })
			set(true)
			waitFor(t, "a snapshot", func() bool { return s.ask("snapshot\r\n", 1) == "OK\r\n" })
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		s = speak(t, startKeeping(t, dir, args...))
		for i, values := range may {
			got := s.ask(fmt.Sprintf("mg k%d v\r\n", i), 1)
			if got == "EN\r\n" && round%2 == 1 {
				continue
			}
			if got = strings.TrimSpace(s.ask("", 1)); !values[got] {
				t.Fatalf("round %d: k%d is %.40q of %d", round, i, got, len(got))
			}
		}
	}
	if degraded == 0 {
		t.Error("the disk was never full")
	}
	t.Logf("%d of %d were degraded", degraded, rounds)
}

// mountSmall mounts a file system of so many bytes.
func mountSmall(t *testing.T, size string) string {
	t.Helper()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "mode=700,size="+size); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	return disk
}

// leave fills a disk until so many bytes are left.
func leave(t *testing.T, disk, file string, n int64) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(disk, &fs); err != nil {
		t.Fatal(err)
	}
	free := int64(fs.Bavail)*fs.Bsize - n
	if free <= 0 {
		return
	}
	if err := os.WriteFile(file, make([]byte, free), 0o600); err != nil {
		t.Fatal(err)
	}
}

// testReadOnly is TestPersistDiskFull for those who cannot mount.
func testReadOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := startKeeping(t, dir, "--snapshot-interval=1s")
	s := speak(t, p)
	s.want("set a 0 0 1\r\nx\r\n", "STORED\r\n")
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it is degraded", func() bool { return persistence(t, p, "state") == "degraded" })
	s.want("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n")
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it keeps again", func() bool { return persistence(t, p, "state") == "ok" })
}

// Whatever becomes of the files, the server starts, and what it has is as it was
// at one moment, or missing: where the end of the journal is cut off that is an
// earlier moment, but no key is older than another that was changed after it.
func TestPersistDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := startKeeping(t, dir, "--journal=always", "--snapshot-codec=none")
	s := speak(t, p)
	for i := range 100 {
		s.want(fmt.Sprintf("set k%d 0 0 100\r\n%0100d\r\n", i, i), "STORED\r\n")
	}
	s.want("snapshot\r\n", "OK\r\n")
	for i := range 100 {
		s.want(fmt.Sprintf("set k%d 0 0 100\r\n%0100d\r\n", i, i+100), "STORED\r\n")
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(holdfastBinary(t), "check", dir).Run(); err != nil {
		t.Fatalf("check before any damage: %v", err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 25 {
		damaged := filepath.Join(t.TempDir(), "data")
		if err := os.CopyFS(damaged, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(damaged, 0o700); err != nil {
			t.Fatal(err)
		}
		spoil(t, damaged, rng)
		p := startKeeping(t, damaged)
		s := speak(t, p)
		hits, older := 0, false
		for i := range 100 {
			got := s.ask(fmt.Sprintf("get k%d\r\n", i), 1)
			if got == "END\r\n" {
				continue
			}
			hits++
			switch got = s.ask("", 2); {
			case got == fmt.Sprintf("%0100d\r\nEND\r\n", i):
				older = true
			case got != fmt.Sprintf("%0100d\r\nEND\r\n", i+100) || older:
				t.Fatalf("round %d: k%d is %.120q", round, i, got)
			}
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d: %d of 100 came back", round, hits)
	}
}

// spoil damages one file of a directory.
func spoil(t *testing.T, dir string, rng *rand.Rand) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.hf*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	file := files[rng.IntN(len(files))]
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	used := max(len(bytes.TrimRight(data, "\x00")), 1)
	switch rng.IntN(3) {
	case 0:
		data[rng.IntN(used)] ^= byte(1 + rng.IntN(255))
	case 1:
		data = data[:rng.IntN(used)]
	case 2:
		at := rng.IntN(used)
		copy(data[at:], make([]byte, min(500, len(data)-at)))
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
