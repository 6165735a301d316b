package persist

import "fmt"

// Policy says when a change that the journal was told of is safe.
type Policy uint8

// The policies.
const (
	// PolicyOff: there is no journal.
	PolicyOff Policy = iota
	// PolicyOS: changes are written within milliseconds and synced when the
	// system likes. They survive the death of the process.
	PolicyOS
	// PolicyInterval: they are synced every Options.JournalInterval as well. A
	// power cut costs so much and one sync that was under way.
	PolicyInterval
	// PolicyAlways: the reply to a change leaves when the change is synced.
	PolicyAlways
)

var policyNames = [...]string{PolicyOff: "off", PolicyOS: "os", PolicyInterval: "interval", PolicyAlways: "always"}

// String returns the word of the command line.
func (p Policy) String() string { return policyNames[p] }

// ParsePolicy returns the policy with that name.
func ParsePolicy(s string) (Policy, error) {
	for p, name := range policyNames {
		if s == name {
			return Policy(p), nil
		}
	}
	return PolicyOff, fmt.Errorf("journal policy %q: it is off, os, interval or always", s)
}
