package discover

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/holdfast-cache/holdfast/cluster"
)

// A signed map, as members hand it on:
//
//	0   4 bytes   HFM1
//	4   32 bytes  HMAC-SHA256 of all that follows
//	36  8 bytes   epoch, big-endian
//	44  …         the config, as YAML
//
// The key comes from the cluster's secret and name, so that a map of one cluster
// means nothing to another.

const (
	signedMagic  = "HFM1"
	signedHeader = len(signedMagic) + sha256.Size + 8
	signedMax    = 4 << 20 // bytes
)

var errSignature = errors.New("a map is not signed with the secret of this cluster")

// keys returns the key that maps are signed with and the one that members encrypt
// what they say with.
func keys(secret []byte, name string) (sign, gossip []byte, err error) {
	if sign, err = hkdf.Key(sha256.New, secret, []byte(name), "holdfast map", sha256.Size); err != nil {
		return nil, nil, err
	}
	gossip, err = hkdf.Key(sha256.New, secret, []byte(name), "holdfast gossip", 32)
	return sign, gossip, err
}

// sign returns c as a signed map.
func sign(key []byte, c *cluster.Config) ([]byte, error) {
	text, err := c.YAML()
	if err != nil {
		return nil, err
	}
	if len(text) > signedMax-signedHeader {
		return nil, fmt.Errorf("a map of %d bytes is too large to be carried", len(text))
	}
	m := append(make([]byte, 0, signedHeader+len(text)), signedMagic...)
	m = append(m, make([]byte, sha256.Size)...)
	m = binary.BigEndian.AppendUint64(m, c.Epoch)
	m = append(m, text...)
	copy(m[len(signedMagic):], mac(key, m))
	return m, nil
}

// mac is the signature that a map of that epoch and text should have.
func mac(key, m []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(m[len(signedMagic)+sha256.Size:])
	return h.Sum(nil)
}

// signedEpoch is the epoch that a map says it has.
func signedEpoch(m []byte) (uint64, error) {
	if len(m) < signedHeader || len(m) > signedMax || string(m[:len(signedMagic)]) != signedMagic {
		return 0, errors.New("what a member has sent is no map")
	}
	return binary.BigEndian.Uint64(m[signedHeader-8:]), nil
}

// open checks a signed map and returns its config.
func open(key, m []byte) (*cluster.Config, error) {
	epoch, err := signedEpoch(m)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(m[len(signedMagic):len(signedMagic)+sha256.Size], mac(key, m)) {
		return nil, errSignature
	}
	c, err := cluster.ParseConfig("the map of the cluster", m[signedHeader:])
	if err != nil {
		return nil, err
	}
	if c.Epoch != epoch {
		return nil, fmt.Errorf("a map says that its epoch is %d and %d", epoch, c.Epoch)
	}
	return c, nil
}
