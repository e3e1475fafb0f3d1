package store

import (
	"context"
	"strings"
)

// Every ending of a user's name is a row of name_endings, which triggers of the table users keep: a part of a name is where one of its endings begins, and those
// that begin so lie side by side in the table's key. So a search reads what it finds, and not the names of all.
const (
	// endingLength is how many characters of an ending are kept, as the triggers have it. What is sought beyond that is compared with the name itself.
	endingLength = 32
	// fewEndings is up to how many endings are looked up one by one. A part that more of them begin with is in so many names that reading all names is faster.
	fewEndings = 1000
	// lastText is behind all texts that begin with what stands before it: no name has this character, which Unicode says is none.
	lastText = "\U0010FFFF"
)

// clipped is the text as far as endings are kept.
func clipped(text string) string {
	n := 0
	for i := range text {
		if n == endingLength {
			return text[:i]
		}
		n++
	}
	return text
}

// withEnding selects the IDs of users whose name may have the part, and tells whether it does so faster than reading all names.
func (s *Store) withEnding(ctx context.Context, part string) (selection string, a args, few bool, err error) {
	from := clipped(strings.ToLower(part))
	n, err := s.count(ctx, "count the endings of names", `
		SELECT count(*) FROM (SELECT 1 FROM name_endings WHERE ending >= $1 AND ending < $2 LIMIT CAST($3 AS BIGINT)) found`,
		args{from, from + lastText, fewEndings + 1})
	return "SELECT e.user_id FROM name_endings e WHERE e.ending >= $1 AND e.ending < $2", args{from, from + lastText}, n <= fewEndings, err
}
