package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations
var migrationFiles embed.FS

// ErrNewerSchema means that a newer NomadHub has already changed the database in a way that this one does not know.
var ErrNewerSchema = errors.New("the database was migrated by a newer version of NomadHub; run that version or restore a backup")

const createVersions = `CREATE TABLE IF NOT EXISTS schema_migrations (
	version BIGINT NOT NULL PRIMARY KEY,
	name    TEXT   NOT NULL,
	applied BIGINT NOT NULL
)`

// migration is one step of the schema; steps are never changed once released, and there is no way back.
type migration struct {
	version int
	name    string // 0001_initial
	text    string
}

// Migrate brings the schema up to date, each step in a transaction of its own. It is safe to call from many processes at once:
// one works and the others wait, then find nothing to do. It is [ErrNewerSchema] if the database is ahead of this program.
func (s *Store) Migrate(ctx context.Context) error {
	steps, err := migrations(s.db.name)
	if err != nil {
		return err
	}
	for {
		applied, err := s.migrateOnce(ctx, steps)
		if err != nil {
			return fmt.Errorf("migrate the database: %w", err)
		}
		if applied == "" {
			return nil
		}
		s.db.log.InfoContext(ctx, "database migrated", "migration", applied)
	}
}

// Pending returns the names of the migrations that [Store.Migrate] would apply, oldest first.
func (s *Store) Pending(ctx context.Context) ([]string, error) {
	steps, err := migrations(s.db.name)
	if err != nil {
		return nil, err
	}
	version := 0
	exists, err := s.hasTable(ctx, "schema_migrations")
	if err != nil {
		return nil, err
	}
	if exists {
		if version, err = s.schemaVersion(ctx); err != nil {
			return nil, err
		}
	}
	rest, err := after(steps, version)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range rest {
		names = append(names, m.name)
	}
	return names, nil
}

// migrateOnce applies the next step, if there is one, and returns its name.
func (s *Store) migrateOnce(ctx context.Context, steps []migration) (string, error) {
	applied := ""
	err := s.atomic(ctx, func(tx *Store) error {
		applied = ""
		if err := tx.lockMigrations(ctx); err != nil {
			return err
		}
		version, err := tx.schemaVersion(ctx)
		if err != nil {
			return err
		}
		rest, err := after(steps, version)
		if err != nil || len(rest) == 0 {
			return err
		}
		if _, err := tx.exec(ctx, "apply "+rest[0].name, rest[0].text, nil); err != nil {
			return err
		}
		applied = rest[0].name
		_, err = tx.exec(ctx, "note the migration", "INSERT INTO schema_migrations (version, name, applied) VALUES ($1, $2, $3)",
			args{rest[0].version, rest[0].name, time.Now().UnixMicro()})
		return err
	})
	return applied, err
}

// lockMigrations keeps all others that migrate waiting until the end of the transaction.
func (s *Store) lockMigrations(ctx context.Context) error {
	if s.db.lockSchema != "" {
		if _, err := s.exec(ctx, "lock the schema", s.db.lockSchema, nil); err != nil {
			return err
		}
	}
	_, err := s.exec(ctx, "create the table of migrations", createVersions, nil)
	return err
}

func (s *Store) schemaVersion(ctx context.Context) (int, error) {
	var version int
	err := s.one(ctx, "read the schema's version", "SELECT COALESCE(max(version), 0) FROM schema_migrations", nil, &version)
	return version, err
}

// after returns the steps that follow version.
func after(steps []migration, version int) ([]migration, error) {
	if version > steps[len(steps)-1].version {
		return nil, fmt.Errorf("%w (it is at %d, this one knows %d)", ErrNewerSchema, version, steps[len(steps)-1].version)
	}
	i := slices.IndexFunc(steps, func(m migration) bool { return m.version > version })
	if i < 0 {
		return nil, nil
	}
	return steps[i:], nil
}

// migrations returns the steps for a dialect in order.
func migrations(dialect string) ([]migration, error) {
	files, err := fs.Glob(migrationFiles, path.Join("migrations", dialect, "*.sql"))
	if err != nil {
		return nil, err
	}
	var steps []migration
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".sql")
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != len(steps)+1 {
			return nil, fmt.Errorf("the migration %s does not have the number %d", name, len(steps)+1)
		}
		text, err := migrationFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		steps = append(steps, migration{version: version, name: name, text: string(text)})
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("there are no migrations for %s", dialect)
	}
	return steps, nil
}
