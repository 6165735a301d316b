package proxy

import "github.com/holdfast-cache/holdfast/protocol"

// absent is what a server answers to c if it has not the key. The line is valid until
// the next call.
func (x *executor) absent(c *call) *answer {
	a := &answer{}
	switch c.op {
	case protocol.OpGet, protocol.OpGets, protocol.OpGat, protocol.OpGats:
		a.status = protocol.StatusEnd
		return a
	case protocol.OpReplace, protocol.OpAppend, protocol.OpPrepend:
		a.status, a.line = protocol.StatusNotStored, []byte("NOT_STORED")
		return a
	case protocol.OpMetaGet:
		a.status, a.line = protocol.StatusMetaMiss, x.echo("EN", c)
		return a
	case protocol.OpMetaSet:
		if !hasFlag(c, 'C') {
			a.status, a.line = protocol.StatusMetaNotStored, x.echo("NS", c)
			return a
		}
		fallthrough
	case protocol.OpMetaDelete, protocol.OpMetaArith:
		a.status, a.line = protocol.StatusMetaNotFound, x.echo("NF", c)
		return a
	}
	a.status, a.line = protocol.StatusNotFound, []byte("NOT_FOUND")
	return a
}

// echo appends what c wants repeated to a code.
func (x *executor) echo(code string, c *call) []byte {
	line := append(x.line[:0], code...)
	for flags := flagsOf(c); len(flags) > 0; {
		var w []byte
		w, flags = cutWord(flags)
		switch {
		case len(w) > 0 && w[0] == 'O' && c.owned:
			line = append(append(line, " O"...), c.client...)
		case len(w) > 0 && w[0] == 'k':
			line = protocol.AppendKeyFlag(line, c.key, c.binary)
		}
	}
	x.line = line
	return line
}
