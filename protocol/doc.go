/*
Package protocol turns bytes into memcached's requests and replies, and does
nothing else: it opens no socket, starts no goroutine, reads no clock, and on
the way of a request allocates nothing. Server, proxy, tools and tests share it.

# Framing

	          ┌──────────── line ───────────┐┌── data block ──┐
	buffer  … set key 0 0 5 noreply \r\n     v a l u e \r\n    get key \r\n …
	          │   │             │            │                 └ next request
	          │   │             │            └ Request.Value, "bytes" long
	          │   │             └ Request.NoReply
	          │   └ Request.Keys[0]
	          └ Request.Op

	Parser.Fill(buffer) ─▶ Batch ─▶ executor ─▶ Append… ─▶ output
	ResponseParser.Next(buffer) ─▶ Response                       (the other side)

A line ends at the first LF; one CR before it does not belong to it. A data block
ends in exactly CRLF. Words are separated by spaces, as many as you like, and by
nothing else. Command names are lower case. A key is 1 to 250 bytes of anything
but space and LF.

# Grammar

	request  = classic | meta | words
	classic  = ("get" | "gets") key+
	         | ("gat" | "gats") exptime key+
	         | ("set" | "add" | "replace" | "append" | "prepend")
	               key flags exptime bytes ["noreply"] block
	         | "cas" key flags exptime bytes cas ["noreply"] block
	         | "delete" key ["noreply"]
	         | ("incr" | "decr") key delta ["noreply"]
	         | "touch" key exptime ["noreply"]
	meta     = ("mg" | "md" | "ma" | "me") key flag*
	         | "ms" key bytes flag* block
	         | "mn"
	words    = name word*                     stats, flush_all, slabs, config, …
	flag     = letter argument                one word

Words that are too many are passed over, the 24th and later are not even looked
at; only the keys of a get are without number. "noreply" counts only as the last
word.

# Errors

A mistake is a request like any other: Op is OpError and Err the reply. What it
does to the stream depends on how much was understood:

	the length of the data block is wrong   the block is read as commands
	the length is good, another word wrong  the block is skipped
	the block does not end in CRLF          bytes+2 are used up, BadChunk is set
	2048 bytes without LF, not a get        OpClose
	an unknown command ending in HTTP/…     OpClose

Which mistake is told when a line has several is part of the protocol, too:
clients match on the text.

# Ownership

The slices of a Request alias the buffer it was parsed from; a base64 key lies in
the Batch. Both are good until the buffer changes or the Batch is filled again.
Nobody appends to them. A Batch is 40 KiB: an event loop owns one and uses it for
all its connections. A Parser belongs to one connection and is small.

# Invariants

	P1  However the bytes are split over calls of Fill, the requests are the same
	    (but for Streaming and the pieces of a get). A line of more than 2048
	    bytes is the exception: its end must be in the buffer in time.
	P2  Fill uses bytes or adds requests, or needs more bytes; it never stands still.
	P3  Requests come in the order of the stream, Batch.Keys is their keys in order.
	P4  What a Parser makes its caller buffer is bounded: a line by 2048 bytes
	    without LF, a data block by InlineMax.
	P5  No input makes it panic.

# Where the time goes

Parsing a get takes 24 ns, a set 43, a key of a multiget 11 and an mg 67; a VALUE
line is composed in 29 (go test -bench . ./protocol, on one
core of a server). A fifth of it is the search for the line end, which reads 32
bytes at a time; the rest is spread over words and numbers, each looked at
once. Of a pipelined request that is a tenth of what the server spends, of one
that comes alone less than one in a hundred: the kernel takes the rest.

# Non-goals

The binary protocol: it is recognised by its first byte and refused in its own
words. What administrative commands mean: their words are handed on. Whether a
value fits: only the store knows.

# Deliberate differences

memcached 1.6 wraps client flags and exptimes beyond 32 bits; here they are
errors. A get with a key that is too long costs that get its replies, not those of
the requests before it. The opaque of a meta command is checked before the
command does anything. "me key b" decodes its key.
*/
package protocol
