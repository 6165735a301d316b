package integration

import (
	"io"
	"net"
	"testing"
)

// TestStrictConn shows that the strict client sees what it is there to see.
func TestStrictConn(t *testing.T) {
	keys := &faultKeys{good: []string{"a", "b", "c"}}
	two := Ask{Values: []KeyValue{{"a", "1"}, {"b", "22"}}}
	one := Ask{Values: []KeyValue{{"a", "1"}}}
	mg := Ask{Lines: []string{"VA 1 ka O7", "x"}, Miss: "EN"}
	quiet := Ask{Noop: true}
	for _, c := range []struct {
		ask   Ask
		reply string
		want  Label
	}{
		{two, "VALUE a 0 1\r\n1\r\nVALUE b 0 2\r\n22\r\nEND\r\n", LabelOK},
		{two, "VALUE b 0 2\r\n22\r\nEND\r\n", LabelPartial},
		{two, "END\r\n", LabelMiss},
		{two, "SERVER_ERROR no\r\n", LabelError},
		{two, "ERROR\r\n", LabelRefused},
		{two, "SERVER_ERROR no\r\nVALUE b 0 2\r\n22\r\nEND\r\n", LabelAmid},
		{two, "VALUE a 0 1\r\n1\r\nSERVER_ERROR no\r\nEND\r\n", LabelAmid},
		{two, "VALUE b 0 2\r\n22\r\nVALUE a 0 1\r\n1\r\nEND\r\n", LabelOutOfStep},
		{two, "VALUE a 0 1\r\n1\r\nVALUE a 0 1\r\n1\r\nEND\r\n", LabelOutOfStep},
		{two, "VALUE a 0 1\r\n1\r\nVALUE c 0 2\r\n22\r\nEND\r\n", LabelOtherKey},
		{one, "VALUE a 0 1\r\n2\r\nEND\r\n", LabelOtherValue},
		{one, "VALUE a 0 01\r\n1\r\nEND\r\n", LabelMalformed},
		{one, "VALUE a 0 1\n1\r\nEND\r\n", LabelMalformed},
		{one, "VALUE a 0 1 5\r\n1\r\nEND\r\n", LabelMalformed},
		{one, "VALUE  a 0 1\r\n1\r\nEND\r\n", LabelMalformed},
		{one, "VALUE a 0 1\r\n12\r\nEND\r\n", LabelMalformed},
		{one, "VALUE a 0 9999999999\r\n1\r\nEND\r\n", LabelMalformed},
		{one, "VALUE a 0 1\r\n", LabelMalformed},
		{one, "VALUE a 0 1\r\n1\r\n", LabelClosed},
		{one, "STORED\r\n", LabelOutOfStep},
		{Ask{Values: []KeyValue{{"a", "1"}}, CAS: true}, "VALUE a 0 1\r\n1\r\nEND\r\n", LabelMalformed},
		{Ask{Lines: []string{"STORED"}}, "STORED\r\n", LabelOK},
		{Ask{Lines: []string{"STORED"}}, "STORED\n", LabelMalformed},
		{Ask{Lines: []string{"STORED"}}, "STORED \r\n", LabelOutOfStep},
		{Ask{Lines: []string{"STORED"}}, "", LabelClosed},
		{mg, "VA 1 ka O7\r\nx\r\n", LabelOK},
		{mg, "EN\r\n", LabelMiss},
		{mg, "VA 1 kb O7\r\nx\r\n", LabelOtherKey},
		{mg, "VA 1 ka O8\r\nx\r\n", LabelOtherMark},
		{mg, "VA 1 ka\r\nx\r\n", LabelOtherMark},
		{mg, "VA 1 ka O7\r\ny\r\n", LabelOtherValue},
		{mg, "VA 2 ka O7\r\nx\r\n", LabelMalformed},
		{mg, "HD ka O7\r\n", LabelOutOfStep},
		{quiet, "MN\r\n", LabelOK},
		{quiet, "HD\r\nMN\r\n", LabelStray},
		{quiet, "SERVER_ERROR no\r\nMN\r\n", LabelError},
		{quiet, "SERVER_ERROR no\r\nEND\r\n", LabelOutOfStep},
		{Ask{Noop: true, Lines: mg.Lines}, "MN\r\n", LabelMiss},
		{Ask{Noop: true, Lines: mg.Lines}, "VA 1 ka O7\r\nx\r\nMN\r\n", LabelOK},
		{keys.get("a"), "VALUE a 0 12\r\nvalue of b. \r\nEND\r\n", LabelOtherValue},
	} {
		ours, theirs := net.Pipe()
		go func() {
			_, _ = io.WriteString(theirs, c.reply) // the client may stop listening
			hangUp(theirs)
		}()
		client := NewStrictConn(ours)
		if o := client.Read(c.ask); o.Label != c.want {
			t.Errorf("%q: %s %s, expected %s", c.reply, o.Label, o.Text, c.want)
		} else if o.Label == LabelOK || o.Label == LabelError {
			if o := client.Quiet(clientPatience); o.Label != LabelClosed {
				t.Errorf("%q: not read to its end: %s %s", c.reply, o.Label, o.Text)
			}
		}
		hangUp(client)
	}
}
