package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Target is a server that can be measured: a name for the tables and the
// command that starts it. "{port}" in an argument becomes the port.
type Target struct {
	Name string
	Args []string
	Env  []string
}

// Process is a running Target.
type Process struct {
	Target Target
	Addr   string
	cmd    *exec.Cmd
}

// Start runs t, pinned to the given core (-1: anywhere), and waits until it
// accepts connections on a free loopback port.
func Start(t Target, core int) (*Process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args := make([]string, len(t.Args))
	for i, a := range t.Args {
		args[i] = strings.ReplaceAll(a, "{port}", strconv.Itoa(port))
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), t.Env...)
	cmd.Stderr = os.Stderr
	if err := startPinned(cmd, core); err != nil {
		return nil, fmt.Errorf("start %s: %w", t.Name, err)
	}
	p := &Process{Target: t, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), cmd: cmd}
	for range 500 {
		c, err := net.Dial("tcp", p.Addr)
		if err == nil {
			return p, c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.Stop()
	return nil, fmt.Errorf("%s does not answer on %s", t.Name, p.Addr)
}

// Stop ends the server and waits for it.
func (p *Process) Stop() {
	// The process may have ended by itself; then there is nothing to do.
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err == nil || errors.Is(err, os.ErrProcessDone) {
		_ = p.cmd.Wait() // its exit status says nothing about the measurement
	}
}

// CPU is the time that all threads of the server have spent on a core so far.
// schedstat counts nanoseconds; /proc/PID/stat only ticks of 10 ms.
func (p *Process) CPU() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread ended between Glob and ReadFile
		}
		ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f, err)
		}
		sum += time.Duration(ns)
	}
	if sum == 0 {
		return 0, fmt.Errorf("no CPU time found for %s: has it ended?", p.Target.Name)
	}
	return sum, nil
}

// RSS is the server's resident memory in bytes.
func (p *Process) RSS() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// startPinned starts cmd from a thread that is bound to core: the child
// inherits the binding, this process keeps its own.
func startPinned(cmd *exec.Cmd, core int) error {
	if core < 0 {
		return cmd.Start()
	}
	done := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, its binding too.
		runtime.LockOSThread()
		var set unix.CPUSet
		set.Set(core)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			done <- err
			return
		}
		done <- cmd.Start()
	}()
	return <-done
}

// pinSelf binds all threads of this process, present and future ones, to core.
func pinSelf(core int) error {
	var set unix.CPUSet
	set.Set(core)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return err
		}
	}
	return nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
