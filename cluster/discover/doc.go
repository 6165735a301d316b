// Package discover finds out which servers share keys and keeps on finding out: from a
// config file, from the DNS, from the other members of a cluster, or all three.
//
//	file ──┐                          pools with discover:            other members
//	       ├─▶ file, static ─▶ lister ◀─── DNS (srv, a, aaaa)              │
//	list ──┘   Source          fills in servers                            ▼
//	                             └──────────▶ carried ─▶ Gossip.Offer ─▶ Gossip ─▶ deliver
//	                                          (only with Gossip)         highest epoch
//
// Open chains what its Options name. Each Source delivers complete configs, of which a
// cluster.Map can be made. A Source is a process's own; Gossip is this process as a
// member of a cluster, which a node is too that needs no config ("holdfast serve
// --join").
//
// # What always holds
//
//	D1  Discovery says who exists, the epoch-numbered config says who owns, health
//	    says who answers. Only a config of a higher epoch gives a key another owner:
//	    what is delivered later has the same owners or a higher epoch.
//	D2  Losing every source freezes the config. An empty answer, an error, a file that
//	    is missing, cannot be parsed or goes back, a map with a wrong signature: each
//	    is counted, logged once, and changes nothing.
//	D3  A server that is not there is no server that is gone. A name that the DNS
//	    lacks keeps its place (for ever with srv, five minutes with addresses, until
//	    Reload), and members that others think gone are suspected, never removed.
//	    Options.KeepFile extends this over a restart of the process.
//	D4  A file counts when the same text has been found twice in a row, or when
//	    somebody asks (Reload): half a file may be a valid one with fewer servers. Refresh,
//	    which whoever speaks to a node can bring about, takes nothing that would not have
//	    been taken without it, only sooner.
//	D5  A file of an equal epoch may change what moves no key. One that moves a key, or
//	    goes back to an earlier epoch, is refused.
//	D6  Every member takes the map with the highest epoch that it hears of, if it is signed
//	    with the secret of the cluster. Two maps of one epoch are an error of who made
//	    them: each member keeps its own and says so until there is a higher one.
//	D7  Members on other machines have a secret, which encrypts all they say.
//
// Between one proxy and another the DNS may tell different things for as long as an
// interval; then they send a key to different servers. Who cannot have that gives
// the list in a file, or lets one member offer it to all (Gossip).
//
// # The DNS
//
// srv:NAME is for names that come back: the pods of a StatefulSet behind a headless
// service. The target and port of each record name a slot, in the order of the numbers in
// them, so that a set which grows does so at the end of the list, where the default
// placement moves the fewest keys; a pod with a new address moves none. Weights and
// priorities are not looked at. a:NAME:PORT and aaaa:NAME:PORT are for addresses
// that do not come back; rendezvous suits these. The epoch of such a config is a unix
// time when the list changes.
//
// # Members
//
// Gossip is memberlist (hashicorp), which finds members and notices when one does not answer.
// Its answers are not agreed on by all, so no owner is made of them. The map travels at once
// to every member that is known, and in the exchange of states with a random one every 30
// seconds, which repairs what was missed. Seeds are joined again every 30 seconds: only
// that heals a partition that has lasted.
//
// # Goroutines and locks
//
//	goroutine     how many             ends by
//	Run           1, the caller's      ctx
//	inner Run     1 in lister, 1 in    the Run around it
//	              carried
//	poll          1 a list             ctx, or a config without the list
//	join, tell,   1 each a Gossip      Close
//	suspect
//	memberlist's  about a dozen        Close
//
// trouble.mu and lister.mu are leaves. Gossip.mu is taken under memberlist's locks
// (events, exchanges), so nothing of memberlist is called under it; trouble.mu is
// taken under it.
package discover
