package discover

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
)

// Resolver is what is asked of the DNS. A *net.Resolver is one.
type Resolver interface {
	// LookupSRV returns the servers of a service; with an empty service and proto
	// name is asked for as it is.
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
	// LookupNetIP returns the addresses of a host; network is ip4 or ip6.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// serversMax bounds an answer: nobody has so many.
const serversMax = 4096

// ask returns the addresses of the servers that d lists, each once and in an order that
// does not depend on the answer's. There is at least one.
func ask(ctx context.Context, r Resolver, d cluster.Discovery) ([]string, error) {
	var found []string
	if d.Type == "srv" {
		_, srvs, err := r.LookupSRV(ctx, "", "", d.Name)
		if err != nil && len(srvs) == 0 { // names that are no names may be left out of an answer
			return nil, err
		}
		for _, s := range srvs {
			host := strings.ToLower(strings.TrimSuffix(s.Target, "."))
			if host != "" && s.Port != 0 { // "." says that there is no such service
				found = append(found, net.JoinHostPort(host, strconv.Itoa(int(s.Port))))
			}
		}
	} else {
		network := "ip4"
		if d.Type == "aaaa" {
			network = "ip6"
		}
		addrs, err := r.LookupNetIP(ctx, network, d.Name)
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			found = append(found, netip.AddrPortFrom(a.Unmap(), uint16(d.Port)).String())
		}
	}
	slices.SortFunc(found, natural)
	found = slices.Compact(found)
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("the answer about %s is empty", d.Name)
	case len(found) > serversMax:
		return nil, fmt.Errorf("the answer about %s has %d servers", d.Name, len(found))
	}
	return found, nil
}

// natural orders texts as people do: numbers in them by their value, so that
// cache-2 comes before cache-10. A StatefulSet that grows then grows at the end.
func natural(a, b string) int {
	for x, y := a, b; x != "" && y != ""; {
		n, m := digits(x), digits(y)
		if n > 0 && m > 0 {
			p, q := strings.TrimLeft(x[:n], "0"), strings.TrimLeft(y[:m], "0")
			if c := cmp.Or(cmp.Compare(len(p), len(q)), strings.Compare(p, q)); c != 0 {
				return c
			}
			x, y = x[n:], y[m:]
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// digits is how many digits s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// roll is who is on the list of one pool. Names that an answer lacks keep their place,
// for a time: a server that is being restarted is not in the DNS either, and
// health is no reason to give its keys to others.
type roll struct {
	forget time.Duration // 0 or less is never
	order  []string
	seen   map[string]time.Time
}

// update takes an answer and reports whether the list is another now. exactly says
// that names which the answer lacks are to go at once.
func (r *roll) update(found []string, now time.Time, exactly bool) bool {
	if r.seen == nil {
		r.seen = map[string]time.Time{}
	}
	for _, name := range found {
		r.seen[name] = now
	}
	before := r.order
	r.order = make([]string, 0, len(r.seen))
	for name, at := range r.seen {
		if at != now && (exactly || r.forget > 0 && now.Sub(at) >= r.forget) {
			delete(r.seen, name)
			continue
		}
		r.order = append(r.order, name)
	}
	slices.SortFunc(r.order, natural)
	return !slices.Equal(before, r.order)
}

// missing is how many of the list are not in the last answer, which came at now.
func (r *roll) missing(now time.Time) int {
	n := 0
	for _, at := range r.seen {
		if at != now {
			n++
		}
	}
	return n
}

// jittered is d, give or take a quarter, so that proxies do not ask all at once.
func jittered(d time.Duration) time.Duration {
	return d - d/4 + time.Duration(rand.Int64N(int64(d/2)+1))
}
