// Package hotkeys finds the keys that are asked for most, in a few kilobytes and
// without looking at every request.
//
//	request ─▶ Sketch.Note ─ 63 of 64: counted down, nothing else
//	                └ 1 of 64 ─▶ one of Counters places: its own, or that of the
//	                             key with the least count, which it takes over
//
// The places are a Space-Saving summary (Metwally, Agrawal and El Abbadi,
// Efficient computation of frequent and top-k elements in data streams, 2005).
//
// # What always holds
//
//	T1  Of N samples, a key that came more than N/Counters times has a place.
//	T2  A key's Count is at least how often it was sampled, and at most Over more.
//	T3  Note allocates only if a sampled key is longer than any that its place has
//	    held before.
//
// Halve makes it forget: called once a minute, say, counts are those of the last
// minutes. T1 and T2 then hold of what was halved likewise, to within one.
//
// # Goroutines and locks
//
// None: each event loop has a Sketch of its own. Who wants them together calls Top of
// each, and adds up with Merge; a lock around Sample, Top and Halve is enough for
// that, and Due, which is all that most requests cost, needs none.
package hotkeys
