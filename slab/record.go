package slab

// Record is an item as it is kept outside the store, in a file for example.
// Times are seconds of the store's clock (Store.Now), which a restarted process
// continues.
type Record struct {
	// Key and Value are the item's. In a Record that Item.Record filled they
	// alias item memory, and Value is nil if the item is Chunked: use AppendValue.
	Key, Value []byte
	Flags      uint32 // the client's
	Exptime    uint32 // 0 is never
	LastAccess uint32
	// Ver is the item's version: of two records of a key the higher is the later.
	Ver uint64
	// CAS is the compare value that a client has set, 0 if Ver serves as one.
	CAS   uint64
	Marks Marks
}

// Marks are the bits of a Record.
type Marks uint8

// The marks. Their values are part of file formats.
const (
	MarkBinary  Marks = 1 << iota // the key came in base64
	MarkFetched                   // has been read
	MarkStale                     // has been invalidated
	MarkToken                     // a get has been told to recache
	MarkActive                    // was read since eviction last looked at it
	MarkWarm                      // is on the warm list
	MarksAll    Marks = 1<<iota - 1
)

// Record fills r with the item.
func (i Item) Record(r *Record) {
	state, word := i.h.loadState(), i.h.loadWord()
	*r = Record{
		Key: i.h.key(), Flags: i.h.clientFlags(state), Exptime: i.h.exptime(state),
		LastAccess: i.LastAccess(), Ver: word >> wordVerShift, CAS: i.h.ownCASValue(state),
	}
	if !i.h.chained(state) {
		r.Value = i.h.inline(i.h.valueLen())
	}
	for _, m := range [...]struct {
		mark Marks
		is   bool
	}{
		{MarkBinary, state&factBinary != 0},
		{MarkFetched, word&markFetched != 0},
		{MarkStale, word&markStale != 0},
		{MarkToken, word&markToken != 0},
		{MarkActive, word&markActive != 0},
		{MarkWarm, wordList(word) == Warm},
	} {
		if m.is {
			r.Marks |= m.mark
		}
	}
}

// Ver returns the item's version, which only grows for a key.
func (i Item) Ver() uint64 { return i.h.ver() }
