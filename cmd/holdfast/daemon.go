package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// daemonEnv tells the process that it is the daemon: it holds the number of the
// file on which the parent waits for "ready".
const daemonEnv = "HOLDFAST_DAEMON_READY_FD"

// A Go program cannot fork, so -d starts the program once more, in a session of
// its own. The parent waits until the child listens, passing on what the child
// prints on standard error, and ends with the child's code if it fails.

// isDaemon says that this process is the child of startDaemon.
func isDaemon() bool { return os.Getenv(daemonEnv) != "" }

// startDaemon starts the background process and waits for its verdict.
func startDaemon(args []string, stderr io.Writer) error {
	exe, err := os.Executable()
	if err != nil {
		return fail(exitFailure, "-d: cannot find the program file: %v", err)
	}
	ready, readyChild, err := os.Pipe()
	if err != nil {
		return fail(exitOS, "-d: %v", err)
	}
	cmd := exec.Command(exe)
	cmd.Args = args
	cmd.Env = append(os.Environ(), daemonEnv+"=3")
	cmd.ExtraFiles = []*os.File{readyChild}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// A file, so that no goroutine of ours has to copy: it outlives the parent.
	if f, ok := stderr.(*os.File); ok {
		cmd.Stderr = f
	}
	if err := cmd.Start(); err != nil {
		return fail(exitFailure, "-d: cannot start the background process: %v", err)
	}
	_ = readyChild.Close()
	if n, _ := ready.Read(make([]byte, 1)); n == 1 {
		return nil
	}
	// The pipe closed unwritten: the child has ended, its message is printed.
	var exit *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &failure{code: exit.ExitCode()}
	}
	return fail(exitFailure, "-d: the background process ended before it was ready")
}

// daemonReady tells the parent that the server listens, lets go of the
// parent's directory and, unless the log is wanted, of its standard error.
func daemonReady(keepStderr, keepDir bool) error {
	fd, err := strconv.Atoi(os.Getenv(daemonEnv))
	if err != nil {
		return err
	}
	_ = os.Unsetenv(daemonEnv)
	if !keepDir { // core files are written to the directory
		if err := os.Chdir("/"); err != nil {
			return err
		}
	}
	if !keepStderr {
		if err := silenceStderr(); err != nil {
			return err
		}
	}
	ready := os.NewFile(uintptr(fd), "ready")
	if _, err := ready.Write([]byte{1}); err != nil {
		return err
	}
	return ready.Close()
}

// silenceStderr puts /dev/null where standard error was.
func silenceStderr() error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = null.Close() }()
	return dup2(int(null.Fd()), int(os.Stderr.Fd()))
}
