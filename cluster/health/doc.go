// Package health knows which servers of a pool answer, and sees to it that one
// which comes back is not read before it is safe: it may have missed writes, or
// have been restored from an old disk. It decides only; the loops of the proxy
// connect, send and report, and all of them share one Backend for each server.
//
//	           Failures in a row, or at once when refused or restarted
//	   ┌─────────────────────────────────────────────────────────┐
//	┌──┴─┐  time  ┌─────────┐                                    ▼
//	│ up │ ◀───── │ ramping │ ──────────────────────────────▶ ┌──────┐
//	└────┘        └─────────┘   failures: a flap              │ down │ ◀──────┐
//	  ▲ no ramp        ▲ FenceDone                            └──┬───┘        │
//	  └────────────────┤                       TryProbe, one loop│            │
//	              ┌────┴──────┐   ProbeOK    ┌─────────┐         │            │
//	              │ returning │ ◀─────────── │ probing │ ◀───────┘            │
//	              └────┬──────┘              └────┬────┘                      │
//	                   └── FenceFailed, or it ────┴── ProbeFailed ────────────┘
//	                       failed meanwhile
//
//	           reads            writes
//	up         all              all
//	ramping    a growing share  all
//	returning  none             all: what is set now is newer than what is replayed
//	down       none             none, or tried if the pool is open
//	probing    as down
//
// # A loop's part
//
//	a connection is made   ask it for stats; Meet: may it be used?
//	a request is to go     AdmitsRead or AdmitsWrite; else it fails at once
//	an answer came         Answered; if a write was acknowledged, Journal.Acked
//	a write was not        Journal.Add: not sent, timed out, connection lost
//	something failed       Failed, with its kind
//	now and then           TryProbe; if true: connect, stats, ProbeOK or ProbeFailed
//	after ProbeOK          by the Decision: BeginFlush, flush_all, EndFlush; then
//	                       Next, deletes, Done until Next gives nothing; FenceDone
//	up, and Pending()      Next, deletes, Done: the same without a fence; Rewind
//	                       if that breaks off; Failed(Overflowed) if FlushNeeded
//
// # What always holds
//
//	H1  Health never changes who owns a key. There is nothing here that could.
//	H2  A backend is read only when up or ramping, and it gets there from down only
//	    by a fence: a probe whose answer was judged by Decide, and FenceDone. That holds
//	    in an open pool too.
//	H3  In the whole process one probe is under way for a backend, the fence
//	    after it included. A backend that fails during the fence ends it in down, but
//	    only when who runs it reports: nobody else can begin a second one before.
//	H4  A key of which the last write was not acknowledged is in the journal, or was
//	    deleted or flushed after that write failed, or the journal says FlushNeeded. Done
//	    and EndFlush never drop what was added after Next and BeginFlush. The Spool has
//	    what the journal has, and at times more.
//	H5  What cannot be told is decided for the worse: an unknown time is long ago for a
//	    snapshot, and a process of which nothing is known is not an empty one. Times of a
//	    node are compared with times of the same node; its clock need not be ours.
//	H6  During one ramp a key that has been read is read until its end.
//
// # Down and back
//
// Down: Failures (3) in a row within Window (10 s), not counting what belongs to
// one Incident (100 ms), or at once when a connect is refused, when another
// process answers, or when the journal has overflowed.
//
// Back: the first probe after ProbeMin (250 ms), at once where the node is known
// to answer; each that fails, or whose fence fails, doubles the time up to
// ProbeMax (5 s). All times are spread by a quarter to both sides.
//
// Flapping: a backend that goes down within Stable (60 s) of its return is not
// even probed for HoldMin (5 s), the next time for twice that, and so on up to
// HoldMax (5 min). To be forgiven it must serve for Stable, and for as long as it was
// held down last. So one restart costs a second, and a server that dies every
// half a minute is soon left alone.
//
// Ramp: from the end of the fence on the share of keys that are read grows from 5 %
// to all over Ramp (30 s), by a hash of the key. Those turned away fare as if the
// backend were down: that serves them from a gutter, and spares what lies behind
// a cache that came back empty. With no gutter, 0 is the better setting.
//
// Guard: if more than half of a pool of three or more is down, we ourselves may be
// what is cut off. The pool is open then: writes are tried, no backend is held
// down, probes come every ProbeMin, there is no ramp. What stays is the fence.
//
// # The fence
//
// A node that was away has not heard of the writes in the journal. A node that was
// restored has, besides, forgotten what it had acknowledged since its snapshot,
// and the journal has none of that. Decide, in this order:
//
//	the same process                       replay; flush if keys are missing
//	new, and all it has is from its start  forget what is older than its start,
//	                                       replay the rest; flush if keys are missing since
//	keys are missing                       flush
//	restored and not flushed since, and    replay
//	  nothing was acknowledged after its
//	  snapshot, from when on the journal
//	  is complete
//	restored with losses otherwise, or     flush; with ServeStale replay, and mark
//	  from another process than the one
//	  that was known before
//	restored without losses; any other     replay
//
// A node that is met for the first time is flushed if FlushAtStart says so, and
// otherwise goes by the last four rows.
//
// A replayed key is deleted, not set: whether the write took place is not known,
// and a miss is always right. A flush marks the node by its flush generation, so
// that the next proxy to meet it does not flush again.
//
// Not covered: a write that timed out and that the node executes after the delete
// that was to undo it, because it lay unread in another connection.
//
// # When the proxy itself dies
//
// With no Spool what it had in its journals is nobody's. A next one meets the nodes for
// the first time (the last four rows above; FlushAtStart flushes them), and this is what
// a client may then see:
//
//	a write that was answered by the node   is seen, for good: a node that has lost it
//	                                        since says so, and is flushed
//	a write that was answered by an error   may have happened or not, for good: it is not
//	                                        made up for
//	a write that a route acknowledged       may be missing in the copies of those nodes
//	  though a node had failed (a replica,    until it is overwritten or expires
//	  a gutter in the place of the owner)
//
// With a Spool (Journal.Attach) a key is in it before the client has its answer, so of the
// last two the next proxy knows: it deletes those keys before it reads the node, and
// flushes the node if keys were too many, or the spool is damaged. All else that the node
// has stays.
//
//	a write that was not answered at all    may have happened or not, and may still: the
//	  when the proxy died                     client saw its connection end
//	what an asynchronous replica, or one    the same, in that copy
//	  that was not waited for, has not
//	  answered when the proxy died
//
// Of these neither knows: to note them all beforehand would cost a write each. A node that
// was stopped may carry them out when it goes on, and the next proxy gives it the time of
// a request for that before it deletes what the spool has. A power cut of the proxy's
// machine costs what was added since the last sync of the spool.
//
// # Several proxies
//
// Each fences for itself: it knows of the writes that failed, or were acknowledged, through
// it and of no others. So all of the above is promised for a key that is written and read
// through one proxy. Through another one the key may be read as it was before a write that
// failed, or after it, or as an older snapshot of a restored node has it, until the
// proxy that the write went through has fenced the node too. Once all have, nothing old is
// left: each deletes what it has in doubt, after that can no longer happen, and a
// flush by any counts for all. A proxy notices by itself that a node to which it has a
// connection was restarted, so that takes about a second. Nothing is shared between the journals of proxies: a proxy that could not tell the
// node might not be able to tell the others either, and who needs more gives each
// key one proxy.
//
// # Goroutines and locks
//
// No goroutines, no clock: times are passed in. A Backend and a Journal have a
// lock each; that of the Journal may be taken while holding that of the Backend,
// not the other way round, and a Spool is called with it held. AdmitsRead, AdmitsWrite, State, Answered, Acked and
// Pending do not lock, but for AdmitsRead at the end of a ramp.
package health
