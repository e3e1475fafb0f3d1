// Package pull reads JSON text from the left to the right, once, and takes from it only what is asked for. Answers of the cluster hold whole jobs, allocations and
// nodes, of which the hub needs some fields, and they may hold those of everybody else: to build values of them only to drop them is most of what they cost.
//
// The text comes from a server that is trusted to write JSON, and no more of it is checked than is needed to find the way. What is taken is checked.
package pull

import (
	"bytes"
	"errors"
)

// ErrJSON means that the text is not the JSON that was expected.
var ErrJSON = errors.New("not the JSON that was expected")

// EachField calls visit with each field of the object: its name, without quotes and with any escapes as they are, and its value.
func EachField(object []byte, visit func(name, value []byte) error) error {
	c := New(object)
	return c.Fields(func(name []byte) error {
		value, err := c.Value()
		if err != nil {
			return err
		}
		return visit(name, value)
	})
}

// pastComma returns where the next element begins, or where the closing bracket is.
func pastComma(text []byte, at int, closing byte) (int, error) {
	at = Space(text, at)
	switch {
	case at < len(text) && text[at] == closing:
		return at, nil
	case at < len(text) && text[at] == ',':
		if at = Space(text, at+1); at < len(text) && text[at] != closing {
			return at, nil
		}
	}
	return 0, ErrJSON
}

// Space returns the first position from there on that holds no white space.
func Space(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t') {
		at++
	}
	return at
}

// pastString returns the position after the string that begins there.
func pastString(text []byte, at int) (int, error) {
	if at >= len(text) || text[at] != '"' {
		return 0, ErrJSON
	}
	for at++; ; at++ {
		quote := bytes.IndexByte(text[at:], '"')
		if quote < 0 {
			return 0, ErrJSON
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
		return 0, ErrJSON
	}
	switch text[at] {
	case '"':
		return pastString(text, at)
	case '{', '[':
		return PastBrackets(text, at)
	}
	begin := at
	for at < len(text) && !endsValue(text[at]) {
		at++
	}
	if at == begin {
		return 0, ErrJSON
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

// PastBrackets returns the position after the object or array that begins there.
func PastBrackets(text []byte, at int) (int, error) {
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
	return 0, ErrJSON
}
