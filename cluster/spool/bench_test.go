package spool

import (
	"strconv"
	"testing"

	"github.com/rs/zerolog"
)

// BenchmarkAdd is what the first failed write to a key costs besides: one small write to a
// file. Those that follow cost nothing while the key is in the journal.
func BenchmarkAdd(b *testing.B) {
	d, err := Open(b.TempDir(), zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	f, _ := d.Backend("pool", "slot", "127.0.0.1:11211")
	f.Rewrite(false, none)
	keys := make([]string, 1<<12)
	for i := range keys {
		keys[i] = "session:0123456789abcdef:" + strconv.Itoa(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f.Add(keys[i%len(keys)], false)
		if f.Full() {
			f.Rewrite(false, none)
		}
	}
	if err := d.Close(); err != nil {
		b.Error(err)
	}
}
