package integration

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
)

// behindConn and up are the numbers of connections that pass by the proxy.
const behindConn = 100

// behind returns the number of the connection a step is for. Statistics are asked
// of the node itself, if it is the only one behind a proxy, once the proxy has
// answered all before: so they count what the proxy has sent there.
func (s *scene) behind(st Step) (int, error) {
	if len(s.Nodes) != 1 {
		return st.Conn, nil
	}
	if st.Kind == Send || st.Kind == Poll {
		asks := strings.HasPrefix(st.Text, "stats")
		if c := s.conns[st.Conn]; asks && !s.asks[st.Conn] && c != nil {
			if err := errors.Join(s.flush(), s.sentinel(c)); err != nil {
				return 0, err
			}
		}
		s.asks[st.Conn] = asks
	}
	if s.asks[st.Conn] {
		return st.Conn + behindConn, nil
	}
	return st.Conn, nil
}

// clocks are the servers whose time counts.
func (p *Player) clocks() []*Process {
	if len(p.Nodes) > 0 {
		return p.Nodes
	}
	return []*Process{p.Server}
}

// moveClock moves the servers' clock by text seconds. memcached's debugtime
// adds the sum of all its arguments so far instead of the last one.
func (s *scene) moveClock(text string) error {
	var by int64
	if _, err := fmt.Sscanf(text, "%d", &by); err != nil {
		return fmt.Errorf("clock %q: %w", text, err)
	}
	arg := by
	if s.Name == "memcached" {
		arg = by - s.Server.DebugDelta
		s.Server.DebugDelta = by
	}
	return s.tellClocks(fmt.Sprintf("debugtime %d", arg))
}

// tellClocks sends a command to each of the servers whose time counts.
func (s *scene) tellClocks(command string) error {
	for _, p := range s.clocks() {
		nc, err := p.Dial()
		if err != nil {
			return err
		}
		c := &peer{Conn: nc, r: bufio.NewReader(nc)}
		err = s.send(c, Step{Kind: Send, Text: command})
		if err == nil {
			err = s.flush()
		}
		if err == nil {
			err = s.expect(c, Step{Kind: Expect, Text: "OK"})
		}
		if err = errors.Join(err, farewell(nc)); err != nil {
			return err
		}
	}
	return nil
}
