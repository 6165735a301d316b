package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	slowLimitMB    = 64
	slowValueBytes = 500_000
	slowReplies    = 2100 // a gibibyte of them
	// slowSlack is what a server may use besides -m while slow clients keep it
	// waiting: its program and run time and some buffers, but not the replies.
	slowSlack = 64 << 20
)

// forEachTransport runs f on a Holdfast of each transport, on TCP.
func forEachTransport(t *testing.T, f func(t *testing.T, p *Process), args ...string) {
	for _, transport := range []string{"epoll", "goroutine"} {
		t.Run(transport, func(t *testing.T) {
			f(t, startHoldfast(t, false, append(args, "-o", "transport="+transport)...))
		})
	}
}

// dial connects to p until the test ends; nothing may take longer than replyWait.
func dial(t *testing.T, p *Process) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := p.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hangUp(c) })
	if err := c.SetDeadline(time.Now().Add(replyWait)); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// say sends a command and reads the lines of its reply.
func say(t *testing.T, c io.Writer, r *bufio.Reader, command string, replies ...string) {
	t.Helper()
	if _, err := io.WriteString(c, command+"\r\n"); err != nil {
		t.Fatal(err)
	}
	for _, want := range replies {
		if got, err := readLine(r); err != nil || got != want {
			t.Fatalf("%s answered %s, %v instead of %s", quote(command), quote(got), err, quote(want))
		}
	}
}

// TestSlowClient pipelines a gibibyte of replies on several connections and
// reads none: memory stays bounded, others are served, and a client that reads
// after all gets everything, whole and in order.
func TestSlowClient(t *testing.T) {
	forEachTransport(t, func(t *testing.T, p *Process) {
		value := strings.Repeat("v", slowValueBytes)
		c, r := dial(t, p)
		say(t, c, r, fmt.Sprintf("set large 0 0 %d\r\n%s", len(value), value), "STORED")

		for range 4 {
			slow, _ := dial(t, p)
			if _, err := io.WriteString(slow, strings.Repeat("get large\r\n", slowReplies)); err != nil {
				t.Fatal(err)
			}
		}
		late, lateReader := dial(t, p)
		const lateReplies = 100
		if _, err := io.WriteString(late, strings.Repeat("mg large v\r\n", lateReplies)+"mn\r\n"); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			say(t, c, r, fmt.Sprintf("set a 0 0 4\r\n%04d", i), "STORED")
			say(t, c, r, "get a", "VALUE a 0 4", fmt.Sprintf("%04d", i), "END")
			if rss, err := p.RSS(); err != nil || rss > slowLimitMB<<20+slowSlack {
				t.Fatalf("the server uses %d MiB, %v", rss>>20, err)
			}
		}
		// The value that they wait for can be replaced and deleted meanwhile.
		say(t, c, r, "delete large", "DELETED")
		say(t, c, r, fmt.Sprintf("set large 0 0 %d\r\n%s", len(value), value), "STORED")
		hits := 0
		for range lateReplies {
			line, err := readLine(lateReader)
			if err != nil {
				t.Fatal(err)
			}
			if line == "EN" {
				continue
			}
			if got, err := readBlock(lateReader, strings.TrimPrefix(line, "VA ")); err != nil || got != value {
				t.Fatalf("after %q: %s, %v", line, quote(got), err)
			}
			hits++
		}
		if hits < lateReplies-1 {
			t.Errorf("%d hits of %d", hits, lateReplies)
		}
		say(t, late, lateReader, "mn", "MN", "MN")
	}, "-m", strconv.Itoa(slowLimitMB))
}

// TestEndlessPipeline writes requests for small values until the server takes
// no more: it must stop reading rather than keep the replies.
func TestEndlessPipeline(t *testing.T) {
	forEachTransport(t, func(t *testing.T, p *Process) {
		c, r := dial(t, p)
		say(t, c, r, "set a 0 0 1000\r\n"+strings.Repeat("x", 1000), "STORED")
		slow, _ := dial(t, p)
		requests := []byte(strings.Repeat("get a\r\n", 10_000))
		written := 0
		for {
			// How long the kernel takes to be full is its own business; that
			// nothing moves for a while shows that it is.
			if err := slow.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			n, err := slow.Write(requests)
			written += n
			if n == 0 && err != nil {
				break
			}
			if written > 64<<20 { // answered with nine gigabytes
				t.Fatalf("the server has taken %d MiB of requests", written>>20)
			}
		}
		say(t, c, r, "mn", "MN")
		if rss, err := p.RSS(); err != nil || rss > slowLimitMB<<20+slowSlack {
			t.Errorf("the server uses %d MiB, %v", rss>>20, err)
		}
	}, "-m", strconv.Itoa(slowLimitMB))
}

// TestStuckUploads opens sets that are never finished: others can still store,
// and the memory comes back when the clients leave.
func TestStuckUploads(t *testing.T) {
	forEachTransport(t, func(t *testing.T, p *Process) {
		value := strings.Repeat("v", slowValueBytes)
		var stuck []net.Conn
		for i := range 20 {
			c, _ := dial(t, p)
			if _, err := fmt.Fprintf(c, "set stuck%d 0 0 %d\r\n%s", i, len(value), value[:len(value)/2]); err != nil {
				t.Fatal(err)
			}
			stuck = append(stuck, c)
		}
		c, r := dial(t, p)
		for i := range 300 { // more than fit
			say(t, c, r, fmt.Sprintf("set k%d 0 0 %d\r\n%s", i, len(value), value), "STORED")
		}
		for _, c := range stuck {
			hangUp(c)
		}
		for i := range 300 {
			say(t, c, r, fmt.Sprintf("set k%d 0 0 %d\r\n%s", i, len(value), value), "STORED")
		}
		say(t, c, r, "get stuck0 stuck19", "END")
	}, "-m", "32")
}

// TestManyUploads has a hundred clients store a megabyte each, all at once and piece by
// piece. That is more than the cache may hold: each gets an answer, and beside -m the
// server uses no more than the 64 KiB that a client may have unfinished.
func TestManyUploads(t *testing.T) {
	const (
		clients, steps = 100, 10
		bound          = clients * 64 << 10
		noise          = 2 << 20 // heap that is not collected yet, and stacks
	)
	forEachTransport(t, func(t *testing.T, p *Process) {
		value := strings.Repeat("v", 1_000_000)
		c, r := dial(t, p)
		for i := range 100 { // the cache is full
			say(t, c, r, fmt.Sprintf("set k%d 0 0 %d\r\n%s", i, len(value), value), "STORED")
		}
		uploads, answers := make([]net.Conn, clients), make([]*bufio.Reader, clients)
		for i := range uploads {
			uploads[i], answers[i] = dial(t, p)
			say(t, uploads[i], answers[i], "mn", "MN")
		}
		before, err := p.RSS()
		if err != nil {
			t.Fatal(err)
		}
		most := before
		for step := range steps {
			for i, c := range uploads {
				piece := value[len(value)*step/steps : len(value)*(step+1)/steps]
				if step == 0 {
					piece = fmt.Sprintf("set upload%d 0 0 %d\r\n%s", i, len(value), piece)
				}
				if _, err := io.WriteString(c, piece); err != nil {
					t.Fatal(err)
				}
			}
			say(t, c, r, "mn", "MN")
			rss, err := p.RSS()
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, rss)
		}
		stored := 0
		for i, c := range uploads {
			if _, err := io.WriteString(c, "\r\n"); err != nil {
				t.Fatal(err)
			}
			switch line, err := readLine(answers[i]); {
			case err == nil && line == "STORED":
				stored++
			case err != nil || !strings.HasPrefix(strings.ToLower(line), "server_error out of memory"):
				t.Fatalf("upload %d: %s, %v", i, quote(line), err)
			}
		}
		t.Logf("%d MiB before, %.1f MiB more meanwhile, %d of %d stored", before>>20, float64(most-before)/(1<<20), stored, clients)
		if most > before+bound+noise {
			t.Errorf("the server uses %d bytes for each of them beside -m", (most-before)/clients)
		}
		if before > slowLimitMB<<20*21/20+24<<20 {
			t.Errorf("the full server uses %d MiB", before>>20)
		}
		if stored < slowLimitMB*8/10 {
			t.Errorf("only %d values were stored", stored)
		}
	}, "-m", strconv.Itoa(slowLimitMB))
}

// TestEndUnderLoad ends the server in the middle of everything: the exit code
// is 0 all the same (startHoldfast looks at that).
func TestEndUnderLoad(t *testing.T) {
	forEachTransport(t, func(t *testing.T, p *Process) {
		var wg sync.WaitGroup
		deadline := time.Now().Add(startWait)
		for i := range 50 {
			m := &Mixed{Dial: p.Dial, Rng: rand.New(rand.NewPCG(7, uint64(i))), Tally: Tally{}}
			wg.Go(func() {
				// That the end of the server is an error to its clients is no news.
				if err := m.Run(deadline); err == nil {
					t.Error("the server is still there")
				}
			})
		}
		for {
			stats, err := p.Stats("stats")
			if err != nil {
				t.Fatal(err)
			}
			if n, err := strconv.Atoi(stats["cmd_get"]); err != nil || n > 5000 {
				break
			}
		}
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

// TestDebugClockIsOff makes sure that nobody moves a real server's clock.
func TestDebugClockIsOff(t *testing.T) {
	forEachTransport(t, func(t *testing.T, p *Process) {
		c, r := dial(t, p)
		for _, command := range []string{"debugtime p", "debugtime 100", "debugtime r"} {
			say(t, c, r, command, "ERROR")
		}
	})
}

// TestSignalsToTheEnd goes on signalling a server that is ending: until its last
// moment a further signal changes nothing about the exit code.
func TestSignalsToTheEnd(t *testing.T) {
	for range 20 {
		p := startHoldfast(t, false)
		for running := true; running; {
			select {
			case <-p.ended:
				running = false
			default:
				if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Fatal(err)
				}
			}
		}
		if p.endErr != nil {
			t.Fatal(p.endErr)
		}
	}
}
