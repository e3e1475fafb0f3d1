package hub_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
	"github.com/nomadhub/nomadhub/store"
)

// written waits for an entry of the audit log.
func (b *bench) written(action, target string) (entry hub.AuditEntry, detail map[string]any) {
	b.t.Helper()
	b.soon("the entry "+action+" of "+target, func() bool {
		all, err := b.hub.AuditLog(b.t.Context(), hub.AuditQuery{Actions: []string{action}})
		if err != nil {
			b.t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(e hub.AuditEntry) bool { return e.Target == target })
		if i >= 0 {
			entry = all[i]
		}
		return i >= 0
	})
	if err := json.Unmarshal(entry.Detail, &detail); err != nil {
		b.t.Fatal(err)
	}
	return entry, detail
}

// TestWhatRetentionDeletesIsInTheAuditLog, with the rule that decided; and an administrator's word is no rule.
func TestWhatRetentionDeletesIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	b := volumeBench(t, claim("keep", profile.ShareUser, profile.RetainKeep), claim("grace", profile.ShareUser, profile.RetainGrace),
		claim("delete", profile.ShareUser, profile.RetainDelete))
	ada := b.login("ada")
	b.halt(b.run("ada", "", "small"), false)
	kept, graced, deleted := b.volume(ada, "keep"), b.volume(ada, "grace"), b.volume(ada, "delete")
	for _, v := range []hub.VolumeInfo{graced, deleted} {
		if _, err := b.hub.DeleteVolume(t.Context(), v.ID, false); err != nil {
			t.Fatal(err)
		}
	}
	check := func(v hub.VolumeInfo, rule string) {
		t.Helper()
		e, detail := b.written("volume.purge", "volume/"+v.ID)
		said, _ := detail["rule"].(string)
		if e.Kind != hub.ActorHub || e.Actor != "retention" || e.Owner != "ada" || e.OwnerID != ada.ID || e.Result != hub.AuditDone || !strings.Contains(said, rule) {
			t.Errorf("the entry of %s is %+v with %v", v.Name, e, detail)
		}
		if detail["name"] != v.Name || detail["retain"] != string(v.Retain) || detail["source"] != v.Source {
			t.Errorf("the entry of %s says %v", v.Name, detail)
		}
	}
	check(deleted, "its retention is to delete it")
	b.ahead(2 * time.Hour)
	if _, err := b.hub.DeleteVolume(t.Context(), kept.ID, true); err != nil { // and the hub looks at once for others whose time is over
		t.Fatal(err)
	}
	check(kept, "An administrator")
	check(graced, "nobody took it back for 1h")
}

// TestForgettingIsInTheAuditLog: that entries were removed because of their age can be seen.
func TestForgettingIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), store.Options{DSN: "sqlite://" + filepath.Join(t.TempDir(), "hub.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := hub.AuditEntry{At: time.Now().Add(-48 * time.Hour), Actor: "ada", Action: "server.start", Target: "server/ada", Result: hub.AuditDone}
	if err := db.AddAudit(t.Context(), []hub.AuditEntry{old, old}); err != nil {
		t.Fatal(err)
	}
	b := openBench(t, db, schedulertest.NewFake(), func(o *hub.Options) { o.AuditKeep = 24 * time.Hour })
	e, detail := b.written("audit.forget", "audit")
	if e.Kind != hub.ActorHub || e.Actor != "retention" || detail["entries"] != 2.0 || detail["rule"] != "audit.keep" {
		t.Errorf("the entry is %+v with %v", e, detail)
	}
}
