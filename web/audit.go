package web

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// auditPageView is the audit log: all of it for administrators, what is about their own servers for everybody else.
type auditPageView struct {
	chrome
	All                  bool // may see everything
	Tabs                 []tab
	Owner, Actor, Action string
	Since, Until         string // days; Until is the last one that is shown
	Entries              []auditEntryView
	Older                string // "": there is nothing older
	FormURL, CSVURL      string
}

// auditEntryView is one entry.
type auditEntryView struct {
	At                     moment
	Actor, Address, Token  string
	Action, Target, Result string
	Detail                 string
}

// auditRows is how many entries a page lists.
const auditRows = 100

func (h *Web) auditURL() string { return h.urls.Hub() + "audit" }

func (h *Web) audit(w http.ResponseWriter, r *http.Request) error {
	p, args := httpd.Principal(r), r.URL.Query()
	v := auditPageView{
		chrome: h.chrome(w, r, "Audit log", "audit"), All: p.Can(scopeAdminUsers, everything), FormURL: h.auditURL(),
		Owner: strings.TrimSpace(args.Get("owner")), Actor: strings.TrimSpace(args.Get("actor")), Action: strings.TrimSpace(args.Get("action")),
	}
	q := hub.AuditQuery{Actor: v.Actor, Limit: auditRows + 1}
	if v.Action != "" {
		q.Actions = []string{v.Action}
	}
	if t, err := time.Parse(time.DateOnly, args.Get("since")); err == nil {
		q.Since, v.Since = t, args.Get("since")
	}
	if t, err := time.Parse(time.DateOnly, args.Get("until")); err == nil {
		q.Until, v.Until = t.AddDate(0, 0, 1), args.Get("until")
	}
	q.Before, _ = strconv.ParseInt(args.Get("before"), 10, 64) // 0: from the newest
	q.Before = max(q.Before, 0)
	switch {
	case v.All:
		q.Owner, v.Tabs, v.Section = v.Owner, h.tabs(p, h.auditURL()), "admin"
	case !p.Can(scopeReadServers, serverObject(p.User, "")):
		return hub.Errorf(hub.Forbidden, "You may not see this.")
	default:
		q.OwnerID, q.Servers, v.Owner = p.User.ID, true, ""
	}
	entries, err := h.hub.AuditLog(r.Context(), q)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, e := range entries[:min(len(entries), auditRows)] {
		v.Entries = append(v.Entries, viewAudit(e, v.All || e.Kind == hub.ActorUser && e.Actor == p.User.Name, now))
	}
	if len(entries) > auditRows {
		v.Older = v.FormURL + "?" + v.query(url.Values{"before": {strconv.FormatInt(entries[auditRows-1].ID, 10)}})
	}
	v.CSVURL = h.urls.Hub() + "api/audit.csv?" + v.csvQuery(q)
	return h.show(w, http.StatusOK, "audit", v)
}

// query is what was asked for, with something more.
func (v auditPageView) query(q url.Values) string {
	for name, value := range map[string]string{"owner": v.Owner, "actor": v.Actor, "action": v.Action, "since": v.Since, "until": v.Until} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q.Encode()
}

// csvQuery is the same question to the API, with the page token, because a browser asks it.
func (v auditPageView) csvQuery(q hub.AuditQuery) string {
	if v.Until != "" {
		v.Until = q.Until.Format(time.DateOnly)
	}
	return v.query(url.Values{"_xsrf": {v.XSRF}})
}

// viewAudit shows an entry. From where and with which token somebody else acted is for administrators.
func viewAudit(e hub.AuditEntry, whole bool, now time.Time) auditEntryView {
	v := auditEntryView{
		At: when(e.At, now), Actor: cmp.Or(e.Actor, "unknown"), Action: e.Action, Target: e.Target, Result: string(e.Result), Detail: detailText(e.Detail),
	}
	if e.Kind == hub.ActorHub {
		v.Actor = "the hub (" + e.Actor + ")"
	}
	if whole {
		v.Address = e.Address
		if e.Token != 0 {
			v.Token = "a" + strconv.FormatInt(e.Token, 10)
		}
	}
	return v
}

// detailText leaves of the details what people can make something of, in words.
func detailText(detail json.RawMessage) string {
	m := map[string]json.RawMessage{}
	if len(detail) == 0 || json.Unmarshal(detail, &m) != nil {
		return ""
	}
	delete(m, "request_id")
	delete(m, "status")
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, strings.ReplaceAll(name, "_", " ")+": "+plainText(m[name]))
	}
	return strings.Join(parts, "; ")
}

// plainText is a value without the signs of JSON where it is a text or a list of texts.
func plainText(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil && string(value) != "null" {
		return text
	}
	var list []string
	if json.Unmarshal(value, &list) == nil && list != nil {
		return cmp.Or(strings.Join(list, ", "), "none")
	}
	return string(value)
}
