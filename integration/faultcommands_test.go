package integration

import (
	"fmt"
	"strings"
)

// faultKeys are the keys that one cell of the matrix uses, and what is stored
// under them.
type faultKeys struct {
	good, bad []string // by the backend that owns them
	size      int      // of values, 0 for short ones
}

// value is the only value there ever is under key, before a write.
func (k *faultKeys) value(key string) string { return k.long("value of " + key + ". ") }

// written is what a write puts there.
func (k *faultKeys) written(key string) string { return k.long("written to " + key + ". ") }

// long repeats text up to the size of the cell's values.
func (k *faultKeys) long(text string) string {
	if k.size == 0 {
		return text
	}
	return strings.Repeat(text, k.size/len(text)+1)[:k.size]
}

// stored pairs keys with their values.
func (k *faultKeys) stored(keys ...string) []KeyValue {
	var kvs []KeyValue
	for _, key := range keys {
		kvs = append(kvs, KeyValue{key, k.value(key)})
	}
	return kvs
}

// get asks for the value of one key.
func (k *faultKeys) get(key string) Ask {
	return Ask{Text: "get " + key + "\r\n", Values: k.stored(key)}
}

// casOfSeeds is the cas id of everything that is stored beforehand.
const casOfSeeds = 77

// faultCommand is one command class of the matrix: what is asked of the first bad
// key.
type faultCommand struct {
	name   string
	class  string // column of the table
	kinds  ReplyKind
	reads  bool // may be sent to the backend again
	number bool // the value must be a number: numberSeed
	ask    func(k *faultKeys, key string) Ask
}

const numberSeed = "41"

// classic makes a command whose reply is one line.
func classic(reply, format string) func(k *faultKeys, key string) Ask {
	return func(k *faultKeys, key string) Ask {
		a := Ask{Text: expandAsk(k, key, format)}
		if reply != "" {
			a.Lines = []string{reply}
		}
		if strings.HasSuffix(format, "mn\r\n") {
			a.Noop = true
		}
		if len(reply) > 2 && reply[2] == ' ' { // a meta reply
			a.Lines[0] = expandAsk(k, key, reply)
		}
		return a
	}
}

// expandAsk fills in KEY, SIZE and VALUE, the value to write and its length.
func expandAsk(k *faultKeys, key, format string) string {
	value := k.written(key)
	return strings.NewReplacer("KEY", key, "SIZE", fmt.Sprint(len(value)), "VALUE", value).Replace(format)
}

// faultCommands are the columns of the matrix.
var faultCommands = []*faultCommand{
	{name: "get", class: "get", kinds: ValueReply, reads: true, ask: (*faultKeys).get},
	{name: "gets", class: "get", kinds: ValueReply, reads: true, ask: func(k *faultKeys, key string) Ask {
		return Ask{Text: "gets " + key + "\r\n", Values: k.stored(key), CAS: true}
	}},
	{name: "gat", class: "get", kinds: ValueReply, reads: true, ask: func(k *faultKeys, key string) Ask {
		return Ask{Text: "gat 0 " + key + "\r\n", Values: k.stored(key)}
	}},
	{name: "multiget", class: "multiget", kinds: ValueReply, reads: true, ask: func(k *faultKeys, key string) Ask {
		keys := []string{k.good[0], key, k.good[1], k.bad[1]}
		return Ask{Text: "get " + strings.Join(keys, " ") + "\r\n", Values: k.stored(keys...)}
	}},
	{name: "set", class: "write", kinds: LineReply | StoreReply, ask: classic("STORED", "set KEY 0 0 SIZE\r\nVALUE\r\n")},
	{name: "append", class: "write", kinds: LineReply | StoreReply, ask: classic("STORED", "append KEY 0 0 SIZE\r\nVALUE\r\n")},
	{name: "cas", class: "write", kinds: LineReply | StoreReply, ask: classic("STORED", "cas KEY 0 0 SIZE 77\r\nVALUE\r\n")},
	{name: "incr", class: "write", kinds: LineReply, number: true, ask: classic("42", "incr KEY 1\r\n")},
	{name: "touch", class: "write", kinds: LineReply, ask: classic("TOUCHED", "touch KEY 0\r\n")},
	{name: "delete", class: "write", kinds: LineReply, ask: classic("DELETED", "delete KEY\r\n")},
	{name: "set noreply", class: "noreply", kinds: LineReply | StoreReply, ask: classic("", "set KEY 0 0 SIZE noreply\r\nVALUE\r\n")},
	{name: "incr noreply", class: "noreply", kinds: LineReply, number: true, ask: classic("", "incr KEY 1 noreply\r\n")},
	{name: "delete noreply", class: "noreply", kinds: LineReply, ask: classic("", "delete KEY noreply\r\n")},
	{name: "mg", class: "meta", kinds: MetaReply | MetaKeyReply | MetaValueReply, reads: true, ask: func(k *faultKeys, key string) Ask {
		value := k.value(key)
		return Ask{Text: "mg " + key + " k v O7\r\n", Lines: []string{fmt.Sprintf("VA %d k%s O7", len(value), key), value}, Miss: "EN k" + key + " O7"}
	}},
	{name: "ms", class: "meta", kinds: MetaReply | MetaKeyReply | StoreReply, ask: classic("HD kKEY O7", "ms KEY SIZE k O7\r\nVALUE\r\n")},
	{name: "md", class: "meta", kinds: MetaReply | MetaKeyReply, ask: classic("HD kKEY O7", "md KEY k O7\r\n")},
	{name: "ma", class: "meta", kinds: MetaReply | MetaKeyReply | MetaValueReply, number: true, ask: func(_ *faultKeys, key string) Ask {
		return Ask{Text: "ma " + key + " k v O7\r\n", Lines: []string{"VA 2 k" + key + " O7", "42"}}
	}},
	{name: "mg q", class: "quiet", kinds: MetaReply | MetaKeyReply | MetaValueReply, reads: true, ask: func(k *faultKeys, key string) Ask {
		value := k.value(key)
		return Ask{Text: "mg " + key + " k v q\r\nmn\r\n", Lines: []string{fmt.Sprintf("VA %d k%s", len(value), key), value}, Noop: true}
	}},
	{name: "ms q", class: "quiet", kinds: MetaReply | StoreReply, ask: classic("", "ms KEY SIZE q\r\nVALUE\r\nmn\r\n")},
	{name: "md q", class: "quiet", kinds: MetaReply, ask: classic("", "md KEY q\r\nmn\r\n")},
	{name: "ma q", class: "quiet", kinds: MetaReply, number: true, ask: classic("", "ma KEY q\r\nmn\r\n")},
}
