package discover

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/rs/zerolog"
)

// kept is a source whose last config is kept in a file: what a process that starts
// goes on from if the DNS or the other members do not answer, and if they do, the
// servers that are only missing at the moment.
type kept struct {
	Source
	name   string
	writes trouble
}

func newKept(inner Source, name string, log zerolog.Logger) *kept {
	return &kept{Source: inner, name: name, writes: trouble{what: "the file of the last config", log: log.With().Str("file", name).Logger()}}
}

// readKept returns the config that an earlier process has kept, nil if there is none of
// use.
func readKept(name string, log zerolog.Logger) *cluster.Config {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var c *cluster.Config
	if err == nil {
		c, err = cluster.ParseConfig(name, text)
	}
	if err != nil {
		log.Warn().Err(err).Msg("the last config is not known")
		return nil
	}
	return c
}

// Run keeps each config before it is delivered.
func (s *kept) Run(ctx context.Context, deliver func(*cluster.Config)) {
	s.Source.Run(ctx, func(c *cluster.Config) {
		s.writes.failed(s.write(c))
		deliver(c)
	})
}

// write puts c in the place of the file.
func (s *kept) write(c *cluster.Config) error {
	text, err := c.YAML()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(s.name+".new", s.name)
}

// Stats tells of the file as well.
func (s *kept) Stats(add func(name, value string)) {
	s.Source.Stats(add)
	s.writes.stats("kept_", add)
}
