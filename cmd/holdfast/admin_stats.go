package main

import (
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func (a *admin) statsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stats [section]",
		Short: "Show the counters, with hit ratio and memory use computed",
		Long: `Show the counters of a server. Without a section they are the general ones,
with hit ratio and memory use computed below. The sections are memcached's:
settings, items, slabs, sizes, conns, "detail dump", and reset, which zeroes the counters.
Holdfast adds persistence, cluster (see serve --join), epochs (the newest maps that proxies
have told of, by pool) and identity: boot_id is another at every start, flush_generation
grows with every flush_all that has happened; restored_at, when items of an earlier process were
taken over, and snapshot_time, the latest time up to which no change of them is missing, are
unix seconds and 0 if the server began empty (snapshot_time alone is 0 if it is not known).
A proxy has sections of its own: pools, backends, routes (what is counted of each, in the order
of --check-config), discovery (where its config comes from), hotkeys and config.`,
		ValidArgs: []string{
			"settings", "items", "slabs", "sizes", "conns", "persistence", "cluster", "epochs", "identity", "detail", "reset",
			"pools", "backends", "routes", "discovery", "hotkeys", "config",
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if slices.Equal(args, []string{"detail"}) {
				args = []string{"detail", "dump"}
			}
			if strings.ContainsAny(strings.Join(args, " "), "\r\n") {
				return fail(exitUsage, "a section is one line")
			}
			return a.with(cmd, func(c *client, out io.Writer) error {
				all, err := c.stats(args...)
				switch {
				case err != nil:
					return err
				case slices.Equal(args, []string{"reset"}):
					return a.done(out, "reset")
				case len(args) == 0:
					all = append(all, derived(all)...)
				case slices.Equal(args, []string{"routes"}) && !a.json:
					return table(out, routeRows(all))
				}
				return a.printStats(out, all)
			})
		},
	}
}

// routeRows are the statistics of a proxy's routes as a table: of each place in the tree
// what stands there, and below it what is counted.
func routeRows(all []stat) [][]string {
	rows := [][]string{{"ROUTE", "NAME", "VALUE", "READABLE"}}
	last := ""
	for _, s := range all {
		field, name := "", s.name
		if i := strings.LastIndexByte(name, ':'); i >= 0 {
			field, name = name[:i], name[i+1:]
		}
		shown := field
		if field == last {
			shown = ""
		}
		last = field
		if name == "route" {
			rows = append(rows, []string{shown, s.value})
			continue
		}
		rows = append(rows, []string{shown, name, s.value, humanStat(name, s.value)})
	}
	return rows
}

func (a *admin) settingsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "settings", Short: "Show the settings the server runs with", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(c *client, out io.Writer) error {
				all, err := c.stats("settings")
				if err != nil {
					return err
				}
				return a.printStats(out, all)
			})
		},
	}
}

// printStats prints names and values in the server's order.
func (a *admin) printStats(out io.Writer, all []stat) error {
	if a.json {
		return printJSON(out, orderedStats(all))
	}
	rows := [][]string{{"NAME", "VALUE", "READABLE"}}
	for _, s := range all {
		rows = append(rows, []string{s.name, s.value, humanStat(s.name, s.value)})
	}
	return table(out, rows)
}

// orderedStats is a JSON object that keeps the server's order.
type orderedStats []stat

// MarshalJSON writes the object, numbers as numbers.
func (o orderedStats) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, s := range o {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(s.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(jsonValue(s.value))
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}

// derived is what the counters say together.
func derived(all []stat) []stat {
	n := func(name string) (float64, bool) {
		for _, s := range all {
			if s.name == name {
				f, err := strconv.ParseFloat(s.value, 64)
				return f, err == nil
			}
		}
		return 0, false
	}
	var out []stat
	ratio := func(name string, part, whole float64) {
		if whole > 0 {
			out = append(out, stat{name, strconv.FormatFloat(part/whole, 'f', 4, 64)})
		}
	}
	hits, _ := n("get_hits")
	misses, _ := n("get_misses")
	ratio("hit_ratio", hits, hits+misses)
	bytes, _ := n("bytes")
	limit, _ := n("limit_maxbytes")
	ratio("memory_used_ratio", bytes, limit)
	items, _ := n("curr_items")
	if items > 0 {
		out = append(out, stat{"bytes_per_item", strconv.FormatFloat(bytes/items, 'f', 0, 64)})
	}
	conns, _ := n("curr_connections")
	most, _ := n("max_connections")
	ratio("connections_used_ratio", conns, most)
	return out
}

// classTable turns "items:3:number 5" and "3:chunk_size 96" into one map a class.
func classTable(all []stat) (ids []int, byID map[int]map[string]string, rest []stat) {
	byID = map[int]map[string]string{}
	for _, s := range all {
		idText, field, ok := strings.Cut(strings.TrimPrefix(s.name, "items:"), ":")
		id, err := strconv.Atoi(idText)
		if !ok || err != nil {
			rest = append(rest, s)
			continue
		}
		if byID[id] == nil {
			byID[id] = map[string]string{}
			ids = append(ids, id)
		}
		byID[id][field] = s.value
	}
	slices.Sort(ids)
	return ids, byID, rest
}

// classColumn is one column of a table by class.
type classColumn struct {
	title string
	cell  func(f map[string]string) string
}

func field(title, name string) classColumn {
	return classColumn{title, func(f map[string]string) string { return orDash(f[name]) }}
}

func fieldAs(title, name string, human func(uint64) string) classColumn {
	return classColumn{title, func(f map[string]string) string {
		n, err := strconv.ParseUint(f[name], 10, 64)
		if err != nil {
			return orDash(f[name])
		}
		return human(n)
	}}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// classCommand shows a section that has one group of statistics a class.
func (a *admin) classCommand(section, short string, columns []classColumn) *cobra.Command {
	return &cobra.Command{
		Use: section, Short: short, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(c *client, out io.Writer) error {
				all, err := c.stats(section)
				if err != nil {
					return err
				}
				ids, byID, rest := classTable(all)
				if a.json {
					return printClassJSON(out, ids, byID, rest)
				}
				head := []string{"CLASS"}
				for _, col := range columns {
					head = append(head, col.title)
				}
				rows := [][]string{head}
				for _, id := range ids {
					row := []string{strconv.Itoa(id)}
					for _, col := range columns {
						row = append(row, col.cell(byID[id]))
					}
					rows = append(rows, row)
				}
				if err := table(out, rows); err != nil {
					return err
				}
				for _, s := range rest {
					pf(out, "%s %s %s\n", s.name, s.value, humanStat(s.name, s.value))
				}
				return nil
			})
		},
	}
}

func printClassJSON(out io.Writer, ids []int, byID map[int]map[string]string, rest []stat) error {
	classes := []map[string]any{}
	for _, id := range ids {
		class := map[string]any{"class": id}
		for name, value := range byID[id] {
			class[name] = jsonValue(value)
		}
		classes = append(classes, class)
	}
	return printJSON(out, map[string]any{"classes": classes, "total": orderedStats(rest)})
}

func (a *admin) slabsCommand() *cobra.Command {
	return a.classCommand("slabs", "Show memory by item class", []classColumn{
		field("CHUNK", "chunk_size"), field("PAGES", "total_pages"), field("CHUNKS", "total_chunks"),
		field("USED", "used_chunks"), field("FREE", "free_chunks"),
		{"FILL", func(f map[string]string) string {
			used, _ := strconv.ParseUint(f["used_chunks"], 10, 64)
			total, _ := strconv.ParseUint(f["total_chunks"], 10, 64)
			return percent(used, total)
		}},
		fieldAs("HITS", "get_hits", humanCount), fieldAs("SETS", "cmd_set", humanCount), fieldAs("DELETES", "delete_hits", humanCount),
	})
}

func (a *admin) itemsCommand() *cobra.Command {
	return a.classCommand("items", "Show items, their ages and evictions by class", []classColumn{
		fieldAs("ITEMS", "number", humanCount), fieldAs("BYTES", "mem_requested", humanBytes),
		field("HOT", "number_hot"), field("WARM", "number_warm"), field("COLD", "number_cold"), field("TEMP", "number_temp"),
		fieldAs("OLDEST", "age", humanSeconds), fieldAs("EVICTED", "evicted", humanCount),
		fieldAs("LAST-EVICTED-IDLE", "evicted_time", humanSeconds), fieldAs("RECLAIMED", "reclaimed", humanCount),
		field("NO-MEMORY", "outofmemory"),
	})
}

func (a *admin) connsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "conns", Short: "Show the open connections", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(c *client, out io.Writer) error {
				all, err := c.stats("conns")
				if err != nil {
					return err
				}
				ids, byID, _ := classTable(all)
				if a.json {
					conns := []map[string]any{}
					for _, id := range ids {
						conn := map[string]any{"fd": id}
						for name, value := range byID[id] {
							conn[name] = jsonValue(value)
						}
						conns = append(conns, conn)
					}
					return printJSON(out, conns)
				}
				rows := [][]string{{"FD", "ADDRESS", "ON", "STATE", "IDLE"}}
				for _, id := range ids {
					f := byID[id]
					idle, _ := strconv.ParseUint(f["secs_since_last_cmd"], 10, 64)
					rows = append(rows, []string{strconv.Itoa(id), orDash(f["addr"]), orDash(f["listen_addr"]), orDash(f["state"]), humanSeconds(idle)})
				}
				return table(out, rows)
			})
		},
	}
}
