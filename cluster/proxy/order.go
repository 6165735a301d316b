package proxy

import "bytes"

// A route may take several steps, on several lanes, for one request. So that the
// requests of one batch still see each other's doing, one that follows another of
// the same key waits for its answer. Batches that only read need no order, and
// between plain pools the lane keeps it.

// begin starts c at n, in its turn.
func (x *executor) begin(f *flight, t *tree, n node, c *call) {
	c.node = n
	if t.active && !x.reading {
		if before := f.ahead(c.key, !isPool(n), c); before != nil {
			// What the client has sent is gone when its turn comes.
			c.value = bytes.Clone(c.value)
			before.next, c.waits = c, true
			return
		}
	}
	x.launch(c)
}

// launch starts c now.
func (x *executor) launch(c *call) {
	if !isPool(c.node) {
		c.limit = c.start + c.node.patience()
	}
	c.node.start(x, c)
}

// ahead is the last call before c of that key that is to be waited for, nil if there
// is none. active says that the one that would wait goes through a route.
func (f *flight) ahead(key []byte, active bool, c *call) *call {
	for i := len(f.calls) - 1; i >= 0; i-- {
		e := &f.calls[i]
		if e == c || e.over || e.node == nil || !bytes.Equal(e.key, key) {
			continue
		}
		if active || e.waits || !isPool(e.node) {
			return e
		}
	}
	return nil
}

// follows says whether a get of key at a pool must wait for an earlier call.
func (x *executor) follows(f *flight, t *tree, key []byte) bool {
	return t.active && !x.reading && f.ahead(key, false, nil) != nil
}

// over notes that c has its answer, and starts what has waited for it.
func (f *flight) over(c *call) {
	c.over = true
	if next := c.next; next != nil {
		next.start = f.x.now
		f.x.launch(next)
	}
}

func isPool(n node) bool {
	_, is := n.(*pool)
	return is
}
