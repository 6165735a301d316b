// Package spool keeps the journals of a proxy beyond the life of its process: the keys
// whose last write a backend has not acknowledged. A proxy that is killed and started
// again knows from it which keys to delete, and need not flush the backend.
//
//	DIR/lock                     one proxy has the directory
//	DIR/1f0c….spool              a backend: by pool, slot and address
//	    header │ k len key sum │ k len key sum │ …
//	       └ complete, or keys are missing
//
// A file is appended to before the client of the write is answered, by one write of some
// bytes that the kernel has then, whatever becomes of the process. Nothing is appended for a
// key that is in it, and nothing when a key has been deleted: when all are, the file is
// cut back to its header, and when it is mostly of such keys it is written anew. It is
// synced within SyncEvery, so a power cut may cost what was added in that time. The write is
// the loop's own: DIR belongs on a disk of the machine, or a tmpfs, which cannot hold it up.
//
// # What always holds
//
//	S1  A file that says it is complete has every key that Add was told of and that no
//	    Rewrite has left out since. One that is damaged is not complete.
//	S2  An error of the disk makes the file one that keys are missing in, before anything
//	    else is done; if not even that can be written it is cut to nothing, which is
//	    damage. From then on it is written anew from time to time, until that works.
//	S3  A file ends at its last whole record. Less than a record behind it is the mark of
//	    a write that was cut off, whose client was not answered; anything else is damage.
//	S4  A file is longer than what it holds by at most that, and slack.
//
// There is one goroutine, that of Dir, which syncs; Close ends it. Dir.mu and File.mu are
// not held together, nor during a sync.
package spool
