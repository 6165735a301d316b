package discover

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/rs/zerolog"
)

// write puts text in the place of a file, by way of another.
func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

func testFile(t *testing.T, text string) (string, *running) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pools.yml")
	write(t, name, text)
	return name, run(t, Options{File: name, FileInterval: 2 * time.Millisecond})
}

func TestFileFollowsTheFile(t *testing.T) {
	name, r := testFile(t, "epoch: 1\npools: [{servers: [a]}]\n")
	r.wantServers(t, "a")
	write(t, name, "epoch: 2\npools: [{servers: [a, b]}]\n")
	r.wantServers(t, "a b")
	if n := r.log.count("error"); n > 0 {
		t.Errorf("%d errors in the log", n)
	}
	// Written where it is, with the same length at the same time. Looked at so often it
	// may be found empty twice, which is an error that passes.
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("epoch: 3\npools: [{servers: [a, c]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	r.wantServers(t, "a c")
	// What moves no key needs no higher epoch.
	write(t, name, "# a remark\nepoch: 3\npools: [{servers: [a, c]}]\n")
	eventually(t, "the remark taken", func() bool { return r.stat("file_taken") == "4" })
	if got := r.stat("file_epoch"); got != "3" {
		t.Errorf("file_epoch is %s", got)
	}
}

// TestFileRefuses checks that what cannot be taken is told of once and changes nothing.
func TestFileRefuses(t *testing.T) {
	name, r := testFile(t, "epoch: 5\npools: [{servers: [a, b]}]\n")
	for _, c := range []struct{ text, why string }{
		{"epoch: 6\npools: [{servers: [a, b", "pools.yml:2"},
		{"epoch: 6\npools: [{servers: []}]\n", "at least one server"},
		{"epoch: 6\npools: [{server: [a]}]\n", "unknown field"},
		{"", "at least one pool"},
		{"epoch: 5\npools: [{servers: [a, b, c]}]\n", "still 5: raise it to 6 or more"},
		{"epoch: 5\npools: [{servers: [b, a]}]\n", "still 5: raise it to 6 or more"},
		{"epoch: 4\npools: [{servers: [a, b]}]\n", "epoch 4 is below the present one, 5"},
		{"pools: [{servers: [a]}]\n", "epoch 0 is below the present one, 5"},
	} {
		asked := r.stat("file_asked")
		write(t, name, c.text)
		eventually(t, c.why, func() bool { return strings.Contains(r.stat("file_trouble"), c.why) })
		before := r.log.count(`"level":"error"`)
		eventually(t, "asked again", func() bool { return r.stat("file_asked") != asked })
		for n := r.stat("file_asked"); n == r.stat("file_asked"); {
			time.Sleep(time.Millisecond)
		}
		if n := r.log.count(`"level":"error"`); n != before {
			t.Errorf("%s: logged again", c.why)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "missing", func() bool { return strings.Contains(r.stat("file_trouble"), "no such file") })
	if r.count() != 1 || r.servers() != "a b" {
		t.Errorf("%d configs, the last with %s", r.count(), r.servers())
	}
	write(t, name, "epoch: 5\npools: [{servers: [a, b]}]\n")
	eventually(t, "the trouble is over", func() bool { return r.stat("file_trouble") == "none" })
	if n := r.log.count("can be used again"); n != 1 {
		t.Errorf("%d times good again", n)
	}
	write(t, name, "epoch: 6\npools: [{servers: [a, b, c]}]\n")
	r.wantServers(t, "a b c")
}

// TestFileIsNotTakenHalf checks that a text counts only when it has stayed, or
// when somebody asks for it.
func TestFileIsNotTakenHalf(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pools.yml")
	write(t, name, "epoch: 1\npools: [{servers: [a]}]\n")
	f, err := openFile(name, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	look := func(asked bool, want string) {
		t.Helper()
		got := ""
		if c := f.look(asked); c != nil {
			f.took(c)
			got = serversOf(c)
		}
		if got != want {
			t.Errorf("took %q, want %q", got, want)
		}
	}
	look(false, "")
	write(t, name, "epoch: 2\npools:\n- servers:\n  - a\n") // half of what is to come
	look(false, "")
	write(t, name, "epoch: 2\npools:\n- servers:\n  - a\n  - b\n")
	look(false, "")
	look(false, "a b")
	look(false, "")
	write(t, name, "") // as one that is being written anew
	look(false, "")
	if f.why != nil {
		t.Errorf("an empty file was judged at first sight: %v", f.why)
	}
	write(t, name, "epoch: 3\npools: [{servers: [c]}]\n")
	look(true, "c")
	look(true, "")
}

func TestFileReload(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pools.yml")
	write(t, name, "epoch: 1\npools: [{servers: [a]}]\n")
	r := run(t, Options{File: name, FileInterval: time.Hour})
	r.wantServers(t, "a")
	write(t, name, "epoch: 2\npools: [{servers: [b]}]\n")
	r.Reload()
	r.wantServers(t, "b")
	// Who asks twice is told twice.
	write(t, name, "pools: [{servers: [b]}]\n")
	for i := range 2 {
		r.Reload()
		eventually(t, "refused", func() bool { return r.log.count("epoch 0 is below") == i+1 })
	}
}

// TestFileRefresh: who asks for a look without being one to decide gets what would have
// been taken anyway, and only that.
func TestFileRefresh(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pools.yml")
	write(t, name, "epoch: 1\npools: [{servers: [a]}]\n")
	r := run(t, Options{File: name, FileInterval: time.Hour})
	r.wantServers(t, "a")
	r.Refresh()
	write(t, name, "epoch: 2\npools: [{servers: [b]}]\n")
	r.Refresh()
	r.Refresh() // does not count as the second sight
	r.wantServers(t, "b")
	write(t, name, "epoch: 1\npools: [{servers: [a]}]\n")
	for range 3 {
		r.Refresh()
	}
	r.wantLog(t, "epoch 1 is below")
	if got := r.servers(); got != "b" {
		t.Errorf("it is %s", got)
	}
}

func TestFileOpenFails(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yml")
	write(t, bad, "pools: x")
	for _, name := range []string{filepath.Join(dir, "none.yml"), bad, dir} {
		if _, err := Open(Options{File: name}, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(Options{}, zerolog.Nop()); err == nil {
		t.Error("a source of nothing was opened")
	}
}

// TestFileThousandReloads changes a file again and again while it is looked at.
func TestFileThousandReloads(t *testing.T) {
	name, r := testFile(t, "epoch: 1\npools: [{servers: [s1]}]\n")
	for i := 2; i <= 1000; i++ {
		c := &cluster.Config{Epoch: uint64(i), Pools: []*cluster.PoolConfig{{Servers: []cluster.ServerConfig{{Address: "s" + string(rune('0'+i%10)), Weight: 1}}}}}
		text, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		write(t, name, string(text))
		if i%10 == 0 {
			r.Reload()
		}
	}
	eventually(t, "the last", func() bool { return r.stat("file_epoch") == "1000" })
	if got := r.stat("file_failures"); got != "0" {
		t.Errorf("%s failures", got)
	}
}
