package api

import (
	"encoding/json"
	"time"

	"github.com/go-faster/jx"
)

// A field is one key of an object that is being written, with its value.

func textField(e *jx.Encoder, key, value string) {
	e.FieldStart(key)
	e.StrEscape(value)
}

// textOrNullField writes null for no text.
func textOrNullField(e *jx.Encoder, key, value string) {
	if value == "" {
		nullField(e, key)
		return
	}
	textField(e, key, value)
}

func textsField(e *jx.Encoder, key string, values []string) {
	e.FieldStart(key)
	e.ArrStart()
	for _, value := range values {
		e.StrEscape(value)
	}
	e.ArrEnd()
}

func boolField(e *jx.Encoder, key string, value bool) {
	e.FieldStart(key)
	e.Bool(value)
}

func nullField(e *jx.Encoder, key string) {
	e.FieldStart(key)
	e.Null()
}

// timeField writes null for the zero time.
func timeField(e *jx.Encoder, key string, t time.Time) {
	if t.IsZero() {
		nullField(e, key)
		return
	}
	var space [len(longestTime)]byte
	e.FieldStart(key)
	e.ByteStr(appendTime(space[:0], t))
}

// rawField writes a value that is JSON already.
func rawField(e *jx.Encoder, key string, value []byte) {
	e.FieldStart(key)
	e.Raw(value)
}

// valueField writes what is rare enough to be left to encoding/json; it must be something that can be written.
func valueField(e *jx.Encoder, key string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		text = []byte("null")
	}
	rawField(e, key, text)
}
