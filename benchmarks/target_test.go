package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeServer is a program that is started as a server is, writes a word and
// does what the script says.
func fakeServer(t *testing.T, script string) Target {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(file, []byte("#!/bin/sh\necho no such luck >&2\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return Target{Name: "fake", Program: []string{file}}
}

func TestServerThatEndsIsReported(t *testing.T) {
	_, err := Start(fakeServer(t, "exit 3"), 1, 64, 0)
	if err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("got %v, want what the server said", err)
	}
}

func TestLastWordsAreTheLast(t *testing.T) {
	var l lastWords
	for range 1000 {
		if n, err := l.Write([]byte("chatter, ")); n != 9 || err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := l.Write([]byte("the end")); err != nil {
		t.Fatal(err)
	}
	if s := l.String(); len(s) != lastWordsMax || !strings.HasSuffix(s, "the end") {
		t.Errorf("%d bytes kept, ending in %q", len(s), s[len(s)-20:])
	}
}
