package integration

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// scriptClients are the interpreters of scripts in testdata/clients beside Python.
var scriptClients = map[string]string{"perl_client.pl": "perl", "php_client.php": "php"}

// TestScriptClients runs the clients of Perl and PHP.
func TestScriptClients(t *testing.T) {
	onEachServer(t, func(t *testing.T, p *Process) {
		for script, interpreter := range scriptClients {
			t.Run(interpreter, func(t *testing.T) {
				cmd := exec.Command(interpreter, filepath.Join("testdata", "clients", script), p.Addr, p.Command)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("run integration/setup.sh first if it is not there: %v\n%s", err, out)
				}
			})
		}
	})
}

// TestMemcTools copies, shows and removes a file by the tools of libmemcached.
func TestMemcTools(t *testing.T) {
	p := startProxied(t, 3, false, "")
	defer p.end(t)
	dir := t.TempDir()
	content := bytes.Repeat([]byte("0123456789abcdef\x00\r\n"), 20_000)
	if err := os.WriteFile(filepath.Join(dir, "file"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(fails bool, name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, append([]string{"--servers=" + p.Addr}, args...)...)
		cmd.Dir = dir
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if (err != nil) != fails {
			t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, stderr.String())
		}
		return string(out)
	}
	run(false, "memccp", "file")
	if got := run(false, "memccat", "file"); strings.TrimSuffix(got, "\n") != string(content) && got != string(content) {
		t.Errorf("memccat shows %s", quote(got))
	}
	run(false, "memctouch", "--expire=100", "file")
	run(false, "memcexist", "file")
	run(true, "memcexist", "nothing")
	run(false, "memcping")
	if got := run(false, "memcstat"); !strings.Contains(got, "cmd_set") {
		t.Errorf("memcstat shows %q", got)
	}
	run(false, "memcrm", "file")
	run(true, "memcexist", "file")
	run(false, "memccp", "file")
	run(false, "memcflush")
	run(true, "memcexist", "file")
}
