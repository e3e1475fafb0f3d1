package store

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// micros is what a time is stored as: microseconds since 1970, or NULL for the zero time.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// null is what an optional reference is stored as: NULL for "".
func null(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// nullHash is what an optional hash is stored as: NULL for none.
func nullHash(hash []byte) any {
	if len(hash) == 0 {
		return nil
	}
	return hash
}

// timeOf scans a column of microseconds.
type timeOf struct{ t *time.Time }

// Scan implements [database/sql.Scanner].
func (c timeOf) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*c.t = time.Time{}
	case int64:
		*c.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time is stored as %T", v)
	}
	return nil
}

func (c timeOf) read(text string) error {
	if text == "" {
		return c.Scan(nil)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	*c.t = time.UnixMicro(n).UTC()
	return err
}

// spanOf scans a column of microseconds into a length of time.
type spanOf struct{ d *time.Duration }

// Scan implements [database/sql.Scanner].
func (c spanOf) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a length of time is stored as %T", v)
	}
	*c.d = time.Duration(n) * time.Microsecond
	return nil
}

func (c spanOf) read(text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	*c.d = time.Duration(n) * time.Microsecond
	return err
}

// textOf scans a column of text, NULL as "".
type textOf struct{ text *string }

// Scan implements [database/sql.Scanner].
func (c textOf) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*c.text = ""
	case string:
		*c.text = v
	case []byte:
		*c.text = string(v)
	default:
		return fmt.Errorf("a text is stored as %T", v)
	}
	return nil
}

func (c textOf) read(text string) error {
	*c.text = strings.Clone(text)
	return nil
}

// partOf is textOf for rows that are many and soon forgotten: the text may be a part of the whole row's, which stays in memory as long as it.
type partOf struct{ text *string }

// Scan implements [database/sql.Scanner].
func (c partOf) Scan(v any) error { return textOf(c).Scan(v) }

func (c partOf) read(text string) error {
	*c.text = text
	return nil
}

// words is what a list of words is stored as: a JSON array.
func words(list []string) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(list)
	return string(b), err
}

// wordsOf scans a JSON array of words; an empty one as nil.
type wordsOf struct{ list *[]string }

// Scan implements [database/sql.Scanner].
func (c wordsOf) Scan(v any) error {
	var text string
	if err := (textOf{&text}).Scan(v); err != nil {
		return err
	}
	return c.read(text)
}

func (c wordsOf) read(text string) error {
	*c.list = nil
	if text == "" || text == "[]" {
		return nil
	}
	return json.Unmarshal([]byte(text), c.list)
}

// timeToMicros is a time as it comes back from a column of microseconds.
func timeToMicros(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }
