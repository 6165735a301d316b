package main

import (
	"strings"
	"testing"
)

// Memory that the system has not got is refused before any of it is taken.
func TestCheckFree(t *testing.T) {
	const meminfo = "MemTotal:       24690000 kB\nMemFree:        1000 kB\nMemAvailable:    2097152 kB\nBuffers: 7 kB\n"
	if err := checkFree(2<<30, meminfo); err != nil {
		t.Error(err)
	}
	if err := checkFree(1<<40, ""); err != nil {
		t.Errorf("a system that does not tell: %v", err)
	}
	err := checkFree(2<<30+mebi, meminfo)
	if f, ok := err.(*failure); !ok || f.code != exitOS || !strings.Contains(f.text, "-m 2049 MB") || !strings.Contains(f.text, "2048 MB") {
		t.Errorf("too much memory gives %v", err)
	}
}
