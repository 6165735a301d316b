package slab

import "sync"

// Worker is one thread's hold on the store: operations on items go through it
// and are counted in it. It is not safe for concurrent use; its owner holds
// Lock around a batch of operations, so that Stats can read the counters.
type Worker struct {
	mu     sync.Mutex
	s      *Store
	view   View                       // handed to visits: a fresh one would be allocated each time
	batch  [RestoreMax]restoring      // of RestoreAll
	counts [classMax + 1]workerCounts // by class; 0 is not used
}

// workerCounts are the counters of a class that change on the hot path.
type workerCounts struct {
	hits       [lruCount]uint64 // gets, by the list that the item was on
	touchHits  uint64
	sets       uint64 // attempts to store that got memory
	deleteHits uint64
	incrHits   uint64
	decrHits   uint64
	casHits    uint64
	casBadval  uint64
	getExpired uint64 // look-ups that met an expired item
	getFlushed uint64
}

// NewWorker makes a Worker. It counts towards Stats for ever.
func (s *Store) NewWorker() *Worker {
	w := &Worker{s: s}
	s.workers.Lock()
	s.workers.list = append(s.workers.list, w)
	s.workers.Unlock()
	return w
}

// Lock starts a batch of operations. While it is held, Stats waits.
func (w *Worker) Lock() { w.mu.Lock() }

// Unlock ends a batch.
func (w *Worker) Unlock() { w.mu.Unlock() }

// DeadLookups returns how many look-ups of this worker have met an expired item
// and how many a flushed one, so that its owner can tell why the last one missed.
func (w *Worker) DeadLookups() (expired, flushed uint64) {
	for i := range w.counts {
		expired += w.counts[i].getExpired
		flushed += w.counts[i].getFlushed
	}
	return expired, flushed
}

// Store returns the store that the worker works on.
func (w *Worker) Store() *Store { return w.s }
