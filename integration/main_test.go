package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// buildDir is where TestMain lets holdfastBinary build.
var buildDir string

// TestMain gives the tests a place to build Holdfast in.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "holdfast-integration")
	if err != nil {
		panic(err)
	}
	buildDir = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// build builds Holdfast once for all tests.
var build = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(buildDir, "holdfast")
	cmd := exec.Command("go", "build", "-o", binary, "../cmd/holdfast")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return binary, cmd.Run()
})

// holdfastBinary returns the path of a Holdfast built from this tree.
func holdfastBinary(t *testing.T) string {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatalf("go build: %v", err)
	}
	return binary
}
