package pull

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Entries calls visit at each value of an object that is a map, and not at those that are null. Null has none.
func (c *Cursor) Entries(visit func(key string) error) error {
	if c.Null() {
		return nil
	}
	return c.Fields(func(name []byte) error {
		if c.Null() {
			return nil
		}
		key, err := unquote(name)
		if err != nil {
			return err
		}
		return visit(key)
	})
}

// Texts reads a map of text, and leaves an empty one out.
func (c *Cursor) Texts(into *map[string]string) error {
	return c.Entries(func(key string) error {
		if *into == nil {
			*into = make(map[string]string)
		}
		var text string
		err := c.Text(&text)
		(*into)[key] = text
		return err
	})
}

// Text reads text.
func (c *Cursor) Text(into *string) error {
	text, err := c.Value()
	if err != nil {
		return err
	}
	return Text(text, into)
}

// Text reads a string from the text of a value.
func Text(text []byte, into *string) (err error) {
	if len(text) < 2 || text[0] != '"' {
		return Decode(text, into)
	}
	*into, err = unquote(text[1 : len(text)-1])
	return err
}

// unquote returns the text of a string without its quotes. It is a copy.
func unquote(inner []byte) (string, error) {
	for _, c := range inner {
		if c == '\\' || c < ' ' || c > '~' {
			var text string
			err := Decode([]byte(`"`+string(inner)+`"`), &text)
			return text, err
		}
	}
	return string(inner), nil
}

func (c *Cursor) Uint64(into *uint64) error {
	text, err := c.Value()
	if err != nil {
		return err
	}
	return number(text, into)
}

// Int64 reads an integer.
func (c *Cursor) Int64(into *int64) error {
	text, err := c.Value()
	if err != nil {
		return err
	}
	*into, err = strconv.ParseInt(string(text), 10, 64)
	return err
}

func (c *Cursor) Int(into *int) error {
	var number int64
	err := c.Int64(&number)
	*into = int(number)
	return err
}

// Bool reads a boolean.
func (c *Cursor) Bool(into *bool) error {
	text, err := c.Value()
	if err != nil {
		return err
	}
	if *into = string(text) == "true"; *into || string(text) == "false" {
		return nil
	}
	return Decode(text, into)
}

// Time reads a time. It is the zero one until Nomad has something to say.
func (c *Cursor) Time(into *time.Time) error {
	text, err := c.Value()
	if err != nil || string(text) == `"0001-01-01T00:00:00Z"` {
		return err
	}
	return into.UnmarshalJSON(text)
}

// Decode reads any value.
func (c *Cursor) Decode(into any) error {
	text, err := c.Value()
	if err != nil {
		return err
	}
	return Decode(text, into)
}

// Decode reads any value from its text.
func Decode(text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%.80q: %w", text, err)
	}
	return nil
}

func number(text []byte, into *uint64) (err error) {
	*into, err = strconv.ParseUint(string(text), 10, 64)
	return err
}
