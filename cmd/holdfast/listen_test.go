package main

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-cache/holdfast/server"
)

func TestEndpoints(t *testing.T) {
	for _, c := range []struct {
		args string
		exp  []endpoint
	}{
		{"", []endpoint{{"127.0.0.1", 11211}}},
		{"-p 5", []endpoint{{"127.0.0.1", 5}}},
		{"-p -1", []endpoint{{"127.0.0.1", 0}}},
		{"-p 0", nil},
		{"-p 0 -l 10.0.0.1:5", nil},
		{"-s /x", nil},
		{"-s /x -p 5", []endpoint{{"127.0.0.1", 5}}},
		{"-s /x -l ::1", []endpoint{{"::1", 11211}}},
		{"-s /x -p 0", nil},
		{"-l *", []endpoint{{"", 11211}}},
		{"-l *:5", []endpoint{{"", 5}}},
		{"-l 0.0.0.0", []endpoint{{"0.0.0.0", 11211}}},
		{"-l 10.0.0.1,10.0.0.2;10.0.0.3:7", []endpoint{{"10.0.0.1", 11211}, {"10.0.0.2", 11211}, {"10.0.0.3", 7}}},
		{"-l 10.0.0.11 -l 10.0.0.1", []endpoint{{"10.0.0.11", 11211}, {"10.0.0.1", 11211}}},
		{"-l 10.0.0.1 -l 10.0.0.1", []endpoint{{"10.0.0.1", 11211}}},
		{"-l 10.0.0.1:-1,10.0.0.1:-1", []endpoint{{"10.0.0.1", 0}, {"10.0.0.1", 0}}},
		{"-l [::1]:5", []endpoint{{"::1", 5}}},
		{"-l [::1]", []endpoint{{"::1", 11211}}},
		{"-l fe80::1", []endpoint{{"fe80::1", 11211}}},
		{"-l notls:10.0.0.1", []endpoint{{"10.0.0.1", 11211}}},
		{"-l tag_web_:10.0.0.1:9", []endpoint{{"10.0.0.1", 9}}},
		{"-l tag[web]:10.0.0.1", []endpoint{{"10.0.0.1", 11211}}},
		{"-l proto[ascii]:tag[web]:[::1]:9", []endpoint{{"::1", 9}}},
		{"-l cache.example", []endpoint{{"cache.example", 11211}}},
	} {
		o, _, err := parse(strings.Fields(c.args)...)
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		got, err := o.endpoints()
		if err != nil || !reflect.DeepEqual(got, c.exp) {
			t.Errorf("%s: %v, %v; want %v", c.args, got, err, c.exp)
		}
	}
	o := newOptions("memcached", true)
	got, _ := o.endpoints()
	want(t, "memcached's default", got, []endpoint{{"", 11211}})
}

func TestEndpointsRefused(t *testing.T) {
	for args, code := range map[string]int{
		"-l 10.0.0.1:abc": 71, "-l 10.0.0.1:": 71, "-l 10.0.0.1:70000": 71, "-l [::1": 71, "-l [::1]5": 71,
		"-l btls:10.0.0.1": 64, "-l mtls:10.0.0.1": 64, "-l proto[binary]:10.0.0.1": 64, "-l proto[proxy]:10.0.0.1": 64,
		"-l proto[ascii:10.0.0.1": 71, "-l tag_toolongname_:10.0.0.1": 71, "-l tag[]:10.0.0.1": 71,
	} {
		o, _, err := parse(strings.Fields(args)...)
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.endpoints()
		if f, ok := err.(*failure); !ok || f.code != code {
			t.Errorf("%s: %v, want exit code %d", args, err, code)
		}
	}
}

func TestListenTCPTakenPort(t *testing.T) {
	cfg := server.DefaultConfig()
	first, err := listenTCP(&cfg, []endpoint{{"127.0.0.1", 0}})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(first)
	port := first[0].Addr().(*net.TCPAddr).Port
	_, err = listenTCP(&cfg, []endpoint{{"127.0.0.1", port}})
	if f, ok := err.(*failure); !ok || f.code != exitOS || !strings.Contains(f.text, "in use") {
		t.Errorf("a taken port gives %v", err)
	}
	if tried := tryListening(&cfg, []endpoint{{"127.0.0.1", port}}); tried == nil || tried.Error() != err.Error() {
		t.Errorf("to try a taken port gives %v, to open it %v", tried, err)
	}
	if err := tryListening(&cfg, []endpoint{{"127.0.0.1", 0}, {"::1", 0}, {"", port + 1}}); err != nil {
		t.Errorf("to try free ports gives %v", err)
	}
}

func TestListenUnix(t *testing.T) {
	listenUnix := func(path string, mode uint32) (net.Listener, error) {
		cfg := server.DefaultConfig()
		cfg.UnixSocket, cfg.UnixMask = path, mode
		return listenUnix(&cfg)
	}
	path := filepath.Join(t.TempDir(), "s")
	ln, err := listenUnix(path, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "the mode of the socket", info.Mode().Perm(), os.FileMode(0o640))
	if _, err := listenUnix(path, 0o640); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("the socket of a live server was taken over: %v", err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket file went away with its server: %v", err)
	}
	ln, err = listenUnix(path, 0o700)
	if err != nil {
		t.Fatalf("a stale socket is in the way: %v", err)
	}
	_ = ln.Close()
	plain := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(plain, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(plain, 0o700); err == nil {
		t.Error("a plain file was replaced by a socket")
	}
	short, err := os.MkdirTemp("", "hf") // t.TempDir may be too long already
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(short) }()
	longest := filepath.Join(short, strings.Repeat("x", unixPathMax-len(short)-1))
	if ln, err = listenUnix(longest, 0o700); err != nil {
		t.Fatalf("a path of %d bytes: %v", len(longest), err)
	}
	_ = ln.Close()
	if _, err := listenUnix(longest+"x", 0o700); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a path that is too long gives %v", err)
	}
}
