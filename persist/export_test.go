package persist

import (
	"testing"

	"github.com/holdfast-cache/holdfast/slab"
)

// A flush that came while a snapshot was being made is in its trailer alone: what
// it killed is not exported, as it is not restored.
func TestExportLeavesOutWhatWasFlushedMeanwhile(t *testing.T) {
	e := newErrFS(newMemFS(1))
	s, w := newStore(t, nil)
	set(t, w, "flushed", []byte("v"), slab.SetOp{})
	entered, release := e.block(opWrite, "", 2) // the header is the first
	made := make(chan SnapshotInfo)
	go func() { made <- mustSnapshot(t, e, ".", s, 1, CodecRaw) }()
	<-entered
	s.FlushAll(0)
	release()
	info := <-made
	if info.Items != 1 || info.Flushed == 0 {
		t.Fatalf("%+v", info)
	}
	for _, path := range []string{info.Name, "."} {
		reports, err := Export(e, path, func(e *DumpEntry) error {
			t.Errorf("%s: %s is exported", path, e.Key)
			return nil
		})
		if err != nil || len(reports) != 1 || Damage(reports) != nil {
			t.Fatalf("%+v, %v", reports, err)
		}
	}
}
