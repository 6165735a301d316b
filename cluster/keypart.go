package cluster

import (
	"bytes"
	"fmt"
)

// KeyPart says which part of a key counts for its placement, so that keys which
// share it stay together. The zero KeyPart is the whole key. Prefix is cut off
// first; of Tag and Stop one can be set.
type KeyPart struct {
	// Prefix is left out where a key begins with it: what clients put before the
	// key after they have hashed it (NAMESPACE of libmemcached, key_prefix of
	// pymemcache).
	Prefix string
	// Tag is two characters. What stands between the first of the one and the next
	// of the other counts alone, as in twemproxy and Redis: "{}" makes of
	// user:{42}:name and user:{42}:mail two keys of one server.
	Tag string
	// EmptyTag lets nothing count where nothing stands between the two, as
	// memcached's proxy does; without it the whole key counts there.
	EmptyTag bool
	// Stop ends the part that counts: "|#|" in mcrouter and memcached's proxy.
	Stop string
}

// check says what is wrong with k, naming the field of the config file.
func (k KeyPart) check() (field string, err error) {
	switch {
	case k.Tag != "" && len(k.Tag) != 2:
		return "hash_tag", fmt.Errorf("a tag is two characters, {} for example, not %q", k.Tag)
	case k.EmptyTag && k.Tag == "":
		return "hash_tag_empty", fmt.Errorf("there is no hash_tag that could be empty")
	case k.Tag != "" && k.Stop != "":
		return "hash_stop", fmt.Errorf("hash_tag and hash_stop exclude each other")
	}
	return "", nil
}

// Of returns the part of key that counts, a piece of key itself.
func (k *KeyPart) Of(key []byte) []byte {
	if k.Prefix != "" && len(key) > len(k.Prefix) && string(key[:len(k.Prefix)]) == k.Prefix {
		key = key[len(k.Prefix):]
	}
	if len(k.Tag) == 2 {
		return k.tagged(key)
	}
	if k.Stop != "" {
		if i := indexString(key, k.Stop); i >= 0 {
			return key[:i]
		}
	}
	return key
}

func (k *KeyPart) tagged(key []byte) []byte {
	i := bytes.IndexByte(key, k.Tag[0])
	if i < 0 {
		return key
	}
	n := bytes.IndexByte(key[i+1:], k.Tag[1])
	if n < 0 || n == 0 && !k.EmptyTag {
		return key
	}
	return key[i+1 : i+1+n]
}

// indexString is bytes.Index for a string to be found, without a copy of it.
func indexString(b []byte, s string) int {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], s[0])
		if i < 0 || from+i+len(s) > len(b) {
			return -1
		}
		if from += i; string(b[from:from+len(s)]) == s {
			return from
		}
		from++
	}
}
