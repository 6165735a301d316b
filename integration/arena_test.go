package integration

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Item memory in a file, as the one who operates the server sees it.

// startArena starts a server on a memory file.
func startArena(t *testing.T, binary, file string, args ...string) *Process {
	t.Helper()
	p, err := Start(Spec{Binary: binary, Args: append([]string{"-e", file}, args...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

// Another build of the program, other options: the items are there.
func TestArenaUpgrade(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("item memory in a file wants Linux")
		return
	}
	file := filepath.Join(memoryDir(t), "memory")
	upgraded := filepath.Join(t.TempDir(), "holdfast-2")
	copyProgram(t, holdfastBinary(t), upgraded)
	const items = 5000
	large := strings.Repeat("0123456789", 70_000)
	p := startArena(t, holdfastBinary(t), file, "-m", "64")
	s := speak(t, p)
	for i := range items {
		s.want(fmt.Sprintf("set k%d %d 0 4\r\n%04d\r\n", i, i, i), "STORED\r\n")
	}
	s.want(fmt.Sprintf("set large 1 3600 %d\r\n%s\r\n", len(large), large), "STORED\r\n")
	s.want("ms token 3 T3600\r\nabc\r\nmd token I\r\nmg token v\r\n", "HD\r\nHD\r\nVA 3 X W\r\nabc\r\n")
	cas := s.ask("gets k7\r\n", 3)
	for _, step := range []struct {
		name, binary, source string
		kill                 bool // how the server before it ended
		args                 []string
	}{
		{"another build", upgraded, "sealed", false, []string{"-m", "64"}},
		{"another build after a crash", holdfastBinary(t), "scanned", true, []string{"-m", "64"}},
		{"more memory", upgraded, "converted", false, []string{"-m", "128"}},
		{"other classes", upgraded, "converted", false, []string{"-m", "128", "-f", "1.5"}},
		{"other classes after a crash", holdfastBinary(t), "converted", true, []string{"-m", "128", "-f", "1.25", "-n", "96"}},
		{"less memory", holdfastBinary(t), "converted", true, []string{"-m", "48"}},
		{"more threads", holdfastBinary(t), "sealed", false, []string{"-m", "48", "-t", "3"}},
	} {
		if step.kill {
			if err := p.Kill(); err != nil {
				t.Fatal(err)
			}
		} else if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
		p = startArena(t, step.binary, file, step.args...)
		got := persistence(t, p, "arena_source")
		t.Logf("%s: %s, %s items", step.name, got, persistence(t, p, "arena_items"))
		if got != step.source {
			t.Errorf("%s: the memory is %s, not %s", step.name, got, step.source)
		}
		s := speak(t, p)
		for i := range items {
			s.want(fmt.Sprintf("get k%d\r\n", i), fmt.Sprintf("VALUE k%d %d 4\r\n%04d\r\nEND\r\n", i, i, i))
		}
		s.want("gets k7\r\n", cas)
		s.want("get large\r\n", fmt.Sprintf("VALUE large 1 %d\r\n%s\r\nEND\r\n", len(large), large))
		s.want("mg token v\r\n", "VA 3 Z X\r\nabc\r\n")
	}
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.Copy(dst, src); err == nil {
		err = dst.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A server that is killed while it makes its last snapshot leaves the one before
// or the new one, and either is whole.
func TestKillLastSnapshot(t *testing.T) {
	const items, size = 20_000, 1000
	dir := filepath.Join(memoryDir(t), "data")
	before, kinds := "", map[string]int{}
	for round := range 12 {
		p := startKeeping(t, dir, "-m", "128", "--snapshot-interval=0", "--snapshot-codec=none")
		s := speak(t, p)
		now := fmt.Sprint(round)
		if got := generation(s, items); got != before {
			t.Fatalf("round %d: items of %q, want %q", round, got, before)
		}
		var sets strings.Builder
		for i := range items {
			fmt.Fprintf(&sets, "set k%d 0 0 %d noreply\r\n%-*s\r\n", i, size, size, now)
		}
		s.want(sets.String()+"mn\r\n", "MN\r\n")
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(round) * 10 * time.Millisecond)
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		p = startKeeping(t, dir, "-m", "128", "--snapshot-interval=0")
		switch got := generation(speak(t, p), items); got {
		case now:
			kinds["new"]++
		case before:
			kinds["old"]++
		default:
			t.Fatalf("round %d: items of %q, want %q or %q", round, got, before, now)
		}
		before = generation(speak(t, p), items)
		if err := p.Kill(); err != nil { // nothing has changed
			t.Fatal(err)
		}
	}
	t.Logf("the snapshot was %v", kinds)
}

// generation returns what all items say, "" if there is none.
func generation(s *speaker, items int) string {
	s.t.Helper()
	var gets strings.Builder
	for i := range items {
		fmt.Fprintf(&gets, "mg k%d s v\r\n", i)
	}
	go s.w(gets.String())
	all := map[string]bool{}
	for range items {
		line := s.ask("", 1)
		if strings.HasPrefix(line, "VA") {
			line = s.ask("", 1)
		} else {
			line = ""
		}
		all[strings.TrimSpace(line)] = true
	}
	if len(all) != 1 {
		s.t.Fatalf("items of several: %v", all)
	}
	for one := range all {
		return one
	}
	return ""
}
