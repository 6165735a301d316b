package main

import (
	"slices"
	"strings"
)

// option is one command line option. Either name may be missing.
type option struct {
	short byte
	long  string
	// group is the heading in the help from this option on, "" for memcached's own.
	group string
	// arg names the argument in the help; "" means that there is none.
	arg string
	// optional says that the long form may carry "=value" and need not.
	optional bool
	doc      string
	apply    func(o *options, value string) error
}

// parseOptions reads args as getopt_long(3) does and applies each option to o
// in turn: bundled letters (-vvA), glued or separate arguments (-p1, -p 1),
// long names whole or abbreviated (--port=1, --port 1, --po 1), options after
// operands, and -- as the end of options. It returns the operands.
func parseOptions(table []option, args []string, o *options) (operands []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return append(operands, args...), nil
		case strings.HasPrefix(arg, "--"):
			args, err = parseLong(table, arg[2:], args, o)
		case len(arg) > 1 && arg[0] == '-':
			args, err = parseShort(table, arg[1:], args, o)
		default:
			operands = append(operands, arg)
		}
		if err != nil {
			return operands, err
		}
	}
	return operands, nil
}

// parseShort applies a cluster of letters and returns the arguments left.
func parseShort(table []option, letters string, rest []string, o *options) ([]string, error) {
	for letters != "" {
		opt := findShort(table, letters[0])
		if opt == nil {
			return rest, fail(exitFailure, "unknown option -%s; run '%s -h' for the list", printable(letters[:1]), o.help())
		}
		letters = letters[1:]
		if opt.arg == "" || opt.optional {
			if err := opt.apply(o, ""); err != nil {
				return rest, err
			}
			continue
		}
		value := letters
		if value == "" {
			if len(rest) == 0 {
				return rest, fail(exitFailure, "option -%c needs a value: -%c <%s>", opt.short, opt.short, opt.arg)
			}
			value, rest = rest[0], rest[1:]
		}
		return rest, opt.apply(o, strings.TrimLeft(value, " \t\n\v\f\r"))
	}
	return rest, nil
}

// parseLong applies one long option and returns the arguments left.
func parseLong(table []option, text string, rest []string, o *options) ([]string, error) {
	name, value, given := strings.Cut(text, "=")
	opt, err := findLong(table, name, o)
	if err != nil {
		return rest, err
	}
	switch {
	case opt.arg == "" && given:
		return rest, fail(exitFailure, "option --%s takes no value", opt.long)
	case opt.arg != "" && !opt.optional && !given:
		if len(rest) == 0 {
			return rest, fail(exitFailure, "option --%s needs a value: --%s=<%s>", opt.long, opt.long, opt.arg)
		}
		value, rest = rest[0], rest[1:]
	}
	return rest, opt.apply(o, strings.TrimLeft(value, " \t\n\v\f\r"))
}

func findShort(table []option, c byte) *option {
	for i := range table {
		if table[i].short == c {
			return &table[i]
		}
	}
	return nil
}

// findLong finds an option by its name or by a beginning that fits only one.
func findLong(table []option, name string, o *options) (*option, error) {
	var found *option
	var fits []string
	for i := range table {
		switch {
		case table[i].long == "" || !strings.HasPrefix(table[i].long, name):
		case table[i].long == name:
			return &table[i], nil
		case table[i].short == 0 && found != nil && found.short != 0:
			// What is short for an option of memcached's stays so.
		default:
			found = &table[i]
			fits = append(fits, "--"+table[i].long)
		}
	}
	switch {
	case slices.Contains(laterOptions, name):
		return nil, fail(exitUsage, "--%s: this option %s", name, notYet)
	case name == "" || len(fits) == 0:
		return nil, fail(exitFailure, "unknown option --%s; run '%s -h' for the list", printable(name), o.help())
	case len(fits) > 1:
		return nil, fail(exitFailure, "option --%s is ambiguous: %s", name, strings.Join(fits, " or "))
	}
	return found, nil
}

// printable keeps control characters out of messages.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
