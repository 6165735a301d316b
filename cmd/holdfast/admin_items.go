package main

import (
	"encoding/base64"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-cache/holdfast/protocol"
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
func (a *admin) itemCommand(cmd *cobra.Command, want protocol.Status, word, key string, request []byte) error {
	return a.with(cmd, func(c *client, out io.Writer) error {
		r, err := c.ask(request)
		switch {
		case err != nil:
			return err
		case r.Status == want:
			return a.done(out, word)
		case r.Status == protocol.StatusNotFound:
			return fail(exitFailure, "%s: there is no such key", key)
		}
		return c.unexpected(r)
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
			return a.itemCommand(cmd, protocol.StatusStored, "stored", args[0],
				protocol.AppendStore(nil, protocol.OpSet, []byte(args[0]), flags, exptime, value, false))
		},
	}
	cmd.Flags().StringVar(&ttl, "ttl", "never", "time to live: seconds, or 90s, 10m, 36h, 7d")
	cmd.Flags().Uint32Var(&flags, "flags", 0, "client flags to store with the value")
	return cmd
}

func valueOf(args []string, stdin io.Reader) ([]byte, error) {
	if len(args) == 2 && args[1] != "-" {
		return []byte(args[1]), nil
	}
	b, err := io.ReadAll(io.LimitReader(stdin, replyValueMax+1))
	switch {
	case err != nil:
		return nil, fail(exitFailure, "cannot read the value: %v", err)
	case len(b) > replyValueMax:
		return nil, fail(exitFailure, "the value is larger than a gigabyte")
	}
	return b, nil
}

func (a *admin) deleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete <key>", Short: "Delete a key", Args: keyArg(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.itemCommand(cmd, protocol.StatusDeleted, "deleted", args[0], protocol.AppendDelete(nil, []byte(args[0]), false))
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
			return a.itemCommand(cmd, protocol.StatusTouched, "touched", args[0], protocol.AppendTouch(nil, []byte(args[0]), exptime, false))
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
			request := protocol.AppendCommand(nil, protocol.OpFlushAll, strconv.FormatInt(when, 10))
			return a.itemCommand(cmd, protocol.StatusOK, "flushed", "flush", request)
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
	r, err := c.ask(protocol.AppendCommand(nil, protocol.OpVersion))
	if err == nil && r.Status != protocol.StatusVersion {
		err = c.unexpected(r)
	}
	if err != nil {
		return "", err
	}
	return string(r.Value), nil
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
				var args []string
				if graceful {
					args = []string{"graceful"}
				}
				return a.shutdown(c, out, args)
			})
		},
	}
	cmd.Flags().BoolVar(&graceful, "graceful", false, "let clients finish first")
	return cmd
}

// shutdown asks the server to end. Success is a connection that closes without a word.
func (a *admin) shutdown(c *client, out io.Writer, args []string) error {
	if err := c.send(protocol.AppendCommand(nil, protocol.OpShutdown, args...)); err != nil {
		return err
	}
	if len(c.buf) == c.used {
		err := c.fill()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return c.failure(err)
		case err != nil:
			return a.done(out, "the server is stopping")
		}
	}
	r, err := c.next()
	switch {
	case err != nil:
		return err
	case strings.Contains(string(r.Line), "shutdown not enabled"):
		return fail(exitFailure, "%s does not allow it: it was started without -A", c.addr)
	}
	return c.unexpected(r)
}
