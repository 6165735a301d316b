package integration

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The kill loop: several connections do everything at once, the server is killed
// by SIGKILL at a random moment, started again, and looked at. What was answered
// must be there, what was under way may be, and nothing else.

const (
	killOwners = 4
	killKeys   = 100 // of each
)

// killSetup is a way to keep items.
type killSetup struct {
	args   []string
	arena  bool // item memory in a file
	dir    bool // a data directory
	evicts bool // there is not room for all
	reboot int  // every so many kills the memory file is deleted; 0: never
}

func TestKill(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("item memory in a file wants Linux")
		return
	}
	kills := 20
	if os.Getenv("HOLDFAST_LONG") != "" {
		kills *= 20
	}
	// Without evictions, for pages may move to where nobody needs them: then there
	// is an error, not a miss.
	roomy := []string{"-m", "128", "-M"}
	journal := []string{"--journal=always", "--journal-timeout=50s", "--snapshot-interval=1s"}
	for name, setup := range map[string]killSetup{
		"arena":             {arena: true, args: roomy},
		"arena, evicting":   {arena: true, evicts: true, args: []string{"-m", "4"}},
		"journal":           {dir: true, args: append(journal, roomy...)},
		"arena and journal": {arena: true, dir: true, reboot: 3, args: append(journal, roomy...)},
	} {
		t.Run(name, func(t *testing.T) { newKillLoop(t, setup).run(kills) })
	}
}

// killLoop is one run of it.
type killLoop struct {
	t       *testing.T
	setup   killSetup
	spec    Spec
	memory  string
	rng     *rand.Rand
	book    *casBook
	owners  []*owner
	pause   sync.RWMutex
	killed  atomic.Bool
	flushes int
}

func newKillLoop(t *testing.T, setup killSetup) *killLoop {
	base := memoryDir(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	l := &killLoop{
		t: t, setup: setup, memory: filepath.Join(base, "memory"), rng: rand.New(rand.NewPCG(seed, 0)),
		book: &casBook{given: map[uint64]string{}},
		spec: Spec{Binary: holdfastBinary(t), Args: append([]string{"-t", "2"}, setup.args...)},
	}
	if setup.arena {
		l.spec.Args = append(l.spec.Args, "-e", l.memory)
	}
	if setup.dir {
		l.spec.Args = append(l.spec.Args, "--data-dir", filepath.Join(base, "data"))
	}
	for n := range killOwners {
		o := &owner{rng: rand.New(rand.NewPCG(seed, uint64(n+1))), book: l.book, evicts: setup.evicts}
		if setup.dir {
			o.drift = time.Second // files are stamped with whole seconds
		}
		for i := range killKeys {
			o.keys = append(o.keys, &knowledge{name: fmt.Sprintf("o%d-%d", n, i), may: []item{{}}})
		}
		l.owners = append(l.owners, o)
	}
	return l
}

// run kills so many servers.
func (l *killLoop) run(kills int) {
	sources, starting, stopping, reboots := map[string]int{}, 0, 0, 0
	for n := range kills {
		if n%4 == 3 { // one that is still starting
			l.killEarly()
			starting++
		}
		p, err := Start(l.spec)
		if err != nil {
			l.t.Fatalf("kill %d: %v", n, err)
		}
		l.t.Cleanup(func() { _ = p.Kill() })
		l.connect(p)
		l.verify(n, p)
		from, _, _ := strings.Cut(persistence(l.t, p, "arena_source")+" "+persistence(l.t, p, "restore_source"), " and ")
		sources[strings.TrimRight(from, " 0123456789")]++
		if persistence(l.t, p, "arena_set_aside") != "" || persistence(l.t, p, "arena_damaged") > "0" {
			l.t.Fatalf("kill %d: set aside %q, damaged %s", n, persistence(l.t, p, "arena_set_aside"), persistence(l.t, p, "arena_damaged"))
		}
		gently := n%6 == 5 // while it ends by itself
		if gently {
			stopping++
		}
		reboot := l.setup.reboot > 0 && n%l.setup.reboot == l.setup.reboot-1
		if reboot {
			l.awaitSnapshot(p)
		}
		l.hammer(n, p, gently)
		if reboot {
			reboots++
			if err := os.Remove(l.memory); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	p, err := Start(l.spec)
	if err != nil {
		l.t.Fatal(err)
	}
	l.connect(p)
	l.verify(kills, p)
	stats, err := p.Stats("stats")
	if err = errors.Join(err, p.Kill()); err != nil {
		l.t.Fatal(err)
	}
	answered, refused, missed := 0, 0, 0
	for _, o := range l.owners {
		answered += o.answered
		refused += o.refused
		missed += o.missed
	}
	if (missed > 0) != l.setup.evicts {
		l.t.Errorf("%d items were missed", missed)
	}
	l.t.Logf("%d kills, %d more while starting, %d of them while stopping, %d without the memory file; %d answers, %d without memory, %d misses, %d flushes, %s items in the end; starts from %v",
		kills, starting, stopping, reboots, answered, refused, missed, l.flushes, stats["curr_items"], sources)
}

// awaitSnapshot waits for a snapshot. What a killed server was about to do may be in
// the memory file without having got to the journal; the snapshot that the next
// start makes of that has it.
func (l *killLoop) awaitSnapshot(p *Process) {
	s := speak(l.t, p)
	waitFor(l.t, "a snapshot", func() bool { return s.ask("snapshot\r\n", 1) == "OK\r\n" })
}

// killEarly starts a server and kills it at once.
func (l *killLoop) killEarly() {
	p, err := Launch(l.spec)
	if err != nil {
		l.t.Fatal(err)
	}
	<-time.After(time.Duration(l.rng.IntN(60_000)) * time.Microsecond)
	if err := p.Kill(); err != nil {
		l.t.Fatal(err)
	}
}

// connect gives every owner a connection.
func (l *killLoop) connect(p *Process) {
	for _, o := range l.owners {
		c, err := p.Dial()
		if err == nil {
			err = c.SetDeadline(time.Now().Add(2 * startWait))
		}
		if err != nil {
			l.t.Fatal(err)
		}
		l.t.Cleanup(func() { _ = c.Close() })
		o.c, o.r = c, bufio.NewReader(c)
	}
}

// verify has all owners look at all their keys.
func (l *killLoop) verify(n int, p *Process) {
	l.book.before = l.book.most
	var group sync.WaitGroup
	for _, o := range l.owners {
		group.Go(func() {
			if err := o.verify(); err != nil {
				l.t.Errorf("after kill %d: %v", n, err)
			}
		})
	}
	group.Wait()
	if l.t.Failed() {
		l.t.Fatalf("the server's standard error ends:\n%s", p.Stderr())
	}
}

// hammer lets the owners and an operator do what they like for a moment, and
// kills the server while they do.
func (l *killLoop) hammer(n int, p *Process, gently bool) {
	l.killed.Store(false)
	var group sync.WaitGroup
	for _, o := range l.owners {
		group.Go(func() { l.check(n, p, o.run(&l.pause)) })
	}
	group.Go(func() { l.check(n, p, l.operate(p)) })
	<-time.After(time.Duration(l.rng.IntN(250_000)) * time.Microsecond)
	l.killed.Store(true)
	if gently {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		<-time.After(time.Duration(l.rng.IntN(30_000)) * time.Microsecond)
	}
	if err := p.Kill(); err != nil {
		l.t.Fatal(err)
	}
	group.Wait()
	for _, o := range l.owners {
		_ = o.c.Close()
	}
	if l.t.Failed() {
		l.t.FailNow()
	}
}

func (l *killLoop) check(n int, p *Process, err error) {
	if !errors.Is(err, errGone) || !l.killed.Load() {
		l.t.Errorf("before kill %d: %v\n%s", n, err, p.Stderr())
	}
}

// operate moves pages, crawls, asks for snapshots, and flushes now and then.
func (l *killLoop) operate(p *Process) error {
	c, err := p.Dial()
	if err != nil {
		return errGone
	}
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	ask := func(text string) bool {
		if _, err := c.Write([]byte(text)); err != nil {
			return false
		}
		_, err := r.ReadString('\n')
		return err == nil
	}
	for ok := true; ok; {
		switch n := l.rng.IntN(400); {
		case n == 0:
			ok = l.flush(ask)
		case n < 10 && l.setup.dir:
			ok = ask("snapshot\r\n")
		case n < 60:
			ok = ask("lru_crawler crawl all\r\n")
		default:
			ok = ask(fmt.Sprintf("slabs reassign -1 %d\r\n", 1+l.rng.IntN(60)))
		}
	}
	return errGone
}

// flush kills all items, while nobody else is at work.
func (l *killLoop) flush(ask func(string) bool) bool {
	l.pause.Lock()
	defer l.pause.Unlock()
	for _, o := range l.owners {
		for _, k := range o.keys {
			k.may = append(k.may, item{})
		}
	}
	if !ask("flush_all\r\n") {
		return false
	}
	l.flushes++
	for _, o := range l.owners {
		for _, k := range o.keys {
			k.may = []item{{}}
		}
	}
	return true
}
