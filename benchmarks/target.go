package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Target is a server that can be measured: a name for the tables, and the
// program that starts it with its first arguments.
type Target struct {
	Name    string
	Program []string
	Kind    Kind
	Args    []string // behind all others
}

// Process is a running Target.
type Process struct {
	Target Target
	Addr   string
	cmd    *exec.Cmd
	said   lastWords
	ended  chan struct{} // closed when the process is gone
}

// lastWords keeps the end of what a server wrote on its standard error: of use
// only when a run fails.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

// Write never fails: a server must not stop over its log.
func (l *lastWords) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	l.text = l.text[max(0, len(l.text)-lastWordsMax):]
	return len(b), nil
}

// String is what was kept.
func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

const lastWordsMax = 2000 // bytes

// Start runs t with that many threads and MiB, bound to the given cores, and
// waits until it accepts connections on a free loopback port.
func Start(t Target, threads, memory int, cores ...int) (*Process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return startOn(port, t, threads, memory, cores...)
}

// startOn is Start on a port of the caller's choice.
func startOn(port int, t Target, threads, memory int, cores ...int) (*Process, error) {
	return t.start(port, t.Kind.flags(threads, memory), cores)
}

// start is Start with the port and the first arguments given.
func (t Target) start(port int, flags []string, cores []int) (*Process, error) {
	args := slices.Concat(t.Program, flags, t.Args)
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "{port}", strconv.Itoa(port))
	}
	cmd := exec.Command(args[0], args[1:]...)
	p := &Process{Target: t, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), cmd: cmd, ended: make(chan struct{})}
	cmd.Stderr = &p.said
	// A benchmark that is interrupted leaves no server behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.startBound(cores); err != nil {
		return nil, fmt.Errorf("start %s: %w", t.Name, err)
	}
	for range 2000 {
		c, err := net.Dial("tcp", p.Addr)
		if err == nil {
			return p, c.Close()
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("%s ended at once; it said: %s", t.Name, &p.said)
		case <-time.After(10 * time.Millisecond):
		}
	}
	p.Stop()
	return nil, fmt.Errorf("%s does not answer on %s; it said: %s", t.Name, p.Addr, &p.said)
}

// stopPatience is how long a server may take to end before it is killed.
const stopPatience = 20 * time.Second

// Stop ends the server and waits for it.
func (p *Process) Stop() {
	kill := time.AfterFunc(stopPatience, func() {
		_ = p.cmd.Process.Kill() // it has ended, or Wait goes on
	})
	defer kill.Stop()
	// If the process has ended by itself, there is nobody to tell.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.ended
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

// startBound starts the server from a thread that is bound to cores: the child
// inherits the binding, this process keeps its own. The thread then waits for
// its end, as Pdeathsig is about the thread that started a process.
func (p *Process) startBound(cores []int) error {
	started := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, its binding too.
		runtime.LockOSThread()
		err := unix.SchedSetaffinity(0, cpuSet(cores))
		if err == nil {
			err = p.cmd.Start()
		}
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // its exit status says nothing about the measurement
			close(p.ended)
		}
	}()
	return <-started
}

// bindSelf binds all threads of this process, present and future ones, to cores.
func bindSelf(cores ...int) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, cpuSet(cores)); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

func cpuSet(cores []int) *unix.CPUSet {
	var set unix.CPUSet
	for _, c := range cores {
		set.Set(c)
	}
	return &set
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
