package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The unit of the README is one that systemd takes.
func TestReadmeUnit(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, unit, found := strings.Cut(string(text), "```\n[Unit]\n")
	unit, _, ended := strings.Cut(unit, "```\n")
	if !found || !ended {
		t.Fatal("there is no unit in the README")
	}
	const installed = "/usr/local/bin/holdfast"
	if !strings.Contains(unit, "ExecStart="+installed+" ") {
		t.Fatalf("it does not start %s", installed)
	}
	name := filepath.Join(t.TempDir(), "holdfast.service")
	unit = strings.ReplaceAll("[Unit]\n"+unit, installed, holdfastBinary(t))
	if err := os.WriteFile(name, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program(t, "systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", name).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
