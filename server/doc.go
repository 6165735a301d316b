// Package server turns a Handler into a memcached server: it accepts
// connections, cuts their bytes into requests, has them executed and writes the
// replies. The Handler it comes with is Node, which serves a slab.Store.
//
//	socket ─▶ transport ─▶ Session ─▶ protocol.Parser ─▶ Executor ─▶ slab.Store
//	  ▲       owns the fd   bytes in    bytes→Batch       Batch→calls   item memory
//	  └── one write a turn ◀── Session.Out ◀── protocol.Append… ◀── item ◀───┘
//
// # Turns
//
// A Session knows no socket. Its transport works on it in turns:
//
//	begin   the session borrows the lane of its loop: one read buffer, one
//	        output buffer, one Batch, one Executor
//	read    at most once, into Session.space: the lane's buffer, behind what was
//	        left over, or item memory while a long value is on its way
//	run     requests are parsed and executed, a batch at a time, until the input
//	        is used up, the output is at its bound, or -R requests are done and
//	        other connections wait. The verdict says what the session waits for
//	write   what Session.Out holds, pinned item memory included, as far as the
//	        socket takes it
//	end     the lane's buffers go back; what is left over moves to buffers of
//	        the session's own
//
// So a connection has memory of its own only while it owes or is owed
// something, and an idle one has none.
//
// # Files
//
//	server.go            New, Serve, the order of the end, counters summed
//	listen.go accept.go  sockets; who is let in (-c)
//	transport.go         the seam; transport_epoll_linux.go, epoll_loop_linux.go
//	                     and epoll_conn_linux.go are one side of it,
//	                     transport_goroutine.go and netconn.go the other
//	session.go turn.go   the conversation
//	hold.go              replies that wait until a change is safe
//	output.go buffers.go replies that wait; buffers on loan
//	lane.go              what a loop lends, and every bound of a connection
//	executor.go host.go  the seams to the Handler
//	link.go              a loop's connections to other servers, for a proxy;
//	                     epoll_link_linux.go makes them, memory.go plays them in tests
//	node.go dispatch.go  the Handler of a store, and below it the commands
//	keeper.go            the seam to what keeps the items beyond the process
//	identity.go          what tells a proxy one start of a node from another
//	epochs.go            the newest maps that proxies have told of
//	discovery.go         the list of nodes, for clients of ElastiCache
//
// # Goroutines
//
//	goroutine    how many              owns                      may block on         ends by
//	Serve        1 (the caller's)      the order of the end      ctx, the others      ctx or RequestShutdown
//	acceptor     1 a listener          nothing                   accept, a free       the listener's close,
//	                                                             place (-c)           the gate's
//	epoll loop   -t                    its lane, its sessions    epoll_wait; locks    drain, when its last
//	                                   and their sockets         of the store         connection is closed
//	connection   1 each, goroutine     one session; its lane     read, write, Wake,   its client, or drain
//	             transport only        for a turn                the lane's lock
//	ticker       1                     the seconds               a second             Serve
//	maintainer   1 (Node)              nothing                   its timers           Node.Close
//
// Serve ends them in this order: acceptors, loops and connections (told to
// drain; after drainTime stopped), ticker. Node.Close comes after.
//
// # What may block
//
// Nothing on a loop may: an Executor does not wait, sockets do not block, and
// the store's locks are held for bounded steps. What takes time is a Producer,
// which is called again later; meanwhile the requests behind it wait in order.
// Wake is how other goroutines say that there is something to produce. A reply
// that must not leave before a change is safe (Keeper) makes its session rest,
// with its output, until the Keeper wakes it; the loop goes on with others.
//
// # Invariants
//
//	S1  Only one goroutine at a time is inside a Session, a lane or an Executor;
//	    only Wake comes from outside.
//	S2  Between turns a session has no slice of a lane's buffers, and the lane's
//	    output is empty.
//	S3  A session has a buffer of its own only while it has unfinished input or
//	    unwritten output.
//	S4  Replies leave in the order of the requests. While a Producer or a
//	    streaming value is there, nothing behind it is parsed.
//	S5  Input that waits is at most inputMax bytes. No request is read or executed
//	    while more than outputMax bytes of output wait; output may exceed that
//	    by what one batch answers. -o read_buf_mem_limit bounds the sum of all
//	    buffers on loan; a connection that would exceed it is closed.
//	S6  Each Sink is finished or aborted, each Producer ends or is aborted, each
//	    pinned value is unpinned, exactly once, however the connection ends.
//	S7  A connection is in the gate's count from its admission until just before
//	    its socket is closed: who sees it end finds it counted as gone.
//	S8  A loop sleeps in epoll_wait unless a connection has a turn coming: nobody
//	    is watched for what he is not asked for.
//	S9  Where a Keeper holds, nothing that follows a change in the stream of replies
//	    is written before Synced, or before the time is over and the reply to the
//	    change has been replaced by an error. A session is held by one NotifySynced at a
//	    time and goes on only when that has woken it.
//	S10 A descriptor is closed only by the loop that owns it, and only after the
//	    events about it have been looked at.
//
// # Locks
//
// Taken in this order, each for a few instructions unless said otherwise:
//
//	sharedLane.mu     goroutine transport: for a turn, never while a socket is waited for
//	slab.Worker       a batch; then the store's own (see package slab)
//	logHub            watch lines, under the store's locks
//	epoll table       EachConn holds it for the walk; EachConn's f must not call the Host
//	epochs.mu         stats epochs: a look at a table of 64
//	mailbox, netTransport.mu, gate.mu, Server.mu   leaves: nothing is taken under them
//
// # Decisions
//
//   - Level-triggered epoll: after one read the loop goes on to the next
//     connection and is told again if there is more, so that no connection can
//     keep it, and a short read needs no second one to see that it was the last.
//   - Waits of up to napMs are a raw epoll_wait: the Go scheduler takes the loop
//     to be running, and its signals end the wait when it needs the loop, as for
//     garbage collection. By a call that the scheduler knows of, its monitor
//     would take the processor away after 20 µs, the loop would have to ask for
//     one at every wake-up, and the monitor itself would run all the time: a get
//     took a sixth less CPU without (medians of 5 rounds, make bench-ref). An
//     idle loop does give its processor back. Parking the loop in Go's own
//     poller, with the epoll descriptor inside it, was slower than either.
//     GOMAXPROCS should be larger than the number of loops.
//   - recvfrom and sendto rather than read and write: they do not pass through
//     the file layer. A request and its reply over loopback, both ends, cost
//     16.3 against 19.3 µs of CPU (lowest of 15 runs in turn, on a busy machine).
//   - Left-over input is copied to the head of the shared buffer for the next
//     read rather than grown where it is: one path, reads stay large, and at
//     most inlineMax bytes are copied in practice.
//   - UDP is not served: it is what reflection attacks use.
//   - The read behind a long value takes its line end and what follows along
//     (readv), and the one after it only waryMax bytes: a second long value
//     then goes straight to its item. It was three reads a set and up to 64 KB
//     copied, of a 100 KB value; it is two reads and 2 KB.
//
// # Where the time goes
//
// Samples of one loop under load over loopback (perf, 100 B values, 10 k items):
//
//	                          kernel   loop, session, parser, slab   of it
//	get, 50 connections         88 %   12 %   index and item 5, system call stubs 2
//	pipeline 16, 10 % sets      71 %   29 %   memmove 3, index and item 9
//	multiget of 50              59 %   41 %   memmove 8, index and item 17
//	multiget of 50, 4 M items   42 %   58 %   memmove 24, prefetch 11, index and item 12
//	get of 100 KB               94 %    6 %   the kernel's copy out of the item alone 30
//	set of 100 KB               90 %   10 %   the kernel's copy into the item alone 38
//
// A request alone costs one epoll_wait for several, one recvfrom, one sendto
// and TCP's work for them: with all that is ours gone it would cost 7/8. What
// memmove copies is the reply, from item memory into the output: handing the
// kernel the pieces instead costs more below pinMin. System calls of several
// connections in one (io_uring) are what could lower the kernel's share; the
// TCP work, the larger part, stays.
package server
