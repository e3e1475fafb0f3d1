package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/hub"
)

// CreateUser implements [hub.UserStore].
//
// Inside a transaction it is no part of its own, which would be two more journeys at each first login: only its first statement can find anything taken, and text that
// cannot be stored is refused before. What fails later fails the transaction.
func (s *Store) CreateUser(ctx context.Context, u hub.User) error {
	if s.depth > 0 {
		return s.createUser(ctx, u)
	}
	return s.atomic(ctx, func(tx *Store) error { return tx.createUser(ctx, u) })
}

const newUserColumns = "id, name, name_folded, admin, created, last_activity, roles"

// userArgs are the values of these columns.
func userArgs(u hub.User, roles string) args {
	return args{u.ID, u.Name, strings.ToLower(u.Name), u.Admin, micros(u.Created), micros(u.LastActivity), roles}
}

func (s *Store) createUser(ctx context.Context, u hub.User) error {
	if _, err := list(u.Groups).json(); err != nil {
		return fmt.Errorf("store: create user: %w", err)
	}
	roles, err := words(u.Roles)
	if err != nil {
		return err
	}
	if err := s.mustWrite(ctx, "create user",
		"INSERT INTO users ("+newUserColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING", userArgs(u, roles)); err != nil {
		return err
	}
	s.users.Store(true)
	return s.joinGroups(ctx, u.ID, u.Groups)
}

// UpdateUser implements [hub.UserStore].
func (s *Store) UpdateUser(ctx context.Context, u hub.User) error {
	return s.atomic(ctx, func(tx *Store) error {
		roles, err := words(u.Roles)
		if err != nil {
			return err
		}
		n, err := tx.exec(ctx, "update user", "UPDATE users SET name = $2, name_folded = $3, admin = $4, roles = $5 WHERE id = $1",
			args{u.ID, u.Name, strings.ToLower(u.Name), u.Admin, roles})
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("store: update user: %w", hub.ErrNotFound)
		}
		return tx.setGroups(ctx, u.ID, u.Groups)
	})
}

// setGroups makes the user a member of these groups and of no others. Groups that do not exist are created.
func (s *Store) setGroups(ctx context.Context, userID string, groups []string) error {
	_, err := s.exec(ctx, "leave groups", `
		DELETE FROM group_members WHERE user_id = $2
		AND group_id NOT IN (SELECT id FROM groups WHERE name IN `+s.firstList()+`)`, args{list(groups), userID})
	if err != nil {
		return err
	}
	return s.joinGroups(ctx, userID, groups)
}

// joinGroups makes the user a member of these groups. Those that do not exist are created.
func (s *Store) joinGroups(ctx context.Context, userID string, groups []string) error {
	if len(groups) == 0 {
		return nil
	}
	// WHERE NOT EXISTS spares the sequence of IDs; ON CONFLICT is for who creates the same at the same time.
	_, err := s.exec(ctx, "create groups", `
		INSERT INTO groups (name) SELECT e.value->>0 FROM `+s.db.elements+`($1) e
		WHERE NOT EXISTS (SELECT 1 FROM groups g WHERE g.name = e.value->>0)
		ORDER BY 1 ON CONFLICT DO NOTHING`, args{list(groups)})
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "join groups", `
		INSERT INTO group_members (user_id, group_id) SELECT $2, id FROM groups WHERE name IN `+s.firstList()+`
		ON CONFLICT DO NOTHING`, args{list(groups), userID})
	return err
}

// firstList selects the texts of the list that is $1.
func (s *Store) firstList() string { return "(SELECT value->>0 FROM " + s.db.elements + "($1))" }

// DeleteUser implements [hub.UserStore]; what belongs to the user goes by the foreign keys.
func (s *Store) DeleteUser(ctx context.Context, id string) error {
	return s.atomic(ctx, func(tx *Store) error {
		n, err := tx.exec(ctx, "delete user", "DELETE FROM users WHERE id = $1", args{id})
		if err == nil && n == 0 {
			err = fmt.Errorf("store: delete user: %w", hub.ErrNotFound)
		}
		tx.users.Store(true)
		return err
	})
}

// UserByID implements [hub.UserStore].
func (s *Store) UserByID(ctx context.Context, id string) (hub.User, error) {
	return s.user(ctx, "WHERE u.id = $1", args{id})
}

// UserByName implements [hub.UserStore].
func (s *Store) UserByName(ctx context.Context, name string) (hub.User, error) {
	return s.user(ctx, "WHERE u.name = $1", args{name})
}

// UserIDByName implements [hub.UserStore].
func (s *Store) UserIDByName(ctx context.Context, name string) (string, error) {
	var id string
	err := s.byKey(ctx, "find who has a name", "SELECT id FROM users WHERE name = $1", args{name}, &id)
	return id, err
}

func (s *Store) user(ctx context.Context, where string, a args) (hub.User, error) {
	users, err := s.usersIn(ctx, lookup, nil, "find user", "users u "+where, s.db.userWithShares, a)
	if err != nil {
		return hub.User{}, err
	}
	if len(users) == 0 {
		return hub.User{}, fmt.Errorf("store: find user: %w", hub.ErrNotFound)
	}
	return users[0], nil
}

// userColumns are those of a row u of the table users, with the user's groups, so that both are read in one query: a page whose groups were read by a second one could
// show a user without them. The groups are a subquery and not a join, so that a page reads those of its own users only, by the index. They are not sorted there, which
// costs more than finding them. shared is the column of what is shared with the user.
func userColumns(d dialect, shared string) columns {
	groups := "(SELECT " + d.array + "(g.name) FROM group_members m JOIN groups g ON g.id = m.group_id WHERE m.user_id = u.id)"
	if d.name == sqliteName { // to look for the groups of each user takes it a quarter of reading a page: not where there are none. Postgres does it by the way.
		groups = "CASE WHEN EXISTS (SELECT 1 FROM group_members) THEN " + groups + " END"
	}
	return columnsOf("u.id", "u.name", "u.admin", "u.created", "u.last_activity", "u.roles", groups, shared)
}

// usersIn reads the users u of the rest of a query, from its FROM on. They are userRow or userWithShares.
func (s *Store) usersIn(ctx context.Context, w way, into []hub.User, what, from, row string, a args) ([]hub.User, error) {
	var u hub.User
	return few(ctx, s, w, into, what, "SELECT "+row+" FROM "+from, a, each(userFields(&u), func() (hub.User, error) {
		slices.Sort(u.Groups)
		return u, nil
	}))
}

// userFields are where the columns of [userColumns] go. The groups are not sorted yet.
func userFields(u *hub.User) []any {
	return []any{partOf{&u.ID}, partOf{&u.Name}, &u.Admin, timeOf{&u.Created}, timeOf{&u.LastActivity}, wordsOf{&u.Roles}, wordsOf{&u.Groups}, sharedOf{&u.Shared}}
}

// Users implements [hub.UserStore].
func (s *Store) Users(ctx context.Context, q hub.UserQuery) ([]hub.User, int, error) {
	if q.Names == nil && q.Sort == hub.SortByID { // what is asked most has ways of its own
		named := q.NameContains != ""
		switch {
		case !named && q.Activity == hub.ReadyServers:
			return s.readyUsers(ctx, q)
		case named && q.Activity == hub.AnyServers:
			return s.namedUsers(ctx, q)
		case !named && q.Activity == hub.AnyServers && q.Limit > 0 && s.depth == 0:
			return s.pageOfUsers(ctx, q)
		}
	}
	order, err := userOrder(q)
	if err != nil {
		return nil, 0, err
	}
	where, a, err := s.userFilter(q)
	if err != nil {
		return nil, 0, err
	}
	limit, offset := page(q.Limit, q.Offset)
	users, err := s.usersIn(ctx, search, q.Into, "list users", fmt.Sprintf("(SELECT u.* FROM users u %s ORDER BY %s LIMIT CAST($%d AS BIGINT) OFFSET CAST($%d AS BIGINT)) u ORDER BY %s",
		where, order, len(a)+1, len(a)+2, order), s.db.userRow, append(slices.Clip(a), limit, offset))
	if err != nil || q.Uncounted {
		return users, 0, err
	}
	total, err := s.total(ctx, len(users), limit, offset, "users u "+where, a)
	return users, total, err
}

// pageOfUsers is a page of all users by their IDs. One user more is read, with whom the next page begins; see [places].
func (s *Store) pageOfUsers(ctx context.Context, q hub.UserQuery) ([]hub.User, int, error) {
	direction, from := directionOf(q), ">="
	if q.Descending {
		from = "<="
	}
	limit, offset := page(q.Limit, q.Offset)
	where, a := "", args{limit + 1, offset}
	known, epoch := s.db.places.at(place{offset, q.Descending})
	if known != "" {
		where, a = "WHERE u.id "+from+" $3", args{limit + 1, 0, known}
	}
	users, err := s.usersIn(ctx, glance(q.Limit+1), q.Into, "list users", fmt.Sprintf("users u %s ORDER BY u.id %s LIMIT CAST($1 AS BIGINT) OFFSET CAST($2 AS BIGINT)", where, direction),
		s.db.userRow, a)
	if err != nil {
		return nil, 0, err
	}
	if len(users) > 0 && offset > 0 {
		s.db.places.learn(place{offset, q.Descending}, users[0].ID, epoch)
	}
	more := len(users) > limit
	if more {
		s.db.places.learn(place{offset + limit, q.Descending}, users[limit].ID, epoch)
		users = users[:limit]
	}
	switch {
	case q.Uncounted:
		return users, 0, nil
	case !more && (len(users) > 0 || offset == 0):
		return users, offset + len(users), nil
	}
	total, err := s.count(ctx, "count users", "SELECT count(*) FROM users", nil)
	return users, total, err
}

// readyUsers finds who has a ready server by the servers: whoever asks again and again for those who run something shall not have all users looked at.
func (s *Store) readyUsers(ctx context.Context, q hub.UserQuery) ([]hub.User, int, error) {
	const ready = "FROM servers s WHERE s.state = 'ready'"
	limit, offset := page(q.Limit, q.Offset)
	users, err := s.usersAmong(ctx, "list ready users", "SELECT DISTINCT s.user_id AS id "+ready+" ORDER BY s.user_id", nil, q)
	if err != nil || q.Uncounted {
		return users, 0, err
	}
	if offset == 0 && len(users) < limit {
		return users, len(users), nil
	}
	total, err := s.count(ctx, "count ready users", "SELECT count(DISTINCT s.user_id) "+ready, nil)
	return users, total, err
}

// usersAmong reads the page of users whose IDs a query gives, which ends with the column that it is ordered by. The page is cut before any row of a user is read; a
// join would let the database begin with all users.
func (s *Store) usersAmong(ctx context.Context, what, ids string, a args, q hub.UserQuery) ([]hub.User, error) {
	direction := directionOf(q)
	limit, offset := page(q.Limit, q.Offset)
	return s.usersIn(ctx, glance(q.Limit), q.Into, what, fmt.Sprintf("(%s %s LIMIT CAST($%d AS BIGINT) OFFSET CAST($%d AS BIGINT)) chosen JOIN users u ON u.id = chosen.id ORDER BY chosen.id %s",
		ids, direction, len(a)+1, len(a)+2, direction), s.db.userRow, append(slices.Clip(a), limit, offset))
}

// directionOf is the order of a list, as SQL has it.
func directionOf(q hub.UserQuery) string {
	if q.Descending {
		return "DESC"
	}
	return "ASC"
}

// namedUsers finds users by a part of their names, by the endings that begin with it. If those are many it looks at all names, by an index of the names alone: only
// of those on the page the rows are read. The order is not found by an index, or the rows of all users would be read in that order.
func (s *Store) namedUsers(ctx context.Context, q hub.UserQuery) ([]hub.User, int, error) {
	where, a, err := s.userFilter(q)
	if err != nil {
		return nil, 0, err
	}
	selection, b, few, err := s.withEnding(ctx, q.NameContains)
	if err != nil {
		return nil, 0, err
	}
	if few {
		where, a = fmt.Sprintf("WHERE u.id IN (%s) AND %s(u.name_folded, CAST($%d AS TEXT)) > 0", selection, s.db.position, len(b)+1), append(b, a...)
	}
	limit, offset := page(q.Limit, q.Offset)
	users, err := s.usersAmong(ctx, "list users by name", "SELECT u.id FROM users u "+where+" ORDER BY "+s.db.unindexed+"u.id", a, q)
	if err != nil || q.Uncounted {
		return users, 0, err
	}
	total, err := s.total(ctx, len(users), limit, offset, "users u "+where, a)
	return users, total, err
}

func (s *Store) userFilter(q hub.UserQuery) (where string, a args, err error) {
	var conditions []string
	if q.NameContains != "" {
		a = append(a, strings.ToLower(q.NameContains))
		conditions = append(conditions, s.db.position+"(u.name_folded, CAST($1 AS TEXT)) > 0")
	}
	if q.Names != nil {
		a = append(a, list(q.Names))
		conditions = append(conditions, fmt.Sprintf("u.name IN (SELECT value->>0 FROM %s($%d))", s.db.elements, len(a)))
	}
	const active = "(SELECT 1 FROM servers s WHERE s.user_id = u.id AND s.state <> 'stopped')"
	switch q.Activity {
	case hub.AnyServers:
	case hub.ActiveServers:
		conditions = append(conditions, "EXISTS "+active)
	case hub.ReadyServers:
		conditions = append(conditions, "EXISTS (SELECT 1 FROM servers s WHERE s.user_id = u.id AND s.state = 'ready')")
	case hub.InactiveServers:
		conditions = append(conditions, "NOT EXISTS "+active)
	default:
		return "", nil, hub.Errorf(hub.Invalid, "Users can be selected by servers that are active, ready or inactive, not %q.", q.Activity)
	}
	if len(conditions) == 0 {
		return "", nil, nil
	}
	return "WHERE " + strings.Join(conditions, " AND "), a, nil
}

// userOrder returns the order, which the ID makes total so that pages do not overlap.
func userOrder(q hub.UserQuery) (string, error) {
	direction, nulls := directionOf(q), "FIRST"
	if q.Descending {
		nulls = "LAST"
	}
	switch q.Sort {
	case hub.SortByID:
		return "u.id " + direction, nil
	case hub.SortByName:
		return "u.name " + direction + ", u.id " + direction, nil
	case hub.SortByLastActivity:
		return "u.last_activity " + direction + " NULLS " + nulls + ", u.id " + direction, nil
	}
	return "", hub.Errorf(hub.Invalid, "Users can be sorted by id, name or last_activity, not %q.", q.Sort)
}

// page returns what LIMIT and OFFSET take: no limit is a very high one. In a query they are cast, as is the pattern of a LIKE: SQLite would plan a statement anew for
// each value of a bare parameter there.
func page(limit, offset int) (int, int) {
	if limit <= 0 {
		limit = math.MaxInt
	}
	return limit, max(0, offset)
}

// total is how many rows there are of which a page shows n. The database is asked only if the page does not show it by itself.
func (s *Store) total(ctx context.Context, n, limit, offset int, from string, a args) (int, error) {
	if offset == 0 && n < limit {
		return n, nil
	}
	return s.count(ctx, "count "+from, "SELECT count(*) FROM "+from, a)
}

func (s *Store) count(ctx context.Context, what, query string, a args) (int, error) {
	var n int
	if err := s.one(ctx, what, query, a, &n); err != nil && !isNothing(err) {
		return 0, err
	}
	return n, nil
}
