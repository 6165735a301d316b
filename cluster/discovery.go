package cluster

import (
	"fmt"
	"strconv"
	"strings"
)

// Discovery is where in the DNS the servers of a pool are listed.
type Discovery struct {
	// Type is "srv", "a" or "aaaa".
	Type string
	// Name is the name that is asked for, for srv with its service and protocol
	// if it has them.
	Name string
	// Port is that of all servers; 0 for srv, which tells ports.
	Port int
}

// ParseDiscovery reads the field discover of a pool: srv:NAME, a:NAME:PORT or
// aaaa:NAME:PORT, where the port is 11211 if left out.
func ParseDiscovery(text string) (Discovery, error) {
	d := Discovery{}
	var rest string
	d.Type, rest, _ = strings.Cut(text, ":")
	d.Name = rest
	switch d.Type {
	case "a", "aaaa":
		name, port, given := strings.Cut(rest, ":")
		if !given {
			port = "11211"
		}
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 || port[0] == '+' {
			return d, fmt.Errorf("%q: the port is a number from 1 to 65535", text)
		}
		d.Name, d.Port = name, n
	case "srv":
	default:
		return d, fmt.Errorf("%q: it is srv:NAME, a:NAME:PORT or aaaa:NAME:PORT", text)
	}
	if d.Name == "" || len(d.Name) > 253 || !cleanName(d.Name) || strings.ContainsAny(d.Name, ":/[]") {
		return d, fmt.Errorf("%q: %q is no name of the DNS", text, d.Name)
	}
	return d, nil
}
