package main

import "slices"

// The states that servers are measured in. Memory is given so that everything
// fits, except where filling it up is the point.
var (
	smallStage = &Stage{Name: "10 k items", Threads: 1, Memory: 1024, Prepare: fill(10_000, 100)}
	stage4M    = &Stage{Name: "4 M items", Threads: 1, Memory: 4096, Prepare: fill(4_000_000, 100)}
	stage8M    = &Stage{Name: "8 M items", Threads: 1, Memory: 4096, Prepare: fill(8_000_000, 100)}
	stage100K  = &Stage{Name: "100 KB values", Threads: 1, Memory: 1024, Prepare: fill(1000, 100_000)}
	stage1M    = &Stage{Name: "1 MB values", Threads: 1, Memory: 1024, Prepare: fill(100, 1_000_000)}
	bothCores  = &Stage{Name: "two threads", Threads: 2, Memory: 1024, Prepare: fill(10_000, 100)}
	full128    = &Stage{Name: "-m 128", Threads: 1, Memory: 128}
	full128p   = &Stage{Name: "-m 128, production sizes", Threads: 1, Memory: 128}
	full1024   = &Stage{Name: "-m 1024", Threads: 1, Memory: 1024}
	bulkStage  = &Stage{Name: "100 clients, 1 MB each", Threads: 1, Memory: bulkMemory}
	idleStage  = &Stage{Name: "idle connections", Threads: 1, Memory: 64, Prepare: fill(1000, 100)}
	expiry     = &Stage{Name: "expiry", Threads: 1, Memory: 4096, Prepare: fill(expiryLive, 100)}
)

// The loads that several measures share.
var (
	gets     = Load{Conns: 50, Pipeline: 1, KeysPerGet: 1, Items: 10_000, ValueBytes: 100}
	sets     = Load{Conns: 50, Pipeline: 1, SetPercent: 100, Items: 10_000, ValueBytes: 100}
	mixed    = Load{Conns: 50, Pipeline: 16, SetPercent: 10, KeysPerGet: 1, Items: 10_000, ValueBytes: 100}
	multiget = Load{Conns: 50, Pipeline: 1, KeysPerGet: 50, Items: 10_000, ValueBytes: 100}
	metaGets = Load{Conns: 50, Pipeline: 50, KeysPerGet: 1, Meta: true, Items: 10_000, ValueBytes: 100}
	large    = Load{Conns: 50, Pipeline: 1, KeysPerGet: 1, Items: 1000, ValueBytes: 100_000}
	huge     = Load{Conns: 20, Pipeline: 1, KeysPerGet: 1, Items: 100, ValueBytes: 1_000_000}
)

// Measures is the table of what is measured and where Holdfast must stand
// beside memcached with the same flags.
func Measures(o Options) ([]Measure, error) {
	hits, err := hitRatios(o)
	return append([]Measure{
		{Family: "cpu", Name: "get, 50 connections", Unit: "µs/op", Bar: 1, Aim: 0.9, Short: true, Stage: smallStage, Func: cpu(gets)},
		{Family: "cpu", Name: "set, 50 connections", Unit: "µs/op", Bar: 1, Aim: 0.9, Short: true, Stage: smallStage, Func: cpu(sets)},
		{Family: "cpu", Name: "pipeline 16, 10 % sets", Unit: "µs/op", Bar: 0.85, Aim: 0.7, Short: true, Stage: smallStage, Func: cpu(mixed)},
		{Family: "cpu", Name: "multiget 50, 10 k items", Unit: "µs/key", Bar: 0.8, Aim: 0.6, Short: true, Stage: smallStage, Func: cpu(multiget)},
		{Family: "latency", Name: "p99.9 at half load, open loop", Unit: "µs", Bar: 1.1, Aim: 0.9, Stage: smallStage, Func: tailAtHalfLoad(gets, 99.9)},
		{Family: "cpu", Name: "get at half load", Unit: "µs/op", Stage: smallStage, Func: cpuAtHalfLoad},

		{Family: "large sets", Name: "multiget 50, 4 M items", Unit: "µs/key", Bar: 0.35, Aim: 0.2, Stage: stage4M, Func: cpu(over(multiget, 4_000_000))},
		{Family: "large sets", Name: "50 × mg k v, 4 M items", Unit: "µs/key", Bar: 0.35, Aim: 0.2, Meta: true, Stage: stage4M, Func: cpu(over(metaGets, 4_000_000))},
		{Family: "stalls", Name: "worst while 8 M items are loaded", Unit: "µs", Stage: stage8M, Func: worstOfFill},
		{Family: "large sets", Name: "multiget 50, 8 M items", Unit: "µs/key", Bar: 0.35, Aim: 0.2, Stage: stage8M, Func: cpu(over(multiget, 8_000_000))},

		{Family: "throughput", Name: "get 100 KB", Unit: "op/s", Higher: true, Bar: 1, Aim: 1.3, Stage: stage100K, Func: rate(large)},
		{Family: "throughput", Name: "set 100 KB", Unit: "op/s", Higher: true, Bar: 1, Aim: 1.3, Stage: stage100K, Func: rate(onlySets(large))},
		{Family: "cpu", Name: "get 100 KB, CPU", Unit: "µs/op", Stage: stage100K, Func: cpu(large)},
		{Family: "cpu", Name: "set 100 KB, CPU", Unit: "µs/op", Stage: stage100K, Func: cpu(onlySets(large))},
		{Family: "throughput", Name: "get 1 MB", Unit: "op/s", Higher: true, Bar: 1, Aim: 1.3, Stage: stage1M, Func: rate(huge)},
		{Family: "throughput", Name: "set 1 MB", Unit: "op/s", Higher: true, Bar: 1, Aim: 1.3, Stage: stage1M, Func: rate(onlySets(huge))},
		{Family: "cpu", Name: "get 1 MB, CPU", Unit: "µs/op", Stage: stage1M, Func: cpu(huge)},
		{Family: "cpu", Name: "set 1 MB, CPU", Unit: "µs/op", Stage: stage1M, Func: cpu(onlySets(huge))},
		{Family: "throughput", Name: "-t 2 on all cores, 10 % sets", Unit: "op/s", Higher: true, Bar: 1, Aim: 1.1, Stage: bothCores, Func: rate(twoThreads())},

		{Family: "items", Name: "items at -m 128, 16 B keys, 32 B values", Unit: "items", Higher: true, Bar: 1.4, Aim: 1.6, Stage: full128, Func: itemsOfSmall},
		{Family: "items", Name: "items at -m 128, production sizes", Unit: "items", Higher: true, Bar: 1.1, Aim: 1.2, Stage: full128p, Func: itemsOfProduction},
		{Family: "memory", Name: "RSS at -m 1024, full", Unit: "MiB", Rule: Absolute, Bar: 1.05*1024 + 24, Stage: full1024, Func: residentWhenFull},
		{Family: "memory", Name: "RSS at -m 64, 100 clients storing 1 MB each", Unit: "MiB", Rule: Absolute, Bar: 1.05*bulkMemory + 24, Stage: bulkStage, Func: residentUnderBulk},
		{Family: "memory", Name: "idle connection, of 5,000", Unit: "B", Rule: Absolute, Bar: 1024, Aim: 300, Stage: idleStage, Func: idleConnections},

		{Family: "stalls", Name: "worst while 4 M items expire at once", Unit: "µs", Stage: expiry, Func: worstOfExpiry},
		{Family: "stalls", Name: "items left 4 s after 4 M of them expired", Unit: "items", Rule: Absolute, Bar: expiryLive, Stage: expiry, Func: leftAfterExpiry},
	}, slices.Concat(shiftMeasures(), hits, persistMeasures())...), err
}

// fill prepares a stage with so many items of one value length.
func fill(items, valueBytes int) func(*Session) error {
	return func(s *Session) error {
		return s.Fill(&sequence{valueBytes: valueBytes}, s.items(items))
	}
}

// over is l with its keys drawn from that many items.
func over(l Load, items int) Load {
	l.Items = items
	return l
}

func onlySets(l Load) Load {
	l.SetPercent = 100
	return l
}

// twoThreads is the load of a server with two threads. Its generator has two
// as well: one would be the bottleneck.
func twoThreads() Load {
	l := gets
	l.SetPercent, l.Threads = 10, 2
	return l
}
