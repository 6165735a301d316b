package persist

import (
	"encoding/binary"
	"time"
)

// Stamp ties the store's clock to the clocks of the world at one moment, so that
// a later process can go on counting where an earlier one stopped.
type Stamp struct {
	Now    uint32   // the store's clock, in seconds
	WallNs int64    // unix time in nanoseconds
	BootNs int64    // time since the machine started, suspension included, in nanoseconds
	Boot   [16]byte // which start of the machine that is; zero if unknown
}

const stampBytes = 36

func (s *Stamp) put(p []byte) {
	le := binary.LittleEndian
	le.PutUint32(p, s.Now)
	le.PutUint64(p[4:], uint64(s.WallNs))
	le.PutUint64(p[12:], uint64(s.BootNs))
	copy(p[20:stampBytes], s.Boot[:])
}

func parseStamp(p []byte) (s Stamp) {
	le := binary.LittleEndian
	s.Now = le.Uint32(p)
	s.WallNs, s.BootNs = int64(le.Uint64(p[4:])), int64(le.Uint64(p[12:]))
	copy(s.Boot[:], p[20:stampBytes])
	return s
}

// Clock tells the time of the world. System is the real one.
type Clock interface {
	// World returns a Stamp of this moment, without Now.
	World() Stamp
}

// Since returns how many nanoseconds have passed from s to t, never less than 0. While the
// machine has not been started anew its own time counts, which no one can set;
// else the wall clocks have to be believed.
func (t Stamp) Since(s Stamp) int64 {
	if t.Boot == s.Boot && t.Boot != ([16]byte{}) {
		return max(t.BootNs-s.BootNs, 0)
	}
	return max(t.WallNs-s.WallNs, 0)
}

// Continue returns the store's clock at moment t, given what it was at s. It
// never goes back.
func (t Stamp) Continue(s Stamp) uint32 {
	return uint32(min(int64(s.Now)+t.Since(s)/1e9, 1<<32-1))
}

// Resume is t with the store's clock continued from s. The part of a second that has
// not counted yet is left to the next Stamp, or every start would lose one.
func (t Stamp) Resume(s Stamp) Stamp {
	t.Now = t.Continue(s)
	rest := t.Since(s) % 1e9
	t.WallNs -= rest
	t.BootNs -= rest
	return t
}

// Time returns the time of the world at which the store's clock says sec, given
// that it was at s what s says.
func (s Stamp) Time(sec uint32) time.Time {
	return time.Unix(0, s.WallNs).Add(time.Duration(int64(sec)-int64(s.Now)) * time.Second)
}
