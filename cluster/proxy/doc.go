// Package proxy serves many memcached servers behind one address: it is the
// server.Handler of "holdfast proxy".
//
//	client ─▶ server.Session ─▶ executor.Execute ─▶ flight: requests, cells, calls
//	   ▲                                               │ route, owner of the key
//	   │                                               ▼
//	   │                        lane: ops in order ─▶ one write a wake-up ─▶ backend
//	   │                          │
//	   └── one write ◀─ compose ◀─┴─ replies, matched and checked, one by one
//
// A batch of a client, everything found in one read, becomes one flight. Each of
// its requests makes a call, a get of many keys one for each backend that owns
// some of them. A call goes into the lane of its loop to that backend. When the
// wake-up ends each lane writes what it has collected from all clients. Replies
// come back in the order of the requests; each is checked against the request it
// must belong to and kept in the flight, and with the last one the client is
// answered, in the order of its requests.
//
// # Files
//
//	proxy.go       Proxy: config, backends, reload
//	executor.go    one loop's side: requests become calls
//	head.go        requests as they go upstream
//	flight.go      a client's batch, and how it is answered
//	call.go        one request to one backend, and its completer
//	lane.go        the connection: what is sent and what comes
//	lane_end.go    time-outs, and the connection's end
//	fence.go       what happens before a node that was away is read again
//	suspect.go     a backend that others suspect is asked whether it answers
//	reply.go       which reply belongs to which request
//	node.go        the tree of routes, selectors, and their description
//	order.go       requests of one batch for one key, where routes take steps
//	leg.go fan.go  the calls that routes make, one by one and several at once
//	effect.go      what a request does to copies of an item, and its time to live
//	replicate.go failover.go handover.go mark.go absent.go  routes: replicate and
//	               failover; warmup and migrate
//	routestats.go  what is counted of routes
//	split.go near.go coalesce.go shadow.go ratelimit.go  the other routes
//	sink.go blob.go  long values, that are not copied
//	backend.go     what all loops share of a server
//	spool.go       whose journal a new backend goes on with
//	admin.go stats.go counters.go  commands without a key, and what is counted
//	epoch.go       how an older map than another proxy's is noticed
//	hot.go         the keys that are asked for most
//
// # Invariants
//
//	X1  Every request that wants a reply gets exactly one, in order; noreply gets
//	    no byte. A request upstream always asks for a reply, so that the count of
//	    requests and replies on a lane is exact.
//	X2  A reply is given to the request it was made for or to nobody: a value must
//	    have a key that was asked for, a meta reply the opaque that was sent. What
//	    does not fit ends the connection.
//	X3  A client has at most one flight: nothing of its next batch is sent before
//	    the last reply of this one, so that it reads what it has written. Within a batch
//	    that writes, all requests take the first lane of their backend.
//	X4  A request that changes something is sent once. A plain read may be sent
//	    again, once, if its connection ended before a byte of its reply came.
//	    A write that gets an error of ours leaves no older value behind: its key is
//	    deleted, from the journal or at once, also if it was not sent at all
//	    (hf-limit), as a server drops an item whose set fails. Not so where a rate_limit
//	    refuses it: a delete for each is what that keeps off.
//	X5  The owner of a key is the map's answer, whatever the state of its backend.
//	X6  A call that has timed out leaves its place in the lane: a reply that comes
//	    late is taken off and forgotten. After twice the time the connection ends.
//	X7  Lanes, flights, calls and blobs belong to one loop and are touched by it
//	    alone; a backend's state is atomic.
//	X8  A route answers the call it was started with once, and makes its own calls on
//	    the same loop. What it must know of a request is in its legs, and what all loops
//	    share of it is atomic, but for the shards of a near cache.
//
// # Maps that differ
//
// Two proxies that share nodes and have different maps send a key to different servers. The
// nodes are what they have in common, so each tells them of its map: with requests that
// are sent anyway, on a new connection, after a reload and every five seconds, "stats epochs
// <pool> <epoch> <sum>". A Holdfast node answers with the map of the highest epoch that it was
// told of; other servers are not told. A proxy that hears of a higher epoch, with
// another sum, counts it, logs it once for each map of its own, and looks where its config
// comes from: once more in ten seconds as long as it hears of it, and with no less care
// than ever, so that whoever tells a node of a map that does not exist costs a line in the
// log and a look at a file. A key moves by what the source says and by nothing else.
//
// Not covered: maps of the same epoch, of which nobody knows which is newer; proxies that share
// no node or call the pool otherwise; and what was written by the older map meanwhile.
//
// # Locks
//
// Proxy.mu guards the lists of executors and backends, hotKeys.mu the counts of a
// loop's hot keys, nearShard.mu a shard of a near cache for a look-up at a time; none
// is taken within another. Health and journals have locks of their own (package
// health). Nothing else is locked: the tree of pools is one atomic pointer, counters
// are atomic.
package proxy
