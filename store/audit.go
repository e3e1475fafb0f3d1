package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// AddAudit implements [hub.AuditStore]. All entries are one parameter, so that there is one text of the statement however many they are.
func (s *Store) AddAudit(ctx context.Context, entries []hub.AuditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	rows := make([][]any, len(entries))
	for i, e := range entries {
		detail := string(e.Detail)
		if detail == "" {
			detail = "{}"
		}
		for _, text := range []string{e.Kind, e.Actor, e.Address, e.Action, e.Target, e.Owner, e.OwnerID, string(e.Result), detail} {
			if !storable(text) {
				return fmt.Errorf("store: add to the audit log: %w", errText)
			}
		}
		var token any
		if e.Token != 0 {
			token = e.Token
		}
		rows[i] = []any{e.At.UnixMicro(), e.Kind, e.Actor, token, e.Address, e.Action, e.Target, e.Owner, e.OwnerID, string(e.Result), detail}
	}
	all, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("store: add to the audit log: %w", err)
	}
	_, err = s.exec(ctx, "add to the audit log", `
		INSERT INTO audit (at, kind, actor, token, address, action, target, owner, owner_id, result, detail)
		SELECT CAST(value->>0 AS BIGINT), value->>1, value->>2, CAST(value->>3 AS BIGINT), value->>4, value->>5, value->>6, value->>7, value->>8,
			value->>9, value->>10
		FROM `+s.db.elements+`($1)`, args{string(all)})
	return err
}

// Audit implements [hub.AuditStore].
func (s *Store) Audit(ctx context.Context, q hub.AuditQuery) ([]hub.AuditEntry, error) {
	var conditions []string
	var a args
	with := func(condition string, value any) {
		a = append(a, value)
		conditions = append(conditions, fmt.Sprintf(condition, len(a)))
	}
	for column, value := range map[string]string{"owner": q.Owner, "owner_id": q.OwnerID, "actor": q.Actor} {
		if value != "" {
			with(column+" = $%d", value)
		}
	}
	if q.Actions != nil {
		with("action IN (SELECT value->>0 FROM "+s.db.elements+"($%d))", list(q.Actions))
	}
	if q.Servers {
		conditions = append(conditions, "substr(target, 1, 7) = 'server/'")
	}
	if !q.Since.IsZero() {
		with("at >= $%d", q.Since.UnixMicro())
	}
	if !q.Until.IsZero() {
		with("at < $%d", q.Until.UnixMicro())
	}
	if q.Before != 0 {
		with("id < $%d", q.Before)
	}
	where := ""
	if len(conditions) > 0 {
		where = "WHERE " + strings.Join(conditions, " AND ")
	}
	limit, _ := page(q.Limit, 0)
	query := fmt.Sprintf(`
		SELECT id, at, kind, actor, COALESCE(token, 0), address, action, target, owner, owner_id, result, detail
		FROM audit %s ORDER BY id DESC LIMIT CAST($%d AS BIGINT)`, where, len(a)+1)
	return all(ctx, s, "read the audit log", query, append(a, limit), scanAudit)
}

func scanAudit(scan scanner) (e hub.AuditEntry, err error) {
	var result, detail string
	err = scan(&e.ID, timeOf{&e.At}, &e.Kind, &e.Actor, &e.Token, &e.Address, &e.Action, &e.Target, &e.Owner, &e.OwnerID, &result, &detail)
	e.Result = hub.AuditResult(result)
	if detail != "{}" {
		e.Detail = json.RawMessage(detail)
	}
	return e, err
}

// DeleteAuditBefore implements [hub.AuditStore].
func (s *Store) DeleteAuditBefore(ctx context.Context, then time.Time) (int, error) {
	return s.exec(ctx, "forget old entries of the audit log", "DELETE FROM audit WHERE at < $1", args{then.UnixMicro()})
}
