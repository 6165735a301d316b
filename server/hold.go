package server

import "sync/atomic"

// Replies that wait for the keeper. A turn executes all that it would otherwise,
// so that what came together becomes safe together; then, if it has made changes
// that are not safe yet, its output stays with the session and the session rests
// until the keeper wakes it. Nothing is read meanwhile, so a client that does not
// wait for its replies is stopped by its socket. A loop never waits.
//
// If the time is over and a change is still not safe, its reply is replaced by
// an error, one for each change, also for a quiet one that would have had no
// reply; replies to reads stay, in their places. The change itself is not taken
// back: as after any SERVER_ERROR the client does not know what is there, and a
// crash may bring back what was there before.

// replyTimeout takes the place of the reply to a change that did not become safe
// in time.
const replyTimeout = "SERVER_ERROR persistence timeout\r\n"

// promisesKeep is how many promises a lane or session keeps room for.
const promisesKeep = 256

// promise is the place of the reply to a change: Out.Buf[from:to].
type promise struct{ from, to int }

// hold is what a session has of replies that are held back.
type hold struct {
	promises []promise
	pos      uint64  // what the keeper must have synced
	then     verdict // what the session waits for afterwards
	over     atomic.Bool
	wake     func() // sets over; made once
}

// Promise says that the reply from Out.Buf[from:] on answers a change: it does
// not leave before the lane's keeper has the change safe. Without a keeper it does nothing.
func (s *Session) Promise(from int) {
	if l := s.lane; l.keeper != nil {
		l.promises = append(l.promises, promise{from, len(s.Out.Buf)})
	}
}

// holdBack ends a turn that has made promises and would have ended with v.
func (s *Session) holdBack(v verdict) verdict {
	l := s.lane
	pos := l.keeper.Appended()
	if l.keeper.Synced(pos) {
		l.promises = l.promises[:0]
		return v
	}
	h := s.hold
	if h == nil {
		h = &hold{}
		h.wake = func() {
			h.over.Store(true)
			if s.waker != nil {
				s.waker.wake()
			}
		}
		s.hold = h
	}
	h.pos, h.then = pos, v
	h.promises = append(h.promises[:0], l.promises...)
	for i := range h.promises { // the end of the turn drops what is written
		h.promises[i].from -= s.Out.sent
		h.promises[i].to -= s.Out.sent
	}
	if l.promises = l.promises[:0]; cap(l.promises) > promisesKeep {
		l.promises = nil
	}
	h.over.Store(false)
	l.keeper.NotifySynced(pos, h.wake)
	return verdictHold
}

// holdOver says whether the keeper has woken the session, which is held.
func (s *Session) holdOver() bool { return s.hold.over.Load() }

// letGo ends a hold that is over, within a turn. It returns what the session
// waits for besides the writing of its output.
func (s *Session) letGo() verdict {
	h := s.hold
	if !s.lane.keeper.Synced(h.pos) {
		s.Out.replace(h.promises, replyTimeout)
	}
	if cap(h.promises) > promisesKeep {
		h.promises = nil
	}
	return h.then
}
