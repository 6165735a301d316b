package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"
)

// A client that writes numbered values, reads them, and takes nothing for granted.

// patience is how long a client waits for a reply: many times what proxies wait for
// their nodes.
const patience = 5 * time.Second

// staleClient is one connection, made anew when it breaks.
type staleClient struct {
	dial func() (net.Conn, error)
	keys []*register
	rng  *rand.Rand
	meta bool // use meta commands as well
	// keeps: the proxy may not close the connection, whatever its nodes do.
	keeps bool
	// excuses: stale reads are counted and nothing else.
	excuses bool
	// pause is how long to rest after a request, on average: fifty nodes on two
	// cores want to be left some of them.
	pause time.Duration

	c net.Conn
	r *bufio.Reader

	hits, misses, writes, errors, reconnects, excused int
}

// errBroken: the connection was closed, or an error was answered that says that it
// will be.
var errBroken = errors.New("the connection is gone")

// run reads and writes until stop is closed or something is wrong.
func (c *staleClient) run(stop <-chan struct{}) error {
	defer c.close()
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if c.pause > 0 {
			time.Sleep(time.Duration(c.rng.Int64N(int64(2 * c.pause))))
		}
		err := c.connect()
		if err == nil {
			err = c.turn()
		}
		var stale *staleError
		if c.excuses && errors.As(err, &stale) {
			c.excused++
			c.close() // there may be more of the reply
			continue
		}
		if errors.Is(err, errBroken) && !c.keeps {
			c.reconnects++
			c.close()
			continue
		}
		if err != nil {
			return err
		}
	}
}

func (c *staleClient) close() {
	if c.c != nil {
		hangUp(c.c)
		c.c = nil
	}
}

func (c *staleClient) connect() (err error) {
	if c.c != nil {
		return nil
	}
	if c.c, err = c.dial(); err != nil {
		c.c = nil
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	c.r = bufio.NewReader(c.c)
	return nil
}

// turn makes one request.
func (c *staleClient) turn() error {
	k := c.keys[c.rng.IntN(len(c.keys))]
	n := c.rng.IntN(100)
	if n >= 60 && k.writing.TryLock() {
		defer k.writing.Unlock()
		switch {
		case c.meta && n%2 == 0:
			return c.metaWrite(k)
		case n < 64:
			return c.cas(k)
		default:
			return c.write(k, []string{"set", "set", "set", "add", "delete"}[n%5])
		}
	}
	switch {
	case n < 10:
		return c.readMany()
	case c.meta && n%2 == 0:
		return c.metaRead(k, k.least())
	default:
		_, err := c.read(k, k.least())
		return err
	}
}

// say sends a request.
func (c *staleClient) say(text string) error {
	if err := c.c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(c.c, text); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return nil
}

// line reads a line of a reply. An end of the connection is errBroken; that nothing
// comes is an error of its own: whoever asks is owed an answer.
func (c *staleClient) line() (string, error) {
	line, err := c.r.ReadString('\n')
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return line, fmt.Errorf("no reply in %v", patience)
	}
	if err != nil {
		return line, fmt.Errorf("%w: %w", errBroken, err)
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return line, fmt.Errorf("a line that ends otherwise: %q", line)
	}
	return text, nil
}

// value reads a value of n bytes and its end.
func (c *staleClient) value(n string) (string, error) {
	size, err := strconv.Atoi(n)
	if err != nil || size > 1<<20 {
		return "", fmt.Errorf("a value of %q bytes", n)
	}
	b := make([]byte, size+2)
	if _, err := io.ReadFull(c.r, b); err != nil {
		return "", fmt.Errorf("%w: %w", errBroken, err)
	}
	if string(b[size:]) != "\r\n" {
		return "", fmt.Errorf("a value ends in %q", b[size:])
	}
	return string(b[:size]), nil
}

// failed tells whether a reply is an error of the proxy's.
func (c *staleClient) failed(line string) bool {
	if !strings.HasPrefix(line, "SERVER_ERROR ") {
		return false
	}
	c.errors++
	return true
}

// write sets, adds or deletes a key.
func (c *staleClient) write(k *register, command string) error {
	n := k.begin(command == "delete", command)
	if command == "delete" {
		return c.settle(k, n, "delete "+k.name+"\r\n", "DELETED", "NOT_FOUND")
	}
	value := valueOf(k.name, n)
	text := fmt.Sprintf("%s %s 0 0 %d\r\n%s\r\n", command, k.name, len(value), value)
	if command == "add" {
		return c.settle(k, n, text, "STORED", "-NOT_STORED")
	}
	return c.settle(k, n, text, "STORED")
}

// metaWrite does so by meta commands.
func (c *staleClient) metaWrite(k *register) error {
	mode := []string{"S", "S", "E", "D", "D"}[c.rng.IntN(5)]
	n := k.begin(mode == "D", "meta "+mode)
	opaque := strconv.Itoa(c.rng.IntN(1e9))
	if mode == "D" {
		return c.settle(k, n, fmt.Sprintf("md %s O%s\r\n", k.name, opaque), "HD O"+opaque, "NF O"+opaque)
	}
	value := valueOf(k.name, n)
	text := fmt.Sprintf("ms %s %d O%s k M%s\r\n%s\r\n", k.name, len(value), opaque, mode, value)
	echo := fmt.Sprintf(" O%s k%s", opaque, k.name)
	return c.settle(k, n, text, "HD"+echo, "-NS"+echo)
}

// cas replaces what it has read.
func (c *staleClient) cas(k *register) error {
	unique, err := c.read(k, k.least())
	if err != nil || unique == "" {
		return err
	}
	n := k.begin(false, "cas")
	value := valueOf(k.name, n)
	return c.settle(k, n, fmt.Sprintf("cas %s 0 0 %d %s\r\n%s\r\n", k.name, len(value), unique, value), "STORED", "-EXISTS", "-NOT_FOUND")
}

// settle sends a write and tells the register what became of it. One of replies
// comes, and after a "-" it says that nothing was written; an error leaves it open.
func (c *staleClient) settle(k *register, n int, text string, replies ...string) error {
	err := c.say(text)
	var line string
	if err == nil {
		line, err = c.line()
	}
	if err != nil {
		return errors.Join(err, k.end(n, unanswered, err.Error()))
	}
	if c.failed(line) {
		return k.end(n, inDoubt, line)
	}
	c.writes++
	for _, r := range replies {
		if line == r {
			return k.end(n, acknowledged, line)
		}
		if "-"+line == r {
			return k.end(n, refused, line)
		}
	}
	return fmt.Errorf("%.60q was answered %.200q", text, line)
}

// read reads a key by gets, returns its cas unique, "" if there is none.
func (c *staleClient) read(k *register, least int) (unique string, err error) {
	if err := c.say("gets " + k.name + "\r\n"); err != nil {
		return "", err
	}
	line, err := c.line()
	if err != nil || c.failed(line) {
		return "", err
	}
	if line == "END" {
		c.misses++
		return "", nil
	}
	f := strings.Split(line, " ")
	if len(f) != 5 || f[0] != "VALUE" || f[1] != k.name || f[2] != "0" {
		return "", fmt.Errorf("gets %s was answered %q", k.name, line)
	}
	value, err := c.value(f[3])
	if err != nil {
		return "", err
	}
	end, err := c.line()
	if err != nil {
		return "", err
	}
	if end != "END" {
		return "", fmt.Errorf("gets %s ends in %q", k.name, end)
	}
	c.hits++
	return f[4], k.see("gets", value, least)
}

// metaRead reads a key by mg.
func (c *staleClient) metaRead(k *register, least int) error {
	opaque := strconv.Itoa(c.rng.IntN(1e9))
	if err := c.say(fmt.Sprintf("mg %s k O%s v\r\n", k.name, opaque)); err != nil {
		return err
	}
	line, err := c.line()
	if err != nil || c.failed(line) {
		return err
	}
	if line == fmt.Sprintf("EN k%s O%s", k.name, opaque) {
		c.misses++
		return nil
	}
	f := strings.Split(line, " ")
	if len(f) != 4 || f[0] != "VA" || f[2] != "k"+k.name || f[3] != "O"+opaque {
		return fmt.Errorf("mg %s k O%s v was answered %q", k.name, opaque, line)
	}
	value, err := c.value(f[1])
	if err != nil {
		return err
	}
	c.hits++
	return k.see("mg", value, least)
}

// readMany reads several keys at once.
func (c *staleClient) readMany() error {
	text := "get"
	least, found := map[*register]int{}, map[*register]bool{}
	for _, n := range c.rng.Perm(len(c.keys))[:2+c.rng.IntN(8)] {
		k := c.keys[n]
		least[k] = k.least()
		text += " " + k.name
	}
	if err := c.say(text + "\r\n"); err != nil {
		return err
	}
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if line == "END" {
			c.misses += len(least) - len(found)
			return nil
		}
		if len(found) == 0 && c.failed(line) {
			return nil
		}
		f := strings.Split(line, " ")
		if len(f) != 4 || f[0] != "VALUE" || f[2] != "0" {
			return fmt.Errorf("%s was answered %q", text, line)
		}
		value, err := c.value(f[3])
		if err != nil {
			return err
		}
		asked := false
		for k, l := range least {
			if k.name == f[1] && !found[k] {
				asked, found[k] = true, true
				if err := k.see(fmt.Sprint("get of ", len(least)), value, l); err != nil {
					return err
				}
			}
		}
		if !asked {
			return fmt.Errorf("%s brings %q, which was not asked for or was there before", text, f[1])
		}
		c.hits++
	}
}
