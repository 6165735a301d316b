package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Kind says what a Step does.
type Kind int

// The kinds of steps, in the order of the package comment.
const (
	Send Kind = iota
	SendRaw
	Expect
	ExpectRaw
	Match
	MatchRaw
	SkipTo
	AnyOrder
	NoReply
	Close
	HangUp
	HalfClose
	Poll
	Clock
)

// kindOf maps the word a step begins with to its kind.
var kindOf = map[string]Kind{
	">": Send, ">>": SendRaw, "<": Expect, "<<": ExpectRaw, "<~": Match, "<<~": MatchRaw, "<*": SkipTo, "<?": AnyOrder,
	"no reply": NoReply, "close": Close, "hang up": HangUp, "half close": HalfClose, "poll": Poll, "clock": Clock,
}

// stepSyntax splits a step into server, connection, word and text.
var stepSyntax = regexp.MustCompile(`^(?:(holdfast|memcached) ?)?(?:@([0-9]{1,2}) ?)?(>>|>|<<~|<<|<~|<\*|<\?|<|no reply|close|hang up|half close|poll|clock)(?: (.*))?$`)

// Step is one line of a dialogue.
type Step struct {
	Line int    // in the file
	Only string // "holdfast", "memcached" or "" for both
	Conn int    // 1 and up
	Kind Kind
	Text string // escapes undone, variables not yet filled in
}

// Dialogue is one named conversation and its marks.
type Dialogue struct {
	File, Name string
	Line       int // of the name
	Options    string
	Needs      string // memcached version, "" for any
	Differs    string // reason, "" if Holdfast answers as memcached
	Fresh      bool
	Clock      bool
	Whole      bool
	TCP        bool
	Steps      []Step
}

// PlaysOn tells whether the dialogue has something to say to the named server,
// "holdfast" or "memcached". Versions are the player's business.
func (d *Dialogue) PlaysOn(server string) bool {
	if server != "memcached" || d.Differs == "" {
		return true
	}
	for _, s := range d.Steps {
		if s.Only == "memcached" {
			return true
		}
	}
	return false
}

// String names the dialogue as an editor can jump to it.
func (d *Dialogue) String() string { return fmt.Sprintf("%s:%d %q", d.File, d.Line, d.Name) }

// Path is the dialogue's name with that of its file before it.
func (d *Dialogue) Path() string { return strings.TrimSuffix(d.File, ".txt") + "/" + d.Name }

// ParseTranscripts reads every *.txt file of dir.
func ParseTranscripts(dir string) ([]*Dialogue, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []*Dialogue
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		ds, err := ParseTranscript(filepath.Base(file), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, ds...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no dialogues in %s", dir)
	}
	return all, nil
}

// ParseTranscript reads the dialogues of one file; file is only a name.
func ParseTranscript(file, text string) ([]*Dialogue, error) {
	p := transcriptParser{file: file, names: map[string]bool{}}
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(i+1, line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
	}
	for _, d := range p.done {
		if err := d.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", d, err)
		}
	}
	return p.done, nil
}

// transcriptParser is the state between two lines of a file.
type transcriptParser struct {
	file  string
	names map[string]bool
	done  []*Dialogue
	marks bool // the last line read was a name or a mark
}

// line takes in one line of the file.
func (p *transcriptParser) line(n int, line string) error {
	if name, ok := strings.CutPrefix(line, "== "); ok {
		if p.names[name] {
			return fmt.Errorf("a second dialogue named %q", name)
		}
		p.names[name] = true
		p.done = append(p.done, &Dialogue{File: p.file, Name: name, Line: n})
		p.marks = true
		return nil
	}
	if strings.HasPrefix(line, "#") {
		return nil
	}
	if line == "" {
		p.marks = false
		return nil
	}
	if len(p.done) == 0 {
		return fmt.Errorf("%q stands before the first dialogue", line)
	}
	d := p.done[len(p.done)-1]
	if p.marks && d.mark(line) {
		return nil
	}
	p.marks = false
	step, err := parseStep(n, line)
	if err != nil {
		return err
	}
	d.Steps = append(d.Steps, step)
	return nil
}

// mark sets the mark that line names and tells whether it was one.
func (d *Dialogue) mark(line string) bool {
	word, value, _ := strings.Cut(line, ": ")
	switch word {
	case "options":
		d.Options = value
	case "needs":
		d.Needs = value
	case "differs":
		d.Differs = value
	case "fresh":
		d.Fresh = true
	case "clock":
		d.Clock = true
	case "whole":
		d.Whole = true
	case "tcp":
		d.TCP = true
	default:
		return false
	}
	return true
}

// parseStep reads one step.
func parseStep(n int, line string) (Step, error) {
	m := stepSyntax.FindStringSubmatch(line)
	if m == nil {
		return Step{}, fmt.Errorf("not a step: %q", line)
	}
	s := Step{Line: n, Only: m[1], Conn: 1, Kind: kindOf[m[3]], Text: m[4]}
	if m[2] != "" {
		s.Conn, _ = strconv.Atoi(m[2]) // digits, by the syntax
	}
	if s.Kind == SendRaw || s.Kind == ExpectRaw {
		raw, err := strconv.Unquote(`"` + strings.ReplaceAll(s.Text, `"`, `\"`) + `"`)
		if err != nil {
			return Step{}, fmt.Errorf("bad escape in %q", line)
		}
		s.Text = raw
	}
	return s, nil
}

// check refuses dialogues that cannot fail or contradict themselves.
func (d *Dialogue) check() error {
	expects, split := false, false
	for _, s := range d.Steps {
		expects = expects || (s.Kind >= Expect && s.Kind <= Close)
		split = split || s.Only != ""
		if s.Kind == Clock && !d.Clock {
			return fmt.Errorf("line %d moves the clock without the mark", s.Line)
		}
	}
	if !expects {
		return fmt.Errorf("expects nothing")
	}
	if split && d.Differs == "" {
		return fmt.Errorf("steps for one server without a differs mark")
	}
	return nil
}

// placeholder is what Expand replaces.
var placeholder = regexp.MustCompile(`\$\{([^{}]*)\}`)

// Expand fills in the placeholders of text. quote is applied to what is put in.
func Expand(text string, vars func(name string) (string, error), quote func(string) string) (string, error) {
	var failed error
	out := placeholder.ReplaceAllStringFunc(text, func(m string) string {
		v, err := expandOne(m[2:len(m)-1], vars)
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", m, err)
		}
		return quote(v)
	})
	return out, failed
}

// expandOne gives the value of the inside of one placeholder.
func expandOne(inside string, vars func(string) (string, error)) (string, error) {
	if i := strings.LastIndexByte(inside, '*'); i >= 0 {
		n, err := strconv.Atoi(inside[i+1:])
		if err != nil {
			return "", err
		}
		return strings.Repeat(inside[:i], n), nil
	}
	name, sign, by := inside, int64(1), int64(0)
	if i := strings.IndexAny(inside, "+-"); i > 0 {
		if inside[i] == '-' {
			sign = -1
		}
		n, err := strconv.ParseInt(inside[i+1:], 10, 64)
		if err != nil {
			return "", err
		}
		name, by = inside[:i], n
	}
	v, err := vars(name)
	if err != nil || by == 0 {
		return v, err
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(n+sign*by, 10), nil
}
