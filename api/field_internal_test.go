package api

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/go-faster/jx"
)

// A text comes back as it went in, and is written as the library writes it, whether it needs escaping or not.
func FuzzText(f *testing.F) {
	for _, text := range []string{"", "ada", `a"b\c`, "</script>&", "a\nb\x00\x7f", "naïve – 名前", "\u2028", "bad \xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, want := writer{&jx.Writer{}}, jx.Writer{}
		e.ObjStart()
		textField(e, "a", text)
		textsField(e, "b", []string{text, "c"})
		e.ObjEnd()
		want.ObjStart()
		want.RawStr(`"a":`)
		want.StrEscape(text)
		want.RawStr(`,"b":[`)
		want.StrEscape(text)
		want.RawStr(`,"c"]`)
		want.ObjEnd()
		if string(e.Buf) != string(want.Buf) {
			t.Fatalf("%q is written as %s, not %s", text, e.Buf, want.Buf)
		}
		if !json.Valid(e.Buf) {
			t.Fatalf("%q makes no JSON: %s", text, e.Buf)
		}
	})
}

// Times are those of the layout that JupyterHub's clients read, on each day and to the microsecond.
func TestAppendTime(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{
		time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(1999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), time.Date(2026, 10, 20, 10, 20, 30, 1000, time.UTC),
		time.Date(7, 1, 1, 0, 0, 0, 120_034_000, time.UTC), time.Date(2026, 6, 1, 1, 30, 0, 999, time.FixedZone("", 7200)), time.Date(12_026, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		want := at.UTC().Format("2006-01-02T15:04:05")
		if micros := at.Nanosecond() / 1000; micros > 0 {
			want += fmt.Sprintf(".%06d", micros)
		}
		if got := string(appendTime(nil, at)); got != want+"Z" {
			t.Errorf("%v is written as %s, not %sZ", at, got, want)
		}
	}
}
