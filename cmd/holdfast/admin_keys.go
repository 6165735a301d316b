package main

import (
	"encoding/json"
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/spf13/cobra"
)

// keyFilter chooses which keys of a dump are shown.
type keyFilter struct {
	prefix string
	match  *regexp.Regexp
	limit  int
}

func (f *keyFilter) wants(key string) bool {
	return strings.HasPrefix(key, f.prefix) && (f.match == nil || f.match.MatchString(key))
}

func (a *admin) keysCommand() *cobra.Command {
	var pattern string
	filter := &keyFilter{}
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "List the keys of the server, as they come",
		Long: `List the keys of the server with their size, class, remaining life and idle time.
The list is printed as it comes, in no order. The server walks all its items,
whatever the filter; --limit ends the walk early. JSON is one object a line.`,
		Example: `  holdfast admin keys --prefix session: --limit 20
  holdfast admin keys --match '^user:[0-9]+$' --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if pattern != "" {
				if filter.match, err = regexp.Compile(pattern); err != nil {
					return fail(exitUsage, "--match: %v", err)
				}
			}
			if filter.limit < 0 {
				return fail(exitUsage, "--limit cannot be negative; 0 is no limit")
			}
			return a.with(cmd, func(c *client, out io.Writer) error { return a.keys(c, out, filter) })
		},
	}
	cmd.Flags().StringVar(&filter.prefix, "prefix", "", "only keys that begin so")
	cmd.Flags().StringVar(&pattern, "match", "", "only keys that match this regular expression")
	cmd.Flags().IntVar(&filter.limit, "limit", 0, "end after so many keys; 0 is all")
	return cmd
}

// keys streams a metadump. Nothing is kept, so any number of keys fits.
func (a *admin) keys(c *client, out io.Writer, filter *keyFilter) error {
	now := time.Now().Unix()
	if err := c.send(protocol.AppendCommand(nil, protocol.OpLRUCrawler, "metadump", "all")); err != nil {
		return err
	}
	shown := 0
	for {
		r, err := c.next()
		if err != nil {
			return err
		}
		line := string(r.Line)
		switch {
		case r.Status == protocol.StatusOK:
			continue
		case r.Status == protocol.StatusEnd:
			return nil
		case strings.HasPrefix(line, "BUSY"):
			return fail(exitFailure, "%s is busy with another dump or its crawler: try again in a moment", c.addr)
		case !strings.HasPrefix(line, "key="):
			return c.unexpected(r)
		}
		key, fields := dumpFields(line)
		if !filter.wants(key) {
			continue
		}
		if shown == 0 && !a.json {
			pf(out, "%10s %5s %12s %10s %7s  %s\n", "SIZE", "CLASS", "TTL", "IDLE", "FETCHED", "KEY")
		}
		if err := a.printKey(out, key, fields, now); err != nil {
			return err
		}
		if shown++; shown == filter.limit {
			return nil
		}
	}
}

// dumpFields reads "key=a%20b exp=-1 la=1700000000 …".
func dumpFields(line string) (key string, fields map[string]string) {
	fields = map[string]string{}
	for _, word := range strings.Fields(line) {
		name, value, _ := strings.Cut(word, "=")
		fields[name] = value
	}
	key = fields["key"]
	if decoded, err := url.PathUnescape(key); err == nil {
		key = decoded
	}
	delete(fields, "key")
	return key, fields
}

func (a *admin) printKey(out io.Writer, key string, fields map[string]string, now int64) error {
	if a.json {
		object := map[string]any{"key": key}
		for name, value := range fields {
			object[name] = jsonValue(value)
		}
		return printJSONLine(out, object)
	}
	exp, err := strconv.ParseInt(fields["exp"], 10, 64)
	ttl := "never"
	if err == nil && exp > 0 {
		ttl = humanSeconds(uint64(max(exp-now, 0)))
	}
	access, _ := strconv.ParseInt(fields["la"], 10, 64)
	shown := key
	if quoted := strconv.Quote(key); len(quoted) != len(key)+2 {
		shown = quoted // bytes that a terminal should not see
	}
	if _, err := io.WriteString(out, keyRow(fields, ttl, humanSeconds(uint64(max(now-access, 0))), shown)); err != nil {
		return fail(exitFailure, "cannot print: %v", err)
	}
	return nil
}

func keyRow(fields map[string]string, ttl, idle, key string) string {
	var b strings.Builder
	pf(&b, "%10s %5s %12s %10s %7s  %s\n", fields["size"], fields["cls"], ttl, idle, fields["fetch"], key)
	return b.String()
}

// printJSONLine prints one object on one line.
func printJSONLine(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fail(exitFailure, "cannot print: %v", err)
	}
	return nil
}

func (a *admin) watchCommand() *cobra.Command {
	streams := []string{"fetchers", "mutations", "evictions", "connevents", "deletions", "sysevents"}
	return &cobra.Command{
		Use:   "watch [stream]...",
		Short: "Follow what the server does, line by line",
		Long: `Follow what the server does until interrupted. The streams are fetchers,
mutations, evictions, connevents, deletions and sysevents; fetchers if none is named.
JSON is one object a line.`,
		ValidArgs: streams,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				if strings.ContainsAny(arg, " \r\n") {
					return fail(exitUsage, "%q is not a stream; they are %s", arg, strings.Join(streams, ", "))
				}
			}
			return a.with(cmd, func(c *client, out io.Writer) error {
				r, err := c.ask(protocol.AppendCommand(nil, protocol.OpWatch, args...))
				switch {
				case err != nil:
					return err
				case r.Status != protocol.StatusOK:
					return fail(exitFailure, "%s refused: %s", c.addr, r.Line)
				}
				return a.follow(c, out)
			})
		},
	}
}

// follow prints log lines for as long as the server sends them.
func (a *admin) follow(c *client, out io.Writer) error {
	c.timeout = 0 // a quiet server is no failure
	for {
		r, err := c.next()
		if err != nil {
			return err
		}
		line := string(r.Line)
		if !a.json {
			pf(out, "%s\n", line)
			continue
		}
		object := map[string]any{}
		key, fields := dumpFields(line) // a key is text, even one of digits
		if strings.Contains(line, " key=") {
			object["key"] = key
		}
		for name, value := range fields {
			object[name] = jsonValue(value)
		}
		if err := printJSONLine(out, object); err != nil {
			return err
		}
	}
}
