package server

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
)

// authFileMax is the largest file of passwords, in bytes.
const authFileMax = 16 << 20

// authSet is the passwords of all users. It keeps digests only and does not
// change once it is made. The zero value has no users.
type authSet struct {
	// salt makes the digests worthless outside this process.
	salt [sha256.Size]byte
	// users maps a user's digest to the digests of all passwords given for
	// that user: a name may stand in the file more than once.
	users map[[sha256.Size]byte][][sha256.Size]byte
}

// readAuthFile reads a file of user:password lines. The user ends at the first
// colon; the password may hold spaces and colons. Empty lines are skipped.
func readAuthFile(name string) (*authSet, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("auth file: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, authFileMax+1))
	if err != nil {
		return nil, fmt.Errorf("auth file: %w", err)
	}
	if len(data) > authFileMax {
		return nil, fmt.Errorf("auth file %s: longer than %d bytes", name, authFileMax)
	}
	set, err := parseAuthFile(data)
	if err != nil {
		return nil, fmt.Errorf("auth file %s: %w", name, err)
	}
	return set, nil
}

// parseAuthFile makes the set of the lines of data.
func parseAuthFile(data []byte) (*authSet, error) {
	set := &authSet{users: make(map[[sha256.Size]byte][][sha256.Size]byte)}
	if _, err := rand.Read(set.salt[:]); err != nil {
		return nil, err
	}
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			continue
		}
		user, password, found := bytes.Cut(line, []byte(":"))
		switch {
		case !found:
			// The line is not quoted: it may be a password.
			return nil, fmt.Errorf("line %d: no colon between user and password", n)
		case len(user)+1+len(password) > authTokenMax:
			return nil, fmt.Errorf("line %d: longer than %d bytes", n, authTokenMax)
		}
		id := set.digest(user)
		set.users[id] = append(set.users[id], set.digest(password))
	}
	if len(set.users) == 0 {
		return nil, errors.New("no users in it")
	}
	return set, nil
}

// digest is the salted digest of b.
func (a *authSet) digest(b []byte) (d [sha256.Size]byte) {
	h := sha256.New()
	h.Write(a.salt[:])
	h.Write(b)
	h.Sum(d[:0])
	return d
}

// has says whether the user has this password. What it compares are digests,
// in constant time, so that the time taken tells nothing about either.
func (a *authSet) has(user, password []byte) bool {
	id, got := a.digest(user), a.digest(password)
	ok := 0
	for _, want := range a.users[id] {
		ok |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	return ok == 1
}
