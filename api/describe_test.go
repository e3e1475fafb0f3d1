package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/oauth"
)

// rest is an API on the bench's hub.
func (b *bench) rest() *api.API {
	b.t.Helper()
	a, err := api.New(api.Options{Hub: b.Hub, Sessions: b.Sessions, Logger: b.Log})
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

// TestDescriptionIsOfTheRouter holds the files of api/openapi against the routes, both ways.
func TestDescriptionIsOfTheRouter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	doc, problems, err := b.rest().Describe()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
	routes, err := b.rest().Routes()
	if err != nil || len(routes) < 50 {
		t.Fatalf("%d routes, %v", len(routes), err)
	}
	for _, r := range routes {
		op, _ := doc["paths"].(map[string]any)[r.Path].(map[string]any)[strings.ToLower(r.Method)].(map[string]any)
		if scopes, _ := op["x-scopes"].([]string); !slices.Equal(scopes, r.Scopes) {
			t.Errorf("%s %s needs %v and is described with %v", r.Method, r.Path, r.Scopes, op["x-scopes"])
		}
	}
}

// TestDescriptionOfOAuth does the same for the two endpoints that another package serves below the API's root.
func TestDescriptionOfOAuth(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	doc, _, err := b.rest().Describe()
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for path, item := range doc["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			if strings.HasPrefix(path, "/oauth2/") {
				described[strings.ToUpper(method)+" "+path] = true
			}
		}
	}
	provider, err := oauth.New(oauth.Options{Hub: b.Hub, Sessions: b.Sessions, Logger: b.Log})
	if err != nil {
		t.Fatal(err)
	}
	router := chi.NewRouter()
	provider.Mount(router)
	err = chi.Walk(router, func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		key := method + " /oauth2" + path
		if method != http.MethodOptions && !described[key] {
			t.Errorf("%s is not described. Add it to api/openapi/oauth.yaml.", key)
		}
		delete(described, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key := range described {
		t.Errorf("%s is described in api/openapi/oauth.yaml and not served", key)
	}
}

// TestReferencesOfTheDescriptionLeadSomewhere follows every $ref, and finds every part that nothing refers to.
func TestReferencesOfTheDescriptionLeadSomewhere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	doc := b.as("", http.MethodGet, "/openapi.json", "").want(http.StatusOK).object()
	used := map[string]bool{}
	var follow func(v any)
	follow = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				follow(x)
			}
		case map[string]any:
			if to, ok := v["$ref"].(string); ok && !used[to] {
				used[to] = true
				var at any = doc
				for step := range strings.SplitSeq(strings.TrimPrefix(to, "#/"), "/") {
					o, _ := at.(map[string]any)
					at = o[step]
				}
				if at == nil {
					t.Errorf("%s is referred to and not there", to)
				}
			}
			for _, x := range v {
				follow(x)
			}
		}
	}
	follow(doc)
	for kind, parts := range doc["components"].(map[string]any) {
		for name := range parts.(map[string]any) {
			if to := "#/components/" + kind + "/" + name; kind != "securitySchemes" && kind != "responses" && !used[to] {
				t.Errorf("%s is described and nothing refers to it", to)
			}
		}
	}
}

// TestDocsLoadNothing looks at the page as a browser gets it.
func TestDocsLoadNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	page := b.as("", http.MethodGet, "/docs", "").want(http.StatusOK)
	for _, what := range []string{"<script", "<link", "<img", "<iframe", "<object", " src=", "@import", "url(", "http:", "https:", "ZgotmplZ", "<no value>"} {
		if strings.Contains(page.body, what) {
			t.Errorf("the page holds %q", what)
		}
	}
	policy := page.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src 'sha256-", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %s", policy)
	}
	routes, err := b.rest().Routes()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if !strings.Contains(page.body, "<b>"+r.Method+"</b> <code>"+r.Path+"</code>") {
			t.Errorf("the page lacks %s %s", r.Method, r.Path)
		}
	}
	var doc struct {
		OpenAPI string `json:"openapi"`
		Servers []struct {
			URL string `json:"url"`
		} `json:"servers"`
	}
	text := b.as("", http.MethodGet, "/openapi.json", "").want(http.StatusOK)
	if err := json.Unmarshal([]byte(text.body), &doc); err != nil || doc.OpenAPI != "3.1.0" || len(doc.Servers) != 1 || doc.Servers[0].URL != "/hub/api" {
		t.Errorf("%+v, %v", doc, err)
	}
}
