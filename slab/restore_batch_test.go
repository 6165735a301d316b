package slab

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// randomRecord makes a record of one of few keys; its value tells its version.
func randomRecord(rng *rand.Rand, ver uint64) *Record {
	r := &Record{
		Key: []byte(fmt.Sprintf("key%d", rng.IntN(200))), Ver: ver, LastAccess: uint32(rng.IntN(1000)),
		Flags: uint32(rng.IntN(2)), Marks: Marks(rng.IntN(256)) & MarksAll,
	}
	n := rng.IntN(500)
	switch rng.IntN(20) {
	case 0:
		n = 60_000 // chained
	case 1:
		n = 1 << 20 // too large
	case 2:
		r.Exptime = 900 // over
	case 3:
		r.Exptime = 2000
	case 4:
		r.CAS = ver + 1<<40
	}
	r.Value = bytes.Repeat([]byte(fmt.Sprintf("%d,", ver)), n/8+1)
	return r
}

func restoreAll(w *Worker, rs []*Record) []Result {
	keys := make([]Key, len(rs))
	for i, r := range rs {
		keys[i] = w.Store().Key(r.Key)
	}
	res := make([]Result, len(rs))
	w.RestoreAll(rs, keys, res)
	return res
}

// Many at a time come to the same as one after the other, keys that are there
// twice in a batch included.
func TestRestoreAllIsRestore(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 2))
		small := func(c *Config) { c.PageBytes, c.ItemSizeMax = 64<<10, 100<<10 }
		one, w1 := newStore(t, small)
		all, w2 := newStore(t, small)
		for _, s := range []*Store{one, all} {
			s.BeginRestore(10_000, 200)
			s.RestoreFlushed(50)
		}
		w2.Delete(all.Key([]byte("key7")), nil)
		stored, slow := 0, 0
		for range 60 {
			var rs []*Record
			for range 1 + rng.IntN(RestoreMax) {
				rs = append(rs, randomRecord(rng, 1+rng.Uint64N(9000)))
			}
			for i, res := range restoreAll(w2, rs) {
				if res == Stored {
					stored++
				}
				if string(rs[i].Key) != "key7" && w1.Restore(rs[i]) != res {
					slow++ // the order within a batch may be another
				} else if string(rs[i].Key) == "key7" && res == Stored {
					t.Error("restored over what a client did")
				}
			}
			if err := all.Check(); err != nil {
				t.Fatal(err)
			}
		}
		if stored == 0 || slow > stored/10 {
			t.Errorf("%d stored, %d otherwise than alone", stored, slow)
		}
		wantContents(t, contents(all), contents(one))
	}
}

// Several workers and a client are at it at once, in less memory than all of it
// takes. Values name their version.
func TestRestoreAllConcurrent(t *testing.T) {
	s, client := newStore(t, func(c *Config) { c.PageBytes, c.LimitBytes, c.ItemSizeMax = 16<<10, 2<<20, 100<<10 })
	s.BeginRestore(1<<20, 100)
	var wg sync.WaitGroup
	for id := range uint64(3) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(id, 3))
			w := s.NewWorker()
			for n := range uint64(400) {
				var rs []*Record
				for i := range uint64(RestoreMax) {
					r := randomRecord(rng, 1+n*1000+i*10+id)
					if rng.IntN(2) == 0 {
						r.Key = []byte(fmt.Sprintf("own%d-%d-%d", id, n, i))
					}
					rs = append(rs, r)
				}
				restoreAll(w, rs)
			}
		})
	}
	for i := range 2000 {
		k := s.Key([]byte(fmt.Sprintf("key%d", i%100)))
		if i%3 == 0 {
			client.Delete(k, nil)
		} else {
			client.Set(k, &SetOp{}, []byte("client"))
		}
		s.Maintain()
	}
	wg.Wait()
	s.EndRestore(true)
	checkStore(t, s)
	for i := range 100 {
		key := fmt.Sprintf("key%d", i)
		client.Get(s.Key([]byte(key)), nil, func(v *View) {
			if string(v.Value()) != "client" {
				t.Errorf("%s was restored over what a client did", key)
			}
		})
	}
	for key, is := range contents(s) {
		var flags, exptime, ver, cas, marks uint64
		var value []byte
		if _, err := fmt.Sscanf(is, "%d %d %d %d %d %x", &flags, &exptime, &ver, &cas, &marks, &value); err != nil {
			t.Fatal(err)
		}
		if string(value) != "client" && !bytes.HasPrefix(value, []byte(fmt.Sprintf("%d,", ver))) {
			t.Errorf("%s of version %d has the value %.20q", key, ver, value)
		}
	}
}
