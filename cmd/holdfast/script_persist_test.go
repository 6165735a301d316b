package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdKill9 is "kill9": it ends the last server started as a crash would.
func cmdKill9(ts *testscript.TestScript, _ bool, _ []string) {
	list := ts.Value("running").(*[]*running)
	r := (*list)[len(*list)-1]
	*list = (*list)[:len(*list)-1]
	ts.Check(r.cmd.Process.Kill())
	<-r.ended
}

// cmdSignal is "signal USR1": it sends a signal to the last server started.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := strconv.Atoi(ts.Getenv("PID"))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, map[string]syscall.Signal{"USR1": syscall.SIGUSR1, "TERM": syscall.SIGTERM}[args[0]]))
}

// cmdFlip is "flip pattern offset": it changes one byte of the last file that
// fits the pattern; a negative offset counts from the end.
func cmdFlip(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("there is no %s", args[0])
	}
	file := files[len(files)-1]
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	b, err := os.ReadFile(file)
	ts.Check(err)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 0x55
	ts.Check(os.WriteFile(file, b, 0o600))
}

// cmdGrow is "grow pattern n": it waits until so many files fit the pattern.
func cmdGrow(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var files []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		files, err = filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		if len(files) == n {
			return
		}
	}
	ts.Fatalf("%s: %s, want %d", args[0], strings.Join(files, " "), n)
}
