package integration

import (
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What clients and nodes that are slow may cost a proxy, and whom.

const (
	boundsLimitMB = 32
	// boundsSlack is what a proxy may use beside --buffer-limit: its program and run
	// time, what the garbage collector is behind, and the buffers it keeps.
	boundsSlack = 96 << 20
)

// startBounded starts nodes behind a proxy with a small --buffer-limit.
func startBounded(t *testing.T, nodes int, args ...string) *proxied {
	t.Helper()
	p := &proxied{nodes: startNodes(t, nodes, false, "")}
	p.Process = startProxy(t, p.nodes, false, append(args, "--buffer-limit", fmt.Sprint(boundsLimitMB, "m"))...)
	return p
}

// within checks the proxy's memory.
func (p *proxied) within(t *testing.T) {
	t.Helper()
	if rss, err := p.RSS(); err != nil || rss > boundsLimitMB<<20+boundsSlack {
		t.Fatalf("the proxy uses %d MiB, %v", rss>>20, err)
	}
}

// TestProxySlowClients have clients ask for a gibibyte and read nothing of it: others are
// served by the same nodes meanwhile, memory stays bounded, and when they have gone, or
// are cut off, there is room for long values again.
func TestProxySlowClients(t *testing.T) {
	t.Run("that go", func(t *testing.T) { slowClients(t, startBounded(t, 2), true) })
	t.Run("that are cut off", func(t *testing.T) { slowClients(t, startBounded(t, 2, "--client-timeout", "2s"), false) })
}

func slowClients(t *testing.T, p *proxied, leave bool) {
	defer p.end(t)
	value := strings.Repeat("v", slowValueBytes)
	c, r := dial(t, p.Process)
	for i := range 4 {
		say(t, c, r, fmt.Sprintf("set large%d 0 0 %d\r\n%s", i, len(value), value), "STORED")
	}
	var slow []net.Conn
	for i := range 8 {
		s, _ := dial(t, p.Process)
		if _, err := io.WriteString(s, strings.Repeat(fmt.Sprintf("get large%d\r\n", i%4), slowReplies)); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, s)
	}
	for i := range 1000 {
		say(t, c, r, fmt.Sprintf("set a%d 0 0 4\r\n%04d", i, i), "STORED")
		say(t, c, r, fmt.Sprintf("get a%d", i), fmt.Sprintf("VALUE a%d 0 4", i), fmt.Sprintf("%04d", i), "END")
		p.within(t)
	}
	for _, n := range p.nodes { // nobody waits at a node
		stats, err := n.Stats("stats")
		if err != nil || stats["curr_connections"] == "" {
			t.Fatal(stats, err)
		}
	}
	for _, s := range slow {
		if leave {
			hangUp(s)
		} else {
			defer hangUp(s)
		}
	}
	waitFor(t, "a long value is read again", func() bool {
		if _, err := io.WriteString(c, "mg large0 s v\r\nmn\r\n"); err != nil {
			t.Fatal(err)
		}
		hit := false
		for {
			line, err := readLine(r)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case line == "MN":
				return hit
			case strings.HasPrefix(line, "VA "):
				got, err := readBlock(r, strings.Fields(line)[1])
				if hit = got == value; err != nil || !hit {
					t.Fatalf("%s, %v", quote(got), err)
				}
			case !strings.HasPrefix(line, "SERVER_ERROR hf-limit "):
				t.Fatal(line)
			}
		}
	})
	waitFor(t, "nothing is held any more", func() bool {
		stats, err := p.Stats("stats")
		return err == nil && stats["buffer_bytes"] == "0" && (leave || stats["stalled_clients"] == fmt.Sprint(len(slow)))
	})
}

// TestProxyStalledNode floods a node that has stopped with large sets: what does not fit
// is refused, the rest fails in its time, and the other node is served.
func TestProxyStalledNode(t *testing.T) {
	p := &proxied{nodes: startNodes(t, 2, false, "")}
	var err error
	if p.Process, err = Start(Spec{Binary: holdfastBinary(t), Command: "proxy", Args: []string{
		"--nodes", p.nodes[0].Addr + "," + p.nodes[1].Addr, "--timeout", "2s", "--buffer-limit", fmt.Sprint(boundsLimitMB, "m"),
	}}); err != nil {
		t.Fatal(err)
	}
	defer p.end(t)
	c, r := dial(t, p.Process)
	keys := [2]string{}
	for i := 0; keys[0] == "" || keys[1] == ""; i++ {
		key := fmt.Sprint("key", i)
		say(t, c, r, "set "+key+" 0 0 1\r\nx", "STORED")
		for j, n := range p.nodes {
			nc, nr := dial(t, n)
			if _, err := io.WriteString(nc, "mg "+key+"\r\n"); err != nil {
				t.Fatal(err)
			}
			if line, err := readLine(nr); err != nil {
				t.Fatal(err)
			} else if line == "HD" {
				keys[j] = key
			}
			hangUp(nc)
		}
	}
	stop := func(sig syscall.Signal) {
		if err := p.nodes[0].cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	stop(syscall.SIGSTOP)
	defer stop(syscall.SIGCONT)
	value := strings.Repeat("v", slowValueBytes)
	answers := make(chan string, 200)
	for range 200 { // a hundred megabytes
		f, fr := dial(t, p.Process)
		go func() {
			_, err := fmt.Fprintf(f, "set %s 0 0 %d\r\n%s\r\n", keys[0], len(value), value)
			line := ""
			if err == nil {
				line, err = readLine(fr)
			}
			if err != nil {
				line = err.Error()
			}
			answers <- line
		}()
	}
	for range 200 {
		say(t, c, r, "set "+keys[1]+" 0 0 1\r\ny", "STORED")
		say(t, c, r, "get "+keys[1], "VALUE "+keys[1]+" 0 1", "y", "END")
		p.within(t)
	}
	refused := 0
	for range 200 {
		switch line := <-answers; {
		case strings.HasPrefix(line, "SERVER_ERROR hf-limit "):
			refused++
		case !strings.HasPrefix(line, "SERVER_ERROR hf-"):
			t.Fatalf("a set is answered %q", line)
		}
		p.within(t)
	}
	if refused < 100 {
		t.Errorf("only %d of 200 sets were refused", refused)
	}
}

// TestProxyHalfRequests has clients that send a half of a request and then nothing: they
// hold no backend, and no more than the budget.
func TestProxyHalfRequests(t *testing.T) {
	p := startBounded(t, 2)
	defer p.end(t)
	value := strings.Repeat("v", slowValueBytes)
	var half []net.Conn
	for i := range 100 {
		h, _ := dial(t, p.Process)
		if _, err := fmt.Fprintf(h, "set half%d 0 0 %d\r\n%s", i, len(value), value[:len(value)/2]); err != nil {
			t.Fatal(err)
		}
		half = append(half, h)
	}
	c, r := dial(t, p.Process)
	for i := range 200 {
		say(t, c, r, fmt.Sprintf("set a%d 0 0 1\r\nx", i), "STORED")
		say(t, c, r, fmt.Sprintf("get a%d half1", i), fmt.Sprintf("VALUE a%d 0 1", i), "x", "END")
	}
	p.within(t)
	for _, h := range half {
		hangUp(h)
	}
	waitFor(t, "nothing is held any more", func() bool {
		stats, err := p.Stats("stats")
		return err == nil && stats["buffer_bytes"] == "0"
	})
	say(t, c, r, fmt.Sprintf("set large 0 0 %d\r\n%s", len(value), value), "STORED")
}

// TestProxyDeadlines asks nodes that take connections and never answer, and one that does
// not even take them: an error comes in the time that the pool has for it.
func TestProxyDeadlines(t *testing.T) {
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(deaf)
	go func() {
		for {
			c, err := deaf.Accept()
			if err != nil {
				return
			}
			defer hangUp(c)
		}
	}()
	// 192.0.2.1 is for documents: nobody is there, or the network says so at once.
	for _, address := range []string{deaf.Addr().String(), "192.0.2.1:11211"} {
		p, err := Start(Spec{Binary: holdfastBinary(t), Command: "proxy", Args: []string{"--nodes", address, "--timeout", "300ms", "--connect-timeout", "200ms"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"get a", "set a 0 0 1\r\nx", "mg a v", "delete a", "gat 10 a", "incr a 1", "touch a 1", "ms a 1\r\nx"} {
			c, r := dial(t, p)
			if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, command+"\r\nmn\r\n"); err != nil {
				t.Fatal(err)
			}
			line, err := readLine(r)
			if err != nil || !strings.HasPrefix(line, "SERVER_ERROR hf-timeout ") && !strings.HasPrefix(line, "SERVER_ERROR hf-down ") {
				t.Errorf("%q to %s is answered %q, %v", command, address, line, err)
			}
			if line, err := readLine(r); err != nil || line != "MN" {
				t.Errorf("after %q there is %q, %v", command, line, err)
			}
			hangUp(c)
		}
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}
}
