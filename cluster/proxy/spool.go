package proxy

import (
	"github.com/holdfast-cache/holdfast/cluster/health"
	"github.com/holdfast-cache/holdfast/cluster/spool"
	"github.com/holdfast-cache/holdfast/server"
)

// settleLocked gives the backends of t that are new the journals of those whose places
// they take: in this process, where only the times of a pool have changed, or of an earlier
// process that has left its journal in a spool. The caller holds mu.
func (p *Proxy) settleLocked(t *tree) {
	for _, pl := range t.pools {
		for _, b := range pl.backends {
			if !b.settled {
				b.settled = true
				p.inheritLocked(b)
			}
		}
	}
}

// inheritLocked does that for one. The caller holds mu.
func (p *Proxy) inheritLocked(b *backend) {
	now, j := server.LoopTime(), b.health.Journal()
	for _, old := range p.mu.backends {
		if old != b && old.settled && old.pool == b.pool && old.slot.Name == b.slot.Name && old.slot.Address == b.slot.Address {
			j.Take(now, old.health.Journal())
			b.inherited.Store(old.inherited.Load())
			if b.spool, old.spool = old.spool, nil; b.spool != nil {
				j.Attach(b.spool)
			}
			return
		}
	}
	if p.cfg.Spool == nil {
		return
	}
	var found spool.Contents
	b.spool, found = p.cfg.Spool.Backend(b.pool, b.slot.Name, b.slot.Address)
	for _, k := range found.Keys {
		j.Add(now, []byte(k.Key), k.Binary)
	}
	if found.Lost {
		j.Lose(now)
	}
	j.Attach(b.spool)
	b.inherited.Store(found.Lost || len(found.Keys) > 0)
	switch log := p.log.With().Str("server", b.name()).Logger(); {
	case found.Why != nil:
		log.Error().Err(found.Why).Msg("the journal that an earlier proxy has left cannot be read: the backend is flushed")
	case found.Lost:
		log.Warn().Msg("the journal that an earlier proxy has left lacks keys: the backend is flushed")
	case len(found.Keys) > 0:
		log.Info().Int("keys", len(found.Keys)).Msg("an earlier proxy has left keys whose writes the backend may have missed: they are deleted")
	}
}

// leave lets the spool of a backend go that is not in the config any more. What is still
// in it is for the day when the backend is back.
func (b *backend) leave() {
	if b.spool == nil {
		return
	}
	j := b.health.Journal()
	j.Attach(nil)
	b.spool.Close(j.Pending() == 0 && !j.FlushNeeded())
	b.spool = nil
}

var _ health.Spool = (*spool.File)(nil)
