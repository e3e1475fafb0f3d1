package authtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// NewGitHub starts a server that speaks as GitHub Enterprise does.
func NewGitHub(t testing.TB) *Provider {
	t.Helper()
	return newProvider(t, false)
}

func (p *Provider) routeGitHub(mux *http.ServeMux) {
	mux.HandleFunc("GET /login/oauth/authorize", p.authorize)
	mux.HandleFunc("POST /login/oauth/access_token", p.gitHubToken)
	mux.HandleFunc("GET /api/v3/user", p.gitHubUser)
	mux.HandleFunc("GET /api/v3/user/orgs", func(w http.ResponseWriter, r *http.Request) { p.gitHubList(w, r, organization) })
	mux.HandleFunc("GET /api/v3/user/teams", func(w http.ResponseWriter, r *http.Request) { p.gitHubList(w, r, team) })
}

// gitHubToken answers as GitHub does: with status 200 even for errors, in words of its own, and as a form.
func (p *Provider) gitHubToken(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.behaviour.TokenStatus != 0 {
		http.Error(w, "trouble", p.behaviour.TokenStatus)
		return
	}
	g, token, fail := p.exchange(r)
	answer := url.Values{}
	switch fail {
	case "":
		answer.Set("access_token", token)
		answer.Set("token_type", "bearer")
		answer.Set("scope", strings.ReplaceAll(g.scope, " ", ","))
	case "invalid_client":
		answer.Set("error", "incorrect_client_credentials")
	case "invalid_grant":
		answer.Set("error", "bad_verification_code")
	default:
		answer.Set("error", fail)
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	_, _ = w.Write([]byte(answer.Encode()))
}

func (p *Provider) gitHubUser(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.bearer(w, r)
	if g == nil {
		return
	}
	if r.UserAgent() == "" || strings.HasPrefix(r.UserAgent(), "Go-http-client") {
		http.Error(w, "say who you are", http.StatusForbidden)
		return
	}
	kind := "User"
	if t, ok := g.person.Claims["type"].(string); ok {
		kind = t
	}
	sendJSON(w, http.StatusOK, map[string]any{"id": json.Number(cmp.Or(g.person.Subject, "0")), "login": g.person.Name, "type": kind})
}

func organization(group string) any {
	if strings.Contains(group, ":") {
		return nil
	}
	return map[string]any{"id": 1, "login": group}
}

func team(group string) any {
	org, slug, ok := strings.Cut(group, ":")
	if !ok {
		return nil
	}
	return map[string]any{"slug": slug, "name": "The " + slug, "organization": map[string]any{"id": 1, "login": org}}
}

// gitHubList sends one page of the person's groups, with a link to the next.
func (p *Provider) gitHubList(w http.ResponseWriter, r *http.Request, entry func(group string) any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.bearer(w, r)
	if g == nil {
		return
	}
	if !strings.Contains(g.scope, "read:org") {
		http.Error(w, "needs read:org", http.StatusForbidden)
		return
	}
	all := []any{}
	for _, group := range g.person.Groups {
		if e := entry(group); e != nil {
			all = append(all, e)
		}
	}
	size, err := strconv.Atoi(r.URL.Query().Get("per_page"))
	page, err2 := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || err2 != nil || size < 1 || size > 100 || page < 1 {
		http.Error(w, "which page?", http.StatusBadRequest)
		return
	}
	from, to := min((page-1)*size, len(all)), min(page*size, len(all))
	if to < len(all) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?page=%d>; rel="next"`, p.URL(), r.URL.Path, page+1))
	}
	sendJSON(w, http.StatusOK, all[from:to])
}
