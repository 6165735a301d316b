package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
)

// diffKeys is how many keys a comparison of two maps looks at.
const diffKeys = 100_000

// compare prints what share of keys the config would move, pool by pool, against
// another file or what a running proxy has.
func (o *proxyOptions) compare(out io.Writer, conf *cluster.Config) error {
	old, err := o.running()
	if err != nil {
		return err
	}
	for _, p := range conf.Pools {
		was, err := old.Pool(p.Name)
		if err != nil {
			pf(out, "%s is new\n", cluster.PoolTitle(p.Name))
			continue
		}
		a, err := cluster.NewMap(old.Epoch, was)
		if err != nil {
			return fail(exitFailure, "%s: %v", o.against, err)
		}
		b, err := cluster.NewMap(conf.Epoch, p)
		if err != nil {
			return err
		}
		share, moves := cluster.Moved(a, b, diffKeys)
		pf(out, "%s, epoch %d to %d: %.2f %% of the keys move\n", cluster.PoolTitle(p.Name), old.Epoch, conf.Epoch, 100*share)
		if share > 0 && conf.Epoch <= old.Epoch {
			pf(out, "  raise epoch above %d: a running proxy takes no other placement without\n", old.Epoch)
		}
		for _, m := range moves {
			pf(out, "  %6.2f %%  %s to %s\n", 100*m.Share, m.From, m.To)
		}
	}
	for _, p := range old.Pools {
		if _, err := conf.Pool(p.Name); err != nil {
			pf(out, "%s is gone\n", cluster.PoolTitle(p.Name))
		}
	}
	return nil
}

// againstTime is how long a running proxy has to answer.
const againstTime = 5 * time.Second

// running reads the config that the new one is compared with.
func (o *proxyOptions) running() (*cluster.Config, error) {
	if _, err := os.Stat(o.against); err == nil {
		text, err := readFile(o.against, nil)
		if err != nil {
			return nil, err
		}
		return cluster.ParseConfig(o.against, text)
	}
	c, err := dial(o.against, againstTime)
	if err != nil {
		return nil, fail(exitFailure, "--against %s: there is no such file, and as an address: %v", o.against, err)
	}
	defer c.close()
	lines, err := c.stats("config")
	if err != nil {
		return nil, fail(exitFailure, "--against %s: %v", o.against, err)
	}
	if len(lines) == 0 {
		return nil, fail(exitFailure, "--against %s: that is no proxy: it has no stats config", o.against)
	}
	var text bytes.Buffer
	for _, l := range lines {
		fmt.Fprintln(&text, l.value)
	}
	return cluster.ParseConfig("the config of "+o.against, text.Bytes())
}
