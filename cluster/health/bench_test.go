package health

import (
	"strconv"
	"testing"
)

// TestHotPathsAllocateNothing: what is asked for every request.
func TestHotPathsAllocateNothing(t *testing.T) {
	up := oneBackend(DefaultOptions())
	ramping := oneBackend(DefaultOptions())
	ramping.Failed(0, Refused)
	back(t, ramping, at(1), Identity{})
	down := oneBackend(DefaultOptions())
	down.Failed(0, Refused)
	key, buf := []byte("key"), make([]Entry, 0, 4)
	down.Journal().Add(0, key, false)
	for name, f := range map[string]func(){
		"up":                           func() { up.AdmitsRead(7, at(2)); up.AdmitsWrite(); up.Answered(); up.Journal().Acked(at(2)) },
		"ramping":                      func() { ramping.AdmitsRead(7, at(2)); ramping.AdmitsWrite() },
		"down":                         func() { down.AdmitsRead(7, 0); down.AdmitsWrite(); down.TryProbe(0) },
		"a key that is in the journal": func() { down.Journal().Add(0, key, false) },
		"replay":                       func() { down.Journal().Rewind(); buf = down.Journal().Next(buf[:0], 4) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	wantState(t, ramping, Ramping)
}

func BenchmarkAdmitsUp(b *testing.B) {
	h := oneBackend(DefaultOptions())
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if !h.AdmitsRead(7, 0) {
				b.Fatal("down")
			}
			h.Answered()
		}
	})
}

func BenchmarkAckedWrite(b *testing.B) {
	h := oneBackend(DefaultOptions())
	b.RunParallel(func(pb *testing.PB) {
		for now := int64(0); pb.Next(); now += 1000 {
			h.Journal().Acked(now)
		}
	})
}

func BenchmarkAdmitsRamping(b *testing.B) {
	h := oneBackend(DefaultOptions())
	h.Failed(0, Refused)
	h.TryProbe(at(1))
	h.ProbeOK(at(1), Identity{})
	h.FenceDone(at(1))
	for i := range uint64(b.N) {
		h.AdmitsRead(i, at(2))
	}
}

// BenchmarkJournalOutage adds a new key, and replays it: 64k keys of an outage
// at a time.
func BenchmarkJournalOutage(b *testing.B) {
	const keys = 64 << 10
	opt := DefaultOptions()
	j := NewJournal(0, opt.JournalKeys, opt.JournalBytes)
	key, buf := []byte("user:profile:"), make([]Entry, 0, 64)
	for i := 0; b.Loop(); i++ {
		j.Add(0, strconv.AppendInt(key, int64(i), 10), false)
		if i%keys != keys-1 {
			continue
		}
		if j.FlushNeeded() {
			b.Fatal("64k keys do not fit")
		}
		for buf = j.Next(buf[:0], 64); len(buf) > 0; buf = j.Next(buf[:0], 64) {
			j.Done(0, buf)
		}
	}
}
