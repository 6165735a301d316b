package persist

import "time"

// state is whether keeping works. It is degraded while there is a reason.
type state struct {
	snapshot string // why the last attempt at a snapshot failed
	journal  string // why changes are not written down
	since    time.Time
	exited   bool

	troubles int // how often the journal has come to have one
	healed   int // how many of them had begun before the last snapshot: see Keeper.Kept
}

// reason is why the state is degraded, "" if it is not.
func (s *state) reason() string {
	if s.journal != "" {
		return "journal: " + s.journal
	}
	return s.snapshot
}

// snapshotTrouble says why snapshots fail, "" that they do not.
func (k *Keeper) snapshotTrouble(why string) { k.setState(func(s *state) { s.snapshot = why }) }

// snapshotMade says that one was made, which was begun after so many troubles of the
// journal: it has what they may have cost. Of one that is not over yet the journal itself
// says when it is, and a gap is not before a snapshot that was begun after it.
func (k *Keeper) snapshotMade(troubles int) {
	k.setState(func(s *state) { s.snapshot, s.healed = "", troubles })
	k.turned()
}

// journalTrouble says why changes are not written down, "" that they are.
func (k *Keeper) journalTrouble(why string) {
	k.setState(func(s *state) {
		if s.journal = why; why != "" {
			s.troubles++
		}
	})
	k.turned()
}

// turned tells who wants to know that Kept may have changed.
func (k *Keeper) turned() {
	if k.o.Turned != nil {
		k.o.Turned()
	}
}

// setState changes the state, and does and says what follows from that, once.
func (k *Keeper) setState(change func(*state)) {
	k.mu.Lock()
	before := k.mu.state.reason()
	change(&k.mu.state)
	s := &k.mu.state
	now := s.reason()
	turned := (before == "") != (now == "")
	if turned {
		s.since = time.Now()
	}
	refusal := ""
	if now != "" && k.o.OnError == OnErrorReadonly {
		refusal = "persistence is degraded: " + now
	}
	k.refusal.Store(&refusal)
	exit := now != "" && k.o.OnError == OnErrorExit && k.o.Exit != nil && !s.exited
	s.exited = s.exited || exit
	k.mu.Unlock()
	switch {
	case turned && now != "":
		k.o.Log.Error().Str("why", now).Str("on_error", k.o.OnError.String()).Msg("items cannot be kept at present: persistence is degraded")
	case turned:
		k.o.Log.Warn().Msg("persistence works again")
	}
	if exit {
		k.o.Exit(errorText(now))
	}
}

// errorText is an error of that text.
type errorText string

func (e errorText) Error() string { return string(e) }

// Refusal returns why changes are refused at present, "" if they are not.
func (k *Keeper) Refusal() string { return *k.refusal.Load() }

// Degraded returns why items cannot be kept at present, "" if they can.
func (k *Keeper) Degraded() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mu.state.reason()
}
