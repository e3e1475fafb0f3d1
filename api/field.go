package api

import (
	"encoding/json"
	"time"

	"github.com/go-faster/jx"
)

// writer writes JSON. A comma is due before whatever follows a value, which the last byte tells: a value ends with neither of the brackets that open one.
type writer struct{ *jx.Writer }

// next begins an element of a list.
func (w writer) next() {
	if n := len(w.Buf); n > 0 && w.Buf[n-1] != '{' && w.Buf[n-1] != '[' {
		w.Buf = append(w.Buf, ',')
	}
}

// key begins a field of an object whose name needs no escaping, as those that are written out in this package.
func (w writer) key(name string) {
	w.next()
	w.Buf = append(w.Buf, '"')
	w.Buf = append(w.Buf, name...)
	w.Buf = append(w.Buf, '"', ':')
}

// keyOf begins a field that is called as somebody chose.
func (w writer) keyOf(name string) {
	w.next()
	w.StrEscape(name)
	w.Buf = append(w.Buf, ':')
}

// A field is one key of an object that is being written, with its value.

func textField(w writer, key, value string) {
	w.key(key)
	w.StrEscape(value)
}

// textOrNullField writes null for no text.
func textOrNullField(w writer, key, value string) {
	if value == "" {
		nullField(w, key)
		return
	}
	textField(w, key, value)
}

func textsField(w writer, key string, values []string) {
	w.key(key)
	w.ArrStart()
	for _, value := range values {
		w.next()
		w.StrEscape(value)
	}
	w.ArrEnd()
}

func boolField(w writer, key string, value bool) {
	w.key(key)
	w.Bool(value)
}

func nullField(w writer, key string) {
	w.key(key)
	w.Null()
}

// timeField writes null for the zero time.
func timeField(w writer, key string, t time.Time) {
	if t.IsZero() {
		nullField(w, key)
		return
	}
	w.key(key)
	w.Buf = append(appendTime(append(w.Buf, '"'), t), '"')
}

// rawField writes a value that is JSON already.
func rawField(w writer, key string, value []byte) {
	w.key(key)
	w.Raw(value)
}

// valueField writes what is rare enough to be left to encoding/json; it must be something that can be written.
func valueField(w writer, key string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		text = []byte("null")
	}
	rawField(w, key, text)
}
