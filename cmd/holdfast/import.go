package main

import (
	"io"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/spf13/cobra"
)

// newImportCommand makes a config file of another program's settings.
func newImportCommand() *cobra.Command {
	var libmemcached string
	cmd := &cobra.Command{
		Use:   "import [twemproxy.yml]",
		Short: "Make a config file with the placement of twemproxy or libmemcached",
		Long: `Make a config file with the placement of twemproxy or libmemcached: every key stays
with its server. The config goes to standard output; what cannot be carried
over is said on standard error, a line each.

Without --libmemcached the argument is a config file of twemproxy (- for standard
input). --libmemcached takes a configuration string of libmemcached. What programs
set with memcached_behavior_set rather than by such a string has these words, to
be written in the order of the calls, because the order matters:

  --KETAMA                             BEHAVIOR_KETAMA, pylibmc's ketama
  --KETAMA-WEIGHTED                    BEHAVIOR_KETAMA_WEIGHTED, PHP's OPT_LIBKETAMA_COMPATIBLE
  --HASH=DEFAULT, --HASH=MURMUR3       BEHAVIOR_HASH
  --DISTRIBUTION=consistent_ketama_spy BEHAVIOR_DISTRIBUTION`,
		Example: `  holdfast import nutcracker.yml > pools.yml
  holdfast import --libmemcached "--SERVER=10.0.0.1/?2 --SERVER=10.0.0.2 --DISTRIBUTION=consistent" > pools.yml
  holdfast which user:42 --config pools.yml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if given := cmd.Flags().Changed("libmemcached"); len(args) > 1 || given == (len(args) == 1) {
				return fail(exitUsage, "give either a file of twemproxy's or --libmemcached; run 'holdfast import --help'")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, notes, err := importConfig(args, libmemcached, cmd.InOrStdin())
			if err != nil {
				return err
			}
			text, err := c.YAML()
			if err != nil {
				return fail(exitFailure, "cannot write the config: %v", err)
			}
			for _, note := range notes {
				pf(cmd.ErrOrStderr(), "holdfast: note: %s\n", oneLine(note))
			}
			if _, err := cmd.OutOrStdout().Write(text); err != nil {
				return fail(exitFailure, "cannot print: %v", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&libmemcached, "libmemcached", "", "configuration string of libmemcached")
	return cmd
}

func importConfig(args []string, libmemcached string, stdin io.Reader) (*cluster.Config, []string, error) {
	if len(args) == 0 {
		c, notes, err := cluster.ImportLibmemcached(libmemcached)
		if err != nil {
			return nil, nil, fail(exitFailure, "--libmemcached: %v", err)
		}
		return c, notes, nil
	}
	text, err := readFile(args[0], stdin)
	if err != nil {
		return nil, nil, err
	}
	return cluster.ImportTwemproxy(args[0], text)
}
