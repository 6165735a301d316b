package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// run is the program, with its exit code as the result. args[0] is the name it
// was called by.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	name := filepath.Base(args[0])
	var err error
	switch {
	case strings.HasPrefix(name, "memcached"):
		err = serveCommand(name, args[1:], true, stdout, stderr)
	case serves(args[1:]):
		err = serveCommand("holdfast", args[1:], false, stdout, stderr)
	default:
		root := newRootCommand(stdin, stdout, stderr)
		root.SetArgs(args[1:])
		err = root.Execute()
	}
	if err == nil {
		return exitOK
	}
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{code: exitFailure, text: err.Error()}
	}
	if f.text != "" {
		_, _ = fmt.Fprintf(stderr, "%s: %s\n", name, oneLine(f.text))
	}
	return f.code
}

// serves says whether the arguments mean "serve" without saying so: they begin
// with an option that is not one of the root command's own.
func serves(args []string) bool {
	if len(args) == 0 || !strings.HasPrefix(args[0], "-") {
		return false
	}
	switch args[0] {
	case "-h", "--help", "--version":
		return false
	}
	return true
}

// oneLine keeps an error to one line, whatever text it wraps.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// The exit codes, memcached's (sysexits.h).
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 64
	exitNoUser  = 67
	exitOS      = 71
)

// failure is an error that knows its exit code. An empty text prints nothing.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

func fail(code int, format string, args ...any) error {
	return &failure{code: code, text: fmt.Sprintf(format, args...)}
}
