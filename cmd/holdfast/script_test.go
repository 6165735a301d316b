package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the program itself a command of the scripts, under its own
// name and under one that begins with memcached's.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"holdfast": main, "memcached-link": main})
}

// The scripts of testdata/script are about the program, those of testdata/admin
// about the admin commands; the latter run on Holdfast and on a real memcached.
func TestScripts(t *testing.T) {
	runScripts(t, "testdata/script", "holdfast serve")
}

func TestAdminOnHoldfast(t *testing.T) {
	runScripts(t, "testdata/admin", "holdfast serve")
}

func TestAdminOnMemcached(t *testing.T) {
	if _, err := exec.LookPath("memcached"); err != nil {
		t.Fatal("a real memcached is needed: run 'make setup', or install the package memcached")
	}
	runScripts(t, "testdata/admin", "memcached")
}

func runScripts(t *testing.T, dir, server string) {
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": cmdStart, "halt": cmdHalt, "code": cmdCode, "daemon": cmdDaemon, "hup": cmdHup, "retry": cmdRetry, "await": cmdAwait, "say": cmdSay, "kill9": cmdKill9, "signal": cmdSignal, "flip": cmdFlip, "grow": cmdGrow,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, errors.New("unknown condition")
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("SERVER", server)
			env.Values["running"] = &[]*running{}
			// Short, because the path of a Unix socket may not be long.
			dir, err := os.MkdirTemp("", "hf")
			env.Setenv("SHORT", dir)
			env.Defer(func() {
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			})
			return err
		},
	})
}

// patience is how long a server may take to start or end. Nobody waits that
// long unless the test is about to fail.
const patience = time.Minute

// running is a server that a script has started.
type running struct {
	cmd   *exec.Cmd
	ended chan struct{}
	log   string
}

// cmdStart is "start server|program args…": it starts a server, waits until it
// takes connections and sets ADDR. The word "server" stands for the one that the
// scripts are run against. What it writes on standard error goes to $WORK/log.
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: start server|program args…")
	}
	if args[0] == "server" {
		args = append(strings.Fields(ts.Getenv("SERVER")), args[1:]...)
	}
	if os.Geteuid() == 0 && !strings.Contains(strings.Join(args, " "), "-u ") {
		args = append(args, "-u", "root") // memcached insists
	}
	ports, log := ts.MkAbs("ports"), ts.MkAbs("log")
	_ = os.Remove(ports)
	logFile, err := os.Create(log)
	ts.Check(err)
	cmd := exec.Command(find(ts, args[0]), args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "MEMCACHED_PORT_FILENAME="+ports, "HOLDFAST_DEBUG_CLOCK="+ts.Getenv("HOLDFAST_DEBUG_CLOCK"))
	cmd.Stderr = logFile
	ts.Check(cmd.Start())
	ts.Check(logFile.Close())
	r := &running{cmd: cmd, ended: make(chan struct{}), log: log}
	go func() {
		_ = cmd.Wait()
		close(r.ended)
	}()
	list := ts.Value("running").(*[]*running)
	*list = append(*list, r)
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		<-r.ended
	})
	ts.Setenv("ADDR", awaitServer(ts, r, ports, socketOf(args)))
	ts.Setenv("PID", strconv.Itoa(cmd.Process.Pid))
}

// awaitServer returns where the server listens, once it does.
func awaitServer(ts *testscript.TestScript, r *running, ports, socket string) string {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		select {
		case <-r.ended:
			ts.Fatalf("%s ended at once: %s\n%s", r.cmd, r.cmd.ProcessState, ts.ReadFile(r.log))
		default:
		}
		network, addr := "unix", socket
		if text, err := os.ReadFile(ports); err == nil {
			network, addr = "tcp", firstAddr(string(text))
		}
		if addr == "" {
			continue
		}
		if c, err := net.Dial(network, addr); err == nil {
			_ = c.Close()
			return addr
		}
	}
	ts.Fatalf("%s does not listen\n%s", r.cmd, ts.ReadFile(r.log))
	return ""
}

// firstAddr reads a port file.
func firstAddr(text string) string {
	for _, line := range strings.Split(text, "\n") {
		if port, ok := strings.CutPrefix(line, "TCP INET: "); ok {
			return "127.0.0.1:" + port
		}
		if port, ok := strings.CutPrefix(line, "TCP INET6: "); ok {
			return "[::1]:" + port
		}
	}
	return ""
}

// socketOf returns the path behind -s, unless a port says that TCP comes up too.
func socketOf(args []string) string {
	if slices.Contains(args, "-p") {
		return ""
	}
	for i, arg := range args[:len(args)-1] {
		if arg == "-s" {
			return args[i+1]
		}
	}
	return ""
}

// find looks a program up in the script's PATH, which holds the commands of TestMain.
func find(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path
		}
	}
	ts.Fatalf("there is no program %s", name)
	return ""
}

// cmdHalt is "halt [signal] [code]": it ends the last server started (none, if
// the signal is "wait") and checks its exit code, 0 unless another is named.
func cmdHalt(ts *testscript.TestScript, neg bool, args []string) {
	sig, code := syscall.SIGTERM, 0
	wait := false
	for _, arg := range args {
		switch n, err := strconv.Atoi(arg); {
		case err == nil:
			code = n
		case arg == "wait":
			wait = true
		default:
			sig = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "USR1": syscall.SIGUSR1, "HUP": syscall.SIGHUP}[arg]
		}
	}
	list := ts.Value("running").(*[]*running)
	if neg || len(*list) == 0 {
		ts.Fatalf("no server to stop")
	}
	r := (*list)[len(*list)-1]
	*list = (*list)[:len(*list)-1]
	if !wait {
		ts.Check(r.cmd.Process.Signal(sig))
	}
	select {
	case <-r.ended:
	case <-time.After(patience):
		ts.Fatalf("the server does not end\n%s", ts.ReadFile(r.log))
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		ts.Fatalf("the server ended with code %d (%s), want %d\n%s", got, r.cmd.ProcessState, code, ts.ReadFile(r.log))
	}
}

// cmdCode is "code n program args…": it runs a program and checks its exit code
// and, unless that is 0, that its complaint is one line.
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code n program args…")
	}
	exp, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	stderr := ts.ReadFile("stderr")
	if got != exp {
		ts.Fatalf("%s ended with code %d, want %d\n%s", strings.Join(args[1:], " "), got, exp, stderr)
	}
	if lines := strings.Count(stderr, "\n"); exp != 0 && lines != 1 {
		ts.Fatalf("%s complained in %d lines, want one\n%s", strings.Join(args[1:], " "), lines, stderr)
	}
}

// cmdDaemon is "daemon": it sets ADDR and PID from $WORK/ports and $WORK/pid, and
// has the daemon end with the script. "daemon halt" ends it now.
func cmdDaemon(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Setenv("ADDR", firstAddr(ts.ReadFile("ports")))
		ts.Setenv("PID", strings.TrimSpace(ts.ReadFile("pid")))
	}
	pid, err := strconv.Atoi(ts.Getenv("PID"))
	ts.Check(err)
	if len(args) == 0 {
		ts.Defer(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		return
	}
	ts.Check(syscall.Kill(pid, syscall.SIGTERM))
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs("pid")); os.IsNotExist(err) {
			return
		}
	}
	ts.Fatalf("the daemon does not end")
}

// cmdHup sends SIGHUP to the last server started.
func cmdHup(ts *testscript.TestScript, _ bool, _ []string) {
	pid, err := strconv.Atoi(ts.Getenv("PID"))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGHUP))
}

// cmdRetry is "retry program args…": it runs a program until it succeeds.
func cmdRetry(ts *testscript.TestScript, _ bool, args []string) {
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = ts.Exec(args[0], args[1:]...); err == nil {
			return
		}
	}
	ts.Fatalf("%s: %v", strings.Join(args, " "), err)
}

// cmdAwait is "await statistic": it waits until the server shows more than 0 for it.
func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		c, err := dial(ts.Getenv("ADDR"), patience)
		ts.Check(err)
		all, err := c.stats()
		c.close()
		ts.Check(err)
		for _, s := range all {
			if s.name == args[0] && s.value != "0" {
				return
			}
		}
	}
	ts.Fatalf("%s stays 0", args[0])
}

// cmdSay is "say line reply": it sends a command line and checks the reply line.
func cmdSay(ts *testscript.TestScript, _ bool, args []string) {
	c, err := dial(ts.Getenv("ADDR"), patience)
	ts.Check(err)
	defer c.close()
	ts.Check(c.send([]byte(args[0] + "\r\n")))
	r, err := c.next()
	ts.Check(err)
	if string(r.Line) != args[1] {
		ts.Fatalf("the reply is %q", r.Line)
	}
}
