package integration

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// twinCommands is how many random commands each transport is compared on.
const twinCommands = 6000

// TestTwins says the same to Holdfast and to the system's memcached, thousands
// of random well-formed commands on few keys, and wants the same answers. What
// memcached versions answer differently is left to the dialogues.
func TestTwins(t *testing.T) {
	path := memcachedPath(t)
	forEachTransport(t, func(t *testing.T, p *Process) {
		useFirstCas(t, p)
		talkToTwins(t, p, path, false)
	})
	// A proxy is a server like any other, whatever is behind it.
	t.Run("proxy", func(t *testing.T) {
		p := startProxied(t, 3, false, "")
		defer p.end(t)
		for _, n := range p.nodes {
			useFirstCas(t, n)
		}
		talkToTwins(t, p.Process, path, true)
	})
	t.Run("proxy-of-memcached", func(t *testing.T) {
		nodes := []*Process{startTwin(t, path), startTwin(t, path), startTwin(t, path)}
		p := startProxy(t, nodes, false)
		talkToTwins(t, p, path, true)
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func memcachedPath(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("memcached")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// startTwin starts a memcached until the test ends.
func startTwin(t *testing.T, path string) *Process {
	t.Helper()
	p, err := Start(Spec{Binary: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	useFirstCas(t, p)
	return p
}

// useFirstCas has an item get cas id 1, as old versions do, which no other may meet.
func useFirstCas(t *testing.T, p *Process) {
	w := newTwin(t, p)
	w.raw("set first 0 0 1\r\nx")
	w.raw("delete first")
}

// talkToTwins says the same to p, which may be several servers, and to a memcached.
func talkToTwins(t *testing.T, p *Process, memcached string, several bool) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := twinTalk{rng: rand.New(rand.NewPCG(seed, 1)), several: several}
	ours, theirs := newTwin(t, p), newTwin(t, startTwin(t, memcached))
	var said []string
	for range twinCommands {
		command := g.command()
		said = append(said[max(0, len(said)-20):], command)
		a, b := ours.ask(command), theirs.ask(command)
		if a != b {
			for _, command := range said {
				t.Log(quote(command))
			}
			t.Fatalf("Holdfast answers %s, memcached %s", quote(a), quote(b))
		}
	}
}

// twin is one of the two servers.
type twin struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

// newTwin connects to p.
func newTwin(t *testing.T, p *Process) *twin {
	c, r := dial(t, p)
	return &twin{t, c, r}
}

// casOf is what a command says for the cas id that a key has on each server.
var casOf = regexp.MustCompile(`CASOF\(([^)]*)\)`)

// ask says a command and returns everything up to the MN of a following mn,
// with what may differ taken out.
func (w *twin) ask(command string) string {
	command = casOf.ReplaceAllStringFunc(command, func(m string) string {
		got := w.raw("mg " + casOf.FindStringSubmatch(m)[1] + " c u")
		if id := regexp.MustCompile(` c(\d+)`).FindStringSubmatch(got); id != nil {
			return id[1]
		}
		return "1"
	})
	return anonymous(w.raw(command))
}

// raw says a command and returns the reply.
func (w *twin) raw(command string) string {
	w.t.Helper()
	if err := w.c.SetDeadline(time.Now().Add(replyWait)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.WriteString(w.c, command+"\r\nmn\r\n"); err != nil {
		w.t.Fatal(err)
	}
	var reply strings.Builder
	for {
		line, err := w.r.ReadString('\n')
		if err != nil {
			w.t.Fatalf("%s answered %s and then %v", quote(command), quote(reply.String()), err)
		}
		if line == "MN\r\n" {
			return reply.String()
		}
		reply.WriteString(line)
	}
}

// Cas ids count otherwise and clocks tick at other moments.
var (
	metaNumbers = regexp.MustCompile(`(?m)^((?:HD|VA \d+).*)$`)
	metaNumber  = regexp.MustCompile(` ([clt])\d+`)
	valueCas    = regexp.MustCompile(`(?m)^(VALUE \S+ \d+ \d+) \d+`)
)

// anonymous takes out of a reply what may differ.
func anonymous(reply string) string {
	reply = valueCas.ReplaceAllString(reply, "$1 #")
	return metaNumbers.ReplaceAllStringFunc(reply, func(line string) string {
		return metaNumber.ReplaceAllString(line, " $1#")
	})
}

// twinTalk makes up commands.
type twinTalk struct {
	rng     *rand.Rand
	several bool // each server has cas ids of its own
}

// pick returns one of the words.
func (g *twinTalk) pick(words ...string) string { return words[g.rng.IntN(len(words))] }

// key names one of a few keys, so that commands meet.
func (g *twinTalk) key() string { return g.pick("a", "b", "c", "d") }

// number names a key that holds numbers. A shorter number is padded or not as
// memcached's background threads have it, so these are never read by get.
func (g *twinTalk) number() string { return g.pick("n1", "n2") }

// value makes up a value, rarely a large one.
func (g *twinTalk) value() string {
	n := g.rng.IntN(40)
	if g.rng.IntN(50) == 0 {
		n = g.rng.IntN(30_000)
	}
	return strings.Repeat("v", n)
}

// some returns a random part of the words, in random order.
func (g *twinTalk) some(words ...string) string {
	var out strings.Builder
	for _, i := range g.rng.Perm(len(words)) {
		if g.rng.IntN(3) == 0 {
			out.WriteString(" " + words[i])
		}
	}
	return out.String()
}

// command makes up one command.
func (g *twinTalk) command() string {
	key, value := g.key(), g.value()
	exptime := g.pick("0", "0", "0", "1000", "-1")
	switch g.rng.IntN(19) {
	case 15, 16, 17, 18:
		return g.odd()
	case 0, 1:
		verb := g.pick("set", "set", "add", "replace", "append", "prepend")
		return fmt.Sprintf("%s %s %d %s %d%s\r\n%s", verb, key, g.rng.IntN(3), exptime, len(value), g.pick("", "", " noreply"), value)
	case 2:
		return fmt.Sprintf("cas %s 0 %s %d %s\r\n%s", key, exptime, len(value), g.cas(key), value)
	case 3:
		return g.pick("get", "gets", "gat 1000", "gats 0") + " " + key + " " + g.key() + " " + g.key()
	case 4:
		return g.pick("delete "+key, "touch "+key+" "+exptime, "delete "+key+" noreply")
	case 5:
		return "set " + g.number() + " 0 0 2\r\n" + g.pick("10", "99", "07", " 5")
	case 6:
		// Numbers stay below 1<<63: beyond, memcached looks for a minus sign past
		// the end of the item, and by what was stored there before answers that
		// the number is none. The dialogues have the large ones, in fresh memory.
		return g.pick("incr ", "decr ") + g.number() + " " + g.pick("0", "1", "5", "1000")
	case 13:
		return "decr " + g.number() + " 18446744073709551615"
	case 7:
		return "ma " + g.number() + g.some("v", "N0", "J5", "D3", "T1000", g.pick("MI", "MD", "M+", "M-"))
	case 8, 9, 10:
		return "mg " + key + g.some("v", "s", "f", "t", "h", "c", "u", g.pick("T0", "T1000", "N0", "N1000", "R30", "R2000"))
	case 11, 12:
		flags := g.some("F"+g.pick("0", "7"), "T"+g.pick("0", "1000"), g.pick("ME", "MA", "MP", "MR", "MS"), "C"+g.cas(key), "I")
		if strings.Contains(flags, "MA") || strings.Contains(flags, "MP") {
			flags = strings.ReplaceAll(flags, " C", " P") // has changed between versions
		}
		return fmt.Sprintf("ms %s %d%s\r\n%s", key, len(value), flags, value)
	default:
		return g.pick("md "+key+g.some("I", "T1000"), "md "+key+" C"+g.cas(key), "flush_all")
	}
}

// odd makes up a command that is rarer in the wild.
func (g *twinTalk) odd() string {
	key, silent := g.key(), g.pick("", " noreply")
	switch g.rng.IntN(10) {
	case 0: // what counting makes of texts
		text := g.pick("abc", "5 a", "+5", "-5", "-0", "", " 5", "5x", "5.5", "\t7", "12\r\n6", "1e3", "000000000000000000000007", "123456789012345678901234567890")
		return fmt.Sprintf("set text 0 0 %d%s\r\n%s", len(text), silent, text)
	case 1:
		return g.pick("incr ", "decr ") + g.pick("text ", "n1 ", key+" ") + g.pick("0", "5", "007", "abc", "-1", "1.5", "18446744073709551616") + silent
	case 2:
		return fmt.Sprintf("touch %s %s%s", key, g.pick("0", "1000", "-1", "abc", "1.5"), silent)
	case 3:
		return g.pick("gat ", "gats ") + g.pick("0", "1000", "-1", "2592000") + " " + strings.Repeat(key+" ", 1+g.rng.IntN(30))
	case 4, 5: // keys in base64, which are never said in the clear
		key = g.pick("eCB5", "AAEC", "/+8=")
		return g.pick(
			fmt.Sprintf("ms %s 2 b%s\r\nhi", key, g.some("k", "q", "T1000", "F5", "Oab")),
			"mg "+key+" b"+g.some("k", "q", "v", "s", "f", "Oab"),
			"md "+key+" b"+g.some("k", "q", "Oab"),
			"mg ==== b k", "mg YWI b", "ms YWI 2 b\r\nhi")
	case 6: // several in one write, and only what is no success is heard of
		return fmt.Sprintf("ms %s 1 q\r\nx\r\nms %s 1 q ME\r\ny\r\nmg %s q v k\r\nmd %s q\r\nmd %s q\r\nma %s q v", key, g.key(), g.key(), key, g.key(), g.number())
	case 7:
		return g.pick("verbosity 0", "verbosity 1 noreply", "foo", "GET a", "mg "+strings.Repeat("k", 251), "incr n1 abc")
	case 8: // at the limit of an item, with and without client flags
		if g.rng.IntN(20) > 0 {
			return "mg limit s f"
		}
		n := 1<<20 - 70 + g.rng.IntN(20)
		return fmt.Sprintf("%s limit %d 0 %d%s\r\n%s", g.pick("set", "add", "replace", "append"), g.rng.IntN(2), n, silent, strings.Repeat("v", n))
	default:
		flags := g.pick("0", "4294967295", "+5", "010")
		return fmt.Sprintf("set %s %s %s 3%s\r\nabc", key, flags, g.pick("0", "1000", "+5", "-5"), silent)
	}
}

// cas stands for a cas id of key that matches, or nearly, or not at all.
func (g *twinTalk) cas(key string) string {
	if !g.several {
		key = g.key()
	}
	return g.pick("CASOF("+key+")", "CASOF("+key+")", "1", "18446744073709551615")
}
