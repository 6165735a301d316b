package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// admin is what every admin command has in common: where the server is, and
// how to print.
type admin struct {
	addr         string
	timeout      time.Duration
	user         string
	passwordFile string
	json         bool
}

// newAdminCommand is the tool for a running server. It speaks the classic
// protocol only, so that a plain memcached can be asked as well.
func newAdminCommand() *cobra.Command {
	a := &admin{}
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Look at and change a running server, Holdfast or memcached",
		Long: `Look at and change a running server, Holdfast or memcached.

The server is the one on 127.0.0.1:11211 unless --addr names another: host:port,
[ipv6]:port, a host alone, or the path of a Unix socket. Results are tables,
or JSON with --json. A failure is one line and exit code 1.`,
		Example: `  holdfast admin stats
  holdfast admin --addr cache1:11211 keys --prefix session: --limit 20
  holdfast admin --addr /run/holdfast.sock --json slabs
  echo -n hello | holdfast admin set greeting --ttl 10m`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fail(exitUsage, "unknown command %q; run 'holdfast admin --help' for the list", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	a.connectFlags(cmd)
	cmd.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON instead of tables")
	cmd.AddCommand(
		a.statsCommand(), a.settingsCommand(), a.slabsCommand(), a.itemsCommand(), a.connsCommand(),
		a.keysCommand(), a.getCommand(), a.setCommand(), a.deleteCommand(), a.touchCommand(),
		a.flushCommand(), a.watchCommand(), a.pingCommand(), a.versionCommand(), a.shutdownCommand(),
		a.snapshotCommand(), a.persistenceCommand(),
	)
	return cmd
}

// connectFlags are the options that say which server it is.
func (a *admin) connectFlags(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&a.addr, "addr", "127.0.0.1:11211", "server: host:port or the path of a Unix socket")
	flags.DurationVar(&a.timeout, "timeout", 5*time.Second, "longest wait for an answer")
	flags.StringVar(&a.user, "user", "", "user to log in as, on a server with an auth file")
	flags.StringVar(&a.passwordFile, "password-file", "", "file that holds the password of --user, - for standard input")
}

// connect dials the server and logs in if a user is named.
func (a *admin) connect(cmd *cobra.Command) (*client, error) {
	if a.timeout <= 0 {
		return nil, fail(exitUsage, "--timeout must be longer than 0, 5s for example")
	}
	c, err := dial(a.addr, a.timeout)
	if err != nil {
		return nil, err
	}
	if a.user == "" && a.passwordFile == "" {
		return c, nil
	}
	password, err := a.password(cmd.InOrStdin())
	if err == nil {
		err = c.login(a.user, password)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (a *admin) password(stdin io.Reader) (string, error) {
	if a.user == "" || a.passwordFile == "" {
		return "", fail(exitUsage, "--user and --password-file belong together: give both")
	}
	var text []byte
	var err error
	if a.passwordFile == "-" {
		text, err = io.ReadAll(io.LimitReader(stdin, 64<<10))
	} else {
		text, err = os.ReadFile(a.passwordFile)
	}
	if err != nil {
		return "", fail(exitFailure, "cannot read the password: %v", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// with runs f on a connection of its own.
func (a *admin) with(cmd *cobra.Command, f func(c *client, out io.Writer) error) error {
	c, err := a.connect(cmd)
	if err != nil {
		return err
	}
	defer c.close()
	return f(c, cmd.OutOrStdout())
}

// table prints rows of cells, columns aligned; the first row is the heading.
func table(out io.Writer, rows [][]string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		pf(w, "%s\n", strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	if err := w.Flush(); err != nil {
		return fail(exitFailure, "cannot print: %v", err)
	}
	return nil
}

// printJSON prints one value, indented.
func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fail(exitFailure, "cannot print: %v", err)
	}
	return nil
}

// done prints the outcome of a command that changes something.
func (a *admin) done(out io.Writer, word string) error {
	if a.json {
		return printJSON(out, map[string]string{"result": word})
	}
	pf(out, "%s\n", word)
	return nil
}
