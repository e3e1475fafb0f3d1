package store

import (
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// columns are what a query for wide rows selects. SQLite takes longer to hand over a value than to find it, so it gives each such row as one text: the columns with a NUL
// between them, which no stored text has, and an empty one for NULL. See decision 39.
type columns struct{ plain, packed string }

const nul byte = 0

// columnsOf are these expressions of SQL, none of them of bytes.
func columnsOf(expressions ...string) columns {
	var packed strings.Builder
	packed.WriteString("concat_ws(char(0)")
	for _, e := range expressions {
		packed.WriteString(", ifnull(" + e + ", '')")
	}
	packed.WriteString(")")
	return columns{strings.Join(expressions, ", "), packed.String()}
}

// row is how the database is asked for the columns.
func (d dialect) row(c columns) string {
	if d.packs {
		return c.packed
	}
	return c.plain
}

// scanner copies the columns of the present row into dest.
type scanner func(dest ...any) error

// standardRows are those of database/sql.
type standardRows struct{ *sql.Rows }

// scanner implements rows, whether these are packed or not: many destinations of one column are.
func (r standardRows) scanner() (scanner, error) {
	found, err := r.Columns()
	if err != nil || len(found) > 1 {
		return r.Scan, err
	}
	var line string
	into := []any{&line}
	return func(dest ...any) error {
		if len(dest) == 1 {
			return r.Scan(dest...)
		}
		if err := r.Scan(into...); err != nil {
			return err
		}
		return unpack(line, dest)
	}, nil
}

// each reads all rows into the same destinations, which is for lists: what read returns of them is copied, and may hold nothing by reference that the next row overwrites.
func each[T any](dest []any, read func() (T, error)) func(scanner) (T, error) {
	return func(scan scanner) (v T, err error) {
		if err := scan(dest...); err != nil {
			return v, err
		}
		return read()
	}
}

// unpack reads the columns of a packed row.
func unpack(line string, dest []any) error {
	rest := line
	for i, into := range dest {
		text, end := rest, strings.IndexByte(rest, nul)
		if isLast := i == len(dest)-1; isLast != (end < 0) {
			return fmt.Errorf("a row of %d columns is read as one of %d", strings.Count(line, string(nul))+1, len(dest))
		}
		if end >= 0 {
			text, rest = rest[:end], rest[end+1:]
		}
		if err := readColumn(text, into); err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
	}
	return nil
}

// textRow is a row whose columns came by themselves, cut from one text.
type textRow struct {
	text  string
	ends  []int  // of each column within the text
	bytes []byte // used again from row to row
}

// set copies the columns. NULL is as an empty text, which is how packed rows have it too.
func (r *textRow) set(values [][]byte) {
	size := 0
	for _, v := range values {
		size += len(v)
	}
	r.ends, r.bytes = slices.Grow(r.ends[:0], len(values)), slices.Grow(r.bytes[:0], size)
	for _, v := range values {
		r.bytes = append(r.bytes, v...)
		r.ends = append(r.ends, len(r.bytes))
	}
	r.text = string(r.bytes)
}

func (r *textRow) read(dest []any) error {
	if len(dest) != len(r.ends) {
		return fmt.Errorf("a row of %d columns is read as one of %d", len(r.ends), len(dest))
	}
	from := 0
	for i, end := range r.ends {
		if err := readColumn(r.text[from:end], dest[i]); err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
		from = end
	}
	return nil
}

// column is a destination that reads a column by itself.
type column interface{ read(text string) error }

// unreadable tells what readColumn reads nothing into.
func unreadable(into any) bool {
	switch into.(type) {
	case column, *string, *[]byte, *bool, *int64, *int:
		return false
	}
	return true
}

func readColumn(text string, into any) (err error) {
	switch into := into.(type) {
	case column:
		return into.read(text)
	case *string:
		*into = strings.Clone(text) // the row's text is not kept for one of its columns
	case *[]byte:
		*into = nil
		if text != "" {
			*into = []byte(text)
		}
	case *bool:
		*into, err = strconv.ParseBool(text)
	case *int64:
		*into, err = strconv.ParseInt(text, 10, 64)
	case *int:
		*into, err = strconv.Atoi(text)
	default:
		err = fmt.Errorf("nothing is read into %T", into)
	}
	return err
}
