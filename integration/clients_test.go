package integration

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// onEachTransport runs f on a fresh Holdfast for each transport and network.
func onEachTransport(t *testing.T, f func(t *testing.T, p *Process)) {
	for _, transport := range []string{"epoll", "goroutine"} {
		for _, unix := range []bool{false, true} {
			name := transport + "-tcp"
			if unix {
				name = transport + "-unix"
			}
			t.Run(name, func(t *testing.T) {
				f(t, startHoldfast(t, unix, "-o", "transport="+transport))
			})
		}
	}
}

// onEachServer is onEachTransport, and then a proxy of three.
func onEachServer(t *testing.T, f func(t *testing.T, p *Process)) {
	onEachTransport(t, f)
	for _, unix := range []bool{false, true} {
		name := "proxy-tcp"
		if unix {
			name = "proxy-unix"
		}
		t.Run(name, func(t *testing.T) {
			p := startProxied(t, 3, unix, "")
			defer p.end(t)
			f(t, p.Process)
		})
	}
}

// startHoldfast starts a Holdfast that must end well when the test does.
func startHoldfast(t *testing.T, unix bool, args ...string) *Process {
	t.Helper()
	p, err := Start(Spec{Binary: holdfastBinary(t), Args: args, Unix: unix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("the server's end: %v", err)
		}
	})
	return p
}

// python returns the interpreter that has the client libraries: that of the
// environment which setup.sh makes.
func python(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("HOLDFAST_VENV")
	if dir == "" {
		dir = filepath.Join("..", ".venv")
	}
	path := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("run integration/setup.sh first: %v", err)
	}
	return path
}

// TestPythonClients runs the scripts of testdata/clients.
func TestPythonClients(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join("testdata", "clients", "*.py"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no client scripts: %v", err)
	}
	interpreter := python(t)
	onEachServer(t, func(t *testing.T, p *Process) {
		for _, script := range scripts {
			t.Run(strings.TrimSuffix(filepath.Base(script), ".py"), func(t *testing.T) {
				if out, err := exec.Command(interpreter, script, p.Addr, p.Command).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	})
}

// memccapableTests are the ASCII tests of libmemcached's memccapable. True
// means that the test fails on Holdfast as it does on memcached since 1.6.40:
// it wants words after the key of a delete to be refused.
var memccapableTests = map[string]bool{
	"version": false, "quit": false, "verbosity": false, "set": false, "set noreply": false, "get": false,
	"gets": false, "mget": false, "flush": false, "flush noreply": false, "add": false, "add noreply": false,
	"replace": false, "replace noreply": false, "cas": false, "cas noreply": false,
	"delete": true, "delete noreply": true, "incr": false, "incr noreply": false,
	"decr": false, "decr noreply": false, "append": false, "append noreply": false,
	"prepend": false, "prepend noreply": false, "stat": false,
}

// TestMemccapable runs libmemcached's own conformance test, ASCII part.
func TestMemccapable(t *testing.T) {
	tool, err := exec.LookPath("memccapable")
	if err != nil {
		t.Fatalf("libmemcached-tools is needed: %v", err)
	}
	for _, transport := range []string{"epoll", "goroutine"} {
		t.Run(transport, func(t *testing.T) {
			memccapable(t, tool, startHoldfast(t, false, "-o", "transport="+transport))
		})
	}
	t.Run("proxy", func(t *testing.T) {
		p := startProxied(t, 3, false, "")
		defer p.end(t)
		memccapable(t, tool, p.Process)
	})
}

func memccapable(t *testing.T, tool string, p *Process) {
	host, port, err := net.SplitHostPort(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	// It ends with an error because some tests are known to fail.
	cmd := exec.Command(tool, "-a", "-v", "-h", host, "-p", port, "-t", "20")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, _ := cmd.Output()
	for name, fails := range memccapableTests {
		passed := strings.Contains(string(out), fmt.Sprintf("%-40s[pass]", "ascii "+name))
		if passed == fails {
			t.Errorf("%s: passed %v, expected %v\n%s%s", name, passed, !fails, out, stderr.String())
		}
	}
}

// TestGomemcache has a conversation through gomemcache, which drops the
// connection on any reply that it does not expect.
func TestGomemcache(t *testing.T) {
	onEachServer(t, func(t *testing.T, p *Process) {
		c := memcache.New(p.Addr)
		c.Timeout = 20 * time.Second
		for _, step := range []struct {
			name string
			err  error
			want error
		}{
			{"ping", c.Ping(), nil},
			{"set", c.Set(&memcache.Item{Key: "a", Value: []byte("1"), Flags: 7}), nil},
			{"add again", c.Add(&memcache.Item{Key: "a", Value: []byte("2")}), memcache.ErrNotStored},
			{"replace", c.Replace(&memcache.Item{Key: "a", Value: []byte("3"), Flags: 8}), nil},
			{"replace nothing", c.Replace(&memcache.Item{Key: "b", Value: []byte("3")}), memcache.ErrNotStored},
			{"append", c.Append(&memcache.Item{Key: "a", Value: []byte("4")}), nil},
			{"prepend", c.Prepend(&memcache.Item{Key: "a", Value: []byte("2")}), nil},
			{"touch", c.Touch("a", 100), nil},
			{"touch nothing", c.Touch("b", 100), memcache.ErrCacheMiss},
			{"delete nothing", c.Delete("b"), memcache.ErrCacheMiss},
			{"malformed key", c.Delete(strings.Repeat("k", 251)), memcache.ErrMalformedKey},
		} {
			if !errors.Is(step.err, step.want) {
				t.Errorf("%s: %v, expected %v", step.name, step.err, step.want)
			}
		}
		it, err := c.Get("a")
		if err != nil || string(it.Value) != "234" || it.Flags != 8 {
			t.Fatalf("get: %+v, %v", it, err)
		}
		if it, err = c.GetAndTouch("a", 50); err != nil || string(it.Value) != "234" {
			t.Errorf("get and touch: %+v, %v", it, err)
		}
		gomemcacheCAS(t, c)
		gomemcacheMany(t, c)
	})
}

// gomemcacheCAS checks compare-and-swap and numbers.
func gomemcacheCAS(t *testing.T, c *memcache.Client) {
	mine, err := c.Get("a")
	if err != nil {
		t.Fatal(err)
	}
	its, err := c.Get("a")
	if err != nil {
		t.Fatal(err)
	}
	its.Value = []byte("5")
	if err := c.CompareAndSwap(its); err != nil {
		t.Errorf("cas: %v", err)
	}
	if err := c.CompareAndSwap(mine); !errors.Is(err, memcache.ErrCASConflict) {
		t.Errorf("cas with an old id: %v", err)
	}
	if n, err := c.Increment("a", 10); err != nil || n != 15 {
		t.Errorf("incr: %d, %v", n, err)
	}
	if n, err := c.Decrement("a", 100); err != nil || n != 0 {
		t.Errorf("decr: %d, %v", n, err)
	}
	if _, err := c.Increment("nothing", 1); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("incr of nothing: %v", err)
	}
}

// gomemcacheMany checks a multiget, a large value and the emptying at the end.
func gomemcacheMany(t *testing.T, c *memcache.Client) {
	keys := []string{"nothing"}
	for i := range 1000 {
		key := fmt.Sprintf("key%d", i)
		keys = append(keys, key)
		if err := c.Set(&memcache.Item{Key: key, Value: []byte(key)}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.GetMulti(keys)
	if err != nil || len(got) != 1000 || string(got["key777"].Value) != "key777" {
		t.Errorf("multiget: %d items, %v", len(got), err)
	}
	large := slices.Repeat([]byte("0123456789"), 100_000)
	if err := c.Set(&memcache.Item{Key: "large", Value: large}); err != nil {
		t.Fatal(err)
	}
	if it, err := c.Get("large"); err != nil || !slices.Equal(it.Value, large) {
		t.Errorf("large value: %v", err)
	}
	if err := c.Set(&memcache.Item{Key: "large", Value: slices.Repeat(large, 2)}); err == nil {
		t.Error("stored two megabytes")
	}
	if _, err := c.Get("large"); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("the old value is still there: %v", err)
	}
	if err := c.DeleteAll(); err != nil {
		t.Error(err)
	}
	if _, err := c.Get("key1"); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("after deleting all: %v", err)
	}
}
