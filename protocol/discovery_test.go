package protocol

import "testing"

func TestParseClusterNode(t *testing.T) {
	for text, want := range map[string]string{
		"a":                   "a|a|11211",
		"a.example:1":         "a.example|a.example|1",
		"10.0.0.1:11311":      "10.0.0.1|10.0.0.1|11311",
		"[::1]:11311":         "::1|::1|11311",
		"[::1]":               "::1|::1|11211",
		"::1":                 "::1|::1|11211",
		"a.example|10.0.0.1|": "",
		"a|10.0.0.1|65535":    "a|10.0.0.1|65535",
		"":                    "",
		":11211":              "",
		"a:":                  "",
		"a:0":                 "",
		"a:65536":             "",
		"a:+1":                "",
		"a b":                 "",
		"a\n:1":               "",
		"/run/x.sock":         "",
		"a||1":                "",
		"[::1:1":              "",
		"a|b|c|1":             "",
	} {
		n, err := ParseClusterNode(text)
		got := n.String()
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%q is %q (%v), want %q", text, got, err, want)
		}
	}
}

// TestConfigIsNoBrowser checks that the command which memcached does not have has
// not opened a way in for a browser.
func TestConfigIsNoBrowser(t *testing.T) {
	for line, want := range map[string]Op{
		"config get cluster\r\n":      OpConfig,
		"  config get cluster\r\n":    OpConfig,
		"config / HTTP/1.1\r\n":       OpClose,
		"config get / HTTP/1.1\r\n":   OpClose,
		"snapshot get / HTTP/1.1\r\n": OpSnapshot,
	} {
		var p Parser
		var b Batch
		p.Fill([]byte(line), &b)
		if r := b.Last(); r == nil || r.Op != want {
			t.Errorf("%q is %v, want %v", line, r, want)
		}
	}
}
