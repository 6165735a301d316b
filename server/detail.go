package server

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/protocol"
)

// Bounds of the prefix counts.
const (
	detailPrefixesMax = 16384
	// detailPrefixLenMax is the longest prefix counted, in bytes: a key's.
	detailPrefixLenMax = 250
)

// detail counts gets, sets and deletes by key prefix ("stats detail"). While it
// is off, a request costs one atomic load.
type detail struct {
	on        atomic.Bool
	delimiter byte

	mu struct {
		sync.Mutex
		// prefixes is bounded by detailPrefixesMax: keys are the clients'.
		prefixes map[string]*prefixCounts
		order    []string // of first appearance
	}
}

// prefixCounts is what is counted for one prefix.
type prefixCounts struct {
	gets, hits, sets, deletes uint64
}

// init takes the settings over.
func (d *detail) init(cfg *Config) {
	d.delimiter = cfg.PrefixDelimiter
	if d.delimiter == 0 {
		d.delimiter = ':'
	}
	d.mu.prefixes = make(map[string]*prefixCounts)
	d.on.Store(cfg.DetailEnabled)
}

// setOn turns the counting on or off. The counts stay.
func (d *detail) setOn(on bool) { d.on.Store(on) }

// countLocked returns the counts of key's prefix, nil if it has no delimiter
// or too many prefixes are known. The caller holds mu.
func (d *detail) countLocked(key []byte) *prefixCounts {
	i := bytes.IndexByte(key, d.delimiter)
	if i < 0 || i > detailPrefixLenMax {
		return nil
	}
	if p := d.mu.prefixes[string(key[:i])]; p != nil {
		return p
	}
	if len(d.mu.prefixes) >= detailPrefixesMax {
		return nil
	}
	name := string(key[:i])
	p := &prefixCounts{}
	d.mu.prefixes[name] = p
	d.mu.order = append(d.mu.order, name)
	return p
}

// get counts a get of key.
func (d *detail) get(key []byte, hit bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.countLocked(key); p != nil {
		p.gets++
		if hit {
			p.hits++
		}
	}
}

// set counts a storage command on key.
func (d *detail) set(key []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.countLocked(key); p != nil {
		p.sets++
	}
}

// deleted counts a delete of key.
func (d *detail) deleted(key []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.countLocked(key); p != nil {
		p.deletes++
	}
}

// appendDump appends the reply of "stats detail dump", END included.
func (d *detail) appendDump(b []byte) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range d.mu.order {
		p := d.mu.prefixes[name]
		b = append(b, "PREFIX "...)
		b = append(b, name...)
		b = protocol.AppendUint(append(b, " get "...), p.gets)
		b = protocol.AppendUint(append(b, " hit "...), p.hits)
		b = protocol.AppendUint(append(b, " set "...), p.sets)
		b = protocol.AppendUint(append(b, " del "...), p.deletes)
		b = append(b, protocol.CRLF...)
	}
	return append(b, protocol.ReplyEnd...)
}

// reset forgets all prefixes.
func (d *detail) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.mu.prefixes)
	d.mu.order = d.mu.order[:0]
}
