package discover

import (
	"context"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
)

// joinPatience is how long a source waits for the members before it offers a map of
// its own, which may be older than theirs.
const joinPatience = 2 * time.Second

// carried is the map that a cluster carries, and what this member offers to it.
type carried struct {
	g   *Gossip
	own Source // nil: this member offers none
	// last is what an earlier process had, nil if that is not known.
	last *cluster.Config
}

// Run delivers each map that the cluster has.
func (s *carried) Run(ctx context.Context, deliver func(*cluster.Config)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.offer(ctx)
	}()
	defer func() { <-done }()
	var last *cluster.Config
	for {
		if c := s.g.Config(); c != last {
			last = c
			deliver(c)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.g.changed:
		}
	}
}

// offer offers what the own source delivers.
func (s *carried) offer(ctx context.Context) {
	patience := time.NewTimer(joinPatience)
	defer patience.Stop()
	select {
	case <-ctx.Done():
		return
	case <-s.g.joined:
	case <-patience.C:
	}
	if s.last != nil && s.g.Config() == nil {
		if err := s.g.Offer(s.last); err == nil {
			s.g.log.Warn().Uint64("epoch", s.last.Epoch).Msg("no other member has a map; going on from the last that was known here")
		}
	}
	if s.own == nil {
		return
	}
	s.own.Run(ctx, func(c *cluster.Config) {
		if err := s.g.Offer(c); err != nil {
			s.g.log.Warn().Err(err).Msg("a map of this member's own is not taken")
		}
	})
}

// Reload has the own source looked at.
func (s *carried) Reload() {
	if s.own != nil {
		s.own.Reload()
	}
}

// Refresh has the own source looked at, and asks the members that are joined at the start
// for their map.
func (s *carried) Refresh() {
	if s.own != nil {
		s.own.Refresh()
	}
	ring(s.g.meet)
}

// Stats tells of the own source and of the cluster.
func (s *carried) Stats(add func(name, value string)) {
	if s.own != nil {
		s.own.Stats(add)
	}
	s.g.Stats(add)
}
