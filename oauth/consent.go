package oauth

import (
	"bytes"
	"html/template"
	"net/http"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// ConsentPage is what a visitor is asked before a stranger's server, or a service, learns who they are. Its form is sent by POST to Action with the field "_xsrf" and one field
// "scopes" for each scope that is ticked.
type ConsentPage struct {
	User        string // the visitor
	Owner       string // whose server it is; "" if it is a service
	Service     string // the name of the service; "" if it is a server
	Description string // "Server at /user/alice/"
	Action      string // where the form goes: this very address with its query
	XSRF        string // the page token
	Home        string // where to go instead
	Scopes      []ConsentScope
}

// ConsentScope is one thing that the server would be allowed.
type ConsentScope struct {
	Raw      string
	Label    string // a sentence
	Required bool   // cannot be taken away
}

func (p *Provider) consentPage(w http.ResponseWriter, r *http.Request, who hub.Principal, c hub.OAuthClient, g hub.Grant) ConsentPage {
	page := ConsentPage{
		User: who.User.Name, Owner: g.Owner, Service: g.Service, Description: c.Description, Home: p.sessions.URLs.Home(),
		Action: r.URL.RequestURI(), XSRF: p.sessions.PageToken(w, r, who.Session),
	}
	for _, raw := range g.Scopes {
		page.Scopes = append(page.Scopes, ConsentScope{Raw: raw, Label: label(p.hub.Roles(), raw), Required: required(raw)})
	}
	return page
}

// label says in words what a scope allows.
func label(roles *scope.Policy, raw string) string {
	s, err := roles.Parse(raw)
	if err != nil {
		return raw
	}
	switch s.Name {
	case "read:users:name":
		return "Know your user name."
	case "read:users:groups":
		return "Know the groups that you belong to."
	case "access:servers", "access:services":
		return "Let you use it."
	}
	return "Act for you: " + roles.Describe(s.Name) + " (" + raw + ")"
}

var consentTemplate = template.Must(template.New("consent").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Go on to {{template "whom" .}}?</title></head>
<body>
<main>
<h1>Go on to {{template "whom" .}}?</h1>
{{if .Service -}}
<p>You are <strong>{{.User}}</strong>. The service <strong>{{.Service}}</strong> asks for the following, which it can then do in your name.</p>
{{- else -}}
<p>You are <strong>{{.User}}</strong>. <code>{{.Description}}</code> belongs to <strong>{{.Owner}}</strong>, not to you. What you do there runs as {{.Owner}}, and
the server can do the following in your name. Go on only if you trust {{.Owner}}.</p>
{{- end}}
<form method="post" action="{{.Action}}">
<input type="hidden" name="_xsrf" value="{{.XSRF}}">
<fieldset>
<legend>The {{if .Service}}service{{else}}server{{end}} may</legend>
<ul>{{range .Scopes}}
<li><label><input type="checkbox" name="scopes" value="{{.Raw}}" checked{{if .Required}} disabled{{end}}> {{.Label}}</label></li>{{end}}
</ul>
</fieldset>
<p><button type="submit">Go on</button> <a href="{{.Home}}">Go home instead</a></p>
</form>
</main>
</body>
</html>
{{define "whom"}}{{if .Service}}the service {{.Service}}{{else}}the server of {{.Owner}}{{end}}{{end}}
`))

var onwardsTemplate = template.Must(template.New("onwards").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="refresh" content="0;url={{.}}"><title>Going on</title></head>
<body><main><p><a href="{{.}}">Go on</a></p></main></body>
</html>
`))

var errorTemplate = template.Must(template.New("error").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Status}}</title></head>
<body><main><h1>{{.Status}}</h1><p>{{.Message}}</p>{{with .RequestID}}<p>Request <code>{{.}}</code></p>{{end}}</main></body>
</html>
`))

// plainPolicy lets a plain page do nothing but send its own form. It may not be framed, or a visitor could be made to click "Go on" unknowingly.
const plainPolicy = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func consentPlain(w http.ResponseWriter, _ *http.Request, page ConsentPage) error {
	return show(w, http.StatusOK, consentTemplate, page)
}

func renderPlain(w http.ResponseWriter, r *http.Request, p httpd.Problem) {
	if err := show(w, p.Status, errorTemplate, p); err != nil {
		httpd.RenderJSON(w, r, p)
	}
}

func show(w http.ResponseWriter, status int, t *template.Template, data any) error {
	var page bytes.Buffer
	if err := t.Execute(&page, data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", plainPolicy)
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // the browser is gone; nobody is left to tell
	return nil
}
