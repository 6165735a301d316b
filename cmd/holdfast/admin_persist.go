package main

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-cache/holdfast/protocol"
)

func (a *admin) snapshotCommand() *cobra.Command {
	return &cobra.Command{
		Use: "snapshot", Short: "Have the server keep all items now, and wait until it has",
		Long: `Have the server make a snapshot of all items, and wait until it is made, however
long that takes unless --timeout is given. Only a server with --data-dir can.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(c *client, out io.Writer) error {
				if !cmd.Flags().Changed("timeout") {
					c.timeout = 0
				}
				r, err := c.ask(protocol.AppendCommand(nil, protocol.OpSnapshot))
				switch {
				case err != nil:
					return err
				case strings.HasPrefix(string(r.Line), "BUSY"):
					return fail(exitFailure, "%s is making a snapshot already", c.addr)
				case r.Status != protocol.StatusOK:
					return c.unexpected(r)
				}
				return a.done(out, "snapshot made")
			})
		},
	}
}

func (a *admin) persistenceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "persistence", Short: "Show what is kept beyond the server's life, and whether that works",
		Long: `Show where the server keeps its items, what it has restored, its snapshots and
its journal. The exit code is 1 if items cannot be kept at present.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(c *client, out io.Writer) error {
				all, err := c.stats("persistence")
				if err != nil {
					return err
				}
				if err := a.printPersistence(out, all); err != nil {
					return err
				}
				stats := map[string]string{}
				for _, s := range all {
					stats[s.name] = s.value
				}
				if stats["state"] == "degraded" {
					return fail(exitFailure, "%s cannot keep items at present: %s", c.addr, printable(stats["state_reason"]))
				}
				return nil
			})
		},
	}
}

// printPersistence prints names and values, sizes and times readable.
func (a *admin) printPersistence(out io.Writer, all []stat) error {
	if a.json {
		return printJSON(out, orderedStats(all))
	}
	rows := [][]string{{"NAME", "VALUE", "READABLE"}}
	for _, s := range all {
		rows = append(rows, []string{s.name, printable(s.value), humanPersistence(s.name, s.value)})
	}
	return table(out, rows)
}

// humanPersistence is a line of "stats persistence" for people, "" if it is
// readable as it is.
func humanPersistence(name, value string) string {
	n, err := strconv.ParseUint(value, 10, 64)
	switch {
	case err != nil:
		return ""
	case strings.HasSuffix(name, "_time"):
		return time.Unix(int64(min(n, 1<<40)), 0).UTC().Format("2006-01-02 15:04:05 UTC")
	case strings.HasSuffix(name, "_bytes") && n >= 1024:
		return humanBytes(n)
	case strings.HasSuffix(name, "_seconds") && n >= 60:
		return humanSeconds(n)
	case strings.HasSuffix(name, "_us") && n >= 1000:
		return strconv.FormatFloat(float64(n)/1000, 'f', 1, 64) + " ms"
	case !strings.Contains(name, "seconds") && !strings.HasSuffix(name, "_us") && !strings.HasSuffix(name, "_bytes") && n >= 10000:
		return humanCount(n)
	}
	return ""
}
