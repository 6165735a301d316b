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
//	                   │ latencies (HdrHistogram)            │ /proc/PID/task/*/schedstat
//	                   └──────────────▶ report.go ◀──────────┘
//
// Non-goals: absolute figures. They differ from machine to machine; the ratio
// of one run is what is kept.
package main
