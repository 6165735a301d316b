package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/spf13/cobra"
)

// placed is where keys are placed: a pool of a config file, or a bare list.
type placed struct {
	config string
	pool   string
	nodes  string
	json   bool
}

// newWhichCommand says who owns keys. It asks no server.
func newWhichCommand() *cobra.Command {
	p := &placed{}
	cmd := &cobra.Command{
		Use:   "which KEY...",
		Short: "Say which server of a pool owns a key, and why",
		Long: `Say which server of a pool owns a key, and why: the part of the key that counts,
its hash, the bucket or ring point that led to the server, its name and address.
No server is asked. The pool is one of a config file (--config, - for standard
input), or a list of servers (--nodes) that share keys by jump over xxh3.

The config file is YAML. All fields of a pool, of which only servers is needed:

  epoch: 1                  # raise it with every change
  pools:
    - name: sessions        # a file with one pool may leave it out
      distribution: jump    # ` + wrapped(cluster.DistributionNames(), "                            # ") + `
      hash: xxh3            # ` + wrapped(cluster.HashNames(), "                            # ") + `
      seed: text            # of xxh3, as in memcached's proxy
      hash_tag: "{}"        # what stands between the two counts alone
      hash_tag_empty: true  # nothing between them counts as the empty key, not as no tag
      hash_stop: "|#|"      # what counts ends here; not together with hash_tag
      skip_prefix: "app:"   # does not count where a key begins with it
      points: 160           # of a server, on the rings proxy-* and perl-ketama
      point_hash: md5       # of the points of libmemcached-consistent, if not hash
      unsigned_char: true   # hash as C does on ARM
      discover: srv:NAME    # or a:NAME:PORT, aaaa:NAME:PORT: a proxy asks the DNS for the servers
      servers:              # in order: add at the end
        - name: s0          # keys belong to the name: the address may change
          address: 10.0.0.1:11211
          weight: 2         # for rendezvous, ketama*, modula, perl-ketama and dalli
        - 10.0.0.2          # an address alone; port 11211`,
		Example: `  holdfast which user:42 --config pools.yml
  holdfast which 'user:{42}:name' 'user:{42}:mail' --config pools.yml --pool sessions --json
  holdfast which user:42 --nodes 10.0.0.1,10.0.0.2,10.0.0.3:11311`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fail(exitUsage, "which key? run 'holdfast which --help'")
			}
			for _, key := range args {
				if key == "" {
					return fail(exitUsage, "a key has at least one byte")
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, keys []string) error {
			m, err := p.load(cmd.InOrStdin())
			if err != nil {
				return err
			}
			for i, key := range keys {
				if err := p.print(cmd.OutOrStdout(), m.Explain([]byte(key)), i > 0); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&p.config, "config", "", "config file, - for standard input")
	cmd.Flags().StringVar(&p.pool, "pool", "", "pool of the config file; may be left out if there is one only")
	cmd.Flags().StringVar(&p.nodes, "nodes", "", "servers with commas between, in order, instead of a config file")
	cmd.Flags().BoolVar(&p.json, "json", false, "print JSON instead of a table")
	return cmd
}

// wrapped lists words with commas, and begins a line with indent where one is full.
func wrapped(words []string, indent string) string {
	var b strings.Builder
	column := 0
	for i, word := range words {
		if i > 0 {
			b.WriteString(",")
			if column+len(word) > 48 {
				b.WriteString("\n" + indent)
				column = 0
			} else {
				b.WriteString(" ")
			}
		}
		b.WriteString(word)
		column += len(word) + 2
	}
	return b.String()
}

// load makes the map that the flags name.
func (p *placed) load(stdin io.Reader) (*cluster.Map, error) {
	switch {
	case (p.config == "") == (p.nodes == ""):
		return nil, fail(exitUsage, "give either --config or --nodes; run 'holdfast which --help'")
	case p.nodes != "" && p.pool != "":
		return nil, fail(exitUsage, "--pool belongs to --config")
	case p.nodes != "":
		pool := &cluster.PoolConfig{}
		for _, address := range strings.Split(p.nodes, ",") {
			pool.Servers = append(pool.Servers, cluster.ServerConfig{Address: strings.TrimSpace(address)})
		}
		m, err := cluster.NewMap(1, pool)
		if err != nil {
			return nil, fail(exitFailure, "--nodes: %v", err)
		}
		return m, nil
	}
	text, err := readFile(p.config, stdin)
	if err != nil {
		return nil, err
	}
	c, err := cluster.ParseConfig(p.config, text)
	if err != nil {
		return nil, err
	}
	pool, err := c.Pool(p.pool)
	if err != nil {
		return nil, fail(exitUsage, "--pool: %v", err)
	}
	return cluster.NewMap(c.Epoch, pool)
}

// configMax bounds a config file: a wrong path may name a disk.
const configMax = 16 << 20

// readFile reads a config file; - is standard input.
func readFile(name string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fail(exitFailure, "cannot read the config: %v", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, configMax+1))
	if err != nil {
		return nil, fail(exitFailure, "cannot read the config: %v", err)
	}
	if len(text) > configMax {
		return nil, fail(exitFailure, "%s is no config file: it has more than %d bytes", name, configMax)
	}
	return text, nil
}

func (p *placed) print(out io.Writer, e cluster.Explanation, again bool) error {
	if p.json {
		return printJSON(out, e)
	}
	if again {
		pf(out, "\n")
	}
	rows := [][]string{{"key", printable(e.Key)}}
	add := func(name, format string, args ...any) {
		rows = append(rows, []string{name, fmt.Sprintf(format, args...)})
	}
	if e.Pool != "" {
		add("pool", "%s, epoch %d", e.Pool, e.Epoch)
	}
	if e.PartRule != "" {
		add("counts", "%q, by %s", e.Part, e.PartRule)
	}
	if e.Hash != "" {
		add("hash", "%s %s", e.Hash, e.HashValue)
	}
	add("placement", "%s: %s", e.Distribution, e.Why)
	add("server", "%s, slot %d", printable(e.Name), e.Slot)
	add("address", "%s", e.Address)
	return table(out, rows)
}
