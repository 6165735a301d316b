package persist

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/slab"
)

// benchJournal is a journal on the real file system.
func benchJournal(b *testing.B, policy Policy) *journalled {
	s, w := newStore(b, func(c *slab.Config) { c.LimitBytes = 256 << 20 })
	k := &journalled{t: b, s: s, w: w, states: make(chan journalState, 100)}
	dir := b.TempDir()
	k.begin(policy, func(c *journalConfig) {
		c.fs, c.dir, c.segment, c.clock, c.interval = OS, dir, 0, System, time.Second
	})
	return k
}

// BenchmarkJournalAppend is what the journal adds to a set of 100 bytes, while
// the flusher writes to nowhere.
func BenchmarkJournalAppend(b *testing.B) {
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			k := benchJournal(b, PolicyOS)
			k.j.conf.fs = nullFS{OS}
			k.j.start()
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for id := range workers {
				wg.Go(func() {
					w := k.s.NewWorker()
					key := k.s.Key([]byte(fmt.Sprint("a-key-of-", id)))
					w.Set(key, &slab.SetOp{}, make([]byte, 100))
					w.Get(key, nil, func(v *slab.View) {
						for range b.N / workers {
							k.j.Stored(v.Item)
						}
					})
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(k.j.stats().Dropped)/float64(b.N), "dropped/op")
			if err := k.j.close(); err != nil && k.j.stats().Gaps == 0 {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkJournalSet is a set of 100 bytes with and without a journal that
// writes to the real file system.
func BenchmarkJournalSet(b *testing.B) {
	for _, policy := range []Policy{PolicyOff, PolicyOS, PolicyInterval} {
		b.Run(policy.String(), func(b *testing.B) {
			k := benchJournal(b, policy)
			if policy == PolicyOff {
				k.s.SetJournal(nil)
			}
			k.j.start()
			var keys [4096]slab.Key
			for i := range keys {
				keys[i] = k.s.Key([]byte(fmt.Sprintf("key-%d", i)))
			}
			value := make([]byte, 100)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				k.w.Set(keys[i%len(keys)], &slab.SetOp{}, value)
			}
			b.StopTimer()
			b.ReportMetric(float64(k.j.stats().Dropped)/float64(b.N), "dropped/op")
			if err := k.j.close(); err != nil && k.j.stats().Gaps == 0 {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkJournalCommit is how many replies a second PolicyAlways lets go, with
// so many clients that each wait for their own.
func BenchmarkJournalCommit(b *testing.B) {
	for _, clients := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			k := benchJournal(b, PolicyAlways)
			k.j.conf.timeout = time.Minute
			k.j.start()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for id := range clients {
				wg.Go(func() {
					w := k.s.NewWorker()
					key, value := k.s.Key([]byte(fmt.Sprint("key", id))), make([]byte, 100)
					woken := make(chan struct{}, 1)
					for left.Add(-1) >= 0 {
						w.Set(key, &slab.SetOp{}, value)
						k.j.NotifySynced(k.j.Appended(), func() { woken <- struct{}{} })
						<-woken
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			b.ReportMetric(float64(b.N)/float64(max(k.j.stats().Syncs, 1)), "commits/sync")
			if err := k.j.close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// nullFS is a file system whose files take everything and keep nothing.
type nullFS struct{ FS }

func (nullFS) Create(string) (File, error) { return nullFile{}, nil }
func (nullFS) Open(string) (File, error)   { return nullFile{}, nil }
func (nullFS) SyncDir(string) error        { return nil }
func (nullFS) Remove(string) error         { return nil }

type nullFile struct{ File }

func (nullFile) Write(p []byte) (int, error) { return len(p), nil }
func (nullFile) Reserve(int64) error         { return nil }
func (nullFile) Truncate(int64) error        { return nil }
func (nullFile) Sync() error                 { return nil }
func (nullFile) Close() error                { return nil }
