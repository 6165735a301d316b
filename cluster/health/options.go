package health

// Units of time. All times of this package are nanoseconds of one monotonic clock
// of the caller; where it starts does not matter.
const (
	millisecond int64 = 1e6
	second            = 1000 * millisecond
)

// Options are the settings of a Backend. Times are nanoseconds.
type Options struct {
	// Failures is how many failures in a row, with no answer between them and
	// within Window, take a backend down. Failures that come within Incident of the
	// one counted last are the same incident and count once: sixty requests that
	// time out together are one sign, not sixty.
	Failures         int
	Window, Incident int64
	// ProbeMin is the time from going down to the first probe, and it doubles with
	// each probe that fails, up to ProbeMax.
	ProbeMin, ProbeMax int64
	// HoldMin is how long a backend is not even probed that went down again soon
	// after its return. It doubles each time, up to HoldMax.
	HoldMin, HoldMax int64
	// Stable is how long a backend must serve after its return for its next failure
	// to be a new one; but never shorter than it was held down before.
	Stable int64
	// Ramp is the time from the end of the fence until all keys are read again. 0 is
	// at once: right where those who are turned away have no gutter to go to.
	Ramp int64
	// JournalKeys and JournalBytes bound the journal; see NewJournal.
	JournalKeys  int
	JournalBytes int64
	// Policy is what to do where stale items can only be avoided by a flush.
	Policy Policy
}

// DefaultOptions returns the settings of a pool that says nothing.
func DefaultOptions() Options {
	return Options{
		Failures: 3,
		Window:   10 * second,
		Incident: 100 * millisecond,
		ProbeMin: 250 * millisecond,
		ProbeMax: 5 * second,
		HoldMin:  5 * second,
		HoldMax:  300 * second,
		Stable:   60 * second,
		Ramp:     30 * second,

		JournalKeys:  64 << 10,
		JournalBytes: 16 << 20,
	}
}
