package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Outcome is what a request came to, as a StrictConn saw it.
type Outcome struct {
	Label Label
	Text  string        // an error's line, or what was read instead of what
	After time.Duration // from sending to the end of the reply
}

// Label names an outcome. Everything behind LabelSilent is against the protocol
// or against the facts.
type Label string

// The labels.
const (
	LabelOK      Label = "ok"      // the right reply
	LabelMiss    Label = "miss"    // a miss in place of a value that is there
	LabelPartial Label = "partial" // some of the values that are there
	LabelError   Label = "error"   // one SERVER_ERROR line in place of the reply
	LabelSilent  Label = "silent"  // nothing, and nothing was due

	LabelRefused    Label = "refused"          // CLIENT_ERROR or ERROR
	LabelClosed     Label = "closed"           // the connection was closed in place of a reply
	LabelHang       Label = "no reply"         // nothing within clientPatience
	LabelStray      Label = "stray reply"      // a reply to a request that was to have none
	LabelAmid       Label = "error in values"  // an error line amid the values, and an END
	LabelOtherKey   Label = "other key"        // a reply that names a key not asked for
	LabelOtherMark  Label = "other opaque"     // a reply with another opaque, or none
	LabelOtherValue Label = "other value"      // a value never stored under that key
	LabelMalformed  Label = "malformed"        // not the protocol
	LabelOutOfStep  Label = "out of step"      // a reply to something else
	LabelRetried    Label = "write sent twice" // a backend was told to write more than once
	LabelMoved      Label = "other node"       // another backend than the key's own was asked
)

// clientPatience is how long a StrictConn waits for a reply; longer than any
// proxy under test may take.
const clientPatience = 8 * time.Second

// Ask is a request and what may be answered to it.
type Ask struct {
	Text string // what is sent
	// Values are the keys of a get, in order, with what is stored under each; nil
	// for another command.
	Values []KeyValue
	CAS    bool // gets and gats
	// Lines are the lines of a good reply to a command other than a get. A line
	// that ends in LF is a data block of its own. No lines: nothing may come.
	Lines []string
	// Noop says that an mn follows in Text, whose MN ends the reply.
	Noop bool
	// Miss is the line that would be a miss.
	Miss string
	// MissFollows says that the next reply in the pipeline may be END alone, and
	// SameFollows that it may be of the same keys, too.
	MissFollows, SameFollows bool
}

// KeyValue is a key and the only value it may have.
type KeyValue struct{ Key, Value string }

// StrictConn is a client that takes nothing but the protocol, to the byte.
type StrictConn struct {
	c    net.Conn
	r    *bufio.Reader
	sent time.Time
}

// NewStrictConn takes over a connection.
func NewStrictConn(c net.Conn) *StrictConn {
	return &StrictConn{c: c, r: bufio.NewReaderSize(c, 64<<10)}
}

// Close closes the connection.
func (s *StrictConn) Close() error { return s.c.Close() }

// Send sends requests in one piece. A connection that has been closed is noticed
// by who reads.
func (s *StrictConn) Send(asks ...Ask) error {
	var text strings.Builder
	for _, a := range asks {
		text.WriteString(a.Text)
	}
	s.sent = time.Now()
	if err := s.c.SetDeadline(s.sent.Add(clientPatience)); err != nil {
		return err
	}
	_, err := io.WriteString(s.c, text.String())
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}

// Read reads the reply to a.
func (s *StrictConn) Read(a Ask) Outcome {
	var o Outcome
	switch {
	case a.Values != nil:
		o = s.values(a)
	case a.Noop:
		o = s.untilNoop(a)
	case len(a.Lines) == 0:
		return Outcome{Label: LabelSilent} // the next reply, or Quiet, will tell
	default:
		o = s.lines(a)
	}
	o.After = time.Since(s.sent)
	return o
}

// Quiet waits for d and tells whether nothing came.
func (s *StrictConn) Quiet(d time.Duration) Outcome {
	if err := s.c.SetReadDeadline(time.Now().Add(d)); err != nil {
		return trouble(err)
	}
	_, err := s.r.Peek(1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return Outcome{Label: LabelSilent}
	}
	if err != nil {
		return trouble(err)
	}
	rest, _ := s.r.Peek(s.r.Buffered()) // it is there
	return Outcome{Label: LabelStray, Text: string(rest)}
}

// trouble is the outcome of a failed read.
func trouble(err error) Outcome {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return Outcome{Label: LabelHang, Text: err.Error()}
	}
	return Outcome{Label: LabelClosed, Text: err.Error()}
}

// errMalformed is the error of line and block.
type errMalformed string

func (e errMalformed) Error() string { return string(e) }

// outcomeOf turns an error of line or block into an outcome.
func outcomeOf(err error) Outcome {
	var bad errMalformed
	if errors.As(err, &bad) {
		return Outcome{Label: LabelMalformed, Text: string(bad)}
	}
	return trouble(err)
}

// line reads a line. It must end in CRLF and hold no other control character.
func (s *StrictConn) line() (string, error) {
	text, err := s.r.ReadString('\n')
	if err != nil {
		if text != "" {
			return "", errMalformed(fmt.Sprintf("%s and then %v", quote(text), err))
		}
		return "", err
	}
	line, ok := strings.CutSuffix(text, "\r\n")
	if !ok || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c >= 0x7f }) {
		return "", errMalformed(quote(text))
	}
	return line, nil
}

// block reads a data block and its CRLF.
func (s *StrictConn) block(size int) (string, error) {
	b := make([]byte, size+2)
	if n, err := io.ReadFull(s.r, b); err != nil {
		return "", errMalformed(fmt.Sprintf("a value of %d bytes ends after %d: %v", size, n, err))
	}
	if string(b[size:]) != "\r\n" {
		return "", errMalformed("a value ends in " + quote(string(b[size:])))
	}
	return string(b[:size]), nil
}

// errorLine tells whether line is an error, and which outcome that is.
func errorLine(line string) (Outcome, bool) {
	switch {
	case strings.HasPrefix(line, "SERVER_ERROR "):
		return Outcome{Label: LabelError, Text: line}, true
	case line == "ERROR" || strings.HasPrefix(line, "CLIENT_ERROR "):
		return Outcome{Label: LabelRefused, Text: line}, true
	}
	return Outcome{}, false
}

// values reads the reply to a get, to its END if that can be found.
func (s *StrictConn) values(a Ask) Outcome {
	var bad Outcome // the first thing wrong
	got := 0
	rest := a.Values
	for {
		line, err := s.line()
		if err != nil {
			return outcomeOf(err)
		}
		if o, is := errorLine(line); is {
			if got == 0 && bad.Label == "" && !s.moreValues(a) {
				return o
			}
			bad = Outcome{Label: LabelAmid, Text: line}
			continue
		}
		switch {
		case line == "END" && bad.Label != "":
			return bad
		case line == "END" && got == len(a.Values):
			return Outcome{Label: LabelOK}
		case line == "END" && got > 0:
			return Outcome{Label: LabelPartial}
		case line == "END":
			return Outcome{Label: LabelMiss}
		case !strings.HasPrefix(line, "VALUE "):
			return Outcome{Label: LabelOutOfStep, Text: quote(line)}
		}
		var o Outcome
		o, rest = s.oneValue(line, a, rest)
		if o.Label == LabelMalformed || o.Label == LabelClosed || o.Label == LabelHang {
			return o
		}
		if o.Label != LabelOK && bad.Label == "" {
			bad = o
		}
		got++
	}
}

// moreValues tells whether behind an error line there comes more of the reply to
// the same get, as far as it is here already.
func (s *StrictConn) moreValues(a Ask) bool {
	if a.SameFollows {
		return false // it will be found to be a reply too many
	}
	b, err := s.r.Peek(s.r.Buffered())
	more := !a.MissFollows && strings.HasPrefix(string(b), "END\r")
	for _, kv := range a.Values {
		more = more || strings.HasPrefix(string(b), "VALUE "+kv.Key+" ")
	}
	return err == nil && more
}

// oneValue reads the block of a VALUE line, which must be the first of rest or,
// if values are missing, a later one. It returns those behind it.
func (s *StrictConn) oneValue(line string, a Ask, rest []KeyValue) (Outcome, []KeyValue) {
	words := strings.Split(line, " ")
	if len(words) != 4+b2i(a.CAS) {
		return Outcome{Label: LabelMalformed, Text: quote(line)}, nil
	}
	for _, w := range words[2:] {
		if n, err := strconv.ParseUint(w, 10, 64); err != nil || strconv.FormatUint(n, 10) != w {
			return Outcome{Label: LabelMalformed, Text: quote(line)}, nil
		}
	}
	size, err := strconv.Atoi(words[3])
	if err != nil || size > backendValueMax {
		return Outcome{Label: LabelMalformed, Text: quote(line)}, nil
	}
	value, err := s.block(size)
	if err != nil {
		return outcomeOf(err), nil
	}
	left := rest
	for len(left) > 0 && left[0].Key != words[1] {
		left = left[1:]
	}
	if len(left) == 0 {
		label := LabelOtherKey
		for _, kv := range a.Values {
			if kv.Key == words[1] { // asked for, but given before, or later than it should
				label = LabelOutOfStep
			}
		}
		return Outcome{Label: label, Text: quote(line)}, rest
	}
	if value != left[0].Value {
		return Outcome{Label: LabelOtherValue, Text: quote(line) + " " + quote(value)}, left[1:]
	}
	return Outcome{Label: LabelOK}, left[1:]
}

// lines reads the reply to a command that is no get.
func (s *StrictConn) lines(a Ask) Outcome {
	first, err := s.line()
	if err != nil {
		return outcomeOf(err)
	}
	if o, is := errorLine(first); is {
		return o
	}
	return s.linesFrom(first, a)
}

// linesFrom reads the rest of a reply that begins with the line first.
func (s *StrictConn) linesFrom(first string, a Ask) Outcome {
	if a.Miss != "" && first == a.Miss {
		return Outcome{Label: LabelMiss}
	}
	if len(a.Lines) == 0 || first != a.Lines[0] {
		return s.notThat(first, a)
	}
	for _, want := range a.Lines[1:] {
		got, err := s.block(len(want))
		if err != nil {
			return outcomeOf(err)
		}
		if got != want {
			return Outcome{Label: LabelOtherValue, Text: quote(got)}
		}
	}
	return Outcome{Label: LabelOK}
}

// notThat tells in which way a line is not the one expected, and passes over the
// value that belongs to it.
func (s *StrictConn) notThat(line string, a Ask) Outcome {
	o := Outcome{Label: LabelOutOfStep, Text: quote(line)}
	if len(a.Lines) == 0 {
		o.Label = LabelStray
		return o
	}
	got, want := strings.Fields(line), strings.Fields(a.Lines[0])
	if len(want) < 2 || len(got) == 0 || len(got[0]) != 2 || got[0] != want[0] {
		return o // not even the same kind of reply
	}
	if got[0] == "VA" {
		size, err := strconv.Atoi(append(got, "?")[1])
		if err != nil || size < 0 || size > backendValueMax {
			return Outcome{Label: LabelMalformed, Text: quote(line)}
		}
		if _, err := s.block(size); err != nil {
			return outcomeOf(err)
		}
	}
	for _, w := range want[1:] {
		if w[0] == 'k' && !slices.Contains(got, w) {
			o.Label = LabelOtherKey
		}
		if w[0] == 'O' && !slices.Contains(got, w) {
			o.Label = LabelOtherMark
		}
	}
	return o
}

// untilNoop reads the reply to a quiet meta command, which may be nothing, and
// the MN behind it.
func (s *StrictConn) untilNoop(a Ask) Outcome {
	line, err := s.line()
	if err != nil {
		return outcomeOf(err)
	}
	if line == "MN" {
		if len(a.Lines) > 0 {
			return Outcome{Label: LabelMiss}
		}
		return Outcome{Label: LabelOK}
	}
	o, is := errorLine(line)
	if !is {
		o = s.linesFrom(line, a)
		if o.Label == LabelMalformed || o.Label == LabelOutOfStep {
			return o // where MN is cannot be told
		}
	}
	if line, err = s.line(); err != nil {
		return outcomeOf(err)
	}
	if line != "MN" {
		return Outcome{Label: LabelOutOfStep, Text: quote(line)}
	}
	return o
}
