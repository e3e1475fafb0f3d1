package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/nomadhub/nomadhub/internal/pyenv"
)

// published is JupyterHub's own description of its API.
type published map[string]any

// at follows keys to an object.
func (p published) at(t *testing.T, keys ...string) published {
	t.Helper()
	var v any = map[string]any(p)
	for _, k := range keys {
		m, _ := v.(map[string]any)
		if v = m[k]; v == nil {
			t.Fatalf("JupyterHub's description has no %v; look what it says now", keys)
		}
	}
	return v.(map[string]any)
}

// query is a parameter of what is read at a path.
func (p published) query(t *testing.T, path, name string) published {
	t.Helper()
	all, _ := p.at(t, "paths", path, "get")["parameters"].([]any)
	for _, v := range all {
		if parameter, _ := v.(map[string]any); parameter["name"] == name {
			return parameter
		}
	}
	t.Fatalf("JupyterHub's description has no parameter %s of %s; look what it says now", name, path)
	return nil
}

// operations calls visit for each.
func (p published) operations(t *testing.T, visit func(path, method string, op published)) {
	t.Helper()
	paths := p.at(t, "paths")
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		methods := paths.at(t, path)
		for _, method := range slices.Sorted(maps.Keys(methods)) {
			visit(path, method, methods.at(t, method))
		}
	}
}

// correction mends one thing in which the published description is not what JupyterHub does.
type correction struct {
	reason string
	mend   func(t *testing.T, p published)
}

// orNull lets fields of a schema be null.
func orNull(schema string, fields ...string) func(*testing.T, published) {
	return func(t *testing.T, p published) {
		t.Helper()
		for _, f := range fields {
			field := p.at(t, "components", "schemas", schema, "properties", f)
			field["type"] = []any{field["type"], "null"}
			if values, ok := field["enum"].([]any); ok {
				field["enum"] = append(values, nil)
			}
		}
	}
}

// corrections are all differences between what is published and what a stock hub answers; most are in section 5.12 of the protocol.
func corrections() []correction {
	return []correction{
		{"refusals are told for few operations, and all have them", addRefusals},
		{"a server in the state check is pending, too", func(t *testing.T, p published) {
			t.Helper()
			for _, schema := range []string{"User", "Server"} {
				field := p.at(t, "components", "schemas", schema, "properties", "pending")
				field["enum"] = append(field["enum"].([]any), "check")
			}
		}},
		{"what there is not is null, as the descriptions of these fields say", orNull("User", "server", "pending", "last_activity", "auth_state")},
		{"the same of servers", orNull("Server", "pending", "url", "progress_url", "started", "last_activity", "state", "user_options")},
		{"the same of services", orNull("Service", "url", "pid", "command")},
		{"the same of tokens", orNull("Token", "expires_at", "last_activity")},
		{"the same of new tokens", orNull("NewToken", "expires_at", "last_activity")},
		{"services are one object, with names for keys", func(t *testing.T, p published) {
			t.Helper()
			media := p.at(t, "paths", "/services", "get", "responses", "200", "content", "application/json")
			media["schema"] = map[string]any{"type": "object", "additionalProperties": map[string]any{"$ref": "#/components/schemas/Service"}}
		}},
		{"what is shared with a user are shares, and no codes", func(t *testing.T, p published) {
			t.Helper()
			all := p.at(t, "paths", "/users/{name}/shared", "get", "responses", "200", "content", "application/json", "schema")["allOf"].([]any)
			items := published(all[1].(map[string]any)).at(t, "properties", "items")
			items["items"] = map[string]any{"$ref": "#/components/schemas/Share"}
		}},
		{"a proxy is told by its api_url, at which a hub that is its own proxy does not look", func(t *testing.T, p published) {
			t.Helper()
			body := p.at(t, "paths", "/proxy", "patch", "requestBody", "content", "application/json", "schema")
			body["properties"] = map[string]any{"api_url": map[string]any{}, "auth_token": map[string]any{}}
		}},
		{"places in a list are whole numbers, and ours have a bound", func(t *testing.T, p published) {
			t.Helper()
			for _, name := range []string{"paginationOffset", "paginationLimit"} {
				p.at(t, "components", "parameters", name)["schema"] = map[string]any{"type": "integer", "minimum": -(1 << 31), "maximum": 1 << 31}
			}
		}},
		{"neither services nor routes come in pages", func(t *testing.T, p published) {
			t.Helper()
			for _, path := range []string{"/services", "/proxy"} {
				delete(p.at(t, "paths", path, "get"), "parameters")
			}
		}},
		{"stopped servers are told for any text that is not taken for no", func(t *testing.T, p published) {
			t.Helper()
			for _, path := range []string{"/users", "/users/{name}"} {
				p.query(t, path, "include_stopped_servers")["schema"] = map[string]any{}
			}
		}},
		{"the version is told to everybody, as the description of the operation says", func(t *testing.T, p published) {
			t.Helper()
			p.at(t, "paths", "/", "get")["security"] = []any{}
		}},
		{"a body that is null is none", func(t *testing.T, p published) {
			t.Helper()
			p.operations(t, func(_, _ string, op published) {
				body, _ := op["requestBody"].(map[string]any)
				if required, _ := body["required"].(bool); body == nil || required {
					return
				}
				if media, ok := published(body).at(t, "content")["application/json"].(map[string]any); ok {
					schema := published(media).at(t, "schema")
					schema["type"] = []any{schema["type"], "null"}
				}
			})
		}},
		{"a field of these that is null is not there", func(t *testing.T, p published) {
			t.Helper()
			for path, method := range map[string]string{"/users/{name}/activity": "post", "/users/{name}/tokens": "post", "/users/{name}": "patch", "/users/{name}/servers/{server_name}": "delete"} {
				fields := p.at(t, "paths", path, method, "requestBody", "content", "application/json", "schema", "properties")
				for name := range fields {
					field := fields.at(t, name)
					field["type"] = []any{field["type"], "null"}
				}
			}
		}},
		{"the OAuth endpoint refuses in the words of OAuth, and a client that it does not know with 401", func(t *testing.T, p published) {
			t.Helper()
			responses := p.at(t, "paths", "/oauth2/token", "post", "responses")
			refusal := map[string]any{
				"description": "refused", "content": map[string]any{"application/json": map[string]any{"schema": map[string]any{
					"type": "object", "required": []any{"error"}, "properties": map[string]any{"error": map[string]any{"type": "string"}},
				}}},
			}
			responses["400"], responses["401"] = refusal, refusal
		}},
		{"the keys by which users are sorted are told in words only", func(t *testing.T, p published) {
			t.Helper()
			p.query(t, "/users", "sort")["schema"] = map[string]any{"type": "string", "enum": []any{"id", "name", "last_activity", "-id", "-name", "-last_activity"}}
		}},
		{"a state that is empty is none", func(t *testing.T, p published) {
			t.Helper()
			schema := p.query(t, "/users", "state").at(t, "schema")
			schema["enum"] = append(schema["enum"].([]any), "")
		}},
	}
}

// addRefusals describes what the stock hub answers where a request is not as it should be: an object with a sentence.
func addRefusals(t *testing.T, p published) {
	t.Helper()
	refusal := map[string]any{
		"description": "refused", "content": map[string]any{"application/json": map[string]any{"schema": map[string]any{
			"type": "object", "required": []any{"status", "message"},
			"properties": map[string]any{"status": map[string]any{"type": "integer"}, "message": map[string]any{"type": "string"}},
		}}},
	}
	p.operations(t, func(_, _ string, op published) {
		responses := op.at(t, "responses")
		delete(responses, "401") // it is 403
		for _, status := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict} {
			responses[strconv.Itoa(status)] = refusal
		}
	})
}

// TestSchemathesisOverJupyterHubsOwnDescription makes requests out of what JupyterHub 5.5 publishes about itself, and holds our answers to it. The file is the one in its
// source distribution; what it says wrongly is corrected above.
func TestSchemathesisOverJupyterHubsOwnDescription(t *testing.T) {
	t.Parallel()
	file, err := pyenv.FindAPIDocument()
	if err != nil {
		if os.Getenv("NOMADHUB_TEST_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var p published
	if err := yaml.Unmarshal(text, (*map[string]any)(&p)); err != nil {
		t.Fatal(err)
	}
	p = stringKeys(map[string]any(p)).(map[string]any)
	for _, c := range corrections() {
		c.mend(t, p)
	}
	if text, err = json.MarshalIndent(p, "", " "); err != nil {
		t.Fatal(err)
	}
	corrected := filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(corrected, text, 0o600); err != nil {
		t.Fatal(err)
	}
	schemathesisRun{
		description: corrected, phases: "coverage",
		// Who asks without a login to authorize a client is sent to a page, which this test does not have.
		config: strings.Replace(schemathesisConfig, "[302, 400, 403, 405]", "[302, 400, 403, 404, 405]", 1),
		// Methods that are not told are there: of JupyterHub itself, of its version 6, and ours.
		exclude: "unsupported_method",
	}.do(t, newDescribedBench(t))
}

// stringKeys makes JSON of what YAML allows more: statuses are numbers there.
func stringKeys(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			v[k] = stringKeys(inner)
		}
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, inner := range v {
			text, err := yaml.Marshal(k)
			if err != nil {
				panic(err) // it was read as YAML
			}
			m[string(text[:len(text)-1])] = stringKeys(inner)
		}
		return m
	case []any:
		for i, inner := range v {
			v[i] = stringKeys(inner)
		}
	case time.Time: // an example
		return v.Format(time.RFC3339)
	}
	return v
}
