package integration

import (
	"fmt"
	"io"
	"testing"
)

// idleMax is what an idle client of a proxy may cost, in bytes.
const idleMax = 6 << 10

// TestProxyIdleClients has thousands of clients that have asked something each and
// then only stay.
func TestProxyIdleClients(t *testing.T) {
	p := startProxied(t, 3, false, "")
	defer p.end(t)
	const clients = 2000
	connect := func(n int) {
		for i := range n {
			c, r := dial(t, p.Process)
			text := fmt.Sprintf("set k%d 0 0 5000\r\n%05000d\r\nget k%d\r\n", i, i, i)
			if _, err := io.WriteString(c, text); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("STORED\r\nVALUE k%d 0 5000\r\n%05000d\r\nEND\r\n", i, i)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
				t.Fatalf("%v, %s", err, quote(string(got)))
			}
		}
	}
	connect(200) // what all share is there now
	before, err := p.RSS()
	if err != nil {
		t.Fatal(err)
	}
	connect(clients)
	after, err := p.RSS()
	if err != nil {
		t.Fatal(err)
	}
	each := (after - before) / clients
	t.Logf("%d bytes for each of %d idle clients", each, clients)
	if each > idleMax {
		t.Errorf("more than %d", idleMax)
	}
}
