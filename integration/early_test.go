package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A server that loads its items first is not there meanwhile: who comes early is refused,
// and never let in and then turned out. A port that is taken is found out before.

// quietPort is a port of both loopback addresses that nobody listens on, and none that
// clients are given: who connects to such a one again and again meets himself.
func quietPort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(10_000)
		v4, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		v6, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", port))
		hangUp(v4)
		if err == nil {
			hangUp(v6)
			return port
		}
	}
	t.Fatal("there is no free port")
	return 0
}

// fill makes a data directory of that many items.
func fill(t *testing.T, items int) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	p := startKeeping(t, dir)
	c, r := dial(t, p)
	defer hangUp(c)
	var b strings.Builder
	for i := range items {
		fmt.Fprintf(&b, "set key%d 0 0 100 noreply\r\n%0100d\r\n", i, i)
	}
	b.WriteString("mn\r\n")
	if err := Whole(c, []byte(b.String())); err != nil {
		t.Fatal(err)
	}
	if line, err := r.ReadString('\n'); err != nil || line != "MN\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestEarlyClientIsRefused(t *testing.T) {
	dir := fill(t, 200_000)
	port := quietPort(t)
	sock := filepath.Join(t.TempDir(), "sock")
	v4, v6 := fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("[::1]:%d", port)
	for range 3 {
		stop := make(chan struct{})
		var refused atomic.Int64
		done := make(chan error, 3)
		for _, at := range [][2]string{{"tcp", v4}, {"tcp", v6}, {"unix", sock}} {
			go func() { done <- comeEarly(at[0], at[1], &refused, stop) }()
		}
		p, err := Start(Spec{Binary: holdfastBinary(t), Listen: v4, Args: []string{
			"-l", "127.0.0.1,::1", "-p", fmt.Sprint(port), "-s", sock, "-u", "root", "--data-dir", dir,
		}})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		close(stop)
		if refused.Load() == 0 {
			t.Error("nobody came early")
		}
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// comeEarly connects until it is let in, and is answered then.
func comeEarly(network, addr string, refused *atomic.Int64, stop <-chan struct{}) error {
	for end := time.Now().Add(startWait); time.Now().Before(end); {
		select {
		case <-stop:
			return nil
		default:
		}
		c, err := net.Dial(network, addr)
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
			refused.Add(1)
			time.Sleep(50 * time.Microsecond)
			continue
		}
		if err != nil {
			return err
		}
		defer hangUp(c)
		if err := c.SetDeadline(time.Now().Add(startWait)); err != nil {
			return err
		}
		if _, err := io.WriteString(c, "get key7\r\n"); err != nil {
			return fmt.Errorf("%s: let in, and then: %w", addr, err)
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || line != "VALUE key7 0 100\r\n" {
			return fmt.Errorf("%s: let in, and answered %q: %w", addr, line, err)
		}
		return nil
	}
	return fmt.Errorf("%s: nobody came", addr)
}

// What is wrong with the items is not even looked at when the port is taken.
func TestEarlyTakenPort(t *testing.T) {
	dir := fill(t, 10)
	snapshots, err := filepath.Glob(filepath.Join(dir, "snap-*.hfs"))
	if err != nil || len(snapshots) == 0 {
		t.Fatalf("%v, %v", snapshots, err)
	}
	for _, name := range snapshots {
		if err := os.Truncate(name, sizeOf(t, name)-200); err != nil {
			t.Fatal(err)
		}
	}
	v4, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(v4)
	port := v4.Addr().(*net.TCPAddr).Port
	free := quietPort(t)
	v6, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", free))
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(v6)
	sock := filepath.Join(t.TempDir(), "sock")
	unix, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(unix)
	for want, args := range map[string][]string{
		fmt.Sprintf("cannot listen on 127.0.0.1:%d: the port is in use", port): {"-p", fmt.Sprint(port)},
		fmt.Sprintf("cannot listen on 0.0.0.0:%d: the port is in use", port):   {"-p", fmt.Sprint(port), "-l", "*"},
		fmt.Sprintf("cannot listen on [::1]:%d: the port is in use", free):     {"-l", fmt.Sprintf("127.0.0.1:%d,[::1]:%d", free, free)},
		"cannot listen on " + sock + ": a server is listening there already":   {"-s", sock},
		"cannot listen on 192.0.2.1:" + fmt.Sprint(free):                       {"-l", "192.0.2.1", "-p", fmt.Sprint(free)},
		"(--restore=strict)": {"-p", fmt.Sprint(free)},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), startWait)
		out, err := exec.CommandContext(ctx, holdfastBinary(t), append(args, "-u", "root", "--data-dir", dir, "--restore=strict")...).CombinedOutput()
		cancel()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %v, %s", args, err, out)
		}
	}
}
