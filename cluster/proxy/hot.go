package proxy

import (
	"strconv"
	"strings"
	"sync"

	"github.com/holdfast-cache/holdfast/cluster/hotkeys"
	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/zeebo/xxh3"
)

// hotKeys are the keys that clients of one loop ask for most. The lock is for
// who shows them; the loop takes it for one key in hotkeys.Every.
type hotKeys struct {
	mu     sync.Mutex
	sketch hotkeys.Sketch
	halved int64 // when the counts were halved last
}

// hotLife is how often counts are halved, in nanoseconds: what is shown is of the
// last minutes.
const hotLife = 60e9

// note counts keys.
func (h *hotKeys) note(keys [][]byte) {
	for _, key := range keys {
		if h.sketch.Due() {
			h.mu.Lock()
			h.sketch.Sample(xxh3.Hash(key), key)
			h.mu.Unlock()
		}
	}
}

// age forgets a half of what was counted, once a minute.
func (h *hotKeys) age(now int64) {
	if now-h.halved < hotLife {
		return
	}
	h.halved = now
	h.mu.Lock()
	h.sketch.Halve()
	h.mu.Unlock()
}

// hotShown is how many keys stats hotkeys tells.
const hotShown = 20

// appendHot tells the hottest keys of all loops: rank, then samples and key. A key that is
// no word of a line is told as meta commands have it: in base64, and b behind it.
func (p *Proxy) appendHot(b []byte) []byte {
	p.mu.Lock()
	executors := p.mu.executors
	p.mu.Unlock()
	all := make([][]hotkeys.Hot, 0, len(executors))
	for _, x := range executors {
		x.hot.mu.Lock()
		all = append(all, x.hot.sketch.Top(nil, hotkeys.Counters))
		x.hot.mu.Unlock()
	}
	for i, k := range hotkeys.Merge(hotShown, all...) {
		b = protocol.AppendStat(b, strconv.Itoa(i+1), strconv.FormatUint(k.Count, 10)+" "+keyWord(k.Key))
	}
	return b
}

func keyWord(key string) string {
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return string(protocol.AppendBase64(nil, []byte(key))) + " b"
	}
	return key
}
