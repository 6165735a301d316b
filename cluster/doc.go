// Package cluster says which of many servers owns a key: the same one that the
// client or the proxy it takes over from would have chosen.
//
//	user:{42}:name      KeyPart        Hash             Placement        Map
//	───────────────▶  the part    ▶  a number of   ▶  the index of  ▶  name and address
//	      key          that counts    15…64 bits       a slot           of that slot
//	                   "42"           0xcc57…          3                "cache-d" 10.0.0.4:11211
//
//	Config (YAML) ─▶ PoolConfig ─▶ NewMap ─▶ Map ─▶ Owner, Explain
//	twemproxy.yml ─▶ ImportTwemproxy ─┐
//	"--SERVER=…"  ─▶ ImportLibmemcached ─▶ Config
//
// A pool is an ordered list of named slots. Its Map is made once, has an epoch
// number and never changes. Placements are pure: no input or output, no clock, no
// locks. They hold memory as follows, N being the number of slots:
//
//	jump, ch3, random           nothing that grows with N
//	modula                      8 bytes a slot
//	rendezvous, pymemcache      16 to 32 bytes a slot, and N steps a look-up
//	rings (all others)          8 bytes a point: 1,280 bytes a slot with 160 points,
//	                            800 with libmemcached-consistent's 100
//
// # What always holds
//
// K numbers are this package's; P6 and F1 are the promise and the rule of the proxy
// that bind placement.
//
//	K1  Owner has an answer for every key, below the number of slots, and the same
//	    each time (but for random). It allocates nothing and keeps no key.
//	K2  Keys belong to slots, and slots are names: another address under the same
//	    name moves nothing. A slot without a name is named by its address.
//	P6  Health is not an input. A server that is down owns its keys still; they
//	    fail or miss, and no neighbour serves what it held before. F1: re-hashing on
//	    failure (auto_eject_hosts, REMOVE-FAILED-SERVERS) is how twemproxy comes to
//	    answer values that were overwritten, and is not carried over.
//	K3  Only a Map of a higher epoch gives a key another owner.
//	K4  With jump and ch3 a slot added at the end takes about 1/(N+1) of the keys, and
//	    keys move to it only. With rendezvous a slot removed anywhere moves its
//	    own keys only.
//	K5  A placement is the same on every machine: floats are rounded as the
//	    original program rounds them, products are never fused with sums, and C's
//	    char is signed unless the pool says otherwise.
//	K6  Every column of testdata/vectors, taken from the programs themselves, is a
//	    test. One program was not run: dalli is compared with a port of it.
//
// # Which one to take
//
// For a new pool the default: jump over XXH3, what memcached's own proxy does. It is
// perfectly even and needs no memory; give servers names, add at the end, and
// replace a broken one under its name. Where servers come and go in the middle, or
// differ in size, rendezvous; look-ups cost a step for each server. All others are
// there so that a client or proxy can be replaced with a warm cache behind it.
//
// # Goroutines and locks
//
// None: all types but Config are immutable, and nothing is started.
//
// # Not the business of this package
//
// It reads no file, asks nobody and starts nothing: cluster/discover finds configs
// and follows them, cluster/health decides which servers are read, cluster/proxy
// serves.
package cluster
