package protocol

// Error is a mistake of the client's. Text is the reply line without its line
// end. Errors are compared by pointer.
type Error struct {
	Text string
}

// Error is the reply line.
func (e *Error) Error() string { return e.Text }

// The replies to a request that cannot be understood.
var (
	ErrUnknown        = &Error{"ERROR"}
	ErrBadFormat      = &Error{"CLIENT_ERROR bad command line format"}
	ErrBadChunk       = &Error{"CLIENT_ERROR bad data chunk"}
	ErrBadExptime     = &Error{"CLIENT_ERROR invalid exptime argument"}
	ErrBadDelta       = &Error{"CLIENT_ERROR invalid numeric delta argument"}
	ErrTooManyFlags   = &Error{"CLIENT_ERROR options flags are too long"}
	ErrDuplicateFlag  = &Error{"CLIENT_ERROR duplicate flag"}
	ErrInvalidFlag    = &Error{"CLIENT_ERROR invalid flag"}
	ErrInvalidOrDup   = &Error{"CLIENT_ERROR invalid or duplicate flag"}
	ErrBadToken       = &Error{"CLIENT_ERROR bad token in command line format"}
	ErrOpaqueTooLong  = &Error{"CLIENT_ERROR opaque token too long"}
	ErrBadBase64      = &Error{"CLIENT_ERROR error decoding key"}
	ErrBadInitial     = &Error{"CLIENT_ERROR invalid numeric initial value"}
	ErrBadMetaDelta   = &Error{"CLIENT_ERROR invalid numeric delta value"}
	ErrBadSetMode     = &Error{"CLIENT_ERROR invalid mode for ms M token"}
	ErrBadArithMode   = &Error{"CLIENT_ERROR invalid mode for ma M token"}
	ErrUnauthorized   = &Error{"CLIENT_ERROR unauthenticated"}
	ErrNonNumeric     = &Error{"CLIENT_ERROR cannot increment or decrement non-numeric value"}
	ErrTooLarge       = &Error{"SERVER_ERROR object too large for cache"}
	ErrNoMemory       = &Error{"SERVER_ERROR out of memory storing object"}
	ErrNoMemoryStream = &Error{"SERVER_ERROR Out of memory during read"}
)
