package store

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/pgtest"
)

// TestUsersOfBeforeAreFound: names from before there were endings have them after the migration.
func TestUsersOfBeforeAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dsn  func() string
		undo []string
	}{
		"sqlite": {func() string { return "sqlite://" + filepath.Join(t.TempDir(), "hub.db") }, []string{
			"DROP TRIGGER name_endings_added", "DROP TRIGGER name_endings_changed", "DROP TRIGGER name_endings_removed",
			"DROP TABLE name_endings", "DROP TABLE name_positions",
		}},
		"postgres": {func() string { return pgtest.New(t) }, []string{
			"DROP TRIGGER name_endings_kept ON users", "DROP TRIGGER name_endings_changed ON users", "DROP FUNCTION keep_name_endings", "DROP TABLE name_endings",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), Options{DSN: c.dsn()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			statements := append(c.undo, "DROP INDEX identities_sole", "ALTER TABLE identities DROP COLUMN sole", "DELETE FROM schema_migrations WHERE version >= 16")
			for _, statement := range statements {
				if _, err := s.write.exec(t.Context(), statement, nil); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			long := strings.Repeat("é", 90)
			for id, name := range map[string]string{"1": "Ada.Lovelace", "2": long} {
				if err := s.CreateUser(t.Context(), hub.User{ID: id, Name: name}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.write.exec(t.Context(), "INSERT INTO identities (provider, subject, user_id) VALUES ('oidc', '17', '1')", nil); err != nil {
				t.Fatal(err)
			}
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			for id, want := range map[string]error{"1": hub.ErrExists, "2": nil} { // of the first it is known who that is
				u, err := s.UserByID(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Welcome(t.Context(), u, "github", id, hub.Session{ID: id, UserID: id}); !errors.Is(err, want) {
					t.Errorf("user %s is welcomed with %v, not %v", id, err, want)
				}
			}
			for part, want := range map[string]string{"LOVE": "Ada.Lovelace", long: long, "éé": long, "e": "Ada.Lovelace"} {
				found, total, err := s.Users(t.Context(), hub.UserQuery{NameContains: part})
				if err != nil || total != 1 || found[0].Name != want {
					t.Errorf("%q finds %+v of %d, %v", part, found, total, err)
				}
			}
		})
	}
}
