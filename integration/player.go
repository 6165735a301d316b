package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// replyWait is how long a reply, or a whole conversation with a server, may take
// before it has failed. It is long because test machines are busy.
const replyWait = time.Minute

// Split writes b in pieces of its choice.
type Split func(w io.Writer, b []byte) error

// Player plays dialogues on one server.
type Player struct {
	Server *Process
	Nodes  []*Process // what keeps the items, if Server is a proxy
	Name   string     // "holdfast" or "memcached": which steps are meant
	Split  Split      // how what is sent is cut up; whole if the dialogue wants that
}

// Play plays one dialogue and returns what went otherwise than written.
// The cache is emptied first, except on a server that only this dialogue uses.
func (p *Player) Play(d *Dialogue) error {
	s := &scene{Player: p, d: d, vars: map[string]string{}, conns: map[int]*peer{}, asks: map[int]bool{}}
	defer s.hangUpAll()
	if err := s.prepare(); err != nil {
		return fmt.Errorf("%s: before the first step: %w", d, err)
	}
	for i := 0; i < len(d.Steps); {
		n, err := s.play(d.Steps[i:])
		if err != nil {
			return fmt.Errorf("%s:%d: in %q: %w\nconversation so far:\n%s", d.File, d.Steps[i].Line, d.Name, err, strings.Join(s.log, ""))
		}
		i += n
	}
	if err := s.flush(); err != nil {
		return fmt.Errorf("%s: %w", d, err)
	}
	for n, c := range s.conns {
		if err := s.sentinel(c); err != nil {
			return fmt.Errorf("%s: connection %d after the last step: %w\nconversation so far:\n%s", d, n, err, strings.Join(s.log, ""))
		}
	}
	return nil
}

// scene is a dialogue being played.
type scene struct {
	*Player
	d     *Dialogue
	vars  map[string]string
	conns map[int]*peer
	asks  map[int]bool // connections whose last command asked for statistics
	out   []byte       // sent by steps but not yet written, to conn to
	to    *peer
	log   []string
}

// peer is one connection of a scene.
type peer struct {
	net.Conn
	r     *bufio.Reader
	n     int
	done  bool // closed, or not at a command's beginning: no sentinel
	watch bool // has turned into a watcher, which answers nothing
}

// prepare empties the cache and stops the clock.
func (s *scene) prepare() (err error) {
	c, err := s.Server.Dial()
	if err != nil {
		return err
	}
	// The server has seen it go before the dialogue begins: some count.
	defer func() { err = errors.Join(err, farewell(c)) }()
	r := bufio.NewReader(c)
	ask := func(line string) error {
		if err := c.SetDeadline(time.Now().Add(replyWait)); err != nil {
			return err
		}
		if _, err := io.WriteString(c, line+"\r\n"); err != nil {
			return err
		}
		if got, err := r.ReadString('\n'); err != nil || got != "OK\r\n" {
			return fmt.Errorf("%s answered %q, %v", line, got, err)
		}
		return nil
	}
	if s.d.Clock {
		if err := s.tellClocks("debugtime p"); err != nil {
			return err
		}
	}
	if s.d.OwnServer() {
		return nil
	}
	return ask("flush_all")
}

// OwnServer tells whether the dialogue must not share its server: it asks for
// that, or its options forbid to empty the cache in between.
func (d *Dialogue) OwnServer() bool {
	return d.Fresh || strings.Contains(d.Options, "-F") || strings.Contains(d.Options, "-Y")
}

// play plays the first of steps and returns how many it has dealt with.
func (s *scene) play(steps []Step) (int, error) {
	st := steps[0]
	if st.Only != "" && st.Only != s.Name {
		return 1, nil
	}
	n, err := s.behind(st)
	if err != nil {
		return 0, err
	}
	c, err := s.conn(n)
	if err != nil {
		return 0, err
	}
	switch st.Kind {
	case Send, SendRaw:
		return 1, s.send(c, st)
	case AnyOrder:
		n = 1
		for n < len(steps) && steps[n].Kind == AnyOrder && steps[n].Conn == st.Conn {
			n++
		}
		return n, s.anyOrder(c, steps[:n])
	case Poll:
		if len(steps) < 2 || steps[1].Kind != SkipTo {
			return 0, errors.New("poll needs a following <*")
		}
		return 2, s.poll(c, st, steps[1])
	}
	if err := s.flush(); err != nil {
		return 0, err
	}
	switch st.Kind {
	case Expect, ExpectRaw:
		return 1, s.expect(c, st)
	case Match, MatchRaw, SkipTo:
		return 1, s.match(c, st)
	case NoReply:
		return 1, s.sentinel(c)
	case Close:
		return 1, s.close(c)
	case HangUp:
		c.done = true
		return 1, c.Close()
	case HalfClose:
		return 1, c.Conn.(interface{ CloseWrite() error }).CloseWrite()
	case Clock:
		return 1, s.moveClock(st.Text)
	}
	return 0, fmt.Errorf("unknown kind %d", st.Kind)
}

// conn returns the connection named n, opening it on first use.
func (s *scene) conn(n int) (*peer, error) {
	if c := s.conns[n]; c != nil {
		return c, nil
	}
	server := s.Server
	if n > behindConn {
		server = s.Nodes[0]
	}
	nc, err := server.Dial()
	if err != nil {
		return nil, err
	}
	c := &peer{Conn: nc, r: bufio.NewReaderSize(nc, 64<<10), n: n}
	s.conns[n] = c
	return c, nil
}

// send collects what a step sends; flush writes it, so that neighbouring steps
// are one pipeline.
func (s *scene) send(c *peer, st Step) error {
	text, err := s.expand(st.Text, func(v string) string { return v })
	if err != nil {
		return err
	}
	if st.Kind == Send {
		text += "\r\n"
	}
	if s.to != c {
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.to = c
	s.out = append(s.out, text...)
	s.note(c, ">", text)
	c.watch = c.watch || strings.HasPrefix(text, "watch")
	return nil
}

// flush writes what has been collected.
func (s *scene) flush() error {
	out, c := s.out, s.to
	s.out, s.to = nil, nil
	if len(out) == 0 {
		return nil
	}
	if err := c.SetDeadline(time.Now().Add(replyWait)); err != nil {
		return err
	}
	split := s.Split
	if s.d.Whole {
		split = Whole
	}
	// Writing to a connection that the server has closed fails or not as the
	// kernel has it. What can still be read tells what happened.
	if err := split(c, out); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return err
	}
	return nil
}

// Whole writes everything at once.
func Whole(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}

// expect reads exactly the bytes that a step names.
func (s *scene) expect(c *peer, st Step) error {
	want, err := s.expand(st.Text, func(v string) string { return v })
	if err != nil {
		return err
	}
	if st.Kind == Expect {
		want += "\r\n"
	}
	if err := c.SetDeadline(time.Now().Add(replyWait)); err != nil {
		return err
	}
	var got strings.Builder
	for i := 0; i < len(want); i++ {
		b, err := c.r.ReadByte()
		if err != nil {
			return fmt.Errorf("expected %s, got %s and then %w", quote(want), quote(got.String()), err)
		}
		got.WriteByte(b)
		if b != want[i] {
			rest, _ := c.r.Peek(min(c.r.Buffered(), 200)) // only to show it
			return fmt.Errorf("expected %s, got %s", quote(want), quote(got.String()+string(rest)))
		}
	}
	s.note(c, "<", want)
	return nil
}

// match reads a line that must match, or lines until one does.
func (s *scene) match(c *peer, st Step) error {
	re, err := s.regexp(st)
	if err != nil {
		return err
	}
	for {
		line, err := s.readLine(c, st)
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", re, err)
		}
		if s.matches(re, line) {
			return nil
		}
		if st.Kind != SkipTo || line == "END" {
			return fmt.Errorf("%s does not match %s", quote(line), re)
		}
	}
}

// matches tells whether re matches line and keeps the named groups.
func (s *scene) matches(re *regexp.Regexp, line string) bool {
	m := re.FindStringSubmatch(line)
	for i, name := range re.SubexpNames() {
		if m != nil && name != "" {
			s.vars[name] = m[i]
		}
	}
	return m != nil
}

// anyOrder reads as many lines as there are steps, each matching another one.
func (s *scene) anyOrder(c *peer, steps []Step) error {
	if err := s.flush(); err != nil {
		return err
	}
	left := make([]*regexp.Regexp, len(steps))
	for i, st := range steps {
		re, err := s.regexp(st)
		if err != nil {
			return err
		}
		left[i] = re
	}
next:
	for range steps {
		line, err := s.readLine(c, steps[0])
		if err != nil {
			return err
		}
		for i, re := range left {
			if re != nil && s.matches(re, line) {
				left[i] = nil
				continue next
			}
		}
		return fmt.Errorf("%s matches none of %v", quote(line), left)
	}
	return nil
}

// poll repeats a command until a line of its reply matches.
func (s *scene) poll(c *peer, st, until Step) error {
	re, err := s.regexp(until)
	if err != nil {
		return err
	}
	var last []string
	for deadline := time.Now().Add(replyWait); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err := s.send(c, Step{Kind: Send, Text: st.Text}); err != nil {
			return err
		}
		if err := s.flush(); err != nil {
			return err
		}
		met := false
		last = last[:0]
		for more := true; more; {
			line, err := s.readLine(c, until)
			if err != nil {
				return err
			}
			last = append(last, line)
			met = met || s.matches(re, line)
			more = strings.HasPrefix(line, "STAT ") || strings.HasPrefix(line, "ITEM ")
		}
		if met {
			return nil
		}
	}
	return fmt.Errorf("polling %q never met %s, at last\n%s", st.Text, re, strings.Join(last, "\n"))
}

// readLine reads one line and takes off its CRLF, except for MatchRaw.
func (s *scene) readLine(c *peer, st Step) (string, error) {
	if err := c.SetDeadline(time.Now().Add(replyWait)); err != nil {
		return "", err
	}
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("got %s and then %w", quote(line), err)
	}
	s.note(c, "<", line)
	if st.Kind == MatchRaw {
		return line, nil
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return "", fmt.Errorf("%s does not end in CRLF", quote(line))
	}
	return text, nil
}

// sentinel makes sure that the server has nothing more to say: mn is answered
// at once and by itself.
func (s *scene) sentinel(c *peer) error {
	if c.done || c.watch {
		return nil
	}
	if err := s.send(c, Step{Kind: Send, Text: "mn"}); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	return s.expect(c, Step{Kind: Expect, Text: "MN"})
}

// close expects the end of the stream. A reset is one too: the server closed
// with bytes of ours unread.
func (s *scene) close(c *peer) error {
	c.done = true
	if err := c.SetDeadline(time.Now().Add(replyWait)); err != nil {
		return err
	}
	rest, err := io.ReadAll(io.LimitReader(c.r, 1000))
	if len(rest) > 0 {
		return fmt.Errorf("expected the end, got %s", quote(string(rest)))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the server does not close")
	}
	return nil
}

// expand fills in the step's placeholders.
func (s *scene) expand(text string, quote func(string) string) (string, error) {
	return Expand(text, s.variable, quote)
}

// variable returns what has been captured, or the server's time.
func (s *scene) variable(name string) (string, error) {
	if v, ok := s.vars[name]; ok {
		return v, nil
	}
	if name == "now" {
		stats, err := s.clocks()[0].Stats("stats")
		return stats["time"], err
	}
	return "", errors.New("not captured")
}

// regexp compiles a step's pattern.
func (s *scene) regexp(st Step) (*regexp.Regexp, error) {
	text, err := s.expand(st.Text, regexp.QuoteMeta)
	if err != nil {
		return nil, err
	}
	return regexp.Compile("^(?:" + text + ")$")
}

// logLines is how much of a conversation a failure shows.
const logLines = 24

// note adds to the log that a failure prints.
func (s *scene) note(c *peer, arrow, text string) {
	if len(s.log) == logLines {
		s.log = append(s.log[:0], s.log[1:]...)
	}
	s.log = append(s.log, fmt.Sprintf("  @%d%s %s\n", c.n, arrow, quote(text)))
}

// hangUpAll closes what is still open.
func (s *scene) hangUpAll() {
	for _, c := range s.conns {
		hangUp(c)
	}
}

// hangUp closes a connection that has served its purpose. An error would say
// that it is closed already.
func hangUp(c io.Closer) { _ = c.Close() }

// quote shows text on one line, shortened.
func quote(text string) string {
	if len(text) > 200 {
		return fmt.Sprintf("%q… (%d bytes)", text[:160], len(text))
	}
	return fmt.Sprintf("%q", text)
}
