package api

import (
	"encoding/json"
	"strings"
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
	w.text(name)
	w.Buf = append(w.Buf, ':')
}

// text writes a string.
func (w writer) text(value string) {
	at := w.quote()
	w.Buf = append(w.Buf, value...)
	w.unquote(at)
}

// quote begins a string whose text is appended to the buffer as it is, until unquote.
func (w writer) quote() (at int) {
	w.Buf = append(w.Buf, '"')
	return len(w.Buf)
}

// unquote ends the string that began there. Nearly none needs escaping; one that does is written again.
func (w writer) unquote(at int) {
	for _, c := range w.Buf[at:] {
		if !verbatim[c] {
			text := string(w.Buf[at:])
			w.Buf = w.Buf[:at-1]
			w.StrEscape(text)
			return
		}
	}
	w.Buf = append(w.Buf, '"')
}

// verbatim are the bytes that stand for themselves in a string, also of JSON that ends up in a page: the rest is what [jx.Writer.StrEscape] escapes, and what it has to
// look at in context.
var verbatim = func() (is [256]bool) {
	for c := ' '; c <= '~'; c++ {
		is[c] = !strings.ContainsRune(`"\<>&`, c)
	}
	return is
}()

// A field is one key of an object that is being written, with its value.

func textField(w writer, key, value string) {
	w.key(key)
	w.text(value)
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
		w.text(value)
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
