package store

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// wide is a row with a column of every kind.
type wide struct {
	text, part, none string
	yes, no          bool
	n                int
	big              int64
	at, never        time.Time
	span             time.Duration
	words, empty     []string
	shared           []string
}

func (w *wide) fields() []any {
	return []any{
		&w.text, partOf{&w.part}, textOf{&w.none}, &w.yes, &w.no, &w.n, &w.big, timeOf{&w.at}, timeOf{&w.never}, spanOf{&w.span}, wordsOf{&w.words}, wordsOf{&w.empty},
		sharedOf{&w.shared},
	}
}

// wideValues are what each of the columns is in SQL.
var wideValues = []string{
	`'a ' || char(10) || char(31) || char(8232) || '"\'`, `'grüße 🎉'`, "NULL", "TRUE", "FALSE", "-7", "9223372036854775807", "1769862896000001", "NULL", "1500000",
	`'["a","b c"]'`, "'[]'", `'["[\"access:servers\",\"read:servers\"]ada/lab"]'`,
}

var wideWant = wide{
	text: "a \n\x1f\u2028\"\\", part: "grüße 🎉", yes: true, n: -7, big: 1<<63 - 1, at: time.UnixMicro(1769862896000001).UTC(), span: 1500 * time.Millisecond,
	words: []string{"a", "b c"}, shared: []string{"access:servers!server=ada/lab", "read:servers!server=ada/lab"},
}

// What is read from packed rows is what is read from others, to the last character.
func TestSQLitePackedRowsAreLikeOthers(t *testing.T) {
	t.Parallel()
	s := openMigrated(t, "sqlite::memory:", 1)
	packed, plain := columnsOf(wideValues...).packed, columnsOf(wideValues...).plain
	for name, row := range map[string]string{"packed": packed, "plain": plain} {
		rows, err := all(t.Context(), s, "read a row", "SELECT "+row, nil, func(scan scanner) (w wide, err error) { return w, scan(w.fields()...) })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff([]wide{wideWant}, rows, cmp.AllowUnexported(wide{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if s.db.row(columns{"a", "b"}) != "b" {
		t.Error("SQLite is asked for rows that are not packed")
	}
}

func TestPackedRowsOfAnotherShapeAreRefused(t *testing.T) {
	t.Parallel()
	var text string
	var yes bool
	var n int
	var big int64
	var at time.Time
	var span time.Duration
	var list []string
	for _, c := range []struct {
		line string
		dest []any
		want string
	}{
		{"a", []any{&text, &text}, "1 columns is read as one of 2"},
		{"a\x00b\x00c", []any{&text, &text}, "3 columns is read as one of 2"},
		{"a\x00maybe", []any{&text, &yes}, "column 1"},
		{"a\x00b", []any{&text, &n}, "column 1"},
		{"a\x00b", []any{&text, &big}, "column 1"},
		{"a\x00b", []any{&text, timeOf{&at}}, "column 1"},
		{"a\x00", []any{&text, spanOf{&span}}, "column 1"},
		{"a\x00[", []any{&text, wordsOf{&list}}, "column 1"},
		{"a\x00[\"no end\"]", []any{&text, sharedOf{&list}}, "column 1"},
		{"a\x00b", []any{&text, new(float64)}, "nothing is read into *float64"},
	} {
		if err := unpack(c.line, c.dest); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.line, err, c.want)
		}
	}
}
