package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	replyLineMax  = 64 << 10 // longer lines come from something that is no memcached
	replyValueMax = 1 << 30
)

// client is a connection to a server, Holdfast or memcached. Every call waits
// for the timeout at most.
type client struct {
	addr    string
	conn    net.Conn
	r       *bufio.Reader
	timeout time.Duration
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
	return &client{addr: addr, conn: conn, r: bufio.NewReaderSize(conn, replyLineMax), timeout: timeout}, nil
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

// send writes a command.
func (c *client) send(format string, args ...any) error {
	_ = c.conn.SetDeadline(time.Now().Add(c.timeout))
	if _, err := fmt.Fprintf(c.conn, format, args...); err != nil {
		return c.failure(err)
	}
	return nil
}

// line reads one reply line, without its end. An error reply is an error.
func (c *client) line() (string, error) {
	_ = c.conn.SetDeadline(time.Now().Add(c.timeout))
	raw, err := c.r.ReadSlice('\n')
	if err != nil {
		return "", c.failure(err)
	}
	line := strings.TrimRight(string(raw), "\r\n")
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "ERROR", "CLIENT_ERROR", "SERVER_ERROR":
		if strings.Contains(line, "unauthenticated") {
			return "", fail(exitFailure, "%s asks for a password: give --user and --password-file", c.addr)
		}
		if rest == "" {
			return "", fail(exitFailure, "%s does not know this command (ERROR); it may be an older version", c.addr)
		}
		return "", fail(exitFailure, "%s refused: %s", c.addr, printable(rest))
	}
	return line, nil
}

func (c *client) failure(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fail(exitFailure, "%s does not answer in time: wait longer with --timeout", c.addr)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fail(exitFailure, "%s closed the connection; it may have reached its limit of clients (-c)", c.addr)
	case errors.Is(err, bufio.ErrBufferFull):
		return fail(exitFailure, "%s does not speak memcached's protocol", c.addr)
	}
	return fail(exitFailure, "%s: %v", c.addr, err)
}

// ask sends a command and returns its one line of reply.
func (c *client) ask(format string, args ...any) (string, error) {
	if err := c.send(format, args...); err != nil {
		return "", err
	}
	return c.line()
}

// login shows name and password the way memcached's text protocol wants them:
// as the value of a set.
func (c *client) login(name, password string) error {
	token := name + " " + password
	reply, err := c.ask("set auth 0 0 %d\r\n%s\r\n", len(token), token)
	if err != nil {
		return err
	}
	if reply != "STORED" {
		return fail(exitFailure, "%s did not take the password: %s", c.addr, printable(reply))
	}
	return nil
}

// stats asks for a section of the statistics, "" for the general one.
func (c *client) stats(section string) ([]stat, error) {
	command := strings.TrimSpace("stats " + section)
	if err := c.send("%s\r\n", command); err != nil {
		return nil, err
	}
	var all []stat
	for {
		line, err := c.line()
		if err != nil {
			return nil, err
		}
		if line == "END" || line == "RESET" || line == "OK" {
			return all, nil
		}
		rest, ok := strings.CutPrefix(line, "STAT ")
		if !ok {
			// stats detail dump has lines of its own.
			if rest, ok = strings.CutPrefix(line, "PREFIX "); !ok {
				return nil, fail(exitFailure, "%s: unexpected reply %q", c.addr, line)
			}
		}
		name, value, _ := strings.Cut(rest, " ")
		all = append(all, stat{name, value})
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
	line, err := c.ask("gets %s\r\n", key)
	if err != nil || line == "END" {
		return nil, err
	}
	it := &item{Key: key}
	var echoed string
	var size int64
	if _, err := fmt.Sscanf(line, "VALUE %s %d %d %d", &echoed, &it.Flags, &size, &it.CAS); err != nil || size < 0 || size > replyValueMax {
		return nil, fail(exitFailure, "%s: unexpected reply %q", c.addr, line)
	}
	it.Value = make([]byte, size+2)
	if _, err := io.ReadFull(c.r, it.Value); err != nil {
		return nil, c.failure(err)
	}
	it.Value = it.Value[:size]
	if line, err = c.line(); err != nil || line != "END" {
		return nil, fail(exitFailure, "%s: unexpected reply %q", c.addr, line)
	}
	return it, nil
}

// checkKey refuses what the text protocol cannot carry as a key.
func checkKey(key string) error {
	if len(key) == 0 || len(key) > 250 {
		return fail(exitUsage, "a key has 1 to 250 bytes, this one has %d", len(key))
	}
	if i := strings.IndexFunc(key, func(r rune) bool { return r <= ' ' || r == 0x7f }); i >= 0 {
		return fail(exitUsage, "the key %q has a space or control character at byte %d, which the text protocol cannot carry", key, i)
	}
	return nil
}
