// Command benchmarks measures Holdfast beside its rivals on one machine.
//
// It starts each server in turn, pinned to one core, loads it over loopback
// from another, and reads the CPU time that the kernel charged to the server's
// process. CPU per operation is what a cache costs; unlike throughput it hardly
// changes when the load generator or a neighbour slows down. Rounds of the
// servers are interleaved, so that a slow minute of the machine hits all of
// them, and medians are compared as ratios Holdfast / rival.
//
//	core 1: load.go  50 connections ──loopback──▶ core 0: the server under test
//	          │ latencies (HdrHistogram)             │ /proc/PID/task/*/schedstat, statm
//	          └────────▶ report.go ◀─────────────────┘
//	                        └──▶ results/DATE.md, results/FAMILY.svg
//
// The table of what is measured is table.go: each entry names a stage (flags of
// the server and what is stored in it) and a function that takes one figure.
// A new measure is a new entry.
//
//   - load.go is a closed loop: a connection sends when it has its replies. It
//     finds out what a server can do, and what an operation costs.
//   - schedule.go is an open loop: requests are due at times fixed beforehand,
//     and latency counts from then. It finds out how long clients wait.
//   - wire.go has the protocols; a rival without one of memcached's commands
//     has a gap in that line.
//   - growth.go is a run of its own, "growth": the hit ratio seen through a proxy
//     while a fifth node is added to four.
//   - proxy.go starts a proxy before three plain servers, for a table of its own.
//   - persist.go and its neighbours start servers of their own that keep items,
//     and end them in all ways: how long keeping and coming back takes, and what
//     it costs meanwhile.
//   - check.go runs memtier_benchmark in the generator's place: the ratio of two
//     servers must be the same with both.
//
// # Invariants
//
//  1. A figure is taken of all targets in each round before the next begins, on
//     servers that were started and filled alike.
//  2. The generator never waits for one reply before it looks at another
//     connection, and in an open loop no reply delays a request.
//  3. Every reply is parsed, but for the inside of values that are too large to
//     copy; a refused request leaves a gap, and fails the run if it is Holdfast
//     or the first rival that refuses. Where more is stored than fits, a server
//     may be out of memory for some of it.
//  4. With one server thread the generator has cores of its own.
//
// Non-goals: absolute figures. They differ from machine to machine; the ratio
// of one run is what is kept.
package main
