package cluster

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// RouteConfig says where requests go: to a pool, or through a route of one kind to
// other routes. In the file it is the name of a pool, or a mapping of one kind.
type RouteConfig struct {
	// Pool is the name of a pool.
	Pool string `yaml:"pool,omitempty"`
	// Prefix chooses by how a key begins.
	Prefix *PrefixRoute `yaml:"prefix,omitempty"`
	// Command chooses by the command.
	Command *CommandRoute `yaml:"command,omitempty"`
	// Replicate keeps every key in several places.
	Replicate *ReplicateRoute `yaml:"replicate,omitempty"`
	// Failover takes another place for a short time where the first fails.
	Failover *FailoverRoute `yaml:"failover,omitempty"`
	// Warmup fills a cold place from a warm one as keys are read.
	Warmup *WarmupRoute `yaml:"warmup,omitempty"`
	// Migrate moves keys from one place to another, one by one over a time.
	Migrate *MigrateRoute `yaml:"migrate,omitempty"`
	// Shadow sends a part of the keys somewhere else as well.
	Shadow *ShadowRoute `yaml:"shadow,omitempty"`
	// SplitHot keeps hot keys in several copies.
	SplitHot *SplitHotRoute `yaml:"split_hot,omitempty"`
	// NearCache keeps values in the proxy for a moment.
	NearCache *NearCacheRoute `yaml:"near_cache,omitempty"`
	// Coalesce lets gets of the same key at the same time share one.
	Coalesce *CoalesceRoute `yaml:"coalesce,omitempty"`
	// RateLimit refuses what is too much.
	RateLimit *RateLimitRoute `yaml:"rate_limit,omitempty"`
}

// UnmarshalYAML reads a route from the name of a pool or from a mapping.
func (r *RouteConfig) UnmarshalYAML(decode func(any) error) error {
	if decode(&r.Pool) == nil {
		return nil
	}
	type plain RouteConfig // without this method
	return decode((*plain)(r))
}

// MarshalYAML writes what is a pool alone as its name.
func (r RouteConfig) MarshalYAML() (any, error) {
	if r.Pool != "" {
		return r.Pool, nil
	}
	type plain RouteConfig
	return plain(r), nil
}

// PrefixRoute sends keys to the case whose prefix is the longest that they begin with.
type PrefixRoute struct {
	// Cases are the prefixes, in any order.
	Cases []PrefixCase `yaml:"cases"`
	// Default is where other keys go.
	Default *RouteConfig `yaml:"default"`
}

// PrefixCase is a prefix and where its keys go.
type PrefixCase struct {
	// Prefix is the beginning of keys.
	Prefix string `yaml:"prefix"`
	// To is where they go.
	To *RouteConfig `yaml:"to"`
}

// CommandRoute sends commands to different places. A class that is left out goes
// to Default.
type CommandRoute struct {
	// Get is get, gets, mg and me.
	Get *RouteConfig `yaml:"get,omitempty"`
	// Store is set, add, replace, append, prepend, cas and ms.
	Store *RouteConfig `yaml:"store,omitempty"`
	// Delete is delete and md.
	Delete *RouteConfig `yaml:"delete,omitempty"`
	// Arith is incr, decr and ma.
	Arith *RouteConfig `yaml:"arith,omitempty"`
	// Touch is touch, gat and gats.
	Touch *RouteConfig `yaml:"touch,omitempty"`
	// Default is where all else goes.
	Default *RouteConfig `yaml:"default"`
}

// ReplicateRoute writes to all of To and reads from the first, or from the next
// where that fails.
type ReplicateRoute struct {
	// To are the places, at least two. The first is read, and carries out what depends
	// on the value there is (cas, add, incr, append, …); the others delete the key then.
	To []*RouteConfig `yaml:"to"`
	// Answer is when a write is answered: once "all" have done it, which is the default,
	// once a "majority" has, and the first of the list has answered or failed,
	// or once the "first" has.
	Answer string `yaml:"answer,omitempty"`
}

// FailoverRoute uses To, and Gutter for what fails there.
type FailoverRoute struct {
	// To is where requests go.
	To *RouteConfig `yaml:"to"`
	// Gutter takes what failed.
	Gutter *RouteConfig `yaml:"gutter"`
	// TTL bounds the life of what is written there; 10s if left out, at most 5m.
	TTL time.Duration `yaml:"ttl,omitempty"`
}

// WarmupRoute uses Cold, and takes what is missing there from Warm.
type WarmupRoute struct {
	// Cold is the place to be filled.
	Cold *RouteConfig `yaml:"cold"`
	// Warm is the place with the values. What is written is deleted there.
	Warm *RouteConfig `yaml:"warm"`
}

// MigrateRoute moves keys from From to To, each at a moment of its own within Over.
type MigrateRoute struct {
	// From is where keys are.
	From *RouteConfig `yaml:"from"`
	// To is where they go.
	To *RouteConfig `yaml:"to"`
	// Start is when it begins, as 2026-01-31T20:00:00Z. If left out it is when the route is
	// loaded first: with more than one proxy all need the same Start.
	Start string `yaml:"start,omitempty"`
	// Over is how long it takes; 1h if left out. Ten seconds after that nothing is
	// brought over any more, and a minute after it the route can be taken out. The
	// clocks of proxies may differ by ten seconds.
	Over time.Duration `yaml:"over,omitempty"`
}

// ShadowRoute uses To, and sends Fraction of the keys to Shadow too.
type ShadowRoute struct {
	// To is where requests go.
	To *RouteConfig `yaml:"to"`
	// Shadow is where some go as well. Nobody waits for its answers.
	Shadow *RouteConfig `yaml:"shadow"`
	// Fraction is the part of the keys, above 0 and at most 1.
	Fraction float64 `yaml:"fraction"`
}

// SplitHotRoute keeps Copies of some keys, under the key and the key with ~hf1,
// ~hf2, … behind it. A get reads one of them, writes go to all.
type SplitHotRoute struct {
	// To is where requests go.
	To *RouteConfig `yaml:"to"`
	// Copies is how many there are, from 2 to 64.
	Copies int `yaml:"copies"`
	// Keys are hot keys.
	Keys []string `yaml:"keys,omitempty"`
	// Prefixes are beginnings of hot keys.
	Prefixes []string `yaml:"prefixes,omitempty"`
}

// NearCacheRoute answers gets of some keys from the proxy's memory.
type NearCacheRoute struct {
	// To is where requests go.
	To *RouteConfig `yaml:"to"`
	// Prefixes are the beginnings of the keys that are kept.
	Prefixes []string `yaml:"prefixes"`
	// TTL is how long a value is kept: how old it may be where another proxy has
	// written. 1s if left out, at most 5s.
	TTL time.Duration `yaml:"ttl,omitempty"`
	// Size bounds the memory, in bytes; 16777216 if left out.
	Size int `yaml:"size,omitempty"`
}

// CoalesceRoute lets gets of the same key at the same time share one.
type CoalesceRoute struct {
	// To is where requests go.
	To *RouteConfig `yaml:"to"`
}

// RateLimitRoute refuses requests beyond Rate with SERVER_ERROR hf-limit.
type RateLimitRoute struct {
	// To is where requests go.
	To *RouteConfig `yaml:"to"`
	// Name stands behind hf-limit; rate-limit if left out.
	Name string `yaml:"name,omitempty"`
	// Rate is how many keys a second there may be, over all clients.
	Rate float64 `yaml:"rate"`
	// Burst is how many there may be at once after a rest; as many as in a second if left out.
	Burst int `yaml:"burst,omitempty"`
}

// Bounds of routes.
const (
	RouteDepthMax  = 16
	routesMax      = 1000
	splitCopiesMax = 64
	gutterTTLMax   = 5 * time.Minute
	nearTTLMax     = 5 * time.Second
	migrateOverMax = 100_000 * time.Hour
	rateFullMax    = 1e9 // seconds
)

// RouteChild is a route below another, and its field there.
type RouteChild struct {
	Field string
	Route *RouteConfig
}

// Kind returns the name of the kind in the file, and the routes below; "pool" for
// a pool, "" if there are none or several kinds. A child that is left out is nil;
// of a CommandRoute only those are returned that are given.
func (r *RouteConfig) Kind() (string, []RouteChild) {
	kinds, kind := 0, ""
	var children []RouteChild
	is := func(name string, c ...RouteChild) { kinds, kind, children = kinds+1, name, c }
	if r.Pool != "" {
		is("pool")
	}
	if p := r.Prefix; p != nil {
		is("prefix")
		for i := range p.Cases {
			children = append(children, RouteChild{"cases[" + strconv.Itoa(i) + "].to", p.Cases[i].To})
		}
		children = append(children, RouteChild{"default", p.Default})
	}
	if c := r.Command; c != nil {
		is("command")
		for _, k := range []RouteChild{{"get", c.Get}, {"store", c.Store}, {"delete", c.Delete}, {"arith", c.Arith}, {"touch", c.Touch}} {
			if k.Route != nil {
				children = append(children, k)
			}
		}
		children = append(children, RouteChild{"default", c.Default})
	}
	if p := r.Replicate; p != nil {
		is("replicate")
		for i, k := range p.To {
			children = append(children, RouteChild{"to[" + strconv.Itoa(i) + "]", k})
		}
	}
	if p := r.Failover; p != nil {
		is("failover", RouteChild{"to", p.To}, RouteChild{"gutter", p.Gutter})
	}
	if p := r.Warmup; p != nil {
		is("warmup", RouteChild{"cold", p.Cold}, RouteChild{"warm", p.Warm})
	}
	if p := r.Migrate; p != nil {
		is("migrate", RouteChild{"from", p.From}, RouteChild{"to", p.To})
	}
	if p := r.Shadow; p != nil {
		is("shadow", RouteChild{"to", p.To}, RouteChild{"shadow", p.Shadow})
	}
	if p := r.SplitHot; p != nil {
		is("split_hot", RouteChild{"to", p.To})
	}
	if p := r.NearCache; p != nil {
		is("near_cache", RouteChild{"to", p.To})
	}
	if p := r.Coalesce; p != nil {
		is("coalesce", RouteChild{"to", p.To})
	}
	if p := r.RateLimit; p != nil {
		is("rate_limit", RouteChild{"to", p.To})
	}
	if kinds != 1 {
		return "", nil
	}
	return kind, children
}

// checkRoutes checks the routes of c.
func (c *Config) checkRoutes() *FieldError {
	if c.Routes == nil {
		return nil
	}
	pools := map[string]bool{}
	for _, p := range c.Pools {
		pools[p.Name] = true
	}
	count := 0
	return c.Routes.check("routes", pools, 1, &count)
}

// check checks r and what is below it. count is how many there have been.
func (r *RouteConfig) check(field string, pools map[string]bool, depth int, count *int) *FieldError {
	if *count++; *count > routesMax {
		return fieldError(field, "there are more than %d routes", routesMax)
	}
	if r == nil {
		return fieldError(field, "a route is missing: the name of a pool, or a mapping of one kind")
	}
	if depth > RouteDepthMax {
		return fieldError(field, "routes are nested deeper than %d", RouteDepthMax)
	}
	kind, children := r.Kind()
	switch {
	case kind == "":
		return fieldError(field, "a route is the name of a pool or a mapping of one kind: prefix, command, replicate, failover, warmup, migrate, shadow, split_hot, near_cache, coalesce or rate_limit")
	case kind == "pool" && !pools[r.Pool]:
		return fieldError(field, "there is no pool %q", r.Pool)
	}
	if kind != "pool" {
		field += "." + kind
	}
	if f := r.checkSettings(); f != nil {
		return f.within(field)
	}
	for _, k := range children {
		if f := k.Route.check(field+"."+k.Field, pools, depth+1, count); f != nil {
			return f
		}
	}
	return nil
}

// checkSettings checks what a route has beside other routes.
func (r *RouteConfig) checkSettings() *FieldError {
	switch {
	case r.Prefix != nil:
		return r.Prefix.check()
	case r.Replicate != nil:
		return r.Replicate.check()
	case r.Failover != nil:
		return span("ttl", r.Failover.TTL, gutterTTLMax)
	case r.Migrate != nil:
		return r.Migrate.check()
	case r.Shadow != nil && !(r.Shadow.Fraction > 0 && r.Shadow.Fraction <= 1):
		return fieldError("fraction", "the part of the keys is above 0 and at most 1, not %v", r.Shadow.Fraction)
	case r.SplitHot != nil:
		return r.SplitHot.check()
	case r.NearCache != nil:
		return r.NearCache.check()
	case r.RateLimit != nil:
		return r.RateLimit.check()
	}
	return nil
}

// span checks a time that may be left out.
func span(field string, d, most time.Duration) *FieldError {
	if d < 0 {
		return fieldError(field, "%v is negative", d)
	}
	if d > most {
		return fieldError(field, "%v is not between 0 and %v", d, most)
	}
	return nil
}

func (p *PrefixRoute) check() *FieldError {
	seen := map[string]bool{}
	for i := range p.Cases {
		field := "cases[" + strconv.Itoa(i) + "].prefix"
		switch text := p.Cases[i].Prefix; {
		case text == "":
			return fieldError(field, "a case needs a prefix; what is left over goes to default")
		case seen[text]:
			return fieldError(field, "there are two cases %q", text)
		default:
			seen[text] = true
		}
	}
	if len(p.Cases) == 0 {
		return fieldError("cases", "there must be at least one case")
	}
	return nil
}

func (p *ReplicateRoute) check() *FieldError {
	switch {
	case len(p.To) < 2 || len(p.To) > 16:
		return fieldError("to", "there are from 2 to 16 places, not %d", len(p.To))
	case p.Answer != "" && p.Answer != "all" && p.Answer != "majority" && p.Answer != "first":
		return fieldError("answer", "%q is none of all, majority and first", p.Answer)
	}
	return nil
}

func (p *MigrateRoute) check() *FieldError {
	begin, err := p.Begin()
	switch {
	case err != nil:
		return fieldError("start", "%q is no time: as 2026-01-31T20:00:00Z, or with +01:00 in the place of Z", p.Start)
	case p.Start != "" && (begin.Year() < 2000 || begin.Year() > 2200):
		return fieldError("start", "%s is not in this century or the next", p.Start)
	}
	return span("over", p.Over, migrateOverMax)
}

// Begin is Start; the zero time if it was left out.
func (p *MigrateRoute) Begin() (time.Time, error) {
	if p.Start == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, p.Start)
}

func (p *SplitHotRoute) check() *FieldError {
	switch {
	case p.Copies < 2 || p.Copies > splitCopiesMax:
		return fieldError("copies", "there are from 2 to %d copies, not %d", splitCopiesMax, p.Copies)
	case len(p.Keys)+len(p.Prefixes) == 0:
		return fieldError("keys", "name hot keys in keys or prefixes")
	}
	return checkTexts("prefixes", p.Prefixes)
}

func (p *NearCacheRoute) check() *FieldError {
	if f := span("ttl", p.TTL, nearTTLMax); f != nil {
		return f
	}
	switch {
	case len(p.Prefixes) == 0:
		return fieldError("prefixes", "name the beginnings of the keys that are kept")
	case p.Size < 0:
		return fieldError("size", "%d is negative", p.Size)
	}
	return checkTexts("prefixes", p.Prefixes)
}

// checkTexts refuses an empty text in a list.
func checkTexts(field string, texts []string) *FieldError {
	for i, s := range texts {
		if s == "" {
			return fieldError(field+"["+strconv.Itoa(i)+"]", "a prefix is not empty")
		}
	}
	return nil
}

func (p *RateLimitRoute) check() *FieldError {
	switch {
	case !(p.Rate > 0 && p.Rate <= 1e9):
		return fieldError("rate", "a rate is above 0 and at most 1e9 a second, not %v", p.Rate)
	case p.Burst < 0 || p.Burst > 1e9:
		return fieldError("burst", "%d is not between 1 and 1e9", p.Burst)
	case float64(p.BurstOr())/p.Rate > rateFullMax:
		return fieldError("rate", "at %v a second it takes more than %.0f seconds until there may be %d again", p.Rate, float64(rateFullMax), p.BurstOr())
	case !cleanName(p.Name):
		return fieldError("name", "%q is no name: no spaces, no control characters, at most 255 bytes", p.Name)
	}
	return nil
}

// Settings tells what a route has beside other routes, for people; what is left
// out has its default.
func (r *RouteConfig) Settings() string {
	switch {
	case r.Replicate != nil:
		return "answer " + orElse(r.Replicate.Answer, "all")
	case r.Failover != nil:
		return "ttl " + orElse(r.Failover.TTL, GutterTTL).String()
	case r.Migrate != nil && r.Migrate.Start == "":
		return "over " + orElse(r.Migrate.Over, MigrateOver).String()
	case r.Migrate != nil:
		return "start " + r.Migrate.Start + ", over " + orElse(r.Migrate.Over, MigrateOver).String()
	case r.Shadow != nil:
		return fmt.Sprintf("fraction %v", r.Shadow.Fraction)
	case r.SplitHot != nil:
		return fmt.Sprintf("%d copies of %s", r.SplitHot.Copies, strings.Join(append(quoted(r.SplitHot.Keys, ""), quoted(r.SplitHot.Prefixes, "*")...), " "))
	case r.NearCache != nil:
		n := r.NearCache
		return fmt.Sprintf("ttl %v, %d bytes, of %s", orElse(n.TTL, NearTTL), orElse(n.Size, NearSize), strings.Join(quoted(n.Prefixes, "*"), " "))
	case r.RateLimit != nil:
		return fmt.Sprintf("%v a second, burst %d, named %s", r.RateLimit.Rate, r.RateLimit.BurstOr(), orElse(r.RateLimit.Name, RateLimitName))
	}
	return ""
}

// BurstOr is Burst, or its default.
func (p *RateLimitRoute) BurstOr() int { return orElse(p.Burst, max(1, int(p.Rate))) }

// Defaults of routes.
const (
	GutterTTL     = 10 * time.Second
	MigrateOver   = time.Hour
	NearTTL       = time.Second
	NearSize      = 16 << 20
	RateLimitName = "rate-limit"
)

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}

// quoted puts each text in quotes, and more behind it.
func quoted(texts []string, more string) []string {
	var q []string
	for _, s := range texts {
		q = append(q, strconv.Quote(s)+more)
	}
	return q
}
