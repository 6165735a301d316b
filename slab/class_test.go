package slab

import (
	"fmt"
	"strings"
	"testing"
)

func testConfig(change func(*Config)) Config {
	c := DefaultConfig()
	c.PageBytes = 1 << 20
	if change != nil {
		change(&c)
	}
	return c
}

func TestClassTable(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Config)
		align  int
	}{
		{"defaults", nil, 8},
		{"fine steps", func(c *Config) { c.GrowthFactor = 1.08 }, 8},
		{"finest steps", func(c *Config) { c.GrowthFactor = 1.001 }, 8},
		{"coarse steps", func(c *Config) { c.GrowthFactor = 4 }, 8},
		{"one step", func(c *Config) { c.GrowthFactor = 100 }, 8},
		{"tiny first chunk", func(c *Config) { c.MinItemSpace = 1 }, 8},
		{"large first chunk", func(c *Config) { c.MinItemSpace = 100_000 }, 8},
		{"only the last class", func(c *Config) { c.MinItemSpace = 512<<10 - 24 }, 8},
		{"wide alignment", nil, 64},
		{"page chunks", func(c *Config) { c.ChunkMax = 1 << 20 }, 8},
		{"small chunks", func(c *Config) { c.ChunkMax = 16 << 10 }, 8},
		{"small pages", func(c *Config) { c.PageBytes = 16 << 10; c.LimitBytes = 4 << 20 }, 8},
		{"odd chunk max", func(c *Config) { c.ChunkMax = 10_001 }, 16},
		{"small items", func(c *Config) { c.ItemSizeMax = 1024 }, 8},
		{"given sizes", func(c *Config) { c.ClassSizes = []int{100, 200, 1000, 512 << 10} }, 8},
		{"given sizes that align to one", func(c *Config) { c.ClassSizes = []int{100, 108, 116, 1000} }, 64},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := testConfig(tc.change).resolved()
			if err != nil {
				t.Fatal(err)
			}
			checkTable(t, newClassTable(&c, tc.align), &c)
		})
	}
}

// checkTable proves what every class table promises.
func checkTable(t *testing.T, table *classTable, c *Config) {
	t.Helper()
	if table.n < 1 || table.n > classMax {
		t.Fatalf("%d classes", table.n)
	}
	for i := 1; i <= table.n; i++ {
		size := int(table.size[i])
		if size <= int(table.size[i-1]) || size%table.align != 0 {
			t.Fatalf("class %d of %d bytes after %d", i, size, table.size[i-1])
		}
		if got := int(table.perPage[i]); got != c.PageBytes/size || got < 1 {
			t.Fatalf("class %d: %d chunks a page", i, got)
		}
	}
	last := c.ChunkMax &^ (table.align - 1)
	if got := int(table.size[table.n]); got != last {
		t.Fatalf("last class is of %d bytes, want %d", got, last)
	}
	want := uint8(1)
	for size := range last + 1 {
		for int(table.size[want]) < size {
			want++
		}
		if got := table.class(size); got != want {
			t.Fatalf("%d bytes go to class %d, want %d", size, got, want)
		}
	}
	for _, size := range []int{last + 1, last + table.align, 1 << 30} {
		if got := table.class(size); got != 0 {
			t.Fatalf("%d bytes go to class %d, want none", size, got)
		}
	}
}

func TestClassSizesGiven(t *testing.T) {
	c, err := testConfig(func(c *Config) { c.ClassSizes = []int{100, 200, 1000} }).resolved()
	if err != nil {
		t.Fatal(err)
	}
	table := newClassTable(&c, 8)
	if got := fmt.Sprint(table.size[1 : table.n+1]); got != "[104 200 1000 524288]" {
		t.Fatal(got)
	}
}

// A small factor must not leave one huge step before the last class.
func TestClassNoGap(t *testing.T) {
	for _, f := range []float64{1.01, 1.05, 1.08, 1.1, 1.25} {
		c, err := testConfig(func(c *Config) { c.GrowthFactor = f }).resolved()
		if err != nil {
			t.Fatal(err)
		}
		table := newClassTable(&c, 8)
		for i := 2; i <= table.n; i++ {
			if ratio := float64(table.size[i]) / float64(table.size[i-1]); ratio > 1.7 {
				t.Errorf("factor %v: class %d is %.2f times the one before (%d of %d)", f, i, ratio, table.size[i], table.n)
			}
		}
	}
}

// Steps of the default table waste no page end beyond one alignment a chunk.
func TestClassPageEnds(t *testing.T) {
	c, err := DefaultConfig().resolved()
	if err != nil {
		t.Fatal(err)
	}
	table := newClassTable(&c, 8)
	for i := 1; i <= table.n; i++ {
		if left := uint32(c.PageBytes) - table.size[i]*table.perPage[i]; left >= 8*table.perPage[i] {
			t.Errorf("class %d of %d bytes leaves %d bytes of a page", i, table.size[i], left)
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, tc := range []struct {
		want   string
		change func(*Config)
	}{
		{"less than 1024", func(c *Config) { c.ItemSizeMax = 1000 }},
		{"gigabyte", func(c *Config) { c.ItemSizeMax = 1<<30 + 1; c.LimitBytes = 8 << 30 }},
		{"1/2 of memory max", func(c *Config) { c.LimitBytes = 1 << 20 }},
		{"1/2 of memory max", func(c *Config) { c.LimitBytes = 0 }},
		{"1/2 of memory max", func(c *Config) { c.LimitBytes = -1 << 40 }},
		{"memory limit cannot be higher", func(c *Config) { c.LimitBytes = 1 << 50 }},
		{"power of two", func(c *Config) { c.PageBytes = 3 << 18 }},
		{"power of two", func(c *Config) { c.PageBytes = -1 }},
		{"power of two", func(c *Config) { c.PageBytes = 1024 }},
		{"cannot be larger than -I", func(c *Config) { c.ChunkMax = 2 << 20 }},
		{"cannot be larger than a page", func(c *Config) { c.ChunkMax, c.ItemSizeMax = 2<<20, 4<<20 }},
		{"cannot be less than 512", func(c *Config) { c.ChunkMax = 100 }},
		{"factor must be greater than 1", func(c *Config) { c.GrowthFactor = 1 }},
		{"factor must be greater than 1", func(c *Config) { c.GrowthFactor = -2 }},
		{"chunk size must be greater than 0", func(c *Config) { c.MinItemSpace = 0 }},
		{"cannot be larger than slab_chunk_max", func(c *Config) { c.MinItemSpace = 1 << 20 }},
		{"hash power", func(c *Config) { c.HashPower = 40 }},
		{"slab_sizes", func(c *Config) { c.ClassSizes = []int{200, 100} }},
		{"slab_sizes", func(c *Config) { c.ClassSizes = []int{100, 104} }},
		{"slab_sizes", func(c *Config) { c.ClassSizes = []int{8} }},
		{"slab_sizes", func(c *Config) { c.ClassSizes = []int{1 << 20} }},
		{"slab_sizes", func(c *Config) { c.ClassSizes = make([]int, 64) }},
		{"exceed 80", func(c *Config) { c.HotPct, c.WarmPct = 41, 40 }},
		{"at least 1", func(c *Config) { c.HotPct = 0 }},
		{"greater than 0", func(c *Config) { c.WarmMaxFactor = 0 }},
		{"slab_automove must", func(c *Config) { c.Automove = 3 }},
		{"slab_automove_ratio", func(c *Config) { c.AutomoveRatio = 1.5 }},
		{"window", func(c *Config) { c.AutomoveWindow = 2 }},
		{"one second", func(c *Config) { c.CrawlerSleepMicros = 1_000_001 }},
	} {
		_, err := testConfig(tc.change).resolved()
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got error %v, want one with %q", err, tc.want)
		}
	}
}

// TestPageFollowsLimit: a small store has small pages, so that every class gets
// several, and chunks no larger than them.
func TestPageFollowsLimit(t *testing.T) {
	for _, tc := range []struct{ limitMB, chunkMax, page, chunk int }{
		{2, 512 << 10, 32 << 10, 32 << 10},
		{8, 512 << 10, 32 << 10, 32 << 10},
		{16, 512 << 10, 64 << 10, 64 << 10},
		{32, 512 << 10, 128 << 10, 128 << 10},
		{64, 512 << 10, 256 << 10, 256 << 10},
		{64, 64 << 10, 256 << 10, 64 << 10},
		{128, 512 << 10, 512 << 10, 512 << 10},
		{256, 512 << 10, 1 << 20, 512 << 10},
		{65536, 512 << 10, 1 << 20, 512 << 10},
	} {
		c := DefaultConfig()
		c.LimitBytes, c.ChunkMax = int64(tc.limitMB)<<20, tc.chunkMax
		c, err := c.resolved()
		if err != nil || c.PageBytes != tc.page || c.ChunkMax != tc.chunk {
			t.Errorf("%+v: page %d, chunk %d, %v", tc, c.PageBytes, c.ChunkMax, err)
		}
	}
}

func TestConfigResolves(t *testing.T) {
	c, err := testConfig(func(c *Config) { c.ItemSizeMax = 4096; c.PageBytes = 0; c.Maintainer = false }).resolved()
	if err != nil {
		t.Fatal(err)
	}
	if c.PageBytes != 1<<18 || c.ChunkMax != 4096 || c.Segmented {
		t.Fatalf("%+v", c)
	}
}

func BenchmarkClass(b *testing.B) {
	c, err := DefaultConfig().resolved()
	if err != nil {
		b.Fatal(err)
	}
	table := newClassTable(&c, 8)
	sum := 0
	for i := range b.N {
		sum += int(table.class(100 + i&1023))
	}
	_ = sum
}
