package integration

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The house rules, as tests that say what to do instead.

const module = "github.com/holdfast-cache/holdfast"

// mayImport says which packages of ours and of others a package may import,
// tests excepted. "std-" stands for the standard library without io, net, os,
// sync and time. Imports point one way: protocol, slab and cluster know nobody,
// server knows the first two, persist knows slab, cluster/discover knows cluster,
// and only cmd/holdfast wires.
var mayImport = map[string][]string{
	"protocol":       {"std-", "io"},
	"slab":           {"std", "golang.org/x/sys/unix", "github.com/zeebo/xxh3"},
	"persist":        {"std", "slab", "golang.org/x/sys/unix", "github.com/rs/zerolog", "github.com/zeebo/xxh3", "github.com/klauspost/compress/s2", "github.com/klauspost/compress/zstd"},
	"cluster":        {"std-", "time", "github.com/dgryski/go-jump", "github.com/goccy/go-yaml", "github.com/goccy/go-yaml/ast", "github.com/goccy/go-yaml/parser", "github.com/goccy/go-yaml/token", "github.com/zeebo/xxh3"},
	"server":         {"std", "protocol", "slab", "golang.org/x/sys/unix", "github.com/rs/zerolog", "github.com/valyala/bytebufferpool"},
	"cluster/proxy":  {"std", "protocol", "server", "cluster", "cluster/health", "cluster/hotkeys", "cluster/spool", "github.com/rs/zerolog", "github.com/zeebo/xxh3"},
	"cmd/holdfast":   {"std", "protocol", "slab", "server", "persist", "cluster", "cluster/discover", "cluster/proxy", "cluster/spool", "golang.org/x/sys/unix", "github.com/rs/zerolog", "github.com/spf13/cobra"},
	"integration":    {"std", "protocol", "slab", "server", "persist", "cluster"},
	"benchmarks":     {"std", "protocol", "slab", "golang.org/x/sys/unix", "github.com/HdrHistogram/hdrhistogram-go", "gonum.org/v1/plot", "gonum.org/v1/plot/plotter", "gonum.org/v1/plot/vg", "gonum.org/v1/plot/vg/draw"},
	"cluster/health": {"std-", "sync", "sync/atomic"}, // the loops of a process share it
	// What looks at files, the DNS and other members is apart from placement, which stays pure;
	// memberlist is for those who join a cluster, and only here.
	"cluster/discover": {"std", "cluster", "github.com/rs/zerolog", "github.com/hashicorp/memberlist"},
	"cluster/hotkeys":  {"std-"},
	"cluster/spool":    {"std", "github.com/rs/zerolog"}, // the files of what health keeps in memory
}

// stdBarred are what a package that does no input or output has no use for.
var stdBarred = []string{"net", "os", "io", "time", "sync"}

// Size limits, with the files and functions that may be longer. The lists only
// ever get shorter.
const (
	fileLinesMax = 500
	funcLinesMax = 70
)

var (
	longFiles = map[string]bool{}
	longFuncs = map[string]bool{}
)

// realTime are the files that want the system's time: the clocks themselves, what
// deals with sockets and disks, the pause after a wrong password, the stamps of
// watch lines, what asks again and again who is there, and the tools.
var realTime = []string{
	"server/clock", "server/server.go", "server/transport", "server/accept", "server/epoll", "server/link.go",
	"server/auth.go", "server/watch_lines.go", "cluster/proxy/proxy.go", "cluster/proxy/stats.go", "cluster/spool/", "persist/", "cluster/discover/", "cmd/", "benchmarks/",
}

const useClock = "take the time from server's clock: it is the one that tests can move and that never jumps"

// bannedCalls are functions with a better way to the same end.
var bannedCalls = []struct {
	pkg, prefix string
	where       func(file string) bool // where it is banned
	instead     string
}{
	{"time", "Now", inProduct(realTime...), useClock},
	{"time", "Since", inProduct(realTime...), useClock},
	{"time", "Sleep", inProduct("benchmarks/"), "wait for a condition, a channel or a timer that can be stopped"},
	{"fmt", "Print", inProduct("cmd/", "benchmarks/"), "log with zerolog, or return the text; only cmd prints"},
	{"log", "", inProduct(), "log with zerolog: one format, one level"},
	{"os", "Exit", inProduct("cmd/holdfast/main.go", "benchmarks/main.go"), "return an error: only main ends the program"},
}

// unsafeFiles may use unsafe, each for one reason: items lie in memory that is
// not Go's, and epoll_event carries a pointer-sized word.
var unsafeFiles = []string{"slab/item", "slab/arena", "slab/index", "slab/prefetch", "server/epoll"}

// inProduct is true of all files but tests and those that begin so.
func inProduct(except ...string) func(string) bool {
	return func(file string) bool {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "integration/") {
			return false
		}
		return !hasPrefix(file, except)
	}
}

func hasPrefix(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

// source is one parsed file.
type source struct {
	path string // from the module's root, with slashes
	text []byte
	ast  *ast.File
	fset *token.FileSet
}

func (s *source) line(n ast.Node) int { return s.fset.Position(n.Pos()).Line }

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && len(d.Name()) > 1 && d.Name() != ".." && (d.Name()[0] == '.' || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s := source{path: filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator))), text: text, fset: token.NewFileSet()}
		s.ast, err = parser.ParseFile(s.fset, path, text, parser.ParseComments)
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d source files found: the rules look in the wrong place", len(all))
	}
	return all
}

func TestTidyImports(t *testing.T) {
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		dir := filepath.ToSlash(filepath.Dir(s.path))
		allowed, known := mayImport[dir]
		if !known {
			t.Errorf("%s: package %s has no row in mayImport: decide what it may import", s.path, dir)
			continue
		}
		for _, spec := range s.ast.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !importAllowed(path, allowed) {
				t.Errorf("%s:%d: %s may not import %s: imports point from cmd to server to protocol and slab, never back; let cmd pass in what is needed",
					s.path, s.line(spec), dir, path)
			}
		}
	}
}

func importAllowed(path string, allowed []string) bool {
	if slices.Contains(allowed, strings.TrimPrefix(path, module+"/")) {
		return true
	}
	if strings.Contains(strings.Split(path, "/")[0], ".") || path == "unsafe" {
		return path == "unsafe" // TestTidyUnsafe sees to that
	}
	if slices.Contains(allowed, "std") {
		return true
	}
	return slices.Contains(allowed, "std-") && !slices.Contains(stdBarred, strings.Split(path, "/")[0])
}

func TestTidySizes(t *testing.T) {
	seenFiles, seenFuncs := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if lines := bytes.Count(s.text, []byte("\n")); lines > fileLinesMax {
			seenFiles[s.path] = true
			if !longFiles[s.path] {
				t.Errorf("%s has %d lines, %d is the most: move a part that has a name of its own to a file of its own", s.path, lines, fileLinesMax)
			}
		}
		for _, decl := range s.ast.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			lines := s.fset.Position(f.End()).Line - s.line(f) + 1
			if lines <= funcLinesMax || mostlyTable(s, f) {
				continue
			}
			name := s.path + ":" + f.Name.Name
			seenFuncs[name] = true
			if !longFuncs[name] {
				t.Errorf("%s has %d lines, %d is the most: give a part of it a name", name, lines, funcLinesMax)
			}
		}
	}
	for name := range longFiles {
		if !seenFiles[name] {
			t.Errorf("%s is not too long any more: take it out of longFiles", name)
		}
	}
	for name := range longFuncs {
		if !seenFuncs[name] {
			t.Errorf("%s is not too long any more: take it out of longFuncs", name)
		}
	}
}

// mostlyTable says that a function is long because of one literal or one
// switch: a list reads well at any length.
func mostlyTable(s source, f *ast.FuncDecl) bool {
	lines := func(n ast.Node) int { return s.fset.Position(n.End()).Line - s.line(n) + 1 }
	longest := 0
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.CompositeLit, *ast.SwitchStmt, *ast.TypeSwitchStmt:
			longest = max(longest, lines(n))
		}
		return true
	})
	return lines(f)-longest <= funcLinesMax/2
}

func TestTidyCalls(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := call.X.(*ast.Ident)
			if !ok || pkg.Obj != nil { // a variable of that name
				return true
			}
			for _, ban := range bannedCalls {
				if pkg.Name == ban.pkg && strings.HasPrefix(call.Sel.Name, ban.prefix) && ban.where(s.path) && imports(s, ban.pkg) {
					t.Errorf("%s:%d: %s.%s: %s", s.path, s.line(n), pkg.Name, call.Sel.Name, ban.instead)
				}
			}
			return true
		})
	}
}

func imports(s source, path string) bool {
	return slices.ContainsFunc(s.ast.Imports, func(spec *ast.ImportSpec) bool { return spec.Path.Value == strconv.Quote(path) })
}

func TestTidyUnsafe(t *testing.T) {
	for _, s := range sources(t) {
		if imports(s, "unsafe") && !hasPrefix(s.path, unsafeFiles) && !strings.HasSuffix(s.path, "_test.go") {
			t.Errorf("%s: unsafe is for the item and arena files of slab and the epoll file of server: call their accessors", s.path)
		}
	}
}

// The project speaks of itself only: a comment must make sense to somebody who
// has nothing but this tree.
func TestTidyReferences(t *testing.T) {
	words := []string{"../" + "shared", "/" + "work/", "/tmp/" + "peers", "DESIGN" + ".md", "research" + "/", "the " + "lead"}
	for _, s := range sources(t) {
		for i, line := range strings.Split(string(s.text), "\n") {
			for _, word := range words {
				if strings.Contains(line, word) {
					t.Errorf("%s:%d: refers to %q, which is not in this tree: say what is meant", s.path, i+1, word)
				}
			}
		}
	}
}

// Every exported name, and every package, has a comment that begins with it.
func TestTidyComments(t *testing.T) {
	documented := map[string]bool{}
	dirs := map[string]bool{}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		dir := filepath.Dir(s.path)
		dirs[dir] = true
		if s.ast.Doc != nil && len(s.ast.Doc.Text()) > 100 {
			documented[dir] = true
		}
		for _, decl := range s.ast.Decls {
			if missing := undocumented(decl); missing != "" {
				t.Errorf("%s:%d: %s has no comment: say what it means, in which unit, and who owns its bytes", s.path, s.line(decl), missing)
			}
		}
	}
	for dir := range dirs {
		if !documented[dir] {
			t.Errorf("%s has no doc.go: say what the package is for, draw it, list what always holds", dir)
		}
	}
}

// undocumented names the first exported thing in decl without a comment.
func undocumented(decl ast.Decl) string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedReceiver(d)) {
			return "func " + d.Name.Name
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
				return "type " + ts.Name.Name
			}
			vs, ok := spec.(*ast.ValueSpec)
			if ok && vs.Names[0].IsExported() && d.Doc == nil && vs.Doc == nil && vs.Comment == nil {
				return fmt.Sprint(d.Tok, " ", vs.Names[0].Name)
			}
		}
	}
	return ""
}

// exportedReceiver says whether the method is one of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	exported := false
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			exported = exported || id.IsExported()
		}
		return true
	})
	return exported
}
