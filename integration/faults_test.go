package integration

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// cellsAtOnce is how many cells run side by side: most of them wait.
var cellsAtOnce = 24 * runtime.GOMAXPROCS(0)

// matrix is what came of every cell on one proxy.
type matrix struct {
	kind    *proxyKind
	cells   []*faultCell
	results []*cellResult
}

// playMatrix plays every fault with every command that the proxy knows, alone and
// pipelined, or those cells only that are in only, if it is not nil.
func playMatrix(t *testing.T, kind *proxyKind, only map[string]string) *matrix {
	t.Helper()
	m := &matrix{kind: kind}
	for _, f := range Faults {
		for _, command := range faultCommands {
			if slices.Contains(kind.lacks, command.name) || f.Midway != nil && command.kinds&StoreReply == 0 {
				continue
			}
			for _, pipelined := range []bool{false, true} {
				c := &faultCell{kind: kind, fault: f, command: command, pipelined: pipelined}
				if _, listed := only[c.String()]; listed || only == nil {
					m.cells = append(m.cells, c)
				}
			}
		}
	}
	m.play(t)
	return m
}

// play plays the cells, many side by side.
func (m *matrix) play(t *testing.T) {
	t.Helper()
	m.results = make([]*cellResult, len(m.cells))
	slots := make(chan struct{}, cellsAtOnce)
	var wg sync.WaitGroup
	for i := range m.cells {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			r := m.cells[i].run(1)
			if r.err != nil || r.then.Label == LabelError { // the machine was busy
				r = m.cells[i].run(5)
			}
			m.results[i] = r
		}()
	}
	wg.Wait()
	for i, r := range m.results {
		if r.err != nil {
			t.Errorf("%s: %v", m.cells[i], r.err)
		}
		if os.Getenv("HOLDFAST_FAULT_LOG") != "" {
			t.Logf("%s: %s", m.cells[i], r.detail())
		}
	}
}

// outcome returns what came of one cell.
func (m *matrix) outcome(t *testing.T, cell string) string {
	t.Helper()
	for i, c := range m.cells {
		if c.String() == cell {
			return m.results[i].String()
		}
	}
	t.Fatalf("there is no cell %s", cell)
	return ""
}

// nutcrackerFaults are reactions of twemproxy that are known, and against its
// clients' interest. They show that the matrix sees what it is there to see.
var nutcrackerFaults = map[string]string{
	"refuse/multiget/idle":                        "error, then closed",
	"refuse/multiget/pipelined":                   "error, then closed",
	"refuse from the start/multiget/idle":         "error, then closed",
	"black hole/multiget/idle":                    "error, then closed",
	"half and FIN in one/get/idle":                "error at its timeout",
	"half and FIN in two/multiget/pipelined":      "error, then closed",
	"wrong key/get/idle":                          "other key",
	"wrong key/gets/pipelined":                    "other key, then other key",
	"wrong key/multiget/idle":                     "other key",
	"VALUE twice/get/idle":                        "out of step",
	"garbage/get/idle":                            "error at its timeout",
	"huge length/get/idle":                        "error at its timeout",
	"refuse/get/idle":                             "error", // and this is as it should be
	"refuse/set noreply/pipelined":                "silent",
	"extra END/get/pipelined":                     "ok",
	"RST once/incr/idle":                          "error",
	"1 MB + 1/set/pipelined":                      "ok",
	"byte at a time/multiget/idle":                "ok",
	"too slow/get/pipelined":                      "error",
	"no connection/delete/idle":                   "error",
	"black hole from the start/incr noreply/idle": "silent",
}

// TestFaults puts each proxy before a backend that behaves badly in every way, and
// has every command say what its client sees; of nutcracker only what it is known
// for. memcached's proxy takes part if HOLDFAST_MEMCACHED_PROXY names a memcached
// that has one. HOLDFAST_FAULT_TABLE names a file to write the comparison of whole
// matrices into, HOLDFAST_FAULT_LOG shows every cell.
func TestFaults(t *testing.T) {
	var all []*matrix
	file := os.Getenv("HOLDFAST_FAULT_TABLE")
	t.Run("nutcracker", func(t *testing.T) {
		only := nutcrackerFaults
		if file != "" {
			only = nil
		}
		m := playMatrix(t, nutcracker(t), only)
		for cell, want := range nutcrackerFaults {
			if got := m.outcome(t, cell); got != want {
				t.Errorf("%s: %s, it is known for %s", cell, got, want)
			}
		}
		all = append(all, m)
	})
	if kind := memcachedProxy(); kind != nil {
		t.Run("memcached", func(t *testing.T) {
			m := playMatrix(t, kind, nil)
			for cell, want := range map[string]string{"refuse/set noreply/pipelined": "stray reply, then out of step", "refuse/multiget/idle": "error in values"} {
				if got := m.outcome(t, cell); got != want {
					t.Errorf("%s: %s, it is known for %s", cell, got, want)
				}
			}
			all = append(all, m)
		})
	}
	t.Run("holdfast", func(t *testing.T) {
		m := playMatrix(t, holdfastProxy(t), nil)
		m.check(t, (*faultCell).wrong)
		all = slices.Insert(all, 0, m)
	})
	if file != "" {
		if err := writeFaultTable(file, all); err != nil {
			t.Fatal(err)
		}
	}
}

// doubtsMax is how many cells may differ because the machine was busy.
const doubtsMax = 40

// check checks every cell: one that is wrong is one line. If they are few they are
// tried again with more time, one by one.
func (m *matrix) check(t *testing.T, wrong func(*faultCell, *cellResult) string) {
	t.Helper()
	doubts := 0
	for i, c := range m.cells {
		doubts += b2i(wrong(c, m.results[i]) != "")
	}
	for i, c := range m.cells {
		text := wrong(c, m.results[i])
		if text != "" && doubts <= doubtsMax {
			t.Logf("once more: %s", text)
			m.results[i] = c.run(5)
			text = wrong(c, m.results[i])
		}
		if text != "" {
			t.Error(text)
		}
	}
}
