package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// build builds Holdfast once for all tests. HOLDFAST_BUILD_FLAGS is for the
// likes of "-race -tags=heaparena": a race then fails the test in which the
// server ends.
var build = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(buildDir, "holdfast")
	args := append([]string{"build", "-o", binary}, strings.Fields(os.Getenv("HOLDFAST_BUILD_FLAGS"))...)
	cmd := exec.Command("go", append(args, "../cmd/holdfast")...)
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
