package slab

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestConcurrent has several workers, and the background work, on one small
// store. Values name their key, so that any mix-up shows.
func TestConcurrent(t *testing.T) {
	const workers, ops, keys = 4, 12_000, 400
	s, _ := newStore(t, func(c *Config) {
		c.PageBytes = 16 << 10
		c.LimitBytes = 2 << 20
		c.ItemSizeMax = 200 << 10
		c.HashPower = 4
		c.TempTTL = 3
	})
	var wg sync.WaitGroup
	fail := make(chan string, workers+1)
	for id := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c := chaos{s: s, w: s.NewWorker(), rnd: rand.New(rand.NewPCG(uint64(id), 1))}
			for range ops {
				if err := c.step(fmt.Sprintf("key-%03d", c.rnd.IntN(keys))); err != "" {
					fail <- err
					return
				}
			}
			for _, p := range c.pins {
				p.Unpin()
			}
		}()
	}
	done := make(chan struct{})
	var upkeep sync.WaitGroup
	upkeep.Add(1)
	go func() {
		defer upkeep.Done()
		for now := uint32(1001); ; now++ {
			select {
			case <-done:
				return
			default:
			}
			for range 50 {
				s.Maintain()
			}
			s.Tick(now)
			s.Reassign(-1, 1+int(now)%(len(s.classes)-1))
			s.Stats()
		}
	}()
	wg.Wait()
	close(done)
	upkeep.Wait()
	select {
	case err := <-fail:
		t.Fatal(err)
	default:
	}
	checkStore(t, s)
}

// chaos is one worker that does anything.
type chaos struct {
	s    *Store
	w    *Worker
	rnd  *rand.Rand
	pins []Pin
}

// valueFor returns a value of n bytes that names its key.
func valueFor(key string, n int) []byte {
	return bytes.Repeat([]byte(key+"/"), n/8+1)
}

func (c *chaos) step(key string) (wrong string) {
	k := c.s.keyString(key)
	c.w.Lock()
	defer c.w.Unlock()
	visit := func(v *View) {
		if v.Pinnable() && c.rnd.IntN(4) == 0 {
			_, p := v.Pin(nil)
			c.pins = append(c.pins, p)
		}
		if got := v.AppendValue(nil); string(v.Key()) != key || len(got) > 0 && !isNumber(got) && !bytes.Equal(got, valueFor(key, len(got)-8)) {
			wrong = fmt.Sprintf("%s: holds %s, %d bytes: %.30q", key, v.Key(), len(got), got)
		}
	}
	n := c.rnd.IntN(200)
	if c.rnd.IntN(20) == 0 {
		n = c.rnd.IntN(100 << 10)
	}
	switch c.rnd.IntN(12) {
	case 0, 1, 2:
		c.w.Set(k, &SetOp{Mode: Mode(c.rnd.IntN(3)), Exptime: c.exptime()}, valueFor(key, n))
	case 3:
		c.w.Delete(k, &DeleteOp{Invalidate: c.rnd.IntN(2) == 0, DropValue: c.rnd.IntN(3) == 0, SetExptime: true, Exptime: c.exptime()})
	case 4:
		c.w.Touch(k, c.exptime())
	case 5:
		c.w.Set(k, &SetOp{}, []byte("12"))
		c.w.Arith(k, &ArithOp{Delta: 1})
	case 6:
		c.stream(k, valueFor(key, n))
	case 7:
		c.w.Get(k, &GetOp{Meta: true, Vivify: true, VivifyExptime: c.exptime()}, visit)
	case 8:
		for ; len(c.pins) > 3; c.pins = c.pins[1:] {
			c.pins[0].Unpin()
		}
	default:
		c.w.Get(k, nil, visit)
	}
	return wrong
}

func (c *chaos) exptime() uint32 {
	if c.rnd.IntN(3) > 0 {
		return 0
	}
	return c.s.Now() + uint32(c.rnd.IntN(5))
}

func isNumber(b []byte) bool {
	_, ok := parseNumber(b)
	return ok
}

func (c *chaos) stream(k Key, v []byte) {
	p, r := c.w.Reserve(k, &SetOp{}, len(v))
	if r != Stored {
		return
	}
	for left := v; len(left) > 0; {
		room := p.Span()
		if room == nil || c.rnd.IntN(100) == 0 {
			p.Abort()
			return
		}
		n := copy(room, left)
		p.Advance(n)
		left = left[n:]
	}
	p.Commit(c.w)
}
