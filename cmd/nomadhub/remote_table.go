package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// table writes rows below a line of headings, in columns.
func (r *remote) table(headings []string, rows [][]string) error {
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	line(w, headings)
	for _, row := range rows {
		line(w, row)
	}
	return w.Flush()
}

// facts writes pairs of a name and a value, one a line.
func (r *remote) facts(pairs ...[2]string) error {
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	for _, p := range pairs {
		line(w, p[:])
	}
	return w.Flush()
}

func line(w io.Writer, cells []string) {
	shown := make([]string, len(cells))
	for i, c := range cells {
		if shown[i] = printable(c); shown[i] == "" {
			shown[i] = "-"
		}
	}
	_, _ = fmt.Fprintln(w, strings.Join(shown, "\t")) // Flush tells
}

// printable takes from a text what a terminal would obey: names and notes are what others have written.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

// moment is a time as the API writes it, shown in the reader's zone and without what nobody needs; "" for none.
type moment string

func (m *moment) UnmarshalJSON(text []byte) error {
	*m = moment(strings.Trim(string(text), `"`))
	if *m == "null" {
		*m = ""
	}
	return nil
}

func (m moment) String() string {
	t, err := time.Parse(time.RFC3339Nano, string(m))
	if err != nil {
		return string(m)
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
