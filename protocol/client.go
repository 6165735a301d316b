package protocol

// The client's side: requests as bytes. Keys and words are taken as they are;
// who passes a key with a space in it, or a longer one than KeyLenMax, gets a
// broken request. KeyOK tells.

// KeyOK says whether key can stand in a command line: 1 to KeyLenMax bytes, no
// space and no control character. Servers take more; this is what clients agree on.
func KeyOK(key []byte) bool {
	if len(key) == 0 || len(key) > KeyLenMax {
		return false
	}
	for _, c := range key {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// opNames are the words that requests are written with.
var opNames = [NumOps]string{
	OpGet:           "get",
	OpGets:          "gets",
	OpGat:           "gat",
	OpGats:          "gats",
	OpSet:           "set",
	OpAdd:           "add",
	OpReplace:       "replace",
	OpAppend:        "append",
	OpPrepend:       "prepend",
	OpCas:           "cas",
	OpDelete:        "delete",
	OpIncr:          "incr",
	OpDecr:          "decr",
	OpTouch:         "touch",
	OpMetaNoop:      "mn",
	OpMetaGet:       "mg",
	OpMetaSet:       "ms",
	OpMetaDelete:    "md",
	OpMetaArith:     "ma",
	OpMetaDebug:     "me",
	OpFlushAll:      "flush_all",
	OpVersion:       "version",
	OpVerbosity:     "verbosity",
	OpQuit:          "quit",
	OpShutdown:      "shutdown",
	OpCacheMemlimit: "cache_memlimit",
	OpSlabs:         "slabs",
	OpLRU:           "lru",
	OpLRUCrawler:    "lru_crawler",
	OpSnapshot:      "snapshot",
	OpConfig:        "config",
	OpStats:         "stats",
	OpWatch:         "watch",
	OpDebugTime:     "debugtime",
}

// String is the command's name, empty for those that are no command.
func (op Op) String() string {
	if op >= NumOps {
		return ""
	}
	return opNames[op]
}

// AppendGet appends a get or gets of keys, at least one.
func AppendGet(dst []byte, op Op, keys ...[]byte) []byte {
	dst = append(dst, opNames[op]...)
	return appendKeys(dst, keys)
}

// AppendGat appends a gat or gats of keys, at least one.
func AppendGat(dst []byte, op Op, exptime int64, keys ...[]byte) []byte {
	dst = append(dst, opNames[op]...)
	dst = append(dst, ' ')
	dst = AppendInt(dst, exptime)
	return appendKeys(dst, keys)
}

func appendKeys(dst []byte, keys [][]byte) []byte {
	for _, key := range keys {
		dst = append(dst, ' ')
		dst = append(dst, key...)
	}
	return append(dst, CRLF...)
}

// AppendStore appends a set, add, replace, append or prepend with its data block.
func AppendStore(dst []byte, op Op, key []byte, flags uint32, exptime int64, value []byte, noReply bool) []byte {
	dst = appendStore(dst, op, key, flags, exptime, len(value))
	return appendBlock(dst, value, noReply)
}

// AppendCas appends a cas with its data block.
func AppendCas(dst, key []byte, flags uint32, exptime int64, cas uint64, value []byte, noReply bool) []byte {
	dst = appendStore(dst, OpCas, key, flags, exptime, len(value))
	dst = append(dst, ' ')
	dst = AppendUint(dst, cas)
	return appendBlock(dst, value, noReply)
}

func appendStore(dst []byte, op Op, key []byte, flags uint32, exptime int64, size int) []byte {
	dst = appendKeyed(dst, op, key)
	dst = append(dst, ' ')
	dst = AppendUint(dst, uint64(flags))
	dst = append(dst, ' ')
	dst = AppendInt(dst, exptime)
	dst = append(dst, ' ')
	return AppendUint(dst, uint64(size))
}

func appendBlock(dst, value []byte, noReply bool) []byte {
	dst = appendEnd(dst, noReply)
	dst = append(dst, value...)
	return append(dst, CRLF...)
}

func appendKeyed(dst []byte, op Op, key []byte) []byte {
	dst = append(dst, opNames[op]...)
	dst = append(dst, ' ')
	return append(dst, key...)
}

func appendEnd(dst []byte, noReply bool) []byte {
	if noReply {
		dst = append(dst, " noreply"...)
	}
	return append(dst, CRLF...)
}

// AppendDelete appends a delete.
func AppendDelete(dst, key []byte, noReply bool) []byte {
	dst = appendKeyed(dst, OpDelete, key)
	if !noReply && string(key) == "noreply" {
		dst = append(dst, " 0"...) // or the key would be taken for the word, too
	}
	return appendEnd(dst, noReply)
}

// AppendArith appends an incr or decr.
func AppendArith(dst []byte, op Op, key []byte, delta uint64, noReply bool) []byte {
	dst = appendKeyed(dst, op, key)
	dst = append(dst, ' ')
	return appendEnd(AppendUint(dst, delta), noReply)
}

// AppendTouch appends a touch.
func AppendTouch(dst, key []byte, exptime int64, noReply bool) []byte {
	dst = appendKeyed(dst, OpTouch, key)
	dst = append(dst, ' ')
	return appendEnd(AppendInt(dst, exptime), noReply)
}

// AppendMeta appends an mg, md, ma or me. flags are words with spaces between
// them, or empty.
func AppendMeta(dst []byte, op Op, key []byte, flags string) []byte {
	return appendFlags(appendKeyed(dst, op, key), flags)
}

// AppendMetaSet appends an ms with its data block.
func AppendMetaSet(dst, key, value []byte, flags string) []byte {
	dst = appendKeyed(dst, OpMetaSet, key)
	dst = append(dst, ' ')
	dst = AppendUint(dst, uint64(len(value)))
	dst = appendFlags(dst, flags)
	dst = append(dst, value...)
	return append(dst, CRLF...)
}

func appendFlags(dst []byte, flags string) []byte {
	if flags != "" {
		dst = append(dst, ' ')
		dst = append(dst, flags...)
	}
	return append(dst, CRLF...)
}

// AppendCommand appends a command of words only: stats, version, mn, flush_all, …
func AppendCommand(dst []byte, op Op, args ...string) []byte {
	dst = append(dst, opNames[op]...)
	for _, arg := range args {
		dst = append(dst, ' ')
		dst = append(dst, arg...)
	}
	return append(dst, CRLF...)
}
