package store_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/store"
)

// The database itself refuses to change what was written, whoever asks.
func TestAuditLogCannotBeChanged(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, dsn string) {
		s := open(t, store.Options{DSN: dsn})
		e := hub.AuditEntry{At: time.Now(), Actor: "ada", Action: "user.delete", Target: "user/bob", Result: hub.AuditDone}
		if err := s.AddAudit(t.Context(), []hub.AuditEntry{e}); err != nil {
			t.Fatal(err)
		}
		driver := "sqlite"
		if strings.HasPrefix(dsn, "postgres") {
			driver = "pgx"
		} else {
			dsn = strings.TrimPrefix(dsn, "sqlite://")
			dsn = "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(dsn)
		}
		db, err := sql.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		_, err = db.ExecContext(t.Context(), "UPDATE audit SET actor = 'bob'")
		if err == nil || !strings.Contains(err.Error(), "the audit log is never changed") {
			t.Fatalf("an entry was changed: err %v", err)
		}
		got, err := s.Audit(t.Context(), hub.AuditQuery{})
		if err != nil || len(got) != 1 || got[0].Actor != "ada" {
			t.Fatalf("the log is %+v, err %v", got, err)
		}
	})
}
