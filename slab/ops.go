package slab

// Result is how an operation ended. A miss is a Result, not an error.
type Result uint8

// The results.
const (
	Miss Result = iota // no such item
	Hit                // found (get), deleted, touched, counted
	Stored
	NotStored  // add on an item, replace or append on none
	Exists     // the compare value did not match
	NotFound   // cas on a missing item
	TooLarge   // longer than Config.ItemSizeMax
	NoMemory   // nothing could be evicted
	NonNumeric // incr or decr of something that is not a number
)

// Mode is how a set treats what is there.
type Mode uint8

// The modes.
const (
	ModeSet Mode = iota
	ModeAdd
	ModeReplace
	ModeAppend
	ModePrepend
)

// Key is a key with its hash, made by Store.Key. Bytes belong to the caller and
// are only read during a call.
type Key struct {
	Bytes []byte
	Hash  uint64
}

// All expiry times here are in seconds of the store's clock (Store.Now); 0 is
// never. A time not after now is expired.

// SetOp is how to store a value.
type SetOp struct {
	Mode    Mode
	Flags   uint32 // client flags; append and prepend keep the stored ones
	Exptime uint32
	// Compare stores only if the item's CAS equals CAS: otherwise Exists, or
	// NotFound where there is none (append and prepend: NotStored).
	Compare bool
	CAS     uint64
	// NewCAS becomes the item's CAS if not 0.
	NewCAS uint64
	// Invalidate, with Compare: a CAS lower than the item's stores all the
	// same, keeps the item's exptime and marks the new item stale.
	Invalidate bool
	// Vivify makes append and prepend store a missing item, with VivifyExptime.
	Vivify        bool
	VivifyExptime uint32
	// Binary marks the key as one that came in base64.
	Binary bool
	// DropOnFail deletes the present item if the value is too large or no
	// memory can be had (classic set; every meta set).
	DropOnFail bool
}

// SetResult is how a set ended. CAS is the new item's, 0 if none was stored.
// ValueLen is the final length of the value (after append), in bytes.
type SetResult struct {
	Result   Result
	CAS      uint64
	ValueLen int
	Class    uint8 // class id for log lines, 0 if unknown
}

// GetOp is how to read an item.
type GetOp struct {
	// Touch gives a found item the expiry Exptime.
	Touch   bool
	Exptime uint32
	// NoBump leaves the item's recency and hit mark alone (meta flag u).
	NoBump bool
	// Peek leaves the counters alone as well: a look of the server's own, not a
	// client's get.
	Peek bool
	// Meta reads the stale and token marks and may win the token.
	Meta bool
	// Recache wins the token if the item's remaining life is below RecacheTTL seconds.
	Recache    bool
	RecacheTTL uint32
	// RecacheFirst judges the life that the item had before Touch.
	RecacheFirst bool
	// Vivify makes an empty item on a miss, with VivifyExptime and, if not 0, VivifyCAS.
	Vivify        bool
	VivifyExptime uint32
	VivifyCAS     uint64
	// Binary marks the key of a vivified item as one that came in base64.
	Binary bool
}

// View is an item as one get sees it, valid only inside the visit. The fields
// tell the state before this access.
type View struct {
	Item
	// Fetched says that the item had been read before.
	Fetched bool
	// Idle is the seconds since the last access.
	Idle uint32
	// ExptimeBefore is the expiry before Touch.
	ExptimeBefore uint32
	// Created says that the get vivified the item.
	Created bool
	// Won says that this get is the one to recache; Stale, that the item has
	// been invalidated; TokenSent, that another get has won before.
	Won, Stale, TokenSent bool
}

// DeleteOp is how to delete (md).
type DeleteOp struct {
	Compare bool
	CAS     uint64
	// Invalidate keeps the item, marks it stale and forgets that a token was
	// sent. SetExptime and Exptime then apply too; so they do with DropValue.
	Invalidate bool
	SetExptime bool
	Exptime    uint32
	// DropValue keeps the item with an empty value and no client flags;
	// without SetExptime it never expires.
	DropValue bool
	// NewCAS becomes the item's CAS if not 0.
	NewCAS uint64
}

// ArithOp is how to count.
type ArithOp struct {
	Decrement bool
	Delta     uint64
	Compare   bool
	CAS       uint64
	NewCAS    uint64
	// SetExptime gives the item the expiry Exptime.
	SetExptime bool
	Exptime    uint32
	// Vivify stores Initial on a miss, with VivifyExptime.
	Vivify        bool
	VivifyExptime uint32
	Initial       uint64
	Binary        bool
}

// ArithResult is how counting ended: Hit, Stored (vivified), Miss, Exists, NonNumeric, NoMemory, NotStored.
type ArithResult struct {
	Result  Result
	Value   uint64
	CAS     uint64
	Exptime uint32
	// ExptimeBefore is the expiry before SetExptime, 0 for a vivified item.
	ExptimeBefore uint32
	Binary        bool // the item's key was stored as binary
	Class         uint8
}
