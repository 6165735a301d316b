package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// The lines in a file between which the table stands.
const (
	faultTableBegin = "<!-- faults: written by TestFaults -->\n"
	faultTableEnd   = "<!-- faults: end -->\n"
)

// writeFaultTable puts the table into file, which has a place for it.
func writeFaultTable(file string, all []*matrix) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(text, []byte(faultTableBegin))
	_, after, ended := bytes.Cut(rest, []byte(faultTableEnd))
	if !found || !ended {
		return errors.New(file + " has no place for the table")
	}
	out := slices.Concat(before, []byte(faultTableBegin+"\n"+faultTable(all)+"\n"+faultTableEnd), after)
	return os.WriteFile(file, out, 0o644)
}

// faultTable has a row for each fault, and for each proxy what differs from the
// promise, by class of command.
func faultTable(all []*matrix) string {
	var b strings.Builder
	b.WriteString("| the backend | a client should see |")
	rule := "\n|---|---|"
	for _, m := range all {
		fmt.Fprintf(&b, " %s |", m.kind.name)
		rule += "---|"
	}
	b.WriteString(rule + "\n")
	for _, f := range Faults {
		fmt.Fprintf(&b, "| **%s**: %s | %s |", f.Name, f.Does, f.promise())
		for _, m := range all {
			fmt.Fprintf(&b, " %s |", m.differences(f))
		}
		b.WriteString("\n")
	}
	b.WriteString("| cells as promised | |")
	for _, m := range all {
		right := 0
		for i, c := range m.cells {
			right += b2i(c.wrong(m.results[i]) == "")
		}
		fmt.Fprintf(&b, " %d of %d |", right, len(m.cells))
	}
	b.WriteString("\n")
	return b.String()
}

// promise says in words what expected says cell by cell.
func (f *Fault) promise() string {
	switch {
	case f.Strikes == 0 && !f.Shifts:
		return "all is well"
	case f.Shifts:
		return "the reply that came first; no value of another key"
	case f.Strikes == StoreReply:
		return "a write of a value an error; `noreply` nothing"
	case f.Times == 1:
		return "reads: the value, or an error; writes: an error; never a write twice"
	}
	var who []string
	if f.Strikes&(ValueReply|LineReply) == ValueReply {
		who = append(who, "`get` an error")
	}
	if f.Strikes&LineReply != 0 {
		who = append(who, "an error")
	}
	if f.Strikes&ValueReply != 0 {
		who = append(who, "multiget without the keys")
	}
	if f.Strikes&LineReply != 0 {
		who = append(who, "`noreply` nothing")
	} else if f.Strikes&(MetaReply|MetaKeyReply|MetaValueReply) != 0 {
		who = append(who, "meta an error")
	}
	return strings.Join(who, "; ")
}

// short is the result without what follows from it.
func (r *cellResult) short() string {
	switch r.main.Label {
	case LabelOtherKey, LabelOtherMark, LabelOtherValue, LabelOutOfStep, LabelMalformed:
		return string(r.main.Label)
	}
	return r.String()
}

// differences lists what came of a fault's cells where it is not what was
// promised.
func (m *matrix) differences(f *Fault) string {
	type line struct{ class, outcome string }
	var order []line
	count, size := map[line]int{}, map[string]int{}
	for i, c := range m.cells {
		if c.fault != f {
			continue
		}
		size[c.command.class]++
		if c.wrong(m.results[i]) == "" || f.Strikes&c.command.kinds == 0 {
			continue // what is wrong then is the get behind it, which has a row of its own
		}
		l := line{c.command.class, m.results[i].short()}
		if count[l] == 0 {
			order = append(order, l)
		}
		count[l]++
	}
	if len(order) == 0 {
		return "as promised"
	}
	var parts []string
	for _, l := range order {
		part := l.class + ": " + l.outcome
		if count[l] < size[l.class] {
			part += fmt.Sprintf(" (%d of %d)", count[l], size[l.class])
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}
