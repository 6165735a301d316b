package protocol

// Op is what a request asks for. The classic and the meta dialect have ops of
// their own because their replies differ.
type Op uint8

// The operations. OpNone marks an empty Request; OpError one that could not be
// parsed (Request.Err says why); OpClose one after which the connection ends
// without a reply.
const (
	OpNone Op = iota
	OpError
	OpClose

	OpGet
	OpGets
	OpGat
	OpGats

	OpSet
	OpAdd
	OpReplace
	OpAppend
	OpPrepend
	OpCas
	OpDelete
	OpIncr
	OpDecr
	OpTouch

	OpMetaNoop
	OpMetaGet
	OpMetaSet
	OpMetaDelete
	OpMetaArith
	OpMetaDebug

	OpFlushAll
	OpVersion
	OpVerbosity
	OpQuit
	OpShutdown
	OpCacheMemlimit
	OpSlabs
	OpLRU
	OpLRUCrawler
	OpSnapshot
	OpConfig
	OpStats
	OpWatch
	OpDebugTime

	// OpBinary is the first byte of a connection that speaks the binary
	// protocol, which is not spoken here. It stands last in its batch; the
	// answer is AppendBinaryUnknown and the connection ends.
	OpBinary

	// NumOps is how many operations there are.
	NumOps
)

// Limits of the protocol.
const (
	// KeyLenMax is the longest key, in bytes.
	KeyLenMax = 250
	// OpaqueLenMax is the longest argument of the meta flag O, in bytes.
	OpaqueLenMax = 31
	// ValueLenMax is the longest data block a command line may announce, in bytes.
	ValueLenMax = 1<<31 - 3
	// LineLenMax is how many bytes may wait for a line end, in bytes.
	LineLenMax = 2048
	// ArgsMax is how many words of an administrative command are kept.
	ArgsMax = 23
	// BatchRequestsMax is how many requests one Batch holds.
	BatchRequestsMax = 64
	// BatchKeysMax is how many keys the requests of one Batch hold together.
	// A get of more keys is delivered in pieces (Request.More).
	BatchKeysMax = 64
)

// Request is one parsed command. Every byte slice in it aliases the buffer it
// was parsed from (or the Batch's scratch space) and is valid until that buffer
// changes or the Batch is reset.
type Request struct {
	Op Op
	// NoReply says that a classic command asked for silence, errors included.
	NoReply bool
	// More says that further pieces of the same multi-key get follow: the reply
	// must not end with END yet.
	More bool
	// Continued marks a piece that is not the first of its get. The last piece
	// may have no keys at all. On an OpError it says that the get has failed
	// after pieces of it were delivered.
	Continued bool
	// Streaming says that the data block is not in the buffer: the session must
	// feed ValueLen bytes and the line end to a Sink.
	Streaming bool
	// BadChunk says that the data block did not end in CRLF.
	BadChunk bool
	// Err is what is wrong with the request, nil unless Op is OpError.
	// For a streaming request it is nil.
	Err *Error
	// FailedOp is, for OpError, the command that failed, where it was known.
	// Keys holds its key then, where that could be read.
	FailedOp Op
	// Keys are the keys of the request: one, or for the get family up to
	// BatchKeysMax. Base64 keys are decoded.
	Keys [][]byte
	// Flags are the client flags to store.
	Flags uint32
	// Exptime is the expiry as the client wrote it: 0 never, negative at once,
	// up to 30 days relative seconds, beyond that a unix time.
	Exptime int64
	// CAS is the compare value of cas.
	CAS uint64
	// Delta is the operand of incr and decr.
	Delta uint64
	// ValueLen is the length of the data block in bytes.
	ValueLen int
	// Value is the data block without its line end; nil when Streaming. For
	// OpBinary it is the header of the packet.
	Value []byte
	// Args are the words after the command's name, of commands that take words
	// (flush_all, stats, lru, …), at most ArgsMax. A last word "noreply" is
	// taken off where the command knows it.
	Args [][]byte
	// Meta holds the flags of a meta command.
	Meta Meta
}

// Key is the only, or the first, key.
func (r *Request) Key() []byte { return r.Keys[0] }

// Meta is the flags of a meta command. TTLs are as the client wrote them, like
// Request.Exptime.
type Meta struct {
	// Order holds the flag letters in the order of the request, N of them.
	Order [MetaFlagsMax]byte
	N     uint8
	// Mode is the first character of M's argument, 0 if there was no M. For ms
	// and ma it is one that they know.
	Mode byte
	// Binary says that the key came as base64 (flag b).
	Binary bool
	// Quiet is flag q.
	Quiet bool
	seen  uint64
	// Opaque is the argument of O, without the letter; it may be empty.
	Opaque []byte
	// KeyText is the key as it stood on the line: base64 when Binary.
	KeyText []byte
	TTL     int64  // T
	Vivify  int64  // N
	Recache int64  // R
	CAS     uint64 // C
	NewCAS  uint64 // E
	Delta   uint64 // D, 1 if absent
	Initial uint64 // J
}

// MetaFlagsMax is how many flags a meta command may carry.
const MetaFlagsMax = 18

// Has says whether flag letter c was given.
func (m *Meta) Has(c byte) bool { return c >= 'A' && m.seen&(1<<(c-'A')) != 0 }

// Batch is what one pass of the Parser found: requests in order and all their
// keys, side by side, so that an executor can look them up together. It belongs
// to one event loop and is reused; the zero value is ready.
type Batch struct {
	// Requests are the parsed requests, in the order of the stream.
	Requests []Request
	// Keys are the keys of all Requests, in order.
	Keys [][]byte

	requests [BatchRequestsMax]Request
	keys     [BatchKeysMax][]byte
	args     [BatchRequestsMax + ArgsMax][]byte
	nargs    int
	scratch  [BatchKeysMax * KeyLenMax]byte
	nscratch int
	words    [wordsMax]span // the flags of the meta command being parsed
}
