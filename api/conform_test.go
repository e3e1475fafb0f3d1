package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/api"
)

// description holds answers to the API's description. Every answer that any test of this package gets is.
type description struct {
	once   sync.Once
	doc    map[string]any
	routes chi.Router
	err    error
}

var described description

// load reads the description once for all tests.
func (d *description) load(a *api.API) error {
	d.once.Do(func() {
		doc, _, err := a.Describe()
		if err != nil {
			d.err = err
			return
		}
		text, err := json.Marshal(doc) // so that all in it is of JSON's types
		if err == nil {
			err = json.Unmarshal(text, &d.doc)
		}
		d.err = err
		d.routes = chi.NewRouter()
		a.Mount(d.routes)
	})
	return d.err
}

// check complains of an answer that the description does not have.
func (d *description) check(method, path string, status int, kind string, body []byte) error {
	at := chi.NewRouteContext()
	if !d.routes.Match(at, method, path) {
		return nil // no operation: 404, 405 or OPTIONS
	}
	pattern := at.RoutePattern()
	if strings.HasSuffix(path, "/") && pattern != "/" { // the default server, under its empty name
		pattern += "/"
	}
	responses := d.at("paths", pattern, strings.ToLower(method), "responses")
	answer, ok := d.resolve(responses[fmt.Sprint(status)]).(map[string]any)
	if !ok {
		return fmt.Errorf("%s %s: the status %d is not described, but %v are. Add it in api/openapi", method, pattern, status, slices.Sorted(maps.Keys(responses)))
	}
	content, _ := answer["content"].(map[string]any)
	if len(body) == 0 {
		return nil
	}
	media, _, err := mime.ParseMediaType(kind)
	if err != nil {
		return err
	}
	described, ok := content[media].(map[string]any)
	if !ok {
		return fmt.Errorf("%s %s: an answer %d of the type %s is not described", method, pattern, status, media)
	}
	if media != "application/json" {
		return nil
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return err
	}
	if wrong := d.wrong(described["schema"], v, ""); wrong != "" {
		return fmt.Errorf("%s %s: the answer %d is not as described in api/openapi: %s", method, pattern, status, wrong)
	}
	return nil
}

func (d *description) at(keys ...string) map[string]any {
	o := d.doc
	for _, k := range keys {
		o, _ = o[k].(map[string]any)
	}
	return o
}

// resolve follows a reference.
func (d *description) resolve(v any) any {
	o, _ := v.(map[string]any)
	to, ok := o["$ref"].(string)
	if !ok {
		return v
	}
	keys := strings.Split(strings.TrimPrefix(to, "#/"), "/")
	return d.at(keys[:len(keys)-1]...)[keys[len(keys)-1]]
}

// wrong tells where v is not what the schema says, of what our schemas use; "" if it is.
func (d *description) wrong(schema, v any, where string) string {
	s, _ := d.resolve(schema).(map[string]any)
	for _, either := range []string{"oneOf", "anyOf"} {
		if of, ok := s[either].([]any); ok {
			var all []string
			for _, one := range of {
				w := d.wrong(one, v, where)
				if w == "" {
					return ""
				}
				all = append(all, w)
			}
			return strings.Join(all, "; or ")
		}
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		return fmt.Sprintf("%s is %v, which is none of %v", where, v, enum)
	}
	if kinds := typesOf(s); len(kinds) > 0 && !slices.ContainsFunc(kinds, func(k string) bool { return is(k, v) }) {
		return fmt.Sprintf("%s is %v, which is no %v", where, v, kinds)
	}
	switch v := v.(type) {
	case []any:
		for i, x := range v {
			if w := d.wrong(s["items"], x, fmt.Sprintf("%s[%d]", where, i)); w != "" {
				return w
			}
		}
	case map[string]any:
		return d.wrongObject(s, v, where)
	}
	return ""
}

func (d *description) wrongObject(s, v map[string]any, where string) string {
	required, _ := s["required"].([]any)
	for _, k := range required {
		if _, ok := v[k.(string)]; !ok {
			return where + " lacks " + k.(string)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for k, x := range v {
		of, known := properties[k]
		if !known {
			if s["additionalProperties"] == false {
				return where + "." + k + " is not described"
			}
			of = s["additionalProperties"]
		}
		if w := d.wrong(of, x, where+"."+k); w != "" {
			return w
		}
	}
	return ""
}

func typesOf(s map[string]any) (kinds []string) {
	switch t := s["type"].(type) {
	case string:
		return []string{t}
	case []any:
		for _, k := range t {
			kinds = append(kinds, k.(string))
		}
	}
	return kinds
}

func is(kind string, v any) bool {
	switch v := v.(type) {
	case nil:
		return kind == "null"
	case bool:
		return kind == "boolean"
	case string:
		return kind == "string"
	case float64:
		return kind == "number" || kind == "integer" && v == float64(int64(v))
	case []any:
		return kind == "array"
	case map[string]any:
		return kind == "object"
	}
	return false
}

// TestWhatIsNotDescribedIsFound makes sure that the check above can fail.
func TestWhatIsNotDescribedIsFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := described.load(b.rest()); err != nil {
		t.Fatal(err)
	}
	const kind = "application/json"
	for _, c := range []struct {
		method, path string
		status       int
		kind, body   string
		good         bool
	}{
		{http.MethodGet, "/", http.StatusOK, kind, `{"version": "5"}`, true},
		{http.MethodGet, "/", http.StatusOK, kind, `{"version": 5}`, false},
		{http.MethodGet, "/", http.StatusOK, kind, `{}`, false},
		{http.MethodGet, "/", http.StatusOK, kind, `{"version": "5", "x": 1}`, false},
		{http.MethodGet, "/", http.StatusOK, "text/html", `x`, false},
		{http.MethodGet, "/", http.StatusTeapot, kind, `{}`, false},
		{http.MethodGet, "/users", http.StatusOK, kind, `[{"name": "a"}]`, true},
		{http.MethodGet, "/users", http.StatusOK, kind, `[{"name": 1}]`, false},
		{http.MethodGet, "/users", http.StatusOK, kind, `{"items": [], "_pagination": {"offset": 0, "limit": 1, "total": 0, "next": null}}`, true},
		{http.MethodGet, "/users", http.StatusOK, kind, `{"items": [], "_pagination": {"offset": 0, "limit": 1.5, "total": 0, "next": null}}`, false},
		{http.MethodGet, "/users/a", http.StatusOK, kind, `{"kind": "user", "pending": null}`, true},
		{http.MethodGet, "/users/a", http.StatusOK, kind, `{"kind": "king"}`, false},
		{http.MethodDelete, "/users/a", http.StatusNoContent, "", "", true},
		{http.MethodPost, "/nowhere", http.StatusNotFound, kind, `{}`, true},
	} {
		if err := described.check(c.method, c.path, c.status, c.kind, []byte(c.body)); (err == nil) != c.good {
			t.Errorf("%s %s %d %s %s: %v", c.method, c.path, c.status, c.kind, c.body, err)
		}
	}
}

// conforms holds an answer to the description.
func (b *bench) conforms(req *http.Request, status int, header http.Header, body []byte) {
	b.t.Helper()
	path, ok := strings.CutPrefix(req.URL.EscapedPath(), "/hub/api")
	if !ok || strings.HasPrefix(path, "/oauth2") {
		return
	}
	if err := described.load(b.rest()); err != nil {
		b.t.Fatal(err)
	}
	if path == "" {
		path = "/"
	}
	if err := described.check(req.Method, path, status, header.Get("Content-Type"), body); err != nil {
		b.t.Error(err)
	}
}
