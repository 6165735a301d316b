package proxy

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/server"
)

// stats composes the reply to a stats command.
func (p *Proxy) stats(args [][]byte) string {
	var b []byte
	word := ""
	if len(args) > 0 {
		word = string(args[0])
	}
	t := p.tree.Load()
	switch word {
	case "":
		b = p.general(b, t)
	case "pools":
		for _, pl := range t.pools {
			b = pl.appendStats(b)
		}
	case "backends":
		for _, pl := range t.pools {
			for _, be := range pl.backends {
				b = be.appendStats(b)
			}
		}
	case "discovery":
		if p.cfg.Discovery != nil {
			p.cfg.Discovery(func(name, value string) { b = protocol.AppendStat(b, name, value) })
		}
	case "routes":
		b = p.appendRoutes(b, t)
	case "hotkeys":
		b = p.appendHot(b)
	case "config":
		for i, line := range bytes.Split(bytes.TrimRight(t.text, "\n"), []byte("\n")) {
			b = protocol.AppendStat(b, strconv.Itoa(i+1), string(line))
		}
	default:
		return protocol.ReplyError
	}
	return string(append(b, protocol.ReplyEnd...))
}

// general is what a plain stats tells: of the proxy itself, under the names that
// clients know. It keeps no items, so there is nothing of items; commands are
// those that backends have answered.
func (p *Proxy) general(b []byte, t *tree) []byte {
	c := p.host.ConnStats()
	b = protocol.AppendStatUint(b, "pid", uint64(os.Getpid()))
	b = protocol.AppendStatUint(b, "uptime", uint64(time.Since(p.started)/time.Second))
	b = protocol.AppendStatUint(b, "time", uint64(time.Now().Unix()))
	b = protocol.AppendStat(b, "version", p.cfg.Version)
	b = protocol.AppendStatUint(b, "curr_connections", c.Current)
	b = protocol.AppendStatUint(b, "total_connections", c.Total)
	b = protocol.AppendStatUint(b, "stalled_clients", c.StallKicks)
	b = protocol.AppendStatUint(b, "bytes_read", c.BytesRead)
	b = protocol.AppendStatUint(b, "bytes_written", c.BytesWritten)
	var sums [classes]uint64
	for _, pl := range t.pools {
		for _, be := range pl.backends {
			for k := range sums {
				sums[k] += be.stats.commands[k].Load()
			}
		}
	}
	b = protocol.AppendStatUint(b, "cmd_get", sums[classGet])
	b = protocol.AppendStatUint(b, "cmd_set", sums[classStore])
	b = protocol.AppendStatUint(b, "cmd_touch", sums[classTouch])
	b = protocol.AppendStatUint(b, "epoch", t.epoch)
	b = protocol.AppendStatUint(b, "newer_maps", p.newer.heard.Load())
	b = protocol.AppendStatUint(b, "newest_epoch", max(t.epoch, p.newer.newest.Load()))
	b = protocol.AppendStatUint(b, "map_refetches", p.newer.refetched.Load())
	b = protocol.AppendStatUint(b, "pools", uint64(len(t.pools)))
	b = protocol.AppendStatUint(b, "buffer_bytes", uint64(max(p.budget.used.Load(), 0)))
	b = protocol.AppendStatUint(b, "buffer_limit", uint64(p.budget.limit))
	b = protocol.AppendStatUint(b, "buffer_refused", p.budget.refused.Load())
	if p.cfg.Spool == nil {
		return protocol.AppendStat(b, "journal_spool", "off")
	}
	s := p.cfg.Spool.Stats()
	state := "ok"
	if s.Degraded > 0 {
		state = "degraded"
	}
	b = protocol.AppendStat(b, "journal_spool", state)
	b = protocol.AppendStatUint(b, "journal_spool_files", uint64(s.Files))
	b = protocol.AppendStatUint(b, "journal_spool_degraded", uint64(s.Degraded))
	b = protocol.AppendStatUint(b, "journal_spool_bytes", uint64(s.Bytes))
	b = protocol.AppendStatUint(b, "journal_spool_appends", s.Appends)
	b = protocol.AppendStatUint(b, "journal_spool_rewrites", s.Rewrites)
	return protocol.AppendStatUint(b, "journal_spool_errors", s.Errors)
}

func (pl *pool) appendStats(b []byte) []byte {
	name := "pool:" + pl.name + ":"
	b = protocol.AppendStatUint(b, name+"epoch", pl.m.Epoch)
	b = protocol.AppendStatUint(b, name+"servers", uint64(len(pl.backends)))
	return protocol.AppendStatUint(b, name+"omitted_keys", pl.omitted.Load())
}

func (be *backend) appendStats(b []byte) []byte {
	name := "backend:" + be.slot.Name + ":"
	if be.pool != "" {
		name = "backend:" + be.pool + "/" + be.slot.Name + ":"
	}
	s := &be.stats
	h := be.health.Status(server.LoopTime())
	b = protocol.AppendStat(b, name+"address", be.slot.Address)
	b = protocol.AppendStat(b, name+"state", h.State.String())
	b = protocol.AppendStatUint(b, name+"downs", h.Downs)
	if h.Downs > 0 {
		b = protocol.AppendStat(b, name+"last_failure", h.Kind.String())
		b = protocol.AppendStat(b, name+"last_fence", h.Last.Action.String())
	}
	b = protocol.AppendStatUint(b, name+"journal_keys", uint64(h.Journal.Keys))
	b = protocol.AppendStatUint(b, name+"journal_bytes", uint64(h.Journal.Bytes))
	for k := range classes {
		n := s.commands[k].Load()
		if n == 0 {
			continue
		}
		b = protocol.AppendStatUint(b, name+"cmd_"+classNames[k], n)
		for _, q := range []struct {
			name string
			q    float64
		}{{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}} {
			b = protocol.AppendStat(b, name+classNames[k]+"_"+q.name+"_us", strconv.FormatUint(s.latency[k].quantile(q.q), 10))
		}
	}
	for k := range s.failures {
		b = protocol.AppendStatUint(b, name+hfNames[k], s.failures[k].Load())
	}
	b = protocol.AppendStatUint(b, name+"server_errors", s.errors.Load())
	b = protocol.AppendStatUint(b, name+"connects", s.connects.Load())
	b = protocol.AppendStatUint(b, name+"retries", s.retries.Load())
	b = protocol.AppendStatUint(b, name+"violations", s.violations.Load())
	b = protocol.AppendStatUint(b, name+"late_replies", s.lateReplies.Load())
	b = protocol.AppendStatUint(b, name+"suspicions", s.suspicions.Load())
	b = protocol.AppendStatUint(b, name+"newer_maps", s.newerMaps.Load())
	return protocol.AppendStatUint(b, name+"bytes_in", s.bytesIn.Load())
}
