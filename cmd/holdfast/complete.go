package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// completeServe offers the options of the two tables to the shell: cobra does
// not know them. args is what stands before word, which is being typed.
func completeServe(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	before := ""
	if len(args) > 0 {
		before = args[len(args)-1]
	}
	if list, ok := strings.CutPrefix(word, "--extended="); ok {
		return completeSuboptions("--extended=", list)
	}
	if before == "-o" || before == "--extended" {
		return completeSuboptions("", word)
	}
	if !strings.HasPrefix(word, "-") {
		return nil, cobra.ShellCompDirectiveDefault // the value of an option: a file, if anything
	}
	var names []string
	for i := range flagTable {
		opt := &flagTable[i]
		name := "--" + opt.long
		if opt.long == "" {
			name = "-" + string(opt.short)
		}
		if strings.HasPrefix(name, word) {
			names = append(names, name+"\t"+opt.doc)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeSuboptions completes the last word of a list like "modern,idle_timeout=60".
// No space follows: a value or the next word may.
func completeSuboptions(lead, list string) ([]string, cobra.ShellCompDirective) {
	last := strings.LastIndexByte(list, ',') + 1
	var names []string
	for i := range suboptionTable {
		sub := &suboptionTable[i]
		if sub.refused != "" || !strings.HasPrefix(sub.name, list[last:]) {
			continue
		}
		name := lead + list[:last] + sub.name
		if sub.arg != "" && !sub.optional {
			name += "="
		}
		names = append(names, name+"\t"+sub.doc)
	}
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
