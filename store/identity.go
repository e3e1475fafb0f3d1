package store

import (
	"context"
	"slices"

	"github.com/nomadhub/nomadhub/hub"
)

// LinkIdentity implements [hub.UserStore]. A user has one subject of each provider; a second one is [hub.ErrExists] too, because
// to replace the first would be to hand over the account.
func (s *Store) LinkIdentity(ctx context.Context, userID, provider, subject string) error {
	return s.mustWrite(ctx, "link identity", `
		INSERT INTO identities (provider, subject, user_id, sole)
		VALUES ($1, $2, $3, NOT EXISTS (SELECT 1 FROM identities WHERE user_id = $3)) ON CONFLICT DO NOTHING`, args{provider, subject, userID})
}

// Acquaintance implements [hub.UserStore]. Where somebody has the identity, neither the name is looked for nor who has vouched for the user: the last column is then empty.
func (s *Store) Acquaintance(ctx context.Context, provider, subject, name string) (hub.Acquaintance, error) {
	const owner = "(SELECT user_id FROM identities WHERE provider = $1 AND subject = $2)"
	providers := "(SELECT " + s.db.array + "(i.provider) FROM identities i WHERE i.user_id = u.id)"
	columns := s.db.userWithShares + ", COALESCE(CAST(CASE WHEN " + owner + " IS NULL THEN COALESCE(" + providers + ", '[]') END AS TEXT), '')"
	if s.db.packs {
		columns = "concat_ws(char(0), " + columns + ")"
	}
	query := "SELECT " + columns + " FROM users u WHERE u.id = COALESCE(" + owner + ", (SELECT id FROM users WHERE name = $3))"
	var found hub.Acquaintance
	var vouched string
	err := s.byKey(ctx, "find who comes", query, args{sought(provider), sought(subject), sought(name)}, append(userFields(&found.User), textOf{&vouched})...)
	if err == nil {
		err = (wordsOf{&found.Providers}).read(vouched)
	}
	if err != nil {
		return hub.Acquaintance{}, err
	}
	found.Identified = vouched == ""
	slices.Sort(found.User.Groups)
	slices.Sort(found.Providers)
	return found, nil
}

// sought is a text that is looked for beside others: NULL, which nothing equals, if it cannot be stored, so that the others are found all the same.
func sought(text string) any {
	if !storable(text) {
		return nil
	}
	return text
}
