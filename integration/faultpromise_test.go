package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// until polls until done, or the test fails.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(replyWait); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came about: %s", what)
		}
	}
}

// blackHole is a Fault of that name.
func blackHole(t *testing.T) *Fault {
	t.Helper()
	for _, f := range Faults {
		if f.Name == "black hole" {
			return f
		}
	}
	t.Fatal("there is no black hole")
	return nil
}

// A backend that says nothing holds up its own requests only: other clients are
// answered in the meantime.
func TestProxySilentBackend(t *testing.T) {
	r := newFaultRig(t, holdfastProxy(t), 2, 2, replyWait)
	r.backends[1].Arm(blackHole(t))
	waiting, others := r.client(t), r.client(t)
	key := r.owned[1][0]
	before, _ := r.backends[1].Seen(key)
	if err := waiting.Send(r.keys.get(key)); err != nil {
		t.Fatal(err)
	}
	until(t, "the silent backend was asked", func() bool {
		reads, _ := r.backends[1].Seen(key)
		return reads > before
	})
	for range 100 {
		if o := ask(t, others, r.keys.get(r.owned[0][0])); o.Label != LabelOK {
			t.Fatalf("another client's get of the other backend: %s %s", o.Label, o.Text)
		}
	}
	if o := waiting.Quiet(time.Millisecond); o.Label != LabelSilent {
		t.Errorf("who asked the silent backend: %s %s, before its time", o.Label, o.Text)
	}
}

// A backend that does not answer is soon known for it: requests then fail without
// being sent. Its connections are given up. When it answers again, so does the
// proxy.
func TestProxyKnowsWhoIsDown(t *testing.T) {
	r := newFaultRig(t, holdfastProxy(t), 2, 2, hangTimeout)
	b, c := r.backends[1], r.client(t)
	key := r.owned[1][0]
	_, taken := b.Conns()
	b.Arm(blackHole(t))
	down := "SERVER_ERROR hf-down " + b.Addr
	slow := "SERVER_ERROR hf-timeout " + b.Addr
	for i := 0; ; i++ {
		o := ask(t, c, r.keys.get(key))
		if o.Text == down {
			break
		}
		if o.Text != slow || i == 20 {
			t.Fatalf("get %d of a silent backend: %s %s", i, o.Label, o.Text)
		}
	}
	reads, _ := b.Seen(key)
	for range 50 {
		if o := ask(t, c, r.keys.get(key)); o.Text != down && o.Text != slow {
			t.Fatalf("get of a backend that is down: %s %s", o.Label, o.Text)
		}
	}
	if now, _ := b.Seen(key); now > reads+1 {
		t.Errorf("%d requests were sent to a backend that is down", now-reads)
	}
	until(t, "its connections were given up", func() bool {
		open, all := b.Conns()
		return all-open >= taken
	})
	if err := b.Disarm(); err != nil {
		t.Fatal(err)
	}
	until(t, "the backend is read again", func() bool {
		o := ask(t, c, r.keys.get(key))
		if o.Label != LabelOK && o.Label != LabelError {
			t.Fatalf("get of a backend that is back: %s %s", o.Label, o.Text)
		}
		return o.Label == LabelOK
	})
}

// policyKind is a proxy with settings of the pool.
func policyKind(t *testing.T, settings string) *proxyKind {
	t.Helper()
	kind := holdfastProxy(t)
	kind.command = func(k *proxyKind, dir, socket string, backends []string, timeout time.Duration) (*exec.Cmd, error) {
		file := filepath.Join(dir, "pools.yml")
		config := fmt.Sprintf("pools:\n- timeout: %s\n  connect_timeout: %s\n%s  servers:\n  - %s\n", timeout, timeout, settings, strings.Join(backends, "\n  - "))
		cmd := exec.Command(k.binary, "proxy", "-s", socket, "-t", "1", "--config", file)
		if os.Getuid() == 0 {
			cmd.Args = append(cmd.Args, "-u", "root")
		}
		return cmd, os.WriteFile(file, []byte(config), 0o600)
	}
	return kind
}

// What a read of a dead backend comes to is the pool's to say; without a word it is
// what TestFaults wants. A write is always an error.
func TestProxyErrorPolicies(t *testing.T) {
	for _, policy := range []struct {
		settings string
		want     map[string]Label // by class
	}{
		{"  get_error: miss\n", map[string]Label{"get": LabelMiss, "multiget": LabelPartial, "mg": LabelMiss}},
		{"  multiget_error: fail\n", map[string]Label{"get": LabelError, "multiget": LabelError, "mg": LabelError}},
		{"  get_error: miss\n  multiget_error: fail\n", map[string]Label{"get": LabelMiss, "multiget": LabelError, "mg": LabelMiss}},
	} {
		kind := policyKind(t, policy.settings)
		kind.misses = policy.want["get"] == LabelMiss
		m := &matrix{kind: kind}
		for _, f := range Faults {
			if f.Name != "refuse" && f.Name != "black hole" {
				continue
			}
			for _, command := range faultCommands {
				if !command.reads && command.name != "set" && command.name != "incr noreply" && command.name != "ms q" {
					continue
				}
				m.cells = append(m.cells, &faultCell{kind: kind, fault: f, command: command}, &faultCell{kind: kind, fault: f, command: command, pipelined: true})
			}
		}
		m.play(t)
		m.check(t, func(c *faultCell, got *cellResult) string {
			want, ok := policy.want[c.command.class]
			if strings.HasPrefix(c.command.name, "mg") {
				want, ok = policy.want["mg"]
			}
			if !ok {
				return c.wrong(got)
			}
			if got.String() == string(want) {
				return ""
			}
			return fmt.Sprintf("%q: %s: %s, expected %s", policy.settings, c, got.detail(), want)
		})
	}
}
