// Package persist keeps the items of a store beyond the life of its process: in
// memory that outlives it (the warm arena), in snapshots, in a journal of changes
// (journal.go), in any combination.
//
//	                 store (package slab)
//	Walk, 64 items a lock │        ▲ Restore, a Worker per core
//	                      ▼        │
//	snapshotWriter: entries    loader: entries
//	                      │        ▲
//	blockWriter: compress,│        │ unpacker: decompress
//	checksum, pace        ▼        │
//	snap-….hfs.tmp ──▶ snap-….hfs ─▶ reader: blocks, gaps
//	       sync, rename, sync directory
//
// format.go and trailer.go draw the bytes of files. A file is a header of one
// page and blocks; a block has a checksum and entries; an entry says something
// about one key, and with which version. Of two entries of a key the one with the
// higher version is the later, so entries may be read back in any order, twice,
// and from several files.
//
// # The Keeper
//
//	cmd ──Open──▶ Keeper ──▶ Driver: Source  Find, Restore
//	server ─────▶  │  when               Sink    Start, Snapshot, Probe
//	  Synced?      │  health            │
//	  Snapshot     │  statistics        ├─ dirDriver  files of a directory: dir.go
//	  Stats        ▼                    └─ whatever else is registered: driver.go
//	        run: due? ─▶ make
//
// The Keeper decides when: it restores, has snapshots made when they are due
// (by the clock, by the journal's growth, because versions have come far, because
// the driver wants one), and if that fails tries again, after a pause, by a Probe
// first. While it fails the state is degraded, and Options.OnError says what
// follows. The driver knows how, and nothing of the above.
//
//   - K1: a snapshot is never made of a store whose items are not all loaded: it
//     would take the place of one that has them.
//   - K2: one snapshot is made at a time, the last one included.
//   - K3: the store's clock goes on where it stopped, whatever becomes of the wall
//     clock while the machine runs, so exptimes are never rewritten. While a journal is
//     read back it stands where the oldest file has it, for an item may have been
//     given a longer life since.
//   - K4: versions go on far above any that a file names (versionStep), and a file
//     that names them is written before half of that is used up, at every start to begin with.
//   - K5: a file is removed only when a newer snapshot is published, and only if
//     Options.SnapshotKeep newer ones are complete. Damage is renamed, not removed, and a
//     file of a later version is not touched.
//
// # Snapshots
//
// A snapshot is made while the store is in use: nothing is forked and nothing
// stops. Each item in it is what it was at some instant between start and end,
// its own instant; nothing is promised across keys. A client's delete or flush
// during the walk may come too late for a snapshot; a flush is noted at the
// end, a delete is in the journal, if there is one.
//
// # Invariants
//
//   - P1: a file that bears a snapshot's name is complete and durable. It has
//     another name, with .tmp, until its contents are synced; its name is synced
//     before the call that made it succeeds.
//   - P2: what is read back was written: a checksum covers every byte of a block,
//     its header included, and a block belongs to one file, by a random number.
//     A block that was at another place before, or of a file that was there
//     before, is none.
//   - P3: no length from a file is believed before it is known that the file is
//     long enough, and more than 4 MiB not before a checksum says so. What it
//     costs to look for the next block after damage is bounded by 8 times the
//     file's length.
//   - P4: damage costs the blocks that it hits: the blocks before and after are
//     read. It is counted: what a complete snapshot should hold is known from either
//     of two blocks at its end.
//   - P5: a version that was restored is never given out again: BeginRestore gets
//     the highest version that any file names.
//   - P6: while a stripe is locked, about 64 items or 32 KB are copied, whichever
//     is less, and never less than one bucket of the index; a long value is
//     pinned and copied afterwards.
//   - P7: a snapshot takes memory for a few blocks, whatever the size of the store;
//     a value above 4 MiB is written from where it lies.
//   - P8: after an error of Sync the file is given up; Sync is not tried again.
//
// # The warm arena
//
// Item memory in a file of a memory file system (arena.go) needs no writing at
// all: what the process has in memory when it ends is in the file.
//
//		FILE  page 0: what is where │ pages of items …         mapped, all of it reserved
//		       └ Stamp of the start    └ found by state words, after a kill
//		FILE.old, FILE.bad            being read; set aside
//
//	  - A1: every page that the store may touch is reserved before: a file system
//	    without room is an error of the start, never a signal later.
//	  - A2: one process has the file, by a lock that the kernel lets go when it ends.
//	  - A3: it is believed only as long as the machine that wrote it is up, or if it
//	    was closed in order; and if nothing later is known from the data directory.
//	  - A4: what cannot be believed is kept under another name, if there is room,
//	    and the server starts.
//
// # When it is cut off
//
//	cut here                        found at the next start
//	before the .tmp file is synced  the older snapshot; the .tmp file is removed
//	after that, before the rename   the same
//	after the rename                the older snapshot or the new one, whole:
//	                                the name may not have reached the disk
//	after the directory is synced   the new one
//	while the older one is removed  the new one; perhaps the older one too
//	disk full, or an error of it    the older one; the .tmp file is removed at once,
//	                                or at the next start if the disk does not let us
//	a page of the file is lost      the new one without the blocks of that page
//	the header of the file is lost  the older one
//
// The tests cut the power before every operation of the file system, with none,
// some and all of what was not synced on the disk, and have every operation fail.
//
// # Goroutines
//
//	Keeper.run               has snapshots made when they are due; Close ends it
//	one per snapshot         the caller of Driver.Snapshot; Close cuts it short
//	writeSnapshot's caller   walks, and fills blocks; holds one stripe at a time
//	one per snapshot         compresses, paces and writes, on a thread of low
//	                         priority; holds no lock that others wait for
//	restore's caller         reads blocks
//	one per core             decompresses and puts items back
//
// All end with the call that started them.
//
// # Locks
//
// A journal is told of changes with the stripe of the key locked (slab.Journal);
// nothing in this package calls the store while holding a lock that the journal takes.
package persist
