package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-cache/holdfast/cluster"
)

// The vectors of cluster were taken once; here the real libraries are asked, with
// options in orders and combinations that nobody thought of.

// placementCase is one question to testdata/placement/owners.py.
type placementCase struct {
	Libmemcached string   `json:"libmemcached,omitempty"`
	Pymemcache   []string `json:"pymemcache,omitempty"`
	Bytes        bool     `json:"bytes"`
	Keys         [][]byte `json:"keys"` // base64 in JSON

	config *cluster.PoolConfig
}

func TestPlacementOfLiveClients(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var cases []*placementCase
	for range 60 {
		c := &placementCase{Libmemcached: libmemcachedString(r), Keys: randomKeys(r)}
		imported, _, err := cluster.ImportLibmemcached(c.Libmemcached)
		if err != nil {
			t.Fatalf("%v in %s", err, c.Libmemcached)
		}
		c.config = imported.Pools[0]
		cases = append(cases, c)
	}
	for i := range 20 {
		c := &placementCase{Bytes: i%2 == 1, Keys: randomKeys(r), config: &cluster.PoolConfig{Distribution: "pymemcache"}}
		if c.Bytes {
			c.config.Distribution = "pymemcache-bytes"
		}
		for n := range 2 + r.IntN(20) {
			address := fmt.Sprintf("10.0.%d.%d:%d", r.IntN(250), n, 1+r.IntN(65000))
			c.Pymemcache = append(c.Pymemcache, address)
			c.config.Servers = append(c.config.Servers, cluster.ServerConfig{Address: address})
		}
		cases = append(cases, c)
	}
	for i, owners := range askOwners(t, cases) {
		c := cases[i]
		m, err := cluster.NewMap(1, c.config)
		if err != nil {
			t.Fatal(err)
		}
		slots := m.Slots()
		for j, key := range c.Keys {
			if got := slots[m.Owner(key)].Address; got != owners[j] {
				t.Errorf("%s%v: %q belongs to %s, not to %s", c.Libmemcached, c.Pymemcache, key, owners[j], got)
				break
			}
		}
	}
}

func askOwners(t *testing.T, cases []*placementCase) (owners [][]string) {
	t.Helper()
	in, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python(t), filepath.Join("testdata", "placement", "owners.py"))
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if err := json.Unmarshal(out, &owners); err != nil || len(owners) != len(cases) {
		t.Fatalf("%d answers for %d cases: %v", len(owners), len(cases), err)
	}
	return owners
}

// libmemcachedString puts servers and options into any order. A host is in it
// once, or its sorting would be anybody's guess.
func libmemcachedString(r *rand.Rand) string {
	var words []string
	for n := range 1 + r.IntN(30) {
		server := fmt.Sprintf("--SERVER=10.0.%d.%d", n, r.IntN(250))
		if r.IntN(8) == 0 {
			server = fmt.Sprintf(`--SOCKET="/run/mc%d.sock"`, n)
		} else if r.IntN(2) == 0 {
			server += fmt.Sprintf(":%d", 11200+r.IntN(20))
		}
		if r.IntN(3) == 0 {
			server += fmt.Sprintf("/?%d", 1+r.IntN(9))
		}
		words = append(words, server)
	}
	words = append(words, "--DISTRIBUTION="+pick(r, "consistent", "consistent", "consistent,MD5", "modula"))
	if r.IntN(3) > 0 {
		words = append(words, "--HASH="+pick(r, "MD5", "CRC", "FNV1_64", "FNV1A_64", "FNV1_32", "FNV1A_32", "MURMUR", "JENKINS"))
	}
	if r.IntN(4) == 0 {
		words = append(words, "--SORT-HOSTS")
	}
	if r.IntN(4) == 0 {
		words = append(words, "--TCP-NODELAY")
	}
	r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	return strings.Join(words, " ")
}

func pick(r *rand.Rand, words ...string) string { return words[r.IntN(len(words))] }

// randomKeys are valid UTF-8 without spaces, some beyond ASCII.
func randomKeys(r *rand.Rand) [][]byte {
	var keys [][]byte
	for range 100 {
		var key []rune
		for range 1 + r.IntN(60) {
			c := rune('!' + r.IntN('~'-'!'))
			if r.IntN(20) == 0 {
				c = rune(0xa1 + r.IntN(0x4000))
			}
			key = append(key, c)
		}
		keys = append(keys, []byte(string(key)))
	}
	return keys
}
