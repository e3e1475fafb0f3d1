package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// authorize decides about a visitor whom a server or service has sent here. GET is its question; POST is the visitor's answer on the consent page, which goes to the
// same address, so everything is judged again.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) error {
	who := httpd.Principal(r)
	req, err := readAuthorize(r.URL.RawQuery)
	if err != nil {
		return err
	}
	client, err := p.hub.OAuthClient(r.Context(), req)
	if err != nil {
		return err // shown here: where it came from is not to be trusted
	}
	grant, err := p.hub.Grant(r.Context(), who, client, req)
	if oe, ok := errors.AsType[*hub.OAuthError](err); ok {
		sendBack(w, client.RedirectURI, "error", oe.Code, "error_description", oe.Description, "state", req.State)
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case r.Method == http.MethodPost:
		if err := r.ParseForm(); err != nil {
			return &hub.Error{Kind: hub.Invalid, Message: "The form could not be read. Go back and try again.", Err: err}
		}
		grant.Scopes = chosen(grant.Scopes, r.PostForm["scopes"])
	case grant.Confirm:
		return p.consent(w, r, p.consentPage(w, r, who, client, grant))
	}
	httpd.Did(r, "oauth.grant", "client/"+client.ID)
	httpd.Note(r, "scopes", grant.Scopes)
	code, err := p.hub.IssueCode(r.Context(), who, client, grant, req)
	if err != nil {
		return err
	}
	if r.Method == http.MethodPost && !strings.HasPrefix(client.RedirectURI, "/") {
		// Browsers hold redirects after a form to the places to which the form's page may send forms, which is here. A page that goes on by itself is no redirect.
		return show(w, http.StatusOK, onwardsTemplate, withParameters(client.RedirectURI, "code", code, "state", req.State))
	}
	sendBack(w, client.RedirectURI, "code", code, "state", req.State)
	return nil
}

// readAuthorize reads the query. What is not known is ignored; what is there twice is refused, since others might read the other one.
func readAuthorize(query string) (hub.AuthorizeRequest, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return hub.AuthorizeRequest{}, &hub.Error{Kind: hub.Invalid, Message: "The address that you were sent to is not a valid one.", Err: err}
	}
	for _, name := range []string{
		"client_id", "response_type", "redirect_uri", "state", "scope", "code_challenge", "code_challenge_method",
	} {
		if len(q[name]) > 1 {
			return hub.AuthorizeRequest{}, hub.Errorf(hub.Invalid, "The address that you were sent to has %s more than once.", name)
		}
	}
	return hub.AuthorizeRequest{
		ClientID: q.Get("client_id"), ResponseType: q.Get("response_type"), RedirectURI: q.Get("redirect_uri"),
		State: q.Get("state"), Scopes: strings.Fields(q.Get("scope")),
		Challenge: q.Get("code_challenge"), ChallengeType: q.Get("code_challenge_method"),
	}, nil
}

// chosen are those of the granted scopes that the visitor left ticked, and those without which the grant would be of no use.
func chosen(granted, ticked []string) []string {
	return slices.DeleteFunc(slices.Clone(granted), func(s string) bool { return !required(s) && !slices.Contains(ticked, s) })
}

// required tells whether a scope is part of every grant: to know the visitor, and to be used by them.
func required(raw string) bool {
	s, err := scope.Parse(raw)
	if err != nil {
		return false
	}
	switch s.Name {
	case "read:users:name", "read:users:groups", "access:servers", "access:services":
		return true
	}
	return false
}

// sendBack redirects to the client's own URI with parameters. Mostly it is a path without a host, which http.Redirect would rewrite.
func sendBack(w http.ResponseWriter, uri string, pairs ...string) {
	w.Header().Set("Location", withParameters(uri, pairs...))
	w.WriteHeader(http.StatusFound)
}

// withParameters adds parameters to a URI, of which empty ones are left out. The URI is used as it was registered, letter by letter: servers compare it so.
func withParameters(uri string, pairs ...string) string {
	var b strings.Builder
	b.WriteString(uri)
	sep := byte('?')
	if strings.Contains(uri, "?") {
		sep = '&'
	}
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] == "" {
			continue
		}
		b.WriteByte(sep)
		b.WriteString(pair[0])
		b.WriteByte('=')
		b.WriteString(strings.ReplaceAll(url.QueryEscape(pair[1]), "+", "%20"))
		sep = '&'
	}
	return b.String()
}
