package main

import (
	"io"
	"os"
	"time"

	"github.com/holdfast-cache/holdfast/server"
	"github.com/rs/zerolog"
)

// newLogger logs to w: for people if w is a terminal, as JSON otherwise. The
// level is zerolog's global one, so that the verbosity command can move it.
func newLogger(w io.Writer) zerolog.Logger {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	if isTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000"}
	}
	return zerolog.New(w).With().Timestamp().Logger()
}

// isTerminal says whether a person reads w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// logLevel is memcached's -v as a level: 0 warnings, 1 notices as well, 2 the
// commands, 3 inner states.
func logLevel(verbosity int) zerolog.Level {
	switch verbosity {
	case 0:
		return zerolog.WarnLevel
	case 1:
		return zerolog.InfoLevel
	case 2:
		return zerolog.DebugLevel
	}
	return zerolog.TraceLevel
}

// handler is a Node whose verbosity command moves the level of the log as well.
type handler struct{ *server.Node }

// Attach hands the host on to the Node.
func (h handler) Attach(host server.Host) { h.Node.Attach(leveledHost{host}) }

type leveledHost struct{ server.Host }

// SetVerbosity sets what the server says and what the log lets through.
func (h leveledHost) SetVerbosity(verbosity int) {
	zerolog.SetGlobalLevel(logLevel(verbosity))
	h.Host.SetVerbosity(verbosity)
}
