package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	growthClients = 16
	growthValue   = 1000 // bytes
	growthSkew    = 0.8  // of the keys' popularity
	// growthPatience is how long a client waits for a reply.
	growthPatience = 5 * time.Second
)

// load fills the cache, has clients read and store what they miss at a fixed rate,
// and calls change after a quarter of the time.
func (g *growth) load(addr string, change func() error) ([]growthPoint, error) {
	if err := g.fill(addr); err != nil {
		return nil, err
	}
	points := make([]growthPoint, int(g.time/g.window))
	changeAt := g.time / 4
	for i := range points {
		points[i].at = time.Duration(i)*g.window - changeAt
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	begin := time.Now()
	for n := range growthClients {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(n)))
			c := growthClient{addr: addr, popularity: newZipf(rng, g.keys, growthSkew)}
			defer c.hangUp()
			step := time.Second * growthClients / time.Duration(g.rate)
			for due := time.Duration(rng.Int64N(int64(step))); due < g.time; due += step {
				time.Sleep(due - time.Since(begin))
				hit, err := c.turn()
				mu.Lock()
				p := &points[min(int(due/g.window), len(points)-1)]
				switch {
				case err != nil:
					p.errors++
				case hit:
					p.hits++
					fallthrough
				default:
					p.reads++
				}
				mu.Unlock()
			}
		})
	}
	time.Sleep(changeAt - time.Since(begin))
	err := change()
	group.Wait()
	return points, err
}

// fill stores every key.
func (g *growth) fill(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	r, value := bufio.NewReader(c), newValue(growthValue)
	const batch = 100
	for from := 0; from < g.keys; from += batch {
		var text strings.Builder
		n := min(batch, g.keys-from)
		for i := range n {
			fmt.Fprintf(&text, "set %s 0 0 %d\r\n%s\r\n", appendKey(nil, from+i), len(value), value)
		}
		if _, err := io.WriteString(c, text.String()); err != nil {
			return err
		}
		for range n {
			if line, err := r.ReadString('\n'); err != nil || line != "STORED\r\n" {
				return fmt.Errorf("set answered %q: %w", line, err)
			}
		}
	}
	return nil
}

// growthClient is an application: what is not in the cache it gets elsewhere, and
// stores.
type growthClient struct {
	addr       string
	popularity *zipf
	c          net.Conn
	r          *bufio.Reader
}

func (c *growthClient) hangUp() {
	if c.c != nil {
		_ = c.c.Close() // the run is over
		c.c = nil
	}
}

// turn reads a key, and stores it if it is not there. After an error the client
// connects anew.
func (c *growthClient) turn() (hit bool, err error) {
	defer func() {
		if err != nil {
			c.hangUp()
		}
	}()
	if c.c == nil {
		if c.c, err = net.Dial("tcp", c.addr); err != nil {
			return false, err
		}
		c.r = bufio.NewReader(c.c)
	}
	if err := c.c.SetDeadline(time.Now().Add(growthPatience)); err != nil {
		return false, err
	}
	key := appendKey(nil, c.popularity.next())
	if _, err := fmt.Fprintf(c.c, "get %s\r\n", key); err != nil {
		return false, err
	}
	line, err := c.r.ReadString('\n')
	switch {
	case err != nil:
		return false, err
	case line == "END\r\n":
		value := newValue(growthValue)
		if _, err := fmt.Fprintf(c.c, "set %s 0 0 %d\r\n%s\r\n", key, len(value), value); err != nil {
			return false, err
		}
		if line, err = c.r.ReadString('\n'); err != nil || line != "STORED\r\n" {
			return false, fmt.Errorf("set answered %q: %w", line, err)
		}
		return false, nil
	case !strings.HasPrefix(line, fmt.Sprintf("VALUE %s ", key)):
		return false, fmt.Errorf("get answered %q", line)
	}
	rest := make([]byte, growthValue+len("\r\nEND\r\n"))
	if _, err := io.ReadFull(c.r, rest); err != nil {
		return false, err
	}
	if string(rest[growthValue:]) != "\r\nEND\r\n" {
		return false, fmt.Errorf("get ends in %q", rest[growthValue:])
	}
	return true, nil
}
