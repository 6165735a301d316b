package main

import (
	"encoding/base64"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// keyArg takes exactly one key, and up to more words behind it.
func keyArg(more int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < 1 || len(args) > 1+more {
			return fail(exitUsage, "usage: %s", cmd.UseLine())
		}
		return checkKey(args[0])
	}
}

// itemCommand is a command on one key with a one-line reply: want is success.
func (a *admin) itemCommand(cmd *cobra.Command, want, word, key, format string, args ...any) error {
	return a.with(cmd, func(c *client, out io.Writer) error {
		reply, err := c.ask(format, args...)
		switch {
		case err != nil:
			return err
		case reply == want:
			return a.done(out, word)
		case reply == "NOT_FOUND":
			return fail(exitFailure, "%s: there is no such key", key)
		}
		return fail(exitFailure, "%s: the server answered %q", key, reply)
	})
}

func (a *admin) getCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get <key>",
		Short: "Print the value of a key",
		Long: `Print the value of a key, byte for byte, on standard output. A missing key is
exit code 1. With --json the flags and the CAS value are shown too, and a value
that is not text is given as base64.`,
		Args: keyArg(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(c *client, out io.Writer) error {
				it, err := c.get(args[0])
				switch {
				case err != nil:
					return err
				case it == nil:
					return fail(exitFailure, "%s: there is no such key", args[0])
				case a.json:
					return printItemJSON(out, it)
				}
				if isTerminal(out) {
					it.Value = append(it.Value, '\n') // keeps the prompt off the value
				}
				if _, err := out.Write(it.Value); err != nil {
					return fail(exitFailure, "cannot print: %v", err)
				}
				return nil
			})
		},
	}
}

func printItemJSON(out io.Writer, it *item) error {
	type common = item
	if utf8.Valid(it.Value) {
		return printJSON(out, struct {
			*common
			Size  int    `json:"size"`
			Value string `json:"value"`
		}{it, len(it.Value), string(it.Value)})
	}
	return printJSON(out, struct {
		*common
		Size  int    `json:"size"`
		Value string `json:"value_base64"`
	}{it, len(it.Value), base64.StdEncoding.EncodeToString(it.Value)})
}

func (a *admin) setCommand() *cobra.Command {
	var ttl string
	var flags uint32
	cmd := &cobra.Command{
		Use:   "set <key> [value]",
		Short: "Store a value, from the command line or standard input",
		Long:  "Store a value under a key. Without a value on the command line, or with -, it is read from standard input.",
		Args:  keyArg(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			exptime, err := parseTTL(ttl, time.Now())
			if err != nil {
				return err
			}
			value, err := valueOf(args, cmd.InOrStdin())
			if err != nil {
				return err
			}
			return a.itemCommand(cmd, "STORED", "stored", args[0],
				"set %s %d %d %d\r\n%s\r\n", args[0], flags, exptime, len(value), value)
		},
	}
	cmd.Flags().StringVar(&ttl, "ttl", "never", "time to live: seconds, or 90s, 10m, 36h, 7d")
	cmd.Flags().Uint32Var(&flags, "flags", 0, "client flags to store with the value")
	return cmd
}

func valueOf(args []string, stdin io.Reader) (string, error) {
	if len(args) == 2 && args[1] != "-" {
		return args[1], nil
	}
	b, err := io.ReadAll(io.LimitReader(stdin, replyValueMax+1))
	switch {
	case err != nil:
		return "", fail(exitFailure, "cannot read the value: %v", err)
	case len(b) > replyValueMax:
		return "", fail(exitFailure, "the value is larger than a gigabyte")
	}
	return string(b), nil
}

func (a *admin) deleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete <key>", Short: "Delete a key", Args: keyArg(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.itemCommand(cmd, "DELETED", "deleted", args[0], "delete %s\r\n", args[0])
		},
	}
}

func (a *admin) touchCommand() *cobra.Command {
	var ttl string
	cmd := &cobra.Command{
		Use: "touch <key> --ttl <time>", Short: "Give a key another time to live", Args: keyArg(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if ttl == "" {
				return fail(exitUsage, "touch needs --ttl: seconds, or 90s, 10m, 36h, 7d, or never")
			}
			exptime, err := parseTTL(ttl, time.Now())
			if err != nil {
				return err
			}
			return a.itemCommand(cmd, "TOUCHED", "touched", args[0], "touch %s %d\r\n", args[0], exptime)
		},
	}
	cmd.Flags().StringVar(&ttl, "ttl", "", "time to live: seconds, or 90s, 10m, 36h, 7d, or never")
	return cmd
}

func (a *admin) flushCommand() *cobra.Command {
	var delay string
	cmd := &cobra.Command{
		Use: "flush", Short: "Forget all items, now or later", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			when, err := parseTTL(delay, time.Now())
			if err != nil {
				return err
			}
			return a.itemCommand(cmd, "OK", "flushed", "flush", "flush_all %d\r\n", when)
		},
	}
	cmd.Flags().StringVar(&delay, "delay", "0", "time until then: seconds, or 90s, 10m, 36h, 7d")
	return cmd
}

func (a *admin) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of the server", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(c *client, out io.Writer) error {
				version, err := c.version()
				switch {
				case err != nil:
					return err
				case a.json:
					return printJSON(out, map[string]string{"version": version})
				}
				pf(out, "%s\n", version)
				return nil
			})
		},
	}
}

func (c *client) version() (string, error) {
	reply, err := c.ask("version\r\n")
	if err != nil {
		return "", err
	}
	version, ok := strings.CutPrefix(reply, "VERSION ")
	if !ok {
		return "", fail(exitFailure, "%s: unexpected reply %q", c.addr, reply)
	}
	return version, nil
}

func (a *admin) pingCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ping", Short: "Check that the server answers, and how fast", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(c *client, out io.Writer) error {
				start := time.Now()
				version, err := c.version()
				if err != nil {
					return err
				}
				took := time.Since(start)
				if a.json {
					return printJSON(out, map[string]any{"addr": c.addr, "version": version, "microseconds": took.Microseconds()})
				}
				pf(out, "%s answered in %s ms (version %s)\n", c.addr, strconv.FormatFloat(took.Seconds()*1000, 'f', 3, 64), version)
				return nil
			})
		},
	}
}

func (a *admin) shutdownCommand() *cobra.Command {
	var graceful bool
	cmd := &cobra.Command{
		Use: "shutdown", Short: "End the server (it must have been started with -A)", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(c *client, out io.Writer) error {
				command := "shutdown"
				if graceful {
					command += " graceful"
				}
				if err := c.send("%s\r\n", command); err != nil {
					return err
				}
				// Success is a closed connection without a word.
				if _, err := c.r.ReadByte(); err != nil {
					if timeout, ok := err.(interface{ Timeout() bool }); ok && timeout.Timeout() {
						return c.failure(err)
					}
					return a.done(out, "the server is stopping")
				}
				_ = c.r.UnreadByte()
				line, err := c.line()
				if strings.Contains(line, "shutdown not enabled") {
					return fail(exitFailure, "%s does not allow it: it was started without -A", c.addr)
				}
				if err == nil {
					err = fail(exitFailure, "%s answered %q", c.addr, line)
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&graceful, "graceful", false, "let clients finish first")
	return cmd
}
