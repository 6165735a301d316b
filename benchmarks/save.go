package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// describe is what a reader of figures must know of where they are from.
func describe(targets []Target) []string {
	lines := []string{
		fmt.Sprintf("machine: %s, %d cores, %s", procField("/proc/cpuinfo", "model name"),
			runtime.NumCPU(), procField("/proc/meminfo", "MemTotal")),
		fmt.Sprintf("kernel: %s; %s; load average at the start: %s", kernel(), runtime.Version(), loadAverage()),
		"commit: " + commit(),
	}
	for _, t := range targets {
		flags := strings.Join(t.Kind.flags(1, 1024), " ")
		lines = append(lines, fmt.Sprintf("%s: %s; where the table has -t 1 -m 1024, its flags are %s", t.Name, t.Version(), flags))
	}
	return lines
}

// save writes the dated result file, and beside it a plot of each whole family:
// one of a few measures does not take the place of one of all.
func save(dir string, now time.Time, about []string, targets []Target, results []Results, whole map[string]bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Measured on %s\n\n", now.Format("2006-01-02 15:04"))
	for _, line := range about {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	b.WriteString("\n")
	if err := WriteMarkdown(&b, Table(targets, results)); err != nil {
		return err
	}
	file := filepath.Join(dir, now.Format("2006-01-02-1504")+".md")
	err := os.WriteFile(file, b.Bytes(), 0o644)
	families := map[string][]Results{}
	for _, r := range results {
		if whole[r.Family] {
			families[r.Family] = append(families[r.Family], r)
		}
	}
	for name, family := range families {
		err = errors.Join(err, Plot(filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".svg"), name, targets, family))
	}
	return err
}

// procField is the value of the first line of a /proc file with that name.
func procField(file, name string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}

// commit names the tree that is measured, with a word if it has changes.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
