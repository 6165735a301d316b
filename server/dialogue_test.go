package server

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A dialogue is what a client says and what it must hear, on a fresh store:
//
//	# name
//	> a line that is sent          >> "quoted bytes that are sent"
//	< a line that is expected      << "quoted bytes that are expected"
//	@ seconds by which the clock is moved
//
// In quotes %123x is 123 times x. In an expected line * is any number, and $v
// the number that $v was before, or any number that it is from then on; in a
// sent line $v is that number.
type dialogue struct {
	name  string
	steps []dialogueStep
}

type dialogueStep struct {
	kind byte // > < @
	text []byte
	line int
}

var repeated = regexp.MustCompile(`%(\d+)(\w)`)

// readDialogues reads the dialogues of one file.
func readDialogues(t testing.TB, file string) []dialogue {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []dialogue
	for i, line := range strings.Split(string(text), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		step := dialogueStep{line: i + 1, text: []byte(rest + "\r\n")}
		switch word {
		case "":
			continue
		case "#":
			all = append(all, dialogue{name: rest})
			continue
		case ">", "<":
			step.kind = word[0]
		case ">>", "<<":
			step.kind = word[0]
			s, err := strconv.Unquote(rest)
			if err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
			step.text = repeated.ReplaceAllFunc([]byte(s), func(m []byte) []byte {
				part := repeated.FindSubmatch(m)
				n, _ := strconv.Atoi(string(part[1]))
				return bytes.Repeat(part[2], n)
			})
		case "@":
			step.kind = '@'
			step.text = []byte(rest)
		default:
			t.Fatalf("%s:%d: %q", file, i+1, line)
		}
		d := &all[len(all)-1]
		d.steps = append(d.steps, step)
	}
	return all
}

// vars are the numbers a dialogue has named.
type vars map[string]string

var (
	variable = regexp.MustCompile(`\$[a-z]`)
	wild     = regexp.MustCompile(`\*|\$[a-z]`)
)

// fill puts the numbers into a line to be sent.
func (v vars) fill(text []byte) []byte {
	return variable.ReplaceAllFunc(text, func(m []byte) []byte {
		if n, ok := v[string(m)]; ok {
			return []byte(n)
		}
		return m
	})
}

// match takes one expected text off the front of got and returns the rest.
func (v vars) match(got, want []byte) (rest []byte, err error) {
	if rest, ok := bytes.CutPrefix(got, want); ok {
		return rest, nil
	}
	want = v.fill(want)
	var names []string
	at, pattern := 0, "^"
	for _, m := range wild.FindAllIndex(want, -1) {
		pattern += regexp.QuoteMeta(string(want[at:m[0]])) + `(\d+)`
		names = append(names, string(want[m[0]:m[1]]))
		at = m[1]
	}
	if len(want) < 1000 {
		pattern += regexp.QuoteMeta(string(want[at:]))
		if m := regexp.MustCompile(pattern).FindSubmatch(got); m != nil {
			for i, name := range names {
				v[name] = string(m[i+1])
			}
			return got[len(m[0]):], nil
		}
	}
	return nil, fmt.Errorf("got %q, want %q", clip(got), clip(want))
}

// clip shortens b for a message.
func clip(b []byte) []byte {
	if len(b) > 200 {
		return append(b[:200:200], "…"...)
	}
	return b
}

// play plays d to c.
func (d *dialogue) play(t *testing.T, c *client) {
	t.Helper()
	v := vars{}
	var got []byte
	silent := func(line int) {
		if len(got) > 0 {
			t.Fatalf("line %d: unexpected %q", line, clip(got))
		}
	}
	heard := true
	for _, step := range d.steps {
		switch step.kind {
		case '>':
			if heard {
				silent(step.line)
			}
			heard = false
			got = append(got, c.say(v.fill(step.text))...)
		case '<':
			var err error
			if got, err = v.match(got, step.text); err != nil {
				t.Fatalf("line %d: %v", step.line, err)
			}
			heard = true
		case '@':
			sec, err := strconv.ParseInt(string(step.text), 10, 64)
			if err != nil {
				t.Fatalf("line %d: %v", step.line, err)
			}
			c.node.clock.shift(sec)
			c.node.tick()
		}
	}
	silent(0)
}

// TestDialogues plays testdata/dialogue with the input whole and byte by byte.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/dialogue/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	for _, file := range files {
		for _, d := range readDialogues(t, file) {
			name := strings.TrimSuffix(filepath.Base(file), ".txt") + "/" + d.name
			t.Run(name, func(t *testing.T) { d.play(t, newClient(t, testNode(t, nil, nil), 0)) })
			t.Run(name+"/bytewise", func(t *testing.T) { d.play(t, newClient(t, testNode(t, nil, nil), 1)) })
		}
	}
}
