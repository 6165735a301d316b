package main

import (
	"io"

	"github.com/holdfast-cache/holdfast/server"

	"github.com/spf13/cobra"
)

// newRootCommand lists what the program can do.
func newRootCommand(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "A drop-in memcached that keeps what it holds",
		Long: `Holdfast is a memcached server: same port, same options, same replies.

  holdfast serve -m 1024            serve one gigabyte on 127.0.0.1:11211
  holdfast -p 11211 -m 1024 -l '*'  the same on all addresses: memcached's options
                                    without a subcommand serve too
  holdfast proxy --nodes a,b,c      serve many nodes behind one address
  holdfast admin stats              look at a running server`,
		Version:       server.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fail(exitUsage, "unknown command %q; run 'holdfast --help' for the list", args[0])
			}
			return cmd.Help()
		},
	}
	root.Flags().Bool("version", false, "print the version and exit") // cobra's own would take -v, which is serve's
	root.SetVersionTemplate("holdfast {{.Version}}\n")
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fail(exitUsage, "%v; run '%s --help'", err, cmd.CommandPath())
	})
	root.AddCommand(
		newServeCommand(stdout, stderr),
		newProxyCommand(stderr),
		newAdminCommand(),
		newCheckCommand(),
		newDumpCommand(),
		newLoadCommand(),
		newWhichCommand(),
		newImportCommand(),
		newVersionCommand(),
	)
	for _, name := range laterCommands {
		root.AddCommand(newLaterCommand(name))
	}
	return root
}

// newLaterCommand answers for a command that is still to come.
func newLaterCommand(name string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, "%s: this command %s", name, notYet)
		},
	}
}

// newServeCommand hands its arguments on unread: see doc.go.
func newServeCommand(stdout, stderr io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use:                "serve [options]",
		Short:              "Serve items from memory, with memcached's options",
		DisableFlagParsing: true,
		ValidArgsFunction:  completeServe,
		RunE: func(_ *cobra.Command, args []string) error {
			return serveCommand("holdfast", args, false, stdout, stderr)
		},
	}
	cmd.SetHelpFunc(func(*cobra.Command, []string) { printUsage(stdout, newOptions("holdfast", false)) })
	return cmd
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			printVersion(cmd.OutOrStdout(), newOptions("holdfast", false))
		},
	}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fail(exitUsage, "'%s' takes no arguments, got %q", cmd.CommandPath(), args[0])
	}
	return nil
}
