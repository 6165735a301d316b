package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-cache/holdfast/server"
)

// unixPathMax is the longest path of a Unix socket, in bytes: sun_path less its final zero.
const unixPathMax = len(syscall.RawSockaddrUnix{}.Path) - 1

// endpoint is one address to listen on. An empty host is all addresses; port 0
// is any free one.
type endpoint struct {
	host string
	port int
}

// wantsTCP is false when a Unix socket is asked for and neither -p nor -l is, and
// when -p is 0.
func (o *options) wantsTCP() bool {
	return o.server.TCPPort != 0 && (o.server.UnixSocket == "" || o.portGiven || o.listenGiven)
}

// endpoints returns where TCP is to be served.
func (o *options) endpoints() ([]endpoint, error) {
	if !o.wantsTCP() {
		return nil, nil
	}
	port := max(o.server.TCPPort, 0) // -1 is any free port
	if len(o.listen) == 0 {
		host := defaultHost
		if o.asMemcached {
			host = ""
		}
		return []endpoint{{host, port}}, nil
	}
	var eps []endpoint
	for _, list := range o.listen {
		for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ';' }) {
			ep, err := parseEndpoint(word, port)
			if err != nil {
				return nil, err
			}
			// The same address given twice is one listener; a free port is a new one each time.
			if ep.port == 0 || !slices.Contains(eps, ep) {
				eps = append(eps, ep)
			}
		}
	}
	return eps, nil
}

// parseEndpoint reads one word of -l: prefixes, then host, host:port,
// [ipv6]:port, a bare IPv6 address, or * for all addresses.
func parseEndpoint(word string, port int) (endpoint, error) {
	rest, err := cutPrefixes(word)
	if err != nil {
		return endpoint{}, err
	}
	host, portText := rest, ""
	if inner, ok := strings.CutPrefix(rest, "["); ok {
		end := strings.IndexByte(inner, ']')
		if end < 0 || (len(inner) > end+1 && inner[end+1] != ':') {
			return endpoint{}, fail(exitOS, "-l %s: an IPv6 address with a port is written [address]:port", printable(word))
		}
		host, portText = inner[:end], strings.TrimPrefix(inner[end+1:], ":")
	} else if strings.Count(rest, ":") == 1 {
		host, portText, _ = strings.Cut(rest, ":")
		if portText == "" {
			return endpoint{}, fail(exitOS, "-l %s: the port is missing", printable(word))
		}
	}
	if portText != "" {
		n, err := strconv.Atoi(portText)
		if err != nil || n < -1 || n > 65535 {
			return endpoint{}, fail(exitOS, "-l %s: invalid port number %q", printable(word), portText)
		}
		port = max(n, 0)
	}
	if host == "*" {
		host = ""
	}
	return endpoint{host, port}, nil
}

// cutPrefixes takes off what may stand before the address: notls:, proto[ascii]:
// and tag[name]: or tag_name_:. Tags have no effect without a proxy.
func cutPrefixes(word string) (string, error) {
	rest := word
	for _, tls := range []string{"btls:", "mtls:"} {
		if strings.HasPrefix(rest, tls) {
			return "", fail(exitUsage, "-l %s: %s", printable(word), refusedTLS)
		}
	}
	rest = strings.TrimPrefix(rest, "notls:")
	if after, ok := strings.CutPrefix(rest, "proto["); ok {
		name, tail, closed := strings.Cut(after, "]")
		switch {
		case !closed:
			return "", fail(exitOS, "-l %s: the protocol prefix is written proto[ascii]:", printable(word))
		case name == "binary" || name == "proxy":
			return "", fail(exitUsage, "-l %s: the %s protocol %s", printable(word), name, notYet)
		case name != "ascii" && name != "negotiating":
			return "", fail(exitOS, "-l %s: the protocol is ascii or negotiating", printable(word))
		}
		rest = strings.TrimPrefix(tail, ":")
	}
	if strings.HasPrefix(rest, "tag[") || strings.HasPrefix(rest, "tag_") {
		name, tail, closed := strings.Cut(rest[len("tag["):], map[byte]string{'[': "]", '_': "_"}[rest[3]])
		if !closed || len(name) < 1 || len(name) > 8 {
			return "", fail(exitOS, "-l %s: a tag is written tag_name_: and has 1 to 8 characters", printable(word))
		}
		rest = strings.TrimPrefix(tail, ":")
	}
	return rest, nil
}

// listenTCP opens every endpoint. A name that resolves to several addresses is
// opened on each.
func listenTCP(cfg *server.Config, eps []endpoint) (lns []net.Listener, err error) {
	return openEach(eps, func(network, addr string) (net.Listener, error) { return server.Listen(cfg, network, addr) })
}

// tryListening fails as opening the endpoints and the Unix socket would, but opens
// nothing: nobody finds a server before it serves.
func tryListening(cfg *server.Config, eps []endpoint) error {
	_, err := openEach(eps, func(network, addr string) (net.Listener, error) { return nil, server.TryListen(network, addr) })
	if err == nil && cfg.UnixSocket != "" {
		err = checkUnix(cfg.UnixSocket)
	}
	return err
}

// openEach has open open every endpoint, and leaves none open if one cannot be.
func openEach(eps []endpoint, open func(network, addr string) (net.Listener, error)) (lns []net.Listener, err error) {
	defer func() {
		if err != nil {
			closeAll(lns)
			lns = nil
		}
	}()
	for _, ep := range eps {
		addrs, err := resolve(ep.host)
		if err != nil {
			return lns, err
		}
		var unusable error
		opened := 0
		for _, addr := range addrs {
			ln, err := openOne(open, addr, ep.port)
			switch {
			case errors.Is(err, syscall.EAFNOSUPPORT) || (errors.Is(err, syscall.EADDRNOTAVAIL) && len(addrs) > 1):
				unusable = err // a family that this machine has not got; one address must do
			case err != nil:
				return lns, listenFailure(addr, ep.port, err)
			case ln != nil:
				lns = append(lns, ln)
				fallthrough
			default:
				opened++
			}
		}
		if opened == 0 {
			return lns, listenFailure(addrs[0], ep.port, unusable)
		}
	}
	return lns, nil
}

// resolve returns the addresses of a host; all of this machine's for "".
func resolve(host string) ([]string, error) {
	if host == "" {
		return []string{"0.0.0.0", "::"}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil || len(addrs) == 0 {
		return nil, fail(exitOS, "cannot listen on %q: no such host; give an address of this machine, or * for all", host)
	}
	return addrs, nil
}

func openOne(open func(network, addr string) (net.Listener, error), addr string, port int) (net.Listener, error) {
	network := "tcp4"
	if strings.Contains(addr, ":") {
		network = "tcp6" // IPv6 alone: the IPv4 listener stands beside it
	}
	return open(network, net.JoinHostPort(addr, strconv.Itoa(port)))
}

func listenFailure(addr string, port int, err error) error {
	at := net.JoinHostPort(addr, strconv.Itoa(port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fail(exitOS, "cannot listen on %s: the port is in use; stop the other server or choose another port with -p", at)
	case errors.Is(err, syscall.EACCES):
		return fail(exitOS, "cannot listen on %s: permission denied; ports below 1024 need root or CAP_NET_BIND_SERVICE", at)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fail(exitOS, "cannot listen on %s: this machine has no such address", at)
	}
	return fail(exitOS, "cannot listen on %s: %v", at, cause(err))
}

// listenUnix opens the Unix socket. A file left by a dead server is replaced;
// the socket of one that answers is not touched. The file stays at the end, as
// memcached's does.
func listenUnix(cfg *server.Config) (net.Listener, error) {
	path := cfg.UnixSocket
	if err := checkUnix(path); err != nil {
		return nil, err
	}
	// The mask holds from the first moment: a chmod alone would leave a gap.
	old := syscall.Umask(int(^cfg.UnixMask & 0o777))
	ln, err := server.Listen(cfg, "unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fail(exitOS, "cannot listen on %s: %v", path, cause(err))
	}
	return ln, nil
}

// checkUnix fails if a Unix socket cannot be opened at path, or should not be.
func checkUnix(path string) error {
	if len(path) > unixPathMax {
		return fail(exitOS, "cannot listen on %s: the path of a Unix socket has at most %d bytes", path, unixPathMax)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return fail(exitOS, "cannot listen on %s: the file exists and is no socket", path)
		}
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_ = c.Close()
			return fail(exitOS, "cannot listen on %s: a server is listening there already", path)
		}
	}
	return nil
}

// cause is the system's word at the bottom of err, or err itself.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

func closeAll(lns []net.Listener) {
	for _, ln := range lns {
		_ = ln.Close()
	}
}

// writePortFile writes the ports that were opened to the file that
// MEMCACHED_PORT_FILENAME names, one "TCP INET: <port>" or "TCP INET6: <port>"
// a line, whole or not at all.
func writePortFile(path string, lns []net.Listener) error {
	if path == "" {
		return nil
	}
	var b strings.Builder
	for _, ln := range lns {
		addr, ok := ln.Addr().(*net.TCPAddr)
		if !ok {
			continue
		}
		family := "INET6"
		if addr.IP.To4() != nil {
			family = "INET"
		}
		fmt.Fprintf(&b, "TCP %s: %d\n", family, addr.Port)
	}
	if b.Len() == 0 {
		return nil
	}
	return writeWhole(path, ".lck", b.String())
}

// writeWhole writes a file under another name and renames it, so that nobody
// reads half of it.
func writeWhole(path, suffix, text string) error {
	if err := os.WriteFile(path+suffix, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(path+suffix, path)
}
