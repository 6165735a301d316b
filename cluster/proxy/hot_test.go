package proxy

import (
	"strings"
	"testing"

	"github.com/holdfast-cache/holdfast/cluster/hotkeys"
	"github.com/holdfast-cache/holdfast/protocol"
)

// A key that came as base64 may have line ends in it. What stats tells of it is one
// line all the same.
func TestHotKeysAreOneLine(t *testing.T) {
	r := newRig(t, 1, nil).withNodes(1)
	c := r.loop.NewClient()
	key := "a\r\nEND\r\nSTAT b"
	ask := "mg " + string(protocol.AppendBase64(nil, []byte(key))) + " b v\r\n"
	for range 40 * hotkeys.Every {
		r.ask(c, ask)
	}
	got := r.ask(c, "stats hotkeys\r\n")
	lines := strings.Split(strings.TrimSuffix(got, "\r\n"), "\r\n")
	if len(lines) != 2 || lines[1] != "END" {
		t.Fatalf("%q", got)
	}
	if words := strings.Fields(lines[0]); len(words) != 5 || words[4] != "b" || words[3] != string(protocol.AppendBase64(nil, []byte(key))) {
		t.Errorf("%q", lines[0])
	}
}
