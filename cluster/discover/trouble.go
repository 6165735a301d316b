package discover

import (
	"strconv"
	"sync"

	"github.com/rs/zerolog"
)

// trouble is what one thing that is asked again and again has had. It is logged
// when it begins, when it becomes another, and when it ends.
type trouble struct {
	what string // what is asked, in words
	log  zerolog.Logger
	// alike takes all troubles for one: their texts name ports that change.
	alike bool

	mu       sync.Mutex
	text     string // of the present trouble, "" if there is none
	asked    uint64
	failures uint64
}

// failed notes a failure. Without an error it notes a success.
func (t *trouble) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked++
	text := ""
	if err != nil {
		t.failures++
		text = err.Error()
	}
	if text == t.text {
		return
	}
	began := t.text == "" || text == ""
	t.text = text
	if t.alike && !began {
		return
	}
	if text != "" {
		t.log.Error().Str("why", text).Msg(t.what + " cannot be used; what there was stays")
	} else {
		t.log.Info().Msg(t.what + " can be used again")
	}
}

// forget has the present trouble logged again if it is still there: somebody has
// asked.
func (t *trouble) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = ""
}

// stats tells of it, with prefix before each name.
func (t *trouble) stats(prefix string, add func(name, value string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	add(prefix+"asked", strconv.FormatUint(t.asked, 10))
	add(prefix+"failures", strconv.FormatUint(t.failures, 10))
	if t.text != "" {
		add(prefix+"trouble", oneLine(t.text))
	}
}

// oneLine keeps a text from ending a line of statistics.
func oneLine(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			b[i] = ' '
		}
	}
	return string(b)
}
