package cluster

import (
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The vectors are placements taken from the programs themselves; README.md
// beside them says from which and how. Every column of every file has a row in
// a table here: a column without one fails, and so does a row without a column.

// vectorFile is one file: values by column, in the order of vectorKeys.
type vectorFile map[string][]uint64

func readCSV(t testing.TB, name string) [][]string {
	t.Helper()
	f, err := os.Open("testdata/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 321 {
		t.Fatalf("%s has %d rows, want a heading and 320", name, len(rows))
	}
	return rows
}

func vectorKeys(t testing.TB) [][]byte {
	t.Helper()
	var keys [][]byte
	for _, row := range readCSV(t, "keys.csv")[1:] {
		key, err := base64.StdEncoding.DecodeString(row[1])
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

func readVectors(t testing.TB, name string) vectorFile {
	t.Helper()
	rows := readCSV(t, name)
	file := vectorFile{}
	for i, row := range rows[1:] {
		if row[0] != strconv.Itoa(i) {
			t.Fatalf("%s: row %d has id %s", name, i, row[0])
		}
		for j, cell := range row[1:] {
			v, err := strconv.ParseUint(cell, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			column := rows[0][j+1]
			file[column] = append(file[column], v)
		}
	}
	return file
}

// checkColumns compares every column of a file with what got computes for it.
func checkColumns(t *testing.T, name string, columns map[string]func(key []byte) uint64) {
	keys := vectorKeys(t)
	file := readVectors(t, name)
	for column := range columns {
		if file[column] == nil {
			t.Errorf("%s has no column %s", name, column)
		}
	}
	for column, want := range file {
		t.Run(column, func(t *testing.T) {
			got := columns[column]
			if got == nil {
				t.Fatal("this column has no row in the test's table")
			}
			differ := 0
			for i, key := range keys {
				if v := got(key); v != want[i] {
					if differ++; differ == 1 {
						t.Errorf("key %d %q: %d, want %d", i, key, v, want[i])
					}
				}
			}
			if differ > 0 {
				t.Errorf("%d of %d keys differ", differ, len(keys))
			}
		})
	}
}

// The server lists of the vectors.
var (
	vectorS5  = slotList("127.0.0.1", 21200, 1, 1, 1, 1, 1)
	vectorS5W = slotList("127.0.0.1", 21200, 1, 2, 3, 1, 5)
	vectorS25 = slotList("127.0.0.1", 21200, slices.Repeat([]int{1}, 25)...)
	vectorSD  = defaultPortSlots(1, 1, 1, 1, 1)
	vectorSDW = defaultPortSlots(100, 200, 150, 50, 100)
	vectorMix = []Slot{unnamed("cache1.example.com:11211", 1), unnamed("cache2.example.com:11211", 1), unnamed("cache3.example.com:11212", 1)}
)

func unnamed(address string, weight int) Slot {
	return Slot{Name: address, Unnamed: true, Address: address, Weight: weight}
}

// slotList is one server on each port from first on.
func slotList(host string, first int, weights ...int) []Slot {
	var slots []Slot
	for i, w := range weights {
		slots = append(slots, unnamed(fmt.Sprintf("%s:%d", host, first+i), w))
	}
	return slots
}

func defaultPortSlots(weights ...int) []Slot {
	var slots []Slot
	for i, w := range weights {
		slots = append(slots, unnamed(fmt.Sprintf("10.0.0.%d:11211", i+1), w))
	}
	return slots
}

// named gives slots the names of twemproxy's servers "host:port:weight name".
func named(slots []Slot, stem string, first int) []Slot {
	slots = slices.Clone(slots)
	for i := range slots {
		slots[i].Name, slots[i].Unnamed = stem+strconv.Itoa(first+i), false
	}
	return slots
}

// owns makes a column of a placement.
func owns(slots []Slot, distribution, hash string) func(key []byte) uint64 {
	return ownsWith(slots, PlacementOptions{Distribution: distribution, Hash: hash})
}

func ownsWith(slots []Slot, o PlacementOptions) func(key []byte) uint64 {
	return ownsPart(slots, o, KeyPart{})
}

func ownsPart(slots []Slot, o PlacementOptions, part KeyPart) func(key []byte) uint64 {
	p, err := NewPlacement(slots, o)
	if err != nil {
		panic(err)
	}
	return func(key []byte) uint64 { return uint64(p.Owner(part.Of(key))) }
}

func TestVectorsHashes(t *testing.T) {
	columns := map[string]func(key []byte) uint64{
		// Not built in the library that was asked: it answers 1.
		"hsieh": func([]byte) uint64 { return 1 },
	}
	for _, name := range []string{"default", "md5", "crc", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "murmur", "jenkins", "murmur3"} {
		h, err := LookupHash(name, HashOptions{})
		if err != nil {
			t.Fatal(err)
		}
		columns[name] = h.Sum
	}
	checkColumns(t, "libhashkit_raw.csv", columns)
}

func TestVectorsLibmemcached(t *testing.T) {
	unweighted := func(slots []Slot, hash, pointHash string) func(key []byte) uint64 {
		return ownsWith(slots, PlacementOptions{Distribution: "libmemcached-consistent", Hash: hash, PointHash: pointHash})
	}
	columns := map[string]func(key []byte) uint64{
		// Not built in, so the hash set before, the default, stays.
		"modula_hsieh_5":                           owns(vectorS5, "modula", "default"),
		"ketama_unweighted_default_5":              unweighted(vectorS5, "", ""),
		"ketama_unweighted_md5_hash_then_ketama_5": unweighted(vectorS5, "md5", ""),
		"ketama_unweighted_md5_ketama_then_hash_5": unweighted(vectorS5, "md5", "default"),
		"ketama_unweighted_fnv1a32_5":              unweighted(vectorS5, "fnv1a_32", ""),
		"ketama_unweighted_md5_default_port_5":     unweighted(vectorSD, "md5", ""),
		"ketama_weighted_equal_5":                  owns(vectorS5, "ketama", ""),
		"ketama_weighted_12315":                    owns(vectorS5W, "ketama", "md5"),
		"ketama_weighted_default_port_5":           owns(vectorSD, "ketama", "md5"),
		"ketama_weighted_mixed_port_3":             owns(vectorMix, "ketama", "md5"),
		"ketama_weighted_default_port_w":           owns(vectorSDW, "ketama", "md5"),
		"ketama_weighted_fnv1a32_key_12315":        owns(vectorS5W, "ketama", "fnv1a_32"),
		"ketama_weighted_spy_5":                    owns(vectorS5, "ketama-spy", "md5"),
		"ketama_set_after_weights_12315":           unweighted(unweigh(vectorS5W), "", ""),
		"ketama_set_before_weights_12315":          owns(vectorS5W, "ketama", "default"),
	}
	for _, name := range []string{"default", "md5", "crc", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "jenkins", "murmur", "murmur3"} {
		columns["modula_"+name+"_5"] = owns(vectorS5, "modula", name)
	}
	checkColumns(t, "libmemcached_1.1.4.csv", columns)
}

func unweigh(slots []Slot) []Slot {
	slots = slices.Clone(slots)
	for i := range slots {
		slots[i].Weight = 1
	}
	return slots
}

func TestVectorsTwemproxy(t *testing.T) {
	columns := map[string]func(key []byte) uint64{
		"twem_ketama_md5_w12315":       owns(vectorS5W, "ketama", "md5"),
		"twem_ketama_md5_named_w12315": owns(named(vectorS5W, "srv", 0), "ketama", "md5"),
		"twem_ketama_fnv1a64_named":    owns(named(vectorS5, "server", 1), "ketama", "fnv1a_64"),
		"twem_modula_crc32_w12315":     owns(vectorS5W, "modula", "crc32"),
		"twem_ketama_md5_defport":      owns(vectorSD, "ketama", "md5"),
		"twem_ketama_fnv1a64_tag_braces": ownsPart(vectorS5, PlacementOptions{Distribution: "ketama", Hash: "fnv1a_64"},
			KeyPart{Tag: "{}"}),
		"twem_ketama_fnv1a64_tag_pipes": ownsPart(vectorS5, PlacementOptions{Distribution: "ketama", Hash: "fnv1a_64"},
			KeyPart{Tag: "||"}),
	}
	for column := range readVectors(t, "twemproxy_0.5.0.csv") {
		if columns[column] != nil {
			continue
		}
		for _, distribution := range []string{"ketama", "modula"} {
			if hash, ok := strings.CutPrefix(column, "twem_"+distribution+"_"); ok {
				columns[column] = owns(vectorS5, distribution, hash)
			}
		}
	}
	checkColumns(t, "twemproxy_0.5.0.csv", columns)
}

func TestVectorsMemcachedProxy(t *testing.T) {
	xxh3 := PlacementOptions{}
	columns := map[string]func(key []byte) uint64{
		"mcp_jump_xxh3":                  owns(vectorS5, "", ""),
		"mcp_jump_xxh3_3":                owns(vectorS5[:3], "jump", "xxh3"),
		"mcp_jump_xxh3_seed_holdfast":    ownsWith(vectorS5, PlacementOptions{HashOptions: HashOptions{Seed: "holdfast"}}),
		"mcp_jump_filter_stop":           ownsPart(vectorS5, xxh3, KeyPart{Stop: "|#|"}),
		"mcp_jump_filter_tags":           ownsPart(vectorS5, xxh3, KeyPart{Tag: "{}", EmptyTag: true}),
		"mcp_jump_md5hash":               owns(vectorS5, "jump", "md5"),
		"mcp_ring_default_xxh3":          owns(vectorS5, "proxy-xxh3", ""),
		"mcp_ring_ketama_md5":            owns(vectorS5, "proxy-ketama", ""),
		"mcp_ring_ketama_xxh3key":        owns(vectorS5, "proxy-ketama", "xxh3"),
		"mcp_ring_twemproxy_md5":         owns(vectorS5, "proxy-twemproxy", ""),
		"mcp_ring_evcache_md5":           owns(vectorS5, "proxy-evcache", ""),
		"mcp_ring_ketama_md5_defport":    owns(vectorSD, "proxy-ketama", ""),
		"mcp_ring_twemproxy_md5_defport": owns(vectorSD, "proxy-twemproxy", ""),
		"mcp_ring_ketama_md5_b40":        ownsWith(vectorS5, PlacementOptions{Distribution: "proxy-ketama", Points: 40}),
	}
	checkColumns(t, "memcached_proxy_1.6.45.csv", columns)
}

func TestVectorsKetama25(t *testing.T) {
	checkColumns(t, "ketama_25_servers.csv", map[string]func(key []byte) uint64{
		"libmemcached_weighted":           owns(vectorS25, "ketama", "md5"),
		"twemproxy_md5":                   owns(vectorS25, "ketama", "md5"),
		"memcached_proxy_omode_twemproxy": owns(vectorS25, "proxy-twemproxy", "md5"),
	})
}

func TestVectorsClients(t *testing.T) {
	consistent := owns(vectorS5, "libmemcached-consistent", "")
	checkColumns(t, "clients.csv", map[string]func(key []byte) uint64{
		"pylibmc_default":                    owns(vectorS5, "modula", "default"),
		"pylibmc_ketama_true":                consistent,
		"pylibmc_ketama_weighted":            owns(vectorS5, "ketama", ""),
		"pylibmc_ketama_weighted_12315":      owns(vectorS5W, "ketama", ""),
		"pylibmc_django_like_ketama_w12315":  consistent,
		"pylibmc_ketama_weighted_defport":    owns(vectorSD, "ketama", ""),
		"pymemcache_hashclient_str":          owns(vectorS5, "pymemcache", ""),
		"pymemcache_hashclient_bytes":        owns(vectorS5, "pymemcache-bytes", ""),
		"python_memcached":                   owns(vectorS5, "modula", "cmemcache"),
		"python_memcached_w12315":            owns(vectorS5W, "modula", "cmemcache"),
		"perl_cmf_default":                   owns(vectorS5, "modula", "crc32"),
		"perl_cmf_ketama150":                 owns(vectorS5, "perl-ketama", ""),
		"php_memcached_default":              owns(vectorS5, "modula", "default"),
		"php_memcached_libketama_compatible": owns(vectorS5, "ketama", ""),
		"php_memcached_libketama_w12315":     owns(vectorS5W, "ketama", ""),
		"php_memcached_libketama_defport":    owns(vectorSD, "ketama", ""),
		"php_memcached_dist_consistent":      consistent,
	})
}

func TestVectorsMcrouter(t *testing.T) {
	columns := map[string]func(key []byte) uint64{}
	for _, n := range []int{2, 3, 5, 10, 100, 1000} {
		slots := slotList("127.0.0.1", 21200, slices.Repeat([]int{1}, n)...)
		columns[fmt.Sprint("ch3_", n)] = owns(slots, "ch3", "")
		columns[fmt.Sprint("crc32_", n)] = owns(slots, "modula", "mcrouter_crc32")
	}
	checkColumns(t, "mcrouter_ch3.csv", columns)
}

func TestVectorsDalli(t *testing.T) {
	checkColumns(t, "derived_dalli_3.0.6.csv", map[string]func(key []byte) uint64{
		"dalli_5":         owns(vectorS5, "dalli", ""),
		"dalli_w12315":    owns(vectorS5W, "dalli", ""),
		"dalli_defport_5": owns(vectorSD, "dalli", ""),
	})
}
