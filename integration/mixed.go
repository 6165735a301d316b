package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"
)

// Tally counts what clients sent and were answered, under the names that
// stats gives the same things.
type Tally map[string]int64

// Add adds other to t.
func (t Tally) Add(other Tally) {
	for name, n := range other {
		t[name] += n
	}
}

// The keys of a mixed load. Kinds do not mix, so that every reply can be judged:
// values prove that they belong to their key, numbers stay numbers.
const (
	mixedKeys    = 50_000
	largeValue   = 200_000
	tooLarge     = 2_000_000
	pipelineMax  = 16
	turnsPerConn = 40
)

// Mixed is one client of a mixed load: it keeps connecting, sends all kinds of
// commands, checks every reply, and leaves in every way there is.
type Mixed struct {
	Dial  func() (net.Conn, error)
	Rng   *rand.Rand
	Tally Tally

	out   bytes.Buffer
	wants []func(r *bufio.Reader) error
}

// Run plays until the deadline and returns the first reply that was wrong.
func (m *Mixed) Run(deadline time.Time) error {
	for time.Now().Before(deadline) {
		if err := m.visit(deadline); err != nil {
			return err
		}
	}
	return nil
}

// visit is one connection from its beginning to its end.
func (m *Mixed) visit(deadline time.Time) error {
	c, err := m.Dial()
	if err != nil {
		return err
	}
	defer hangUp(c)
	r := bufio.NewReaderSize(c, 16<<10)
	for turns := 1 + m.Rng.IntN(turnsPerConn); turns > 0 && time.Now().Before(deadline); turns-- {
		if err := m.turn(c, r); err != nil {
			return err
		}
	}
	return m.leave(c, r)
}

// turn sends one pipeline and checks its replies.
func (m *Mixed) turn(c net.Conn, r *bufio.Reader) error {
	m.out.Reset()
	m.wants = m.wants[:0]
	for n := 1 + m.Rng.IntN(pipelineMax); n > 0; n-- {
		m.command()
	}
	if err := c.SetDeadline(time.Now().Add(startWait)); err != nil {
		return err
	}
	// A pipeline may be longer than what the sockets hold, so its replies are
	// read while it is still being written.
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(m.out.Bytes())
		written <- err
	}()
	for _, want := range m.wants {
		if err := want(r); err != nil {
			hangUp(c) // sets the writer free
			return errors.Join(err, <-written)
		}
	}
	return <-written
}

// leave ends a connection politely, rudely or in the middle of a command.
func (m *Mixed) leave(c net.Conn, r *bufio.Reader) error {
	end := []string{"quit\r\n", "", "get unfinis", "set half 0 0 100000\r\nonly this", "ms half 10 T"}[m.Rng.IntN(5)]
	if _, err := io.WriteString(c, end); err != nil {
		return err
	}
	if end != "quit\r\n" {
		return nil
	}
	if b, err := r.ReadByte(); err != io.EOF {
		return fmt.Errorf("after quit: %q, %v", b, err)
	}
	return nil
}

// command adds one command and what must be answered.
func (m *Mixed) command() {
	switch p := m.Rng.IntN(1000); {
	case p < 300:
		m.get()
	case p < 500:
		m.set()
	case p < 650:
		m.metaGet()
	case p < 720:
		m.metaSet()
	case p < 800:
		m.number()
	case p < 860:
		m.grow()
	case p < 960:
		m.removeOrTouch()
	case p < 994:
		m.oddity()
	default:
		m.admin()
	}
}

// key names a value key; few of them are asked for most.
func (m *Mixed) key() string {
	return "v" + strconv.Itoa(min(m.Rng.IntN(mixedKeys), m.Rng.IntN(mixedKeys)))
}

// value makes a value that tells whose it is and where it ends.
func (m *Mixed) value(key string) string {
	n := 1 + m.Rng.IntN(300)
	switch p := m.Rng.IntN(1000); {
	case p < 25:
		n = m.Rng.IntN(largeValue)
	case p < 50:
		n = m.Rng.IntN(10_000)
	}
	return key + ":" + strings.Repeat(key[len(key)-1:], n) + ";"
}

// belongs checks that a value was made for the key and is whole, or empty,
// which is what an mg with N leaves until somebody fills it.
func belongs(key, value string) error {
	if value == "" {
		return nil
	}
	inner, ok := strings.CutPrefix(value, key+":")
	if ok {
		inner, ok = strings.CutSuffix(inner, ";")
	}
	if !ok || strings.Trim(inner, key[len(key)-1:]) != "" {
		return fmt.Errorf("%s has the value %s", key, quote(value))
	}
	return nil
}

// get asks for some values in one of four ways.
func (m *Mixed) get() {
	verb := []string{"get", "gets", "gat 1000", "gats 1000"}[m.Rng.IntN(4)]
	hits, misses := "get_hits", "get_misses"
	if verb[1] == 'a' {
		hits, misses = "touch_hits", "touch_misses"
	}
	var keys []string
	for n := 1 + m.Rng.IntN(30); n > 0; n-- {
		keys = append(keys, m.key())
	}
	m.send(verb+" "+strings.Join(keys, " "), func(r *bufio.Reader) error {
		for {
			line, err := readLine(r)
			if err != nil {
				return err
			}
			if line == "END" {
				m.Tally[misses] += int64(len(keys))
				return nil
			}
			f := strings.Fields(line)
			if len(f) < 4 || f[0] != "VALUE" {
				return fmt.Errorf("%s answered %s", verb, quote(line))
			}
			for len(keys) > 0 && keys[0] != f[1] {
				keys = keys[1:]
				m.Tally[misses]++
			}
			if len(keys) == 0 {
				return fmt.Errorf("%s gave %s unasked or out of order", verb, f[1])
			}
			m.Tally[hits]++
			keys = keys[1:]
			value, err := readBlock(r, f[3])
			if err != nil {
				return err
			}
			if err := belongs(f[1], value); err != nil {
				return err
			}
		}
	})
}

// set stores a value in one of four ways, sometimes for a short life.
func (m *Mixed) set() {
	key := m.key()
	value := m.value(key)
	exptime := []int{0, 0, 0, 1, 100, -1}[m.Rng.IntN(6)]
	verb, end := []string{"set", "set", "add", "replace", "cas"}[m.Rng.IntN(5)], ""
	if verb == "cas" {
		end = " " + strconv.Itoa(m.Rng.IntN(1_000_000))
	}
	m.Tally["cmd_set"]++
	line := fmt.Sprintf("%s %s 0 %d %d%s", verb, key, exptime, len(value), end)
	if m.Rng.IntN(4) == 0 {
		m.send(line+" noreply\r\n"+value, nil)
		return
	}
	m.send(line+"\r\n"+value, oneOf(line, "STORED", "NOT_STORED", "EXISTS", "NOT_FOUND"))
}

// metaGet asks for a value by mg.
func (m *Mixed) metaGet() {
	key := m.key()
	flags := []string{"v", "v k s t f c h l", "v q", "s", "v N100", "v R30 u", "k O123"}[m.Rng.IntN(7)]
	want := func(r *bufio.Reader) error {
		line, err := readLine(r)
		if err != nil {
			return err
		}
		f := strings.Fields(line)
		switch {
		case f[0] == "EN":
			m.Tally["get_misses"]++
		case f[0] == "HD":
			m.Tally["get_hits"]++
		case f[0] == "VA" && len(f) > 1:
			value, err := readBlock(r, f[1])
			if err != nil {
				return err
			}
			m.Tally["get_hits"]++ // one that N has made just now too
			return belongs(key, value)
		default:
			return fmt.Errorf("mg answered %s", quote(line))
		}
		return nil
	}
	if flags != "v q" {
		m.send("mg "+key+" "+flags, want)
		return
	}
	// Whether a quiet miss answers shows in what comes before the MN.
	m.send("mg "+key+" "+flags+"\r\nmn", func(r *bufio.Reader) error {
		if b, err := r.Peek(2); err == nil && string(b) == "MN" {
			m.Tally["get_misses"]++
		} else if err := want(r); err != nil {
			return err
		}
		return oneOf("mn", "MN")(r)
	})
}

// metaSet stores a value by ms.
func (m *Mixed) metaSet() {
	key := m.key()
	value := m.value(key)
	m.Tally["cmd_set"]++
	flags := []string{"", " T100", " ME", " MR c", " C12345", " F5 I C99", " k s"}[m.Rng.IntN(7)]
	line := fmt.Sprintf("ms %s %d%s", key, len(value), flags)
	m.send(line+"\r\n"+value, oneOf(line, "HD", "NS", "EX", "NF"))
}

// number counts up and down on keys that hold numbers.
func (m *Mixed) number() {
	key := "n" + strconv.Itoa(m.Rng.IntN(100))
	switch m.Rng.IntN(5) {
	case 0:
		m.Tally["cmd_set"]++
		m.send("set "+key+" 0 0 2\r\n10", oneOf("set", "STORED"))
	case 1:
		m.send("incr "+key+" 5", oneOf("incr", "NOT_FOUND", "#"))
	case 2:
		m.send("decr "+key+" 3", oneOf("decr", "NOT_FOUND", "#"))
	case 3:
		m.send("incr "+key+" 1 noreply", nil)
	case 4:
		m.send("ma "+key+" N0 J7", oneOf("ma", "HD"))
	}
}

// grow makes values longer, until they are deleted.
func (m *Mixed) grow() {
	key := "g" + strconv.Itoa(m.Rng.IntN(50))
	piece := strings.Repeat("x", m.Rng.IntN(500))
	switch m.Rng.IntN(4) {
	case 0:
		m.send("delete "+key, oneOf("delete", "DELETED", "NOT_FOUND"))
	case 1:
		m.Tally["cmd_set"]++
		m.send(fmt.Sprintf("prepend %s 0 0 %d\r\n%s", key, len(piece), piece), oneOf("prepend", "STORED", "NOT_STORED"))
	case 2:
		m.Tally["cmd_set"]++
		m.send(fmt.Sprintf("ms %s %d MA N0\r\n%s", key, len(piece), piece), oneOf("ms", "HD", "NS"))
	case 3:
		m.send("mg "+key+" s u", func(r *bufio.Reader) error {
			if b, err := r.Peek(1); err == nil && b[0] == 'E' {
				m.Tally["get_misses"]++
			} else {
				m.Tally["get_hits"]++
			}
			return oneOf("mg", "HD", "EN")(r)
		})
	}
}

// removeOrTouch deletes, invalidates and touches.
func (m *Mixed) removeOrTouch() {
	key := m.key()
	switch m.Rng.IntN(6) {
	case 0:
		m.send("delete "+key, oneOf("delete", "DELETED", "NOT_FOUND"))
	case 1:
		m.send("delete "+key+" noreply", nil)
	case 2:
		m.send("md "+key+" I T50", oneOf("md", "HD", "NF"))
	case 3:
		m.send("md "+key, oneOf("md", "HD", "NF"))
	default:
		m.send("touch "+key+" 500", func(r *bufio.Reader) error {
			if b, err := r.Peek(1); err == nil && b[0] == 'T' {
				m.Tally["touch_hits"]++
			} else {
				m.Tally["touch_misses"]++
			}
			return oneOf("touch", "TOUCHED", "NOT_FOUND")(r)
		})
	}
}

// oddity sends what is wrong or rare.
func (m *Mixed) oddity() {
	switch m.Rng.IntN(9) {
	case 0:
		m.send("nonsense", oneOf("nonsense", "ERROR"))
	case 1:
		m.send("mg a Tx", oneOf("bad exptime", "CLIENT_ERROR bad token in command line format"))
	case 2:
		m.send("touch "+strings.Repeat("k", 251)+" 0", oneOf("long key", "CLIENT_ERROR bad command line format"))
	case 3:
		m.Tally["cmd_set"]++ // memcached counts it, so it is counted
		m.send("set bad 0 0 3\r\nabcdeversion", oneOf("bad chunk", "CLIENT_ERROR bad data chunk"))
		m.wants = append(m.wants, oneOf("version", "VERSION"))
	case 4:
		m.send("incr "+m.key()+" x", oneOf("bad delta", "CLIENT_ERROR invalid numeric delta argument"))
	case 5:
		m.send("mg a v v", oneOf("twice", "CLIENT_ERROR duplicate flag"))
	case 6:
		m.send("version", oneOf("version", "VERSION"))
	case 7:
		m.send("mn", oneOf("mn", "MN"))
	case 8:
		if m.Rng.IntN(20) == 0 {
			m.Tally["store_too_large"]++
			m.send(fmt.Sprintf("set huge 0 0 %d\r\n%s", tooLarge, strings.Repeat("x", tooLarge)),
				oneOf("huge set", "SERVER_ERROR object too large for cache"))
		}
	}
}

// admin sends what an administrator or an exporter sends.
func (m *Mixed) admin() {
	switch p := m.Rng.IntN(100); {
	case p < 60:
		m.send([]string{"stats", "stats items", "stats slabs", "stats settings", "stats conns"}[m.Rng.IntN(5)], untilEnd)
	case p < 70:
		m.send("verbosity 0", oneOf("verbosity", "OK"))
	case p < 80:
		m.send("slabs automove 1", oneOf("automove", "OK"))
	case p < 90:
		m.send("lru_crawler crawl all", oneOf("crawl", "OK", "BUSY", "NOTSTARTED"))
	case p < 98:
		m.send("me "+m.key(), oneOf("me", "ME", "EN"))
	case m.Rng.IntN(40) == 0: // rarely, so that the cache is full most of the time
		m.Tally["cmd_flush"]++
		m.send("flush_all", oneOf("flush_all", "OK"))
	}
}

// send adds a command; want reads its reply, nil if there is none.
func (m *Mixed) send(text string, want func(*bufio.Reader) error) {
	m.out.WriteString(text)
	m.out.WriteString("\r\n")
	if want != nil {
		m.wants = append(m.wants, want)
	}
}

// oneOf expects a line that begins with one of the replies; "#" is a number.
func oneOf(what string, replies ...string) func(*bufio.Reader) error {
	return func(r *bufio.Reader) error {
		line, err := readLine(r)
		if err != nil {
			return err
		}
		for _, reply := range replies {
			if strings.HasPrefix(line, reply) {
				return nil
			}
			if _, err := strconv.ParseUint(line, 10, 64); reply == "#" && err == nil {
				return nil
			}
		}
		return fmt.Errorf("%s answered %s", what, quote(line))
	}
}

// untilEnd reads STAT lines up to END.
func untilEnd(r *bufio.Reader) error {
	for {
		line, err := readLine(r)
		if err != nil || line == "END" {
			return err
		}
		if !strings.HasPrefix(line, "STAT ") {
			return fmt.Errorf("stats answered %s", quote(line))
		}
	}
}

// readLine reads a line ended by CRLF.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("after %s: %w", quote(line), err)
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return "", fmt.Errorf("%s does not end in CRLF", quote(line))
	}
	return text, nil
}

// readBlock reads a data block whose length is written in size.
func readBlock(r *bufio.Reader, size string) (string, error) {
	n, err := strconv.Atoi(size)
	if err != nil || n < 0 || n > tooLarge {
		return "", fmt.Errorf("a block of %q bytes", size)
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		return "", fmt.Errorf("a block of %d bytes ends in %q", n, b[n:])
	}
	return string(b[:n]), nil
}
