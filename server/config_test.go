package server

import (
	"strings"
	"testing"
	"time"
)

func TestDefaultConfigIsValid(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigValidate(t *testing.T) {
	for _, test := range []struct {
		change func(*Config)
		want   string // part of the error
	}{
		{func(c *Config) { c.Threads = 0 }, "threads"},
		{func(c *Config) { c.MaxConns = 0 }, "connections"},
		{func(c *Config) { c.MaxConns = 1 << 30 }, "connections"},
		{func(c *Config) { c.ReqsPerEvent = 0 }, "requests per event"},
		{func(c *Config) { c.Backlog = 0 }, "backlog"},
		{func(c *Config) { c.IdleTimeout = -time.Second }, "idle_timeout"},
		{func(c *Config) { c.Transport = "select" }, "transport"},
		{func(c *Config) { c.Verbosity = 4 }, "verbosity"},
		{func(c *Config) { c.PrefixDelimiter = ' ' }, "delimiter"},
		{func(c *Config) { c.BindingProtocol = "binary" }, "protocol"},
		{func(c *Config) { c.UnixMask = 0o1000 }, "mask"},
		{func(c *Config) { c.WatcherLogbuf = 1 }, "watcher_logbuf_size"},
		{func(c *Config) { c.WorkerLogbuf = -1 }, "worker_logbuf_size"},
		{func(c *Config) { c.ReadBufMemLimit = -1 }, "read_buf_mem_limit"},
		{func(c *Config) { c.Version = "1.6 x" }, "version"},
		{func(c *Config) { c.AuthFile = "a\nb" }, "line ends"},
	} {
		c := DefaultConfig()
		test.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want something about %q", err, test.want)
		}
	}
}
