package hub

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nomadhub/nomadhub/profile"
)

// actorRetention is the part of the hub that ends what rules say is to end, as the audit log names it.
const actorRetention = "retention"

// auditPurge notes that the hub deleted a volume with its files, and what decided that.
func (h *Hub) auditPurge(v Volume) {
	detail, err := json.Marshal(map[string]any{
		"name": v.Name, "share": v.Share, "server": v.ServerName, "group": v.Group, "node": v.Node, "source": v.Source,
		"retain": v.Retain, "released": v.Released.UTC().Format(time.RFC3339), "rule": v.deletionRule(),
	})
	if err != nil {
		detail = nil // all of it can be written as JSON
	}
	h.Audit(AuditEntry{
		Kind: ActorHub, Actor: actorRetention, Action: "volume.purge", Target: "volume/" + v.ID, Owner: v.UserName, OwnerID: v.UserID,
		Result: AuditDone, Detail: detail,
	})
}

// deletionRule says why a volume that is being deleted is. Its time tells: somebody who has it deleted at once sets another than the rule would.
func (v Volume) deletionRule() string {
	if due := v.deleteAfter(v.Released); due.IsZero() || !due.Equal(v.DeleteAfter) {
		return "An administrator had it deleted at once, whatever its retention."
	}
	if v.Retain == profile.RetainGrace {
		return fmt.Sprintf("It was given up, and nobody took it back for %s.", spanInWords(v.Grace))
	}
	return "It was given up, and its retention is to delete it then."
}

// auditForgotten notes that entries of the audit log itself were removed, because they were older than they are kept.
func (h *Hub) auditForgotten(entries int, before time.Time) {
	detail, err := json.Marshal(map[string]any{"entries": entries, "before": before.UTC().Format(time.RFC3339), "rule": "audit.keep"})
	if err != nil {
		detail = nil // all of it can be written as JSON
	}
	h.Audit(AuditEntry{Kind: ActorHub, Actor: actorRetention, Action: "audit.forget", Target: "audit", Result: AuditDone, Detail: detail})
}
