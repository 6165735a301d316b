// Command holdfast is a drop-in memcached server and the tool to look after one.
//
//	holdfast serve …       serve, with memcached's options
//	holdfast -p 11211 …    the same: options without a subcommand serve
//	holdfast admin …       ask or change a running server, memcached included
//	holdfast which …       say which server of a pool owns a key
//	holdfast import …      make a pool's config of twemproxy's or libmemcached's
//
// # Who reads what
//
//	main.go ─▶ memcached's name, or an option first ─▶ serve.go ─▶ getopt.go over the tables
//	        └▶ anything else ─▶ root.go (cobra)       flags.go and suboptions.go ─▶ options
//	                             ├─ serve
//	                             ├─ admin …           options ─▶ slab.Config, server.Config
//	                             ├─ which, import    config file ─▶ cluster.Map
//	                                                 serve --join ─▶ discover.Gossip
//	                             └─ version, completion
//
// Options are rows of two tables, one for the letters and long names
// (flags.go), one for the suboptions of -o (suboptions.go). A row holds the
// name, the help text and the function that applies it, so that help, parser
// and effect cannot drift apart. cobra does not parse them: memcached's syntax
// is getopt_long's (-p11211, -vvA, abbreviated long names), which pflag refuses.
//
// # Exit codes
//
// They are memcached's: 0 a clean end, 1 an option that cannot be parsed or a
// file that cannot be read, 64 settings that make no sense together, 67 an
// unknown user, 71 something the system refused, a taken port above all. Every
// failure is one line on standard error.
//
// # Under memcached's name
//
// Called through a link whose name begins with "memcached", the program takes
// memcached's options only, listens on all addresses unless told otherwise
// (with a warning in the log), and refuses to run as root without -u.
//
// Not the business of this package: what a request means (server), where an item
// lies (slab), who owns a key (cluster) and who is there (cluster/discover). It is
// the only one that wires the others together, reads flags or prints.
package main
