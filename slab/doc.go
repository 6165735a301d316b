// Package slab keeps the items of a cache in memory of its own, outside the Go
// heap: the garbage collector never sees an item, and a limit bounds items and
// index together.
//
//	arena   |page 1        |page 2        |page 3        | …      (reserved address space)
//	         └ class 5: chunk chunk chunk … of one size
//	                         └ header, key, value             an item
//	index   |bucket|bucket|bucket|…   64 bytes: 12 tags, 12 refs, overflow
//	        |ghosts|ghosts|…          64 bytes: fingerprints of what was evicted
//	         └ a stripe (one lock) owns every n-th bucket
//
// An item lives in a chunk, a chunk in a page, a page belongs to a size class
// or to the pool. A ref is a 32-bit handle on a chunk; 0 is none. Every class
// has four LRU lists of items: hot, warm, cold and temp. A value too long for
// a chunk is a chain: see chunked.go. item.go draws an item's bytes.
//
// A get reads two cache lines that are unlikely to be cached: the bucket and
// the item. It takes one lock, its stripe's, and writes to the item only on
// the first read since an eviction looked at it; lists are put in order later,
// at the tail. A set fills a
// chunk before it locks anything, then locks its stripe to enter it.
//
// # Bytes
//
// What an item takes, in bytes. memcached 1.6 takes 48, 8 for the CAS and 3 for
// line ends, rounds up by 11 % and has its hash table beside the limit:
//
//	24   header: state and last access 4, lengths of key and value 4, ver with
//	     marks, list and class 8, links of its list 4 + 4
//	 8   its own CAS, only if a client has set one
//	 4   exptime, only if it has one
//	 4   client flags, only if not 0
//	     key and value; no line end is kept
//	     rounding up to the class, on average 5 % below 2 KB
//	 9.1 index: a bucket of 64 bytes for 7 items, tag 1 and ref 4 each, the rest
//	     free slots and the overflow number
//	 1.1 ghosts: a line of 30 for 8 buckets, 2 each
//
// The links could go for an order by place in the page, and with them 8 bytes:
// but then an item that is to stay must be copied at each turn. The last access
// is 24 bits because clients may ask for it (mg h l); ver is 48 because after a
// crash the higher one of two with a key is the item.
//
// # Locks
//
// In this order: stripe, class, index overflow, pool. A Worker's lock comes
// before all, a page move's next: a store only tries it, and holds no stripe
// then. Nobody holds two classes. Nobody waits for a stripe while holding a
// stripe or a class: evictions, page moves and batches that are put back only
// try, and pass over what is locked; Check alone locks every stripe, in
// ascending order. Methods whose names end in Locked say which lock the caller
// holds.
//
// The bytes of an item are written before it is published and never again;
// state, access time, exptime and explicit CAS change under the stripe's lock,
// links under the class's. The word changes under either, so always atomically.
// An item on a list may be read under the lock of its class: to take it off
// one needs that lock too.
//
// # Invariants
//
// Check proves them; the names are used all over the package.
//
//   - I1: every filled slot of the index names a live item, whose key hashes to
//     that bucket and tag; no key and no chunk is there twice.
//
//   - I2: an item is in the index exactly if it is on one list, the one that
//     its word names. Before any byte of its chunk changes, its state says that
//     it is no item any more.
//
//   - I3: links mirror each other; a list's counts are those of its items. No
//     slice of item memory outlives the visit, the Pin or the call it was made for.
//
//   - I4: a live item's key, value and client flags never change. Its ver is
//     higher than that of every item with its key before it, except for copies,
//     which differ in nothing but place and exptime.
//
//   - I5: an item is published last: header, key, value, then the state of its
//     pieces, then its own, in one atomic store. What it replaces is retired
//     after that. Pieces name their owner and belong to one item.
//
//   - I6: a chunk is in exactly one of: the free list of its page, the unused
//     rest of its page, an item, a Pending, a pinned item that has left the store.
//     Pieces are freed before the chunk of their owner.
//
//   - I7: a page comes to a class with every byte zero, so that no old value
//     can be taken for an item.
//
//   - I8: the index and the pages of classes take no more than the limit,
//     except while a lowered limit is being reached.
//
//   - I9: a stripe's n buckets are the first n of its column of the table, and
//     its item count is right; every overflow bucket is in one chain or free.
//
//   - I10: an item fits its chunk and counts in the class of that chunk; a
//     chained one counts in the top class, and its pieces fit theirs.
//
//   - I11: only cold items are marked as demoted; a class's probation and the
//     cursors of its ghosts are within their bounds.
//
//   - I12: where the memory outlives the store, its page table names the class
//     of a page from when the page is zero until its last item is gone, and
//     versions and flush mark are there before the first item that they concern.
//
//   - I13: no item dies before its page is due, no page is due before its class;
//     a chained item does not die before its class's chainDue. Being due too early
//     costs a look in vain.
//
// By I2, I4, I5, I7 and I12 the arena is valid at every instruction: whoever finds
// it after the process was killed takes exactly the live items in assigned
// pages, the higher ver of two with one key, and trusts nothing else.
//
// # Beyond the process
//
// A store outlives its process in either of two ways, and knows of no file in
// both. Config.Memory (memory.go) is item memory that the next process gets to
// see: New takes over what it finds there, after reading every item if the last
// process was killed (recover.go: three passes, 10 million items in about half
// a second on two cores), or what Seal wrote down if it ended in order (seal.go:
// a tenth of that). Memory of another geometry is read by Salvage. A Journal
// (journal.go) hears of every change instead, and the Restore methods
// (restore.go) put back what it, or a Walk, has kept elsewhere, many at a time
// (restore_batch.go). Both go by versions, so that nothing depends on the order
// in which keys are put back.
//
// # Decisions
//
// A piece of a chained value names its key's hash, which costs it 8 bytes:
// whoever moves it finds the stripe without reading an owner that may be gone.
// Counting makes a new item even where the number keeps its length: an item
// that is overwritten can be torn by a crash. A large item has every optional
// field, so that it never has to be copied to get an expiry or a CAS. A stripe
// splits a bucket at 7 items a bucket on average: fewer waste index, more make
// look-ups read overflow buckets. The index may take memory from nobody: when
// the limit has no room for it, it drops the item of the full bucket that was
// read longest ago, and asks Maintain for a page.
//
// Unless another factor is asked for, classes up to 2 KB grow by 1.1, not by
// memcached's 1.25: rounding up took 11 % of the memory and takes 5. A limit
// makes at least 256 pages, so that the classes of rare sizes, with a page each,
// do not hold much of it. At -m 128 and sizes as in production that was 251 to
// 275 thousand items. A stripe has 256 KB of the limit: every stripe's column is
// as long as the fullest one's, and fewer stripes differ less.
//
// # Eviction
//
// By default what leaves first is chosen by a policy that learns (adaptive.go).
// A new item waits on hot, then on cold, and leaves from there unless it was
// read; one that was read goes to warm, and leaves warm, by cold, when it comes
// to the tail without having been read again. One bit in the item says that it
// was read, so a hit moves nothing: the lists are the lazy FIFOs of S3-FIFO
// ("FIFO queues are all you need for cache eviction", SOSP 2023). How large hot
// and cold are together adapts to what comes back after it was evicted, which
// fingerprints in the index tell, as in ARC ("ARC: a self-tuning, low overhead
// replacement cache", FAST 2003), but for each class of sizes on its own.
//
// Why: a cache of the web has many items that nobody asks for twice, and
// memcached's segmented LRU lets every one of them pass through most of the
// memory. Config.Eviction can choose that one too, with all its knobs; with the
// adaptive policy these are kept and shown, and nothing follows them. Flat
// lists (SetSegmented) and the temp list are the same under both.
//
// Memory follows demand between classes (follow.go) as fast as requests show it:
// by ghosts that come back, per page, against hits on the cold list, per page;
// and what nobody reads any more goes to a class that evicts before a ghost has
// come back (idle.go). Ages decide only where both say nothing. Maintain decides,
// when Urgent says so; the stores that wait for a page empty it themselves, a
// bounded share each, so that memory keeps pace with the traffic on a busy
// machine too. A full store whose values grew from 100 B to 5 KB hits 0.82 of the
// time in the second working set of traffic, an empty one 0.83, memcached 0.39; by
// ghosts alone it was 0.79, by ages 0.13 (go run ./benchmarks -only shift).
//
// go run ./benchmarks policies compares the policies in a simulation of 8
// made-up traces and 19 made after published statistics of production caches:
// nowhere did the adaptive one hit less often than memcached's, by 0.034 more
// often on average. This store beside it (go run ./benchmarks policies -store
// -requests 1500000; the first two rows -requests 3000000), hit ratios:
//
//	                                      simulated, same limit   same bytes of items
//	trace              MiB  lru     adaptive  memcached  adaptive  memcached  adaptive
//	skewed              37  0.8310  0.8391    0.8485     0.8551    0.8330     0.8412
//	wonders and scans   37  0.4476  0.5003    0.4649     0.5091    0.4589     0.5047
//	cluster4            48  0.8896  0.8953    0.8985     0.9030    0.8904     0.8953
//	cluster53           42  0.8600  0.8746    0.8703     0.8877    0.8622     0.8822
//	cluster53          104  0.9001  0.9053    0.9065     0.9129    0.9005     0.9082
//	cluster53          208  0.9254  0.9272    0.9289     0.9316    0.9236     0.9272
//
// A simulated cache has no classes, pages and index: at these limits they cost
// the store 10 to 17 percent of the bytes. The last two columns give the
// simulation as many bytes of items as the store held at the end.
//
// # Expiry
//
// Every page knows the first second in which one of its items dies, and about how
// many do (schedule.go). Linking an item costs a compare in a line that the store
// of it has just changed; taking one out costs nothing, and a life that is made
// longer neither. So the crawler starts in the second in which something dies,
// not at all while nothing does, looks at once at pages where more than one chunk
// in 32 does, and at the others by turns, half a million chunks a second.
// A count of deaths by second and class would not say where to look, and would have
// to be written down by Seal; that of a page may be forgotten: it is due then.
//
// 4 million items of 100 bytes that die in one second, -t 1 on one core: gone 2.2
// seconds later for 0.58 s of CPU, in steps of 0.3 ms, and 515 MB with them;
// memcached begins some seconds later and takes 0.97 s. With 4 million items whose ends
// are spread over an hour, 2 to 3 % of a core, and what lies dead expired in the last
// 6 seconds; memcached, which had the same, took 21 %.
// Pages that come out empty go to the pool, and to the system, but for an eighth
// of what the class uses; where memory is given in large pages it comes back in
// small ones, which cost nothing that could be measured.
//
// # Where the time goes
//
// Of a multiget of 50 over 10 k items the store takes 17 % of a server's
// samples: findLocked 5, Get 7, Prefetch 5; over 4 M items 23 %, 11 of them in
// the prefetch instructions, which wait once as many lines are on their way as
// the processor can fetch at a time. memmove copies item to reply, 8 and 24 %, and is
// where lines arrive that were asked for before. Per key that is two lines, bucket and item, and
// a third if the value reaches over: fewer only if the item were in the bucket.
// A stripe's lock is taken per key, uncontended: holding it
// for several keys would have to sort them by stripe first.
//
// # Not here
//
// No protocol, no file, no socket, no clock, and no goroutine but those of a
// recovery, which end with New: the owner calls Tick once a second and Maintain
// whenever it says.
package slab
