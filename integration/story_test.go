package integration

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// visitor is a user of the Django project in testdata/django, by her browser.
type visitor struct {
	t      *testing.T
	stdin  *bufio.Writer
	stdout *bufio.Reader
	stderr tail
}

func visit(t *testing.T, backend, addr string) *visitor {
	t.Helper()
	interpreter, err := filepath.Abs(python(t)) // the script runs elsewhere
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t}
	cmd := exec.Command(interpreter, "-B", "visit.py")
	cmd.Dir = filepath.Join("testdata", "django")
	cmd.Env = append(os.Environ(), "SHOP_BACKEND="+backend, "SHOP_CACHE="+addr)
	cmd.Stderr = &v.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("django: %v\n%s", err, v.stderr.String())
		}
	})
	v.stdin, v.stdout = bufio.NewWriter(in), bufio.NewReader(out)
	return v
}

// sees checks what a page says.
func (v *visitor) sees(request, page string) {
	v.t.Helper()
	_, err := v.stdin.WriteString(request + "\n")
	if err == nil {
		err = v.stdin.Flush()
	}
	if err != nil {
		v.t.Fatal(err)
	}
	got, err := v.stdout.ReadString('\n')
	if err != nil || got != page+"\n" {
		v.t.Fatalf("%s shows %q, want %q (%v)\n%s", request, got, page, err, v.stderr.String())
	}
}

// freePort returns a port that nobody uses: a server that is started again wants
// its old one.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// The reason to keep a cache: a user logs in, the server is killed and started
// again, and the user is still logged in, with the same cookie. So she is after
// the machine went down, which leaves no memory file, only the data directory.
func TestStillLoggedIn(t *testing.T) {
	for _, backend := range []string{"django.core.cache.backends.memcached.PyMemcacheCache", "shop.cache.PyLibMCCache"} {
		t.Run(backend, func(t *testing.T) {
			base := memoryDir(t)
			memory, port := filepath.Join(base, "memory"), freePort(t)
			spec := Spec{Binary: holdfastBinary(t), Args: []string{
				"-p", port, "-m", "16", "-e", memory,
				"--data-dir", filepath.Join(base, "data"), "--journal=always", "--journal-timeout=50s",
			}}
			start := func() *Process {
				p, err := Start(spec)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = p.Kill() })
				return p
			}
			p := start()
			alice := visit(t, backend, p.Addr)
			alice.sees("/", "nobody: ")
			alice.sees("/login name=alice password=secret", "welcome")
			basket := "alice: "
			for i := range 3 {
				thing := fmt.Sprintf("thing%d", i)
				alice.sees("/basket what="+thing, "taken")
				basket += thing
				if err := p.Kill(); err != nil {
					t.Fatal(err)
				}
				source := "scanned"
				if i == 1 { // the machine goes down
					if err := os.Remove(memory); err != nil {
						t.Fatal(err)
					}
					source = "empty"
				}
				p = start()
				if got := persistence(t, p, "arena_source"); got != source {
					t.Fatalf("the items are from %q, not %q", got, source)
				}
				if got := persistence(t, p, "restore_source"); source == "empty" && !strings.Contains(got, "journal") {
					t.Fatalf("the items are from %q, not the journal", got)
				}
				alice.sees("/", basket)
				basket += ", "
			}
			alice.sees("/logout", "goodbye")
			if err := p.Kill(); err != nil {
				t.Fatal(err)
			}
			start()
			alice.sees("/", "nobody: ")
		})
	}
}

// memoryDir is a directory for the test, in memory where the machine has such a
// place: a disk is slow for a memory file.
func memoryDir(t *testing.T) string {
	t.Helper()
	shm, err := os.MkdirTemp("/dev/shm", "holdfast-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(shm) })
	return shm
}
