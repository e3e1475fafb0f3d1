package pull_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/internal/pull"
)

type thing struct {
	Name  string
	Count int
	Big   uint64
	Far   int64
	On    bool
	When  time.Time
	Meta  map[string]string
	Parts []string
	Rest  any
}

func take(text string) (t thing, err error) {
	c := pull.New([]byte(text))
	err = c.Fields(func(name []byte) error {
		switch string(name) {
		case "Name":
			return c.Text(&t.Name)
		case "Count":
			return c.Int(&t.Count)
		case "Big":
			return c.Uint64(&t.Big)
		case "Far":
			return c.Int64(&t.Far)
		case "On":
			return c.Bool(&t.On)
		case "When":
			return c.Time(&t.When)
		case "Meta":
			return c.Texts(&t.Meta)
		case "Rest":
			return c.Decode(&t.Rest)
		case "Parts":
			return c.Elements(func() error {
				var one string
				err := c.Text(&one)
				t.Parts = append(t.Parts, one)
				return err
			})
		}
		return nil
	})
	return t, err
}

func (t thing) equal(o thing) bool {
	return t.Name == o.Name && t.Count == o.Count && t.Big == o.Big && t.Far == o.Far && t.On == o.On && t.When.Equal(o.When) &&
		maps.Equal(t.Meta, o.Meta) && slices.Equal(t.Parts, o.Parts)
}

var texts = []string{
	`{}`,
	`{"Name":"a","Other":{"Name":"b","x":[1,{"y":"}]"}]},"Count":-3}`,
	` { "Name" : "\u00e4 \"q\" \\" , "Big" : 18446744073709551615 , "Far":-9223372036854775808, "On":true } `,
	`{"When":"2026-01-02T03:04:05.678Z","Meta":{"a":"1","b\n":"ü","c":""},"Parts":["x","y\\"],"Rest":[null,1.5e3]}`,
	`{"Meta":null,"Parts":null,"Name":"<\u003e&\u2028"}`,
	`{"Parts":[],"Meta":{}}`,
}

// TestTakes holds that what is taken is what encoding/json takes.
func TestTakes(t *testing.T) {
	t.Parallel()
	for _, text := range texts {
		var want thing
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		got, err := take(text)
		if err != nil || !got.equal(want) {
			t.Errorf("of %s it takes %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, `[`, `{`, `{"`, `{"Name`, `{"Name"`, `{"Name":`, `{"Name":"`, `{"Name":"a"`, `{"Name":"a",`, `{"Name":"a",}`, `{"Name" "a"}`, `{Name:"a"}`, `{"Parts":["a"`, `{"Parts":["a",]}`,
		`{"Name":5}`, `{"Count":"a"}`, `{"Big":-1}`, `{"On":1}`, `{"When":"today"}`, `{"Parts":{}}`, `{"Meta":[]}`, `{"Meta":{"a":1}}`, `<html>`,
	} {
		if got, err := take(text); err == nil {
			t.Errorf("of %s it takes %+v", text, got)
		}
	}
	if _, err := take(`<html>`); !errors.Is(err, pull.ErrJSON) {
		t.Errorf("what is no JSON gives %v", err)
	}
}

// FuzzTakes has whatever encoding/json reads read alike, and everything else not end the program.
func FuzzTakes(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := take(text)
		if err != nil || !json.Valid([]byte(text)) {
			return
		}
		var raw map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &raw) != nil || raw == nil || twice([]byte(text)) {
			return
		}
		var name string
		if value, there := raw["Name"]; there && json.Unmarshal(value, &name) == nil && name != got.Name {
			t.Errorf("of %q the name is %q, want %q", text, got.Name, name)
		}
	})
}

// twice tells whether a name is there twice at least, of which encoding/json takes the last, or is written with escapes, which are not looked through.
func twice(text []byte) bool {
	seen, more := map[string]bool{}, false
	_ = pull.EachField(text, func(name, _ []byte) error {
		more = more || seen[string(name)] || bytes.IndexByte(name, '\\') >= 0
		seen[string(name)] = true
		return nil
	})
	return more
}
