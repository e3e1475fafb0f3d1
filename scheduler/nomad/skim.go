package nomad

import (
	"bytes"
	"errors"
)

// A line of the event stream holds whole jobs and allocations, of which this package needs some fields, and it may hold those of everybody else. The
// functions here find values in JSON text without decoding what lies around them. They take text from Nomad and check no more of it than
// they must to find their way: the values that are found are decoded, and so checked, by encoding/json.

var errJSON = errors.New("not the JSON that was expected")

// eachField calls visit with each field of the object: its name, without quotes and with any escapes as they are, and its value.
func eachField(object []byte, visit func(name, value []byte) error) error {
	c := cursor{text: object}
	return c.fields(func(name []byte) error {
		value, err := c.value()
		if err != nil {
			return err
		}
		return visit(name, value)
	})
}

// pastComma returns where the next element begins, or where the closing bracket is.
func pastComma(text []byte, at int, closing byte) (int, error) {
	at = space(text, at)
	switch {
	case at < len(text) && text[at] == closing:
		return at, nil
	case at < len(text) && text[at] == ',':
		if at = space(text, at+1); at < len(text) && text[at] != closing {
			return at, nil
		}
	}
	return 0, errJSON
}

// space returns the first position from there on that holds no white space.
func space(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t') {
		at++
	}
	return at
}

// pastString returns the position after the string that begins there.
func pastString(text []byte, at int) (int, error) {
	if at >= len(text) || text[at] != '"' {
		return 0, errJSON
	}
	for at++; ; at++ {
		quote := bytes.IndexByte(text[at:], '"')
		if quote < 0 {
			return 0, errJSON
		}
		begin := at
		at += quote
		escapes := 0
		for at-escapes > begin && text[at-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at + 1, nil
		}
	}
}

// pastValue returns the position after the value that begins there.
func pastValue(text []byte, at int) (int, error) {
	if at >= len(text) {
		return 0, errJSON
	}
	switch text[at] {
	case '"':
		return pastString(text, at)
	case '{', '[':
		return pastBrackets(text, at)
	}
	begin := at
	for at < len(text) && !endsValue(text[at]) {
		at++
	}
	if at == begin {
		return 0, errJSON
	}
	return at, nil
}

// endsValue tells what cannot be part of a number or a word.
func endsValue(c byte) bool {
	switch c {
	case ',', ']', '}', ':', '"', ' ', '\n', '\r', '\t':
		return true
	}
	return false
}

func pastBrackets(text []byte, at int) (int, error) {
	for depth := 0; at < len(text); {
		switch text[at] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1, nil
			}
		case '"':
			end, err := pastString(text, at)
			if err != nil {
				return 0, err
			}
			at = end
			continue
		}
		at++
	}
	return 0, errJSON
}
