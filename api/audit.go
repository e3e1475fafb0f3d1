package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// mountAudit adds the audit log: all of it for who may change every user, and what is about their own servers for everybody.
func (a *API) mountAudit(r chi.Router) {
	need := a.need(listing("admin:users", "read:servers"))
	r.With(need).Get("/audit", a.do(a.getAudit))
	r.With(need).Get("/audit.csv", a.do(a.getAuditCSV))
	r.With(need).Get("/audit.ndjson", a.do(a.getAuditLines))
}

const (
	auditLimit    = 100  // entries of one answer, unless the caller says how many
	maxAuditLimit = 1000 // the exports hold all
)

// auditView is one entry. Who reads about their own servers does not learn from where somebody else acted, or with which token.
type auditView struct {
	ID      int64           `json:"id"`
	Time    any             `json:"time"`
	Kind    string          `json:"actor_kind"`
	Actor   string          `json:"actor"`
	Token   any             `json:"token"`
	Address any             `json:"address"`
	Action  string          `json:"action"`
	Target  string          `json:"target"`
	Owner   string          `json:"owner"`
	Result  hub.AuditResult `json:"result"`
	Detail  json.RawMessage `json:"detail"`
}

// auditReader is who reads the log.
type auditReader struct {
	all  bool
	name string
}

// auditQuery reads what is asked for, and leaves of it what the caller may see.
func (a *API) auditQuery(r *http.Request) (who auditReader, q hub.AuditQuery, err error) {
	p, args := httpd.Principal(r), r.URL.Query()
	who = auditReader{all: p.Can("admin:users", scope.Object{}), name: p.User.Name}
	q.Owner, q.Actor = args.Get("owner"), args.Get("actor")
	if args.Has("action") {
		q.Actions = args["action"]
	}
	if q.Since, err = auditTime(args, "since"); err != nil {
		return who, q, err
	}
	if q.Until, err = auditTime(args, "until"); err != nil {
		return who, q, err
	}
	if text := args.Get("before"); text != "" {
		if q.Before, err = strconv.ParseInt(text, 10, 64); err != nil || q.Before < 1 || q.Before > maxNumber {
			return who, q, hub.Errorf(hub.Invalid, "The parameter before must be the id of an entry.")
		}
	}
	switch {
	case who.all:
	case p.User.ID == "" || !p.Can("read:servers", userObject(p.User)):
		return who, q, errScopes([]string{"admin:users", "read:servers"})
	default:
		q.OwnerID, q.Servers = p.User.ID, true
	}
	return who, q, nil
}

func auditTime(args url.Values, name string) (t time.Time, err error) {
	text := args.Get(name)
	if text == "" {
		return t, nil
	}
	if t, err = parseTime(text); err != nil {
		return t, hub.Errorf(hub.Invalid, "The parameter %s must be a date such as 2026-03-31, or a time such as 2026-03-31T12:00:00Z.", name)
	}
	return t, nil
}

func (who auditReader) view(e hub.AuditEntry) auditView {
	v := auditView{
		ID: e.ID, Time: timestamp(e.At), Kind: e.Kind, Actor: e.Actor, Action: e.Action, Target: e.Target, Owner: e.Owner, Result: e.Result, Detail: e.Detail,
	}
	if len(v.Detail) == 0 {
		v.Detail = json.RawMessage("{}")
	}
	if who.all || e.Kind == hub.ActorUser && e.Actor == who.name {
		v.Address = e.Address
		if e.Token != 0 {
			v.Token = tokenID(e.Token)
		}
	}
	return v
}

// auditPage is a part of the log, the newest first.
type auditPage struct {
	Items []auditView `json:"items"`
	// Next is the address of what was before; null: there is nothing more.
	Next any `json:"next"`
}

func (a *API) getAudit(w http.ResponseWriter, r *http.Request) error {
	who, q, err := a.auditQuery(r)
	if err != nil {
		return err
	}
	limit, err := number(r, "limit", auditLimit)
	if err != nil {
		return err
	}
	limit = min(max(limit, 1), maxAuditLimit)
	q.Limit = limit + 1
	entries, err := a.hub.AuditLog(r.Context(), q)
	if err != nil {
		return err
	}
	page := auditPage{Items: []auditView{}}
	for _, e := range entries[:min(len(entries), limit)] {
		page.Items = append(page.Items, who.view(e))
	}
	if len(entries) > limit {
		args := r.URL.Query()
		args.Set("before", strconv.FormatInt(entries[limit-1].ID, 10))
		args.Set("limit", strconv.Itoa(limit))
		page.Next = (&url.URL{Scheme: schemeOf(r, a.urls), Host: r.Host, Path: r.URL.Path, RawQuery: args.Encode()}).String()
	}
	return httpd.JSON(w, http.StatusOK, page)
}

// getAuditCSV writes all that matches as a table, row by row, however much it is.
func (a *API) getAuditCSV(w http.ResponseWriter, r *http.Request) error {
	who, q, err := a.auditQuery(r)
	if err != nil {
		return err
	}
	head := []string{"id", "time", "actor_kind", "actor", "token", "address", "action", "target", "owner", "result", "detail"}
	return writeCSV(w, "audit.csv", head, a.hub.AllAudit(r.Context(), q), who.row)
}

func (who auditReader) row(e hub.AuditEntry) []string {
	v := who.view(e)
	text := func(v any) string {
		s, _ := v.(string) // null is empty
		return csvText(s)
	}
	return []string{
		strconv.FormatInt(v.ID, 10), text(v.Time), v.Kind, csvText(v.Actor), text(v.Token), text(v.Address), csvText(v.Action), csvText(v.Target),
		csvText(v.Owner), string(v.Result), csvText(string(v.Detail)),
	}
}

// getAuditLines writes all that matches as one JSON object a line.
func (a *API) getAuditLines(w http.ResponseWriter, r *http.Request) error {
	who, q, err := a.auditQuery(r)
	if err != nil {
		return err
	}
	out := json.NewEncoder(w)
	begun := false
	begin := func() {
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Content-Disposition", `attachment; filename="audit.ndjson"`)
		begun = true
	}
	for e, err := range a.hub.AllAudit(r.Context(), q) {
		switch {
		case err != nil && !begun:
			return err
		case err != nil:
			panic(http.ErrAbortHandler) // half a log must not look like a whole one
		case !begun:
			begin()
		}
		if err := out.Encode(who.view(e)); err != nil {
			return nil // the reader has gone
		}
	}
	if !begun {
		begin()
	}
	return nil
}
