package profile

import (
	"errors"
	"fmt"
	"math/big"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// errUnknown says that the value has the right type and is not known yet.
var errUnknown = errors.New("unknown")

var (
	wordPattern   = atMost(63, `^[a-z0-9][a-z0-9_-]*$`)
	namePattern   = atMost(32, `^[a-z0-9][a-z0-9_-]*$`)
	devicePattern = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9 ._-]+){0,2}$`)
	signalPattern = regexp.MustCompile(`^SIG[A-Z0-9]{1,10}$`)
	envPattern    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	imagePattern  = atMost(512, `^[A-Za-z0-9][A-Za-z0-9._:/@-]*$`)
	sizePattern   = regexp.MustCompile(`^([0-9]{1,12}(?:\.[0-9]{1,6})?)([KMGT]?)$`)
)

// shape is a pattern of ASCII characters and how many there may be of them. A regular expression that counts as far itself is many times as large.
type shape struct {
	pattern *regexp.Regexp
	most    int
}

func atMost(most int, pattern string) shape { return shape{regexp.MustCompile(pattern), most} }

// MatchString reports whether the text has the shape.
func (s shape) MatchString(text string) bool {
	return len(text) <= s.most && s.pattern.MatchString(text)
}

// put converts a value to what the field holds, and checks it. Errors go on after the name of the setting.
func put(f reflect.Value, to target, v cty.Value) error {
	if f.Kind() == reflect.Pointer {
		one := reflect.New(f.Type().Elem())
		if err := put(one.Elem(), to, v); err != nil {
			return err
		}
		f.Set(one)
		return nil
	}
	switch p := f.Addr().Interface().(type) {
	case *byteSize:
		return putText(v, "a size such as 512M, 2G, or a number of bytes", func(s string) (err error) { *p, err = parseSize(s); return err })
	case *duration:
		return putText(v, "a length of time such as 90s", func(s string) (err error) { *p, err = parseDuration(s, to.is); return err })
	case *string:
		return putText(v, "a text", func(s string) error { *p = s; return check(s, to.is) })
	case *[]string:
		return putList(p, to, v)
	case *map[string]string:
		return putMap(f, to, v, cty.String)
	case *map[string]int:
		return putMap(f, to, v, cty.Number)
	}
	return putScalar(f, to, v)
}

func putScalar(f reflect.Value, to target, v cty.Value) error {
	if f.Kind() == reflect.Bool {
		b, err := converted(v, cty.Bool, "true or false")
		if err != nil {
			return err
		}
		f.SetBool(b.True())
		return nil
	}
	n, err := converted(v, cty.Number, "a number")
	if err != nil {
		return err
	}
	number, _ := n.AsBigFloat().Float64()
	if err := checkNumber(number, to.is); err != nil {
		return err
	}
	if f.Kind() == reflect.Float64 {
		f.SetFloat(number)
		return nil
	}
	whole, accuracy := n.AsBigFloat().Int64()
	if accuracy != big.Exact || whole > 1<<40 {
		return fmt.Errorf("needs a whole number, and is %s", n.AsBigFloat().Text('g', 10))
	}
	f.SetInt(whole)
	return nil
}

// converted is the value as the type, or errUnknown, or an error that says what is needed.
func converted(v cty.Value, t cty.Type, needs string) (cty.Value, error) {
	c, err := convert.Convert(v, t)
	switch {
	case err != nil:
		return c, fmt.Errorf("needs %s, and is %s", needs, described(v))
	case !c.IsWhollyKnown():
		return c, errUnknown
	case c.IsNull():
		return c, fmt.Errorf("needs %s, and is null", needs)
	}
	return c, nil
}

// described tells a person what a value is.
func described(v cty.Value) string {
	if v.IsWhollyKnown() && !v.IsNull() && v.Type() == cty.String {
		return short(v.AsString())
	}
	return "a " + v.Type().FriendlyName()
}

// short is a text in quotes, cut if it is long.
func short(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return strconv.Quote(s)
}

func putText(v cty.Value, needs string, take func(string) error) error {
	s, err := converted(v, cty.String, needs)
	if err != nil {
		return err
	}
	return take(s.AsString())
}

func putList(p *[]string, to target, v cty.Value) error {
	list, err := converted(v, cty.List(cty.String), "a list of texts")
	if err != nil {
		return err
	}
	texts := []string{}
	for _, item := range list.Elements() {
		if item.IsNull() {
			continue
		}
		if err := check(item.AsString(), to.is); err != nil {
			return err
		}
		texts = append(texts, item.AsString())
	}
	*p = texts
	return nil
}

// putMap adds to what the map holds; null takes a key away.
func putMap(f reflect.Value, to target, v cty.Value, of cty.Type) error {
	m, err := converted(v, cty.Map(of), "a map of "+of.FriendlyName()+"s")
	if err != nil {
		return err
	}
	if f.IsNil() {
		f.Set(reflect.MakeMap(f.Type()))
	}
	for key, item := range m.Elements() {
		k := reflect.ValueOf(key.AsString())
		if item.IsNull() {
			f.SetMapIndex(k, reflect.Value{})
			continue
		}
		if to.is == "environment" && !envPattern.MatchString(key.AsString()) {
			return fmt.Errorf("has the name %s, and names of variables have letters, digits and underscores only", short(key.AsString()))
		}
		one := reflect.New(f.Type().Elem()).Elem()
		if err := put(one, to, item); err != nil {
			return fmt.Errorf("(%s) %w", key.AsString(), err)
		}
		f.SetMapIndex(k, one)
	}
	return nil
}

// check tells what is wrong with a text.
func check(s, is string) error {
	if s == "" {
		return nil // the same as not to say it
	}
	wrong := func(needs string) error { return fmt.Errorf("needs %s, and is %s", needs, short(s)) }
	options, isChoice := strings.CutPrefix(is, "one of ")
	switch {
	case strings.ContainsRune(s, 0):
		return errors.New("has a character that cannot be used")
	case isChoice && !slices.Contains(strings.Fields(options), s):
		return wrong(listed(strings.Fields(options)))
	case is == "path" && (!path.IsAbs(s) || path.Clean(s) != s || strings.IndexFunc(s, unicode.IsControl) >= 0):
		return wrong("a path that begins with a slash and has no .., . or empty parts")
	case is == "url path" && !strings.HasPrefix(s, "/"):
		return wrong("a path that begins with a slash, such as /lab")
	case is == "word" && !wordPattern.MatchString(s):
		return wrong("a word of a-z, 0-9, hyphen and underscore")
	case is == "signal" && !signalPattern.MatchString(s):
		return wrong("the name of a signal, such as SIGTERM")
	case is == "pattern":
		if _, err := compile(s); err != nil {
			return fmt.Errorf("needs a regular expression, and %s is none: %w", short(s), err)
		}
	}
	return nil
}

func compile(pattern string) (*regexp.Regexp, error) {
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// listed is "a, b or c".
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func checkNumber(n float64, is string) error {
	low, high := 0.0, 1e15
	switch is {
	case "any number":
		low = -1e15
	case "priority", "percent":
		low, high = 1, 100
	case "weight":
		low, high = -100, 100
	case "port":
		high = 65535
	}
	if n < low || n > high || is == "weight" && n == 0 {
		return fmt.Errorf("needs a number from %v to %v, and is %v", low, high, n)
	}
	return nil
}

// parseSize reads JupyterHub's way to write a number of bytes.
func parseSize(s string) (byteSize, error) {
	m := sizePattern.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("needs a size such as 512M, 1.5G, or a number of bytes (K, M, G and T are powers of 1024), and is %s", short(s))
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, err
	}
	n *= map[string]float64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}[m[2]]
	if n > 1<<60 {
		return 0, fmt.Errorf("is %s, and nothing is so large", short(s))
	}
	return byteSize(n), nil
}

func parseDuration(s, is string) (duration, error) {
	if is == "or never" && s == "never" {
		return -1, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("needs a length of time such as 90s or 2h, and is %s", short(s))
	}
	return duration(d), nil
}
