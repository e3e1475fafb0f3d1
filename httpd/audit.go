package httpd

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/nomadhub/nomadhub/hub"
)

// Auditor takes entries of the audit log. It must not wait.
type Auditor interface{ Audit(hub.AuditEntry) }

// Act is what a request does, as the audit log calls it.
type Act struct {
	Name string // "server.start"; "": nothing that is worth an entry
	// Target names what it is done to, with parameters of the route in braces, and {self} for who does it: "server/{name}/{server}".
	Target string
}

// Acts are the acts of routes, by method and by pattern below the hub's own path: "POST /api/users/{name}/server". A route that changes things and is not here
// is written down under that text, so that none can be forgotten.
type Acts map[string]Act

// record is what is found out about one request on its way.
type record struct {
	principal hub.Principal
	owner     hub.User // whom it concerns
	act       *Act     // instead of the route's; its target is no template
	unnoted   bool
	written   bool
	detail    map[string]any
	write     func(status int) // 0: there is none yet
}

type recordKey struct{}

func recordOf(r *http.Request) *record {
	rec, _ := r.Context().Value(recordKey{}).(*record)
	return rec
}

// Did says what a request does that its route does not tell: reading that changes something, or one act of several. How it ends decides whether it was done.
func Did(r *http.Request, name, target string) {
	if rec := recordOf(r); rec != nil {
		rec.act = &Act{name, target}
	}
}

// DidAs is Did for a request that came from nobody known, and by which somebody became known.
func DidAs(r *http.Request, who hub.User, name, target string) {
	if rec := recordOf(r); rec != nil {
		rec.act, rec.principal = &Act{name, target}, hub.Principal{User: who}
	}
	Concerns(r, who)
}

// Done has the entry written now, as an act that was done: what follows only waits for its effects, and may do so for long.
func Done(r *http.Request) {
	if rec := recordOf(r); rec != nil && !rec.written {
		rec.write(0)
		rec.written = true
	}
}

// DidNothing says that a request which could have changed something has not, and that nobody refused it.
func DidNothing(r *http.Request) {
	if rec := recordOf(r); rec != nil {
		rec.unnoted = true
	}
}

// Concerns says whom a request is about. That user may read the entry, if it is about a server.
func Concerns(r *http.Request, u hub.User) {
	if rec := recordOf(r); rec != nil && u.ID != "" {
		rec.owner = u
	}
}

// Note adds to the entry of a request, under a key. Never a secret, and never a body as it was sent.
func Note(r *http.Request, key string, value any) {
	rec := recordOf(r)
	if rec == nil {
		return
	}
	if rec.detail == nil {
		rec.detail = map[string]any{}
	}
	rec.detail[key] = value
}

// audited is the one place where requests become entries of the audit log: all that change something, on every part of the hub, with how they ended.
func (p Parts) audited(next http.Handler) http.Handler {
	if p.Auditor == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.onlyReads(r) {
			next.ServeHTTP(w, r)
			return
		}
		rec := &record{}
		rec.write = func(status int) {
			if e, ok := p.entry(r, rec, status); ok {
				p.Auditor.Audit(e)
			}
		}
		next.ServeHTTP(w, With(r, recordKey{}, rec))
		if rec.written {
			return
		}
		status := http.StatusOK
		if ww, ok := w.(middleware.WrapResponseWriter); ok && ww.Status() != 0 {
			status = ww.Status()
		}
		rec.write(status)
	})
}

// onlyReads tells whether a request cannot change anything. Pages, and what servers send browsers to, may do so by GET.
func (p Parts) onlyReads(r *http.Request) bool {
	return isRead(r) && strings.HasPrefix(r.URL.Path, p.URLs.API()) && !strings.HasPrefix(r.URL.Path, p.URLs.API()+"oauth2/")
}

func isRead(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
}

func (p Parts) entry(r *http.Request, rec *record, status int) (e hub.AuditEntry, worth bool) {
	act, known := p.actOf(r, rec)
	if !known || act.Name == "" || rec.unnoted && status < http.StatusBadRequest {
		return e, false
	}
	who := rec.principal
	e = hub.AuditEntry{
		Address: ClientIPText(r), Action: act.Name, Target: act.Target,
		Owner: rec.owner.Name, OwnerID: rec.owner.ID, Result: resultOf(status),
	}
	if rec.act == nil {
		e.Target = targetText(r, act.Target, who)
	}
	switch {
	case who.Service != nil:
		e.Kind, e.Actor = hub.ActorService, who.Service.Name
	case who.User.ID != "":
		e.Kind, e.Actor = hub.ActorUser, who.User.Name
	}
	if who.Token != nil {
		e.Token = who.Token.ID
	}
	detail := map[string]any{"request_id": middleware.GetReqID(r.Context())}
	if status != 0 {
		detail["status"] = status
	}
	maps.Copy(detail, rec.detail)
	if text, err := json.Marshal(detail); err == nil {
		e.Detail = text
	}
	return e, true
}

func (p Parts) actOf(r *http.Request, rec *record) (Act, bool) {
	if rec.act != nil {
		return *rec.act, true
	}
	pattern := r.Pattern // the whole: chi puts together what each of its routers has matched

	if isRead(r) || pattern == "" || strings.HasSuffix(pattern, "*") && !strings.Contains(pattern, "{") { // read, or not found
		return Act{}, false
	}
	key := r.Method + " " + strings.TrimPrefix(pattern, strings.TrimSuffix(p.URLs.Hub(), "/"))
	act, ok := p.Acts[key]
	if !ok { // of a route that ends with a slash, the default server's, the pattern is told without it
		act, ok = p.Acts[key+"/"]
	}
	if !ok {
		act = Act{Name: key} // not the path: it may hold a secret
	}
	return act, true
}

func resultOf(status int) hub.AuditResult {
	switch {
	case status >= http.StatusInternalServerError:
		return hub.AuditFailed
	case status >= http.StatusBadRequest:
		return hub.AuditRefused
	}
	return hub.AuditDone
}

// targetText puts the parameters of the route into a template.
func targetText(r *http.Request, template string, who hub.Principal) string {
	params := chi.RouteContext(r.Context()).URLParams
	pairs := []string{"{self}", selfName(who)}
	for i, key := range params.Keys {
		value := params.Values[i]
		if plain, err := url.PathUnescape(value); err == nil && r.URL.RawPath != "" {
			value = plain
		}
		if key == "name" || key == "user" {
			value = hub.NormalizeUserName(value)
		}
		pairs = append(pairs, "{"+key+"}", value)
	}
	text := strings.NewReplacer(pairs...).Replace(template)
	if i := strings.IndexByte(text, '{'); i >= 0 && strings.Contains(template, text[i:]) { // a parameter that this form of the route does not have
		text = text[:i]
	}
	return strings.TrimRight(text, "/")
}

func selfName(who hub.Principal) string {
	if who.Service != nil {
		return who.Service.Name
	}
	return who.User.Name
}
