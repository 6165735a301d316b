package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-cache/holdfast/server"
)

// resolveTime bounds one look-up of a name.
const resolveTime = 2 * time.Second

// resolve finds out where the backend is. If that fails the address there was stays.
func (b *backend) resolve() error {
	a, err := lookUp(b.slot.Address)
	if err != nil {
		return err
	}
	b.addr.Store(&a)
	return nil
}

// resolveAll resolves backends, all at the same time.
func (p *Proxy) resolveAll(backends []*backend) {
	var done sync.WaitGroup
	for _, b := range backends {
		done.Go(func() {
			if err := b.resolve(); err != nil {
				p.log.Error().Err(err).Str("server", b.name()).Msg("cannot resolve the address of a backend; it is down until it can be")
			}
		})
	}
	done.Wait()
}

// isLiteral says that an address is one already, not a name.
func isLiteral(address string) bool {
	_, err := netip.ParseAddrPort(address)
	return err == nil || strings.Contains(address, "/")
}

// lookUp turns host:port, [ipv6]:port or a path into an address. Of several it
// takes the first IPv4 one, as what all listen on.
func lookUp(address string) (server.LinkAddr, error) {
	if strings.Contains(address, "/") {
		return server.LinkAddr{Path: address}, nil
	}
	if a, err := netip.ParseAddrPort(address); err == nil {
		return server.LinkAddr{TCP: a}, nil
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return server.LinkAddr{}, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return server.LinkAddr{}, fmt.Errorf("port %q: %w", portText, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTime)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return server.LinkAddr{}, err
	}
	best := ips[0]
	for _, ip := range ips {
		if ip.Unmap().Is4() {
			best = ip
			break
		}
	}
	return server.LinkAddr{TCP: netip.AddrPortFrom(best.Unmap(), uint16(port))}, nil
}
