package main

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-cache/holdfast/protocol"
)

const (
	replyValueMax = 1 << 30
	replyReadSize = 32 << 10
)

// client is a connection to a server, Holdfast or memcached. Every call waits
// for the timeout at most.
type client struct {
	addr    string
	conn    net.Conn
	timeout time.Duration // 0 waits for ever
	parser  protocol.ResponseParser
	reply   protocol.Response // the last one, aliasing buf
	buf     []byte            // bytes received
	used    int               // how many of them have been handed out
}

// stat is one "STAT name value" line.
type stat struct{ name, value string }

// dial connects to host:port, a host alone (port 11211) or the path of a Unix socket.
func dial(addr string, timeout time.Duration) (*client, error) {
	network, target := "tcp", addr
	switch {
	case addr == "":
		return nil, fail(exitUsage, "--addr is empty: give host:port or the path of a Unix socket")
	case strings.Contains(addr, "/"):
		network, target = "unix", strings.TrimPrefix(addr, "unix:")
	default:
		if _, _, err := net.SplitHostPort(addr); err != nil {
			target = net.JoinHostPort(strings.Trim(addr, "[]"), strconv.Itoa(defaultPort))
		}
	}
	conn, err := net.DialTimeout(network, target, timeout)
	if err != nil {
		return nil, dialFailure(addr, err)
	}
	return &client{addr: addr, conn: conn, timeout: timeout, parser: protocol.ResponseParser{ValueMax: replyValueMax}}, nil
}

func dialFailure(addr string, err error) error {
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fail(exitFailure, "no server answers at %s: start one, or name another with --addr", addr)
	case errors.Is(err, os.ErrNotExist):
		return fail(exitFailure, "there is no socket %s: start the server with -s %s, or name another with --addr", addr, addr)
	case errors.Is(err, os.ErrPermission):
		return fail(exitFailure, "no permission to open %s: run as the server's user, or widen its socket with -a", addr)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fail(exitFailure, "%s does not answer in time: check the address, or wait longer with --timeout", addr)
	case errors.As(err, &dns):
		return fail(exitFailure, "cannot find the host of %s: check --addr", addr)
	}
	return fail(exitFailure, "cannot connect to %s: %v", addr, err)
}

func (c *client) close() { _ = c.conn.Close() }

// send writes a request.
func (c *client) send(request []byte) error {
	c.setDeadline()
	if _, err := c.conn.Write(request); err != nil {
		return c.failure(err)
	}
	return nil
}

func (c *client) setDeadline() {
	var deadline time.Time
	if c.timeout > 0 {
		deadline = time.Now().Add(c.timeout)
	}
	_ = c.conn.SetDeadline(deadline)
}

// next reads one response, an error reply being an error. What it returns is
// valid until the next call.
func (c *client) next() (*protocol.Response, error) {
	for {
		n, err := c.parser.Next(c.buf[c.used:], &c.reply)
		if err != nil {
			return nil, fail(exitFailure, "%s does not speak memcached's protocol", c.addr)
		}
		if n > 0 {
			c.used += n
			return &c.reply, c.refusal(&c.reply)
		}
		if err := c.fill(); err != nil {
			return nil, c.failure(err)
		}
	}
}

// fill reads more bytes behind those that are not handed out yet.
func (c *client) fill() error {
	c.buf = append(c.buf[:0], c.buf[c.used:]...)
	c.used = 0
	c.buf = slices.Grow(c.buf, max(replyReadSize, c.parser.Need()-len(c.buf)))
	c.setDeadline()
	n, err := c.conn.Read(c.buf[len(c.buf):cap(c.buf)])
	c.buf = c.buf[:len(c.buf)+n]
	if n > 0 {
		return nil
	}
	return err
}

// refusal is the error of an error reply, nil for any other.
func (c *client) refusal(r *protocol.Response) error {
	switch {
	case !r.IsError():
		return nil
	case strings.Contains(string(r.Args), "unauthenticated"):
		return fail(exitFailure, "%s asks for a password: give --user and --password-file", c.addr)
	case strings.Contains(string(r.Args), "shutdown not enabled"):
		return fail(exitFailure, "%s does not allow it: it was started without -A", c.addr)
	case len(r.Args) == 0:
		return fail(exitFailure, "%s does not know this command (ERROR); it may be an older version", c.addr)
	}
	return fail(exitFailure, "%s refused: %s", c.addr, printable(string(r.Args)))
}

// ask sends a request and reads the first response to it.
func (c *client) ask(request []byte) (*protocol.Response, error) {
	if err := c.send(request); err != nil {
		return nil, err
	}
	return c.next()
}

// unexpected is the error for a reply that makes no sense here.
func (c *client) unexpected(r *protocol.Response) error {
	return fail(exitFailure, "%s: unexpected reply %q", c.addr, r.Line)
}

func (c *client) failure(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fail(exitFailure, "%s does not answer in time: wait longer with --timeout", c.addr)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fail(exitFailure, "%s closed the connection; it may have reached its limit of clients (-c)", c.addr)
	}
	return fail(exitFailure, "%s: %v", c.addr, err)
}

// login shows name and password the way memcached's text protocol wants them:
// as the value of a set.
func (c *client) login(name, password string) error {
	token := []byte(name + " " + password)
	r, err := c.ask(protocol.AppendStore(nil, protocol.OpSet, []byte("auth"), 0, 0, token, false))
	if err == nil && r.Status != protocol.StatusStored {
		err = c.unexpected(r)
	}
	if err != nil {
		return fail(exitFailure, "%s did not take the password: %v", c.addr, err)
	}
	return nil
}

// stats asks for a section of the statistics, none for the general one.
func (c *client) stats(section ...string) ([]stat, error) {
	if err := c.send(protocol.AppendCommand(nil, protocol.OpStats, section...)); err != nil {
		return nil, err
	}
	var all []stat
	for {
		r, err := c.next()
		if err != nil {
			return nil, err
		}
		switch r.Status {
		case protocol.StatusEnd, protocol.StatusReset, protocol.StatusOK:
			return all, nil
		case protocol.StatusStat:
			all = append(all, stat{string(r.Key), string(r.Value)})
		default:
			// stats detail dump has lines of its own.
			rest, ok := strings.CutPrefix(string(r.Line), "PREFIX ")
			if !ok {
				return nil, c.unexpected(r)
			}
			name, value, _ := strings.Cut(rest, " ")
			all = append(all, stat{name, value})
		}
	}
}

// item is what get returns.
type item struct {
	Key   string `json:"key"`
	Flags uint32 `json:"flags"`
	CAS   uint64 `json:"cas"`
	Value []byte `json:"-"`
}

// get fetches one key; nil if it is not there.
func (c *client) get(key string) (*item, error) {
	r, err := c.ask(protocol.AppendGet(nil, protocol.OpGets, []byte(key)))
	switch {
	case err != nil || r.Status == protocol.StatusEnd:
		return nil, err
	case r.Status != protocol.StatusValue:
		return nil, c.unexpected(r)
	}
	it := &item{Key: key, Flags: r.Flags, CAS: r.CAS, Value: append([]byte(nil), r.Value...)}
	if r, err = c.next(); err == nil && r.Status != protocol.StatusEnd {
		err = c.unexpected(r)
	}
	return it, err
}

// checkKey refuses what the text protocol cannot carry as a key.
func checkKey(key string) error {
	if len(key) == 0 || len(key) > protocol.KeyLenMax {
		return fail(exitUsage, "a key has 1 to %d bytes, this one has %d", protocol.KeyLenMax, len(key))
	}
	if !protocol.KeyOK([]byte(key)) {
		return fail(exitUsage, "the key %q has a space or control character, which the text protocol cannot carry", key)
	}
	return nil
}
