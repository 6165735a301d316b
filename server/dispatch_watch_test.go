package server

import (
	"regexp"
	"testing"
)

var watchPrefix = regexp.MustCompile(`(?m)^ts=\d+\.\d{6} gid=\d+ `)

// Watchers hear of look-ups, stores and deletions as they happen.
func TestDispatchIsWatched(t *testing.T) {
	n := testNode(t, nil, nil)
	w, c := newClient(t, n, 0), newClient(t, n, 0)
	want(t, w, "watch fetchers mutations deletions\r\n", "OK\r\n")
	for _, tt := range []struct{ in, lines string }{
		{"get a\r\n", "type=item_get key=a status=not_found clsid=0 cfd=1 size=0\n"},
		{
			"set a 0 0 3\r\nxyz\r\n", "type=item_get key=a status=not_found clsid=0 cfd=1 size=0\n" +
				"type=item_store key=a status=stored cmd=set ttl=0 clsid=1 cfd=1 size=3\n",
		},
		{"gets a\r\n", "type=item_get key=a status=found clsid=1 cfd=1 size=3\n"},
		{"mg a v\r\n", "type=item_get key=a status=found clsid=1 cfd=1 size=3\n"},
		{"mg b\r\n", "type=item_get key=b status=not_found clsid=0 cfd=1 size=0\n"},
		{"touch a 0\r\n", "type=item_get key=a status=found clsid=1 cfd=1 size=3\n"},
		{"incr b 1\r\n", "type=item_get key=b status=not_found clsid=0 cfd=1 size=0\n"},
		{
			"ms a 1 C5\r\nx\r\n", "type=item_get key=a status=found clsid=1 cfd=1 size=3\n" +
				"type=item_store key=a status=exists cmd=cas ttl=0 clsid=1 cfd=1 size=1\n",
		},
		{
			"add b 0 0 2000000\r\n", "type=item_get key=b status=not_found clsid=0 cfd=1 size=0\n" +
				"type=item_store key=b status=too_large cmd=add ttl=0 clsid=0 cfd=1 size=2000000\n",
		},
	} {
		c.say([]byte(tt.in))
		if got := watchPrefix.ReplaceAllString(string(w.say(nil)), ""); got != tt.lines {
			t.Fatalf("%q\n got %q\nwant %q", tt.in, got, tt.lines)
		}
		if tt.in[:3] == "add" {
			c = newClient(t, n, 0)
		}
	}
	c.say([]byte("delete a\r\n"))
	const deleted = "type=item_get key=a status=found clsid=1 cfd=1 size=3\ntype=deleted key=a cmd=delete clsid=1 size=3\n"
	if got := watchPrefix.ReplaceAllString(string(w.say(nil)), ""); got != deleted {
		t.Fatalf("got %q", got)
	}
}
