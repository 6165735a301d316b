package cluster

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
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
	switch {
	case errors.As(err, &mistyped):
		text = fmt.Sprintf("%s: %s is wanted, not %q", keyOf(t), kindOf(mistyped.DstType), t.Value)
	case errors.As(err, &overflow):
		text = fmt.Sprintf("%s: %s is out of range", keyOf(t), t.Value)
	}
	return fmt.Errorf("%s:%d: %s", name, t.Position.Line, text)
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
