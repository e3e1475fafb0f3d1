package nomad

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unique"

	"github.com/hashicorp/nomad/api"
)

// entries calls visit at each value of an object that is a map, and not at those that are null. Null has none.
func (c *cursor) entries(visit func(key string) error) error {
	if c.null() {
		return nil
	}
	return c.fields(func(name []byte) error {
		if c.null() {
			return nil
		}
		key, err := unquote(name)
		if err != nil {
			return err
		}
		return visit(key)
	})
}

// texts reads a map of text, and leaves an empty one out.
func (c *cursor) texts(into *map[string]string) error {
	return c.entries(func(key string) error {
		if *into == nil {
			*into = make(map[string]string)
		}
		var text string
		err := c.string(&text)
		(*into)[key] = text
		return err
	})
}

// string reads text.
func (c *cursor) string(into *string) error {
	text, err := c.value()
	if err != nil {
		return err
	}
	return takeString(text, into)
}

func takeString(text []byte, into *string) (err error) {
	if len(text) < 2 || text[0] != '"' {
		return decode(text, into)
	}
	*into, err = unquote(text[1 : len(text)-1])
	return err
}

// word reads text that occurs again and again, as the names of machines and of states do. It is in memory once, however many hold it.
func (c *cursor) word(into *string) error {
	text, err := c.value()
	if err != nil {
		return err
	}
	switch string(text) {
	case `""`:
		*into = ""
	case `"` + api.AllocClientStatusRunning + `"`:
		*into = api.AllocClientStatusRunning
	case `"` + api.AllocClientStatusPending + `"`:
		*into = api.AllocClientStatusPending
	case `"` + api.AllocDesiredStatusRun + `"`:
		*into = api.AllocDesiredStatusRun
	case `"` + api.TaskStarted + `"`:
		*into = api.TaskStarted
	case `"` + api.TaskReceived + `"`:
		*into = api.TaskReceived
	case `"` + api.TaskSetup + `"`:
		*into = api.TaskSetup
	default:
		if err = takeString(text, into); *into != "" {
			*into = unique.Make(*into).Value()
		}
	}
	return err
}

// unquote returns the text of a string without its quotes. It is a copy.
func unquote(inner []byte) (string, error) {
	for _, c := range inner {
		if c == '\\' || c < ' ' || c > '~' {
			var text string
			err := decode([]byte(`"`+string(inner)+`"`), &text)
			return text, err
		}
	}
	return string(inner), nil
}

func (c *cursor) index(into *uint64) error {
	text, err := c.value()
	if err != nil {
		return err
	}
	return number(text, into)
}

// number reads an integer.
func (c *cursor) number(into *int64) error {
	text, err := c.value()
	if err != nil {
		return err
	}
	*into, err = strconv.ParseInt(string(text), 10, 64)
	return err
}

func (c *cursor) int(into *int) error {
	var number int64
	err := c.number(&number)
	*into = int(number)
	return err
}

// flag reads a boolean.
func (c *cursor) flag(into *bool) error {
	text, err := c.value()
	if err != nil {
		return err
	}
	if *into = string(text) == "true"; *into || string(text) == "false" {
		return nil
	}
	return decode(text, into)
}

// moment reads a time. It is the zero one until Nomad has something to say.
func (c *cursor) moment(into *time.Time) error {
	text, err := c.value()
	if err != nil || string(text) == `"0001-01-01T00:00:00Z"` {
		return err
	}
	return into.UnmarshalJSON(text)
}

// decode reads any value.
func (c *cursor) decode(into any) error {
	text, err := c.value()
	if err != nil {
		return err
	}
	return decode(text, into)
}

func decode(text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%.80q: %w", text, err)
	}
	return nil
}

func number(text []byte, into *uint64) (err error) {
	*into, err = strconv.ParseUint(string(text), 10, 64)
	return err
}
