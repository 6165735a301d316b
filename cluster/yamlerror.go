package cluster

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// yamlError makes one line of an error of the YAML library, with file, line and
// field in front, and no Go types in it.
func yamlError(name string, err error) error {
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil {
		text, _, _ := strings.Cut(err.Error(), "\n")
		if text == "exceeded max depth" { // all that the library says of it
			text = "it is nested too deep: does an alias (*name) stand within its own anchor (&name)?"
		}
		return fmt.Errorf("%s: %s", name, text)
	}
	t, text := y.GetToken(), y.GetMessage()
	var mistyped *yaml.TypeError
	var overflow *yaml.OverflowError
	var shaped *yaml.UnexpectedNodeTypeError
	switch {
	case errors.As(err, &shaped):
		at := t
		if t.Type == token.MappingValueType && t.Prev != nil {
			at = t.Prev // the first key of a mapping that should not be one
		}
		text = fmt.Sprintf("%s: %s is wanted, not %s", keyOf(at), nodeName(shaped.Expected), nodeName(shaped.Actual))
	case errors.As(err, &mistyped):
		text = fmt.Sprintf("%s: %s is wanted, not %q", keyOf(t), kindOf(mistyped.DstType), t.Value)
	case errors.As(err, &overflow):
		text = fmt.Sprintf("%s: %s is out of range", keyOf(t), t.Value)
	}
	return fmt.Errorf("%s:%d: %s", name, t.Position.Line, text)
}

// located gives an error about a time, of which the library does not say where it stands,
// the place of that time in the file.
func located(file *ast.File, err error) error {
	text := err.Error()
	if !strings.HasPrefix(text, "time: ") || !strings.Contains(text, `"`) {
		return err
	}
	value, uerr := strconv.Unquote(text[strings.LastIndex(text[:len(text)-1], `"`):])
	for t := firstToken(file); t != nil && uerr == nil; t = t.Next {
		if t.Value == value {
			return &yaml.TypeError{DstType: reflect.TypeFor[time.Duration](), SrcType: reflect.TypeFor[string](), Token: t}
		}
	}
	return err
}

// fractions refuses a number with a fraction where a whole one is wanted: the library
// takes what is before the point, and 1.10 for the same epoch as 1.9.
func fractions(file *ast.File) error {
	for t := firstToken(file); t != nil; t = t.Next {
		if t.Type != token.FloatType {
			continue
		}
		switch keyOf(t) {
		case "epoch", "points", "weight", "copies", "size", "burst":
			return &yaml.TypeError{DstType: reflect.TypeFor[int](), SrcType: reflect.TypeFor[float64](), Token: t}
		}
	}
	return nil
}

func firstToken(file *ast.File) *token.Token {
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil
	}
	t := file.Docs[0].Body.GetToken()
	for t != nil && t.Prev != nil {
		t = t.Prev
	}
	return t
}

// nodeName is what people call a kind of node.
func nodeName(n ast.NodeType) string {
	switch n {
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	case ast.SequenceType:
		return "a list"
	case ast.StringType, ast.LiteralType:
		return "a text"
	}
	return "a " + strings.ToLower(n.String())
}

// keyOf returns the key whose value t is, or stands in.
func keyOf(t *token.Token) string {
	for ; t.Prev != nil; t = t.Prev {
		if t.Type == token.MappingValueType {
			return t.Prev.Value
		}
	}
	return "the file"
}

func kindOf(t reflect.Type) string {
	if t == reflect.TypeFor[time.Duration]() {
		return "a time with its unit, as 250ms or 10s,"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Slice:
		return "a list"
	case reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Uint64:
		return "a whole number"
	}
	return "a mapping"
}
