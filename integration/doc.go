// Package integration runs Holdfast as its users do: a process on a socket.
//
//	testdata/wire/*.txt ─▶ ParseTranscript ─▶ Player ─▶ socket ─▶ holdfast, memcached
//	testdata/clients/*  ─▶ real client libraries ─────▶ socket ─▶ holdfast
//	either of them      ─▶ socket ─▶ holdfast proxy ──▶ sockets ─▶ holdfast, …
//	Faults × commands   ─▶ StrictConn ─▶ holdfast proxy, nutcracker ─▶ Backend
//
// # Dialogues
//
// A transcript file holds named dialogues: what a client sends and what the
// server must answer, to the byte. Every dialogue that is not marked otherwise
// is also played on a real memcached, so the files are facts, not opinions.
//
//	== a value comes back with its flags
//	needs: 1.6.45
//
//	# A remark.
//	> set a 7 0 5
//	> hello
//	< STORED
//	> gets a
//	<~ VALUE a 7 5 (?P<cas>\d+)
//	< hello
//	< END
//	> cas a 0 0 1 ${cas}
//	> x
//	< STORED
//
// Steps, each may begin with "@2" to name another connection (1 if absent),
// and before that with "holdfast" or "memcached" to be for that server only:
//
//	> text        send text and CRLF
//	>> text       send text with Go's escapes (\r \n \x00) and nothing added
//	< text        expect the line text and CRLF
//	<< text       expect exactly these bytes, with Go's escapes
//	<~ regexp     expect a line, ended by CRLF, that the regexp matches whole;
//	              its named groups become variables
//	<<~ regexp    the same, but the line's end is part of what is matched
//	<* regexp     pass over lines until one matches; END must not pass unmatched
//	<? regexp     adjacent lines of this kind may arrive in any order
//	no reply      nothing is answered: a following mn is answered at once
//	close         the server closes the connection, with nothing left to read
//	hang up       close the connection from here
//	half close    stop sending, keep reading
//	poll text     send text until the next step, a "<* regexp", is met
//	clock +N      move the server's clock N seconds (dialogues marked clock)
//
// ${name} stands for a variable, ${name+N} and ${name-N} for a number near it,
// ${text*N} for text repeated N times. ${now} is the server's own unix time.
//
// Marks stand between a dialogue's name and its first blank line:
//
//	options: -m 2 -M    server options; dialogues with the same share a server
//	needs: 1.6.45       the oldest memcached that is known to answer so
//	differs: reason     Holdfast means to answer differently; unless there are
//	                    memcached steps the dialogue is not played on memcached
//	fresh               needs a server that nobody has used
//	clock               plays with the server's clock, which stands still
//	whole               what is asked for depends on arriving in one piece
//	tcp                 looks at addresses
//
// Dialogues are played through a proxy as well, of one node and of three, except for
// those that proxywire_test.go names with a reason.
//
// After the last step every connection still open must answer mn with MN: a
// reply too many or too few does not go unnoticed.
//
// # Faults
//
// Behind a proxy stand two servers of the test's own: one is well, the other a
// Backend that a Fault makes behave badly, from refusing connections to naming
// another key. A StrictConn sends a command for a key of the bad one, alone or
// amid a pipeline of healthy requests, and takes nothing but the protocol: one
// reply for each request, in order, of that key, a value that was stored under
// it; not a byte where none is due; and a connection that goes on working. That
// is one cell; a cell has proxy and backends to itself. What may come of it is
// faultCell.expected, from the proxy's promises; nutcrackerFaults shows that what
// is wrong is seen. An entry in Faults or in faultCommands is a row or a column.
// # Many nodes
//
// A test of many nodes has a network of its own: each node is in a network
// namespace, and the proxy and its clients are in one that is connected to all.
//
//	staleClient ─▶ proxy ─▶ br0 ─┬─ node 1    ◀── trouble: killed and started anew,
//	    │          (hub)         ├─ node 2        stopped, unplugged, hears nothing,
//	    └─▶ register             └─ node n        is not heard; and back
//
// Clients write numbered values, delete, and read; a register keeps for each key
// what a read may show: nothing, or a number not below that of the last write or
// deletion that was acknowledged when the read began. What failed may have happened
// or not, until a later one is acknowledged. That the checker finds stale reads is
// shown with a proxy that is known for them, and with pools that are changed without
// care. These tests are for root on Linux.
//
// Non-goals: load, speed and anything that needs a look inside the server.
package integration
