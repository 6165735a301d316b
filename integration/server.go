package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startWait is how long a server may take to listen or to end. Nobody waits
// that long unless the test is about to fail.
const startWait = time.Minute

// Process is a server started for a test.
type Process struct {
	Network, Addr string // where it listens
	Command       string // of Holdfast, "" for serve
	DebugDelta    int64  // what memcached's debugtime has added up, see Player.moveClock
	cmd           *exec.Cmd
	inside        func(func() error) error
	stderr        tail
	ended         chan struct{}
	endErr        error
	dir           string
}

// Spec says which server to start.
type Spec struct {
	Binary  string
	Command string   // of Holdfast, "" for serve
	Args    []string // without the listening address
	Env     []string // added to the environment
	Unix    bool     // listen on a Unix socket rather than on 127.0.0.1
	// Listen is where Args have it listen, for programs with options of their own
	// for that; "" is a free port.
	Listen string
	// Inside runs a function where the server lives, in a network namespace for
	// example; nil is here.
	Inside func(func() error) error
}

// Start runs a server and returns when it takes connections.
func Start(spec Spec) (*Process, error) {
	p, err := Launch(spec)
	if err != nil {
		return nil, err
	}
	if err := p.await(filepath.Join(p.dir, "port")); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w\n%s", p.cmd, err, p.stderr.String()), p.Kill())
	}
	return p, nil
}

// Launch runs a server and returns at once.
func Launch(spec Spec) (*Process, error) {
	dir, err := os.MkdirTemp("", "wire")
	if err != nil {
		return nil, err
	}
	p := &Process{
		Network: "tcp", Addr: spec.Listen, Command: spec.Command, inside: spec.Inside,
		dir: dir, ended: make(chan struct{}),
	}
	portFile := filepath.Join(dir, "port")
	args := []string{"-p", "-1", "-l", "127.0.0.1"}
	if spec.Unix {
		p.Network, p.Addr = "unix", filepath.Join(dir, "sock")
		args = []string{"-s", p.Addr}
	}
	if os.Getuid() == 0 {
		args = append(args, "-u", "root") // memcached insists
	}
	if spec.Listen != "" {
		args = nil
	}
	if spec.Command != "" {
		args = append([]string{spec.Command}, args...)
	}
	p.cmd = exec.Command(spec.Binary, append(args, spec.Args...)...)
	p.cmd.Env = append(append(os.Environ(), "MEMCACHED_PORT_FILENAME="+portFile), spec.Env...)
	if err := p.begin(); err != nil {
		return nil, err
	}
	return p, nil
}

// begin starts the process.
func (p *Process) begin() error {
	if p.inside == nil {
		p.inside = func(f func() error) error { return f() }
	}
	p.cmd.Stderr = &p.stderr
	if err := p.inside(p.cmd.Start); err != nil {
		return errors.Join(err, os.RemoveAll(p.dir))
	}
	go func() {
		p.endErr = p.cmd.Wait()
		close(p.ended)
	}()
	return nil
}

// StartAt runs a program that was told to listen on addr and returns when it takes
// connections. dir, its own, is removed when it has ended.
func StartAt(cmd *exec.Cmd, dir, network, addr string) (*Process, error) {
	p := &Process{Network: network, Addr: addr, cmd: cmd, dir: dir, ended: make(chan struct{})}
	if err := p.begin(); err != nil {
		return nil, err
	}
	if err := p.await(""); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w\n%s", p.cmd, err, p.stderr.String()), p.Kill())
	}
	return p, nil
}

// await polls until the server has told its port and takes connections.
func (p *Process) await(portFile string) error {
	for deadline := time.Now().Add(startWait); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		select {
		case <-p.ended:
			return fmt.Errorf("ended at once: %v", p.endErr)
		default:
		}
		if p.Addr == "" {
			p.Addr = readPort(portFile)
			continue
		}
		if c, err := p.Dial(); err == nil {
			return farewell(c)
		}
	}
	return errors.New("does not listen")
}

// farewell ends a connection from this side and waits until the server has done
// so too, so that it no longer counts it.
func farewell(c net.Conn) error {
	err := c.SetDeadline(time.Now().Add(startWait))
	if half, is := c.(interface{ CloseWrite() error }); is && err == nil {
		err = half.CloseWrite()
	}
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, c.Close())
}

// readPort returns the address in a port file, "" if there is none yet.
func readPort(file string) string {
	text, err := os.ReadFile(file)
	if err != nil || !bytes.HasSuffix(text, []byte("\n")) {
		return ""
	}
	for _, line := range strings.Split(string(text), "\n") {
		if port, ok := strings.CutPrefix(line, "TCP INET: "); ok {
			return "127.0.0.1:" + port
		}
	}
	return ""
}

// Dial opens a connection to the server.
func (p *Process) Dial() (c net.Conn, err error) {
	err = p.inside(func() error {
		c, err = net.DialTimeout(p.Network, p.Addr, startWait)
		return err
	})
	return c, err
}

// Pid is the server's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Stderr returns the end of what the server has written to standard error.
func (p *Process) Stderr() string { return p.stderr.String() }

// Stop asks the server to end by SIGTERM and returns an error unless it ends,
// or has ended, with exit code 0 in time.
func (p *Process) Stop() error { return p.StopBy(syscall.SIGTERM) }

// StopBy is Stop with another signal.
func (p *Process) StopBy(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return p.Ended()
}

// Ended waits for the server to end by itself and returns an error unless it
// does so with exit code 0 in time.
func (p *Process) Ended() error {
	select {
	case <-p.ended:
	case <-time.After(startWait):
		return errors.Join(fmt.Errorf("pid %d has not ended\n%s", p.Pid(), p.Stderr()), p.Kill())
	}
	if p.endErr != nil {
		return fmt.Errorf("%w\n%s", p.endErr, p.Stderr())
	}
	return os.RemoveAll(p.dir)
}

// Kill ends the server whatever it is doing. For clean-up: an ended one is fine.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return os.RemoveAll(p.dir)
}

// RSS returns the server's resident memory in bytes.
func (p *Process) RSS() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// Stats returns the reply to a stats command as a map.
func (p *Process) Stats(command string) (map[string]string, error) {
	c, err := p.Dial()
	if err != nil {
		return nil, err
	}
	stats, err := AskStats(c, command)
	return stats, errors.Join(err, farewell(c))
}

// AskStats sends a stats command on c, which must be at rest, and returns the
// reply as a map.
func AskStats(c net.Conn, command string) (map[string]string, error) {
	if err := c.SetDeadline(time.Now().Add(startWait)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
		return nil, err
	}
	stats := map[string]string{}
	for r := bufio.NewScanner(c); r.Scan(); {
		if r.Text() == "END" {
			return stats, nil
		}
		f := strings.SplitN(r.Text(), " ", 3)
		if len(f) < 3 || f[0] != "STAT" {
			return nil, fmt.Errorf("%s answered %q", command, r.Text())
		}
		stats[f[1]] = f[2]
	}
	return nil, fmt.Errorf("%s: no END", command)
}

// tail keeps the last bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// tailBytes is enough for a stack trace.
const tailBytes = 16 << 10

// Write implements io.Writer and never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if n := len(t.buf) - tailBytes; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	return len(b), nil
}

// String returns what has been kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
