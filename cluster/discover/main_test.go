package discover

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eventually waits for ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// testLog is a log that can be looked at.
type testLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// count is how many lines have text in them.
func (l *testLog) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range strings.Split(l.b.String(), "\n") {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// running is a source that runs until the test ends.
type running struct {
	Source
	log testLog

	mu  sync.Mutex
	got []*cluster.Config
}

// run opens a source and runs it.
func run(t *testing.T, o Options) *running {
	t.Helper()
	r := &running{}
	var err error
	if r.Source, err = Open(o, zerolog.New(&r.log)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx, func(c *cluster.Config) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if n := len(r.got); n > 0 && c.Epoch <= r.got[n-1].Epoch && !cluster.SameOwners(c, r.got[n-1]) {
				t.Errorf("another map of epoch %d after epoch %d", c.Epoch, r.got[n-1].Epoch)
			}
			r.got = append(r.got, c)
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

// servers are those of the first pool that was delivered last, "" if there is none.
func (r *running) servers() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.got) == 0 {
		return ""
	}
	return serversOf(r.got[len(r.got)-1])
}

func (r *running) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

func (r *running) last() *cluster.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got[len(r.got)-1]
}

func serversOf(c *cluster.Config) string {
	var all []string
	for _, s := range c.Pools[0].Servers {
		all = append(all, s.Address)
	}
	return strings.Join(all, " ")
}

func (r *running) wantServers(t *testing.T, want string) {
	t.Helper()
	eventually(t, "servers "+want, func() bool { return r.servers() == want })
}

func (r *running) wantLog(t *testing.T, text string) {
	t.Helper()
	eventually(t, "logged: "+text, func() bool { return r.log.count(text) > 0 })
}

// stat returns one of the source's figures.
func (r *running) stat(name string) string {
	got := "none"
	r.Stats(func(n, v string) {
		if n == name {
			got = v
		}
	})
	return got
}

func parse(t *testing.T, text string) *cluster.Config {
	t.Helper()
	c, err := cluster.ParseConfig("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
