package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/internal/pyenv"
	"github.com/nomadhub/nomadhub/internal/stack"
)

// exampleServices are those of JupyterHub's examples, as their own configurations have them, but for the ports, and what is said beside.
const exampleServices = `
service "whoami-api" {
  url     = "http://127.0.0.1:%[3]d"
  command = [%[1]q, %[2]q]
}
service "whoami-oauth" {
  url     = "http://127.0.0.1:%[5]d"
  command = [%[1]q, %[4]q]
  oauth_client_allowed_scopes = ["self"]
}
service "whoami" {
  url         = "http://127.0.0.1:%[7]d"
  command     = [%[6]q, "run", "--port=%[7]d"]
  cwd         = %[8]q
  environment = { FLASK_APP = "whoami-flask.py" }
}
service "fastapi" {
  url                = "http://127.0.0.1:%[10]d"
  command            = [%[9]q, "app:app", "--port", "%[10]d"]
  cwd                = %[11]q
  oauth_redirect_uri = "%[12]s/services/fastapi/oauth_callback"
  environment        = { PUBLIC_HOST = %[12]q }

  oauth_client_allowed_scopes = ["self"] # its model of a user has fields that are shown to no less, and that Pydantic 2 wants to be there
}
service "announcement" {
  url     = "http://127.0.0.1:%[14]d"
  command = [%[1]q, %[13]q, "--port", "%[14]d"]
}
role "announcers" {
  scopes = ["access:services!service=announcement"]
  users  = ["announcer"]
}
`

// TestEmbeddedExamplesOfJupyterHub has the hub run the examples of services that ship with JupyterHub, unmodified: HubAuth by whoami and announcement, HubOAuth by whoami-oauth and
// Flask, and neither, but the same protocol, by FastAPI.
func TestEmbeddedExamplesOfJupyterHub(t *testing.T) {
	env, err := pyenv.Ensure(t.Context(), pyenv.Options{Name: "examples", Log: os.Stderr})
	if err != nil {
		browser.Missing(t, err)
	}
	ports, err := stack.FreePorts(5)
	if err != nil {
		t.Fatal(err)
	}
	d := newDev(t, plain.binary(t), "hub5", "")
	d.choosePorts()
	of := func(parts ...string) string { return filepath.Join(append([]string{env.Examples()}, parts...)...) }
	file := filepath.Join(t.TempDir(), "examples.hcl")
	text := fmt.Appendf(nil, exampleServices, env.Program("python"), of("service-whoami", "whoami.py"), ports[0], of("service-whoami", "whoami-oauth.py"), ports[1],
		env.Program("flask"), ports[2], of("service-whoami-flask"), env.Program("uvicorn"), ports[3], of("service-fastapi"), d.URL,
		of("service-announcement", "announcement.py"), ports[4])
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	d.args = append(d.args, "-config", file)
	d.start()
	token := d.operator(t, nil)[0]

	// HubAuth: the service asks the hub whose token it is.
	get := func(path, token string) (answer, error) { return askService(t, http.MethodGet, d.URL+path, token, "") }
	who := awaitJSON(t, "whoami", func() (answer, error) { return get("/services/whoami-api/", token) })
	if who["name"] != "operator" || who["kind"] != "user" || who["admin"] != true {
		t.Errorf("whoami says %v", who)
	}
	if a, err := get("/services/whoami-api/", "nobody-has-this-token"); err != nil || a.status != http.StatusForbidden {
		t.Errorf("whoami answers a wrong token with %d %s, %v", a.status, a.body, err)
	}

	// Announcements are read by everybody and changed by who may.
	awaitJSON(t, "announcement", func() (answer, error) { return get("/services/announcement/", "") })
	post := func(token string) answer {
		a, err := askService(t, http.MethodPost, d.URL+"/services/announcement/", token, `{"announcement": "The hub moves tonight."}`)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := post("nobody-has-this-token"); a.status != http.StatusForbidden {
		t.Errorf("a wrong token announces: %d %s", a.status, a.body)
	}
	if a := post(token); a.status != http.StatusOK {
		t.Errorf("the announcement is answered with %d %s", a.status, a.body)
	}
	said := awaitJSON(t, "announcement", func() (answer, error) { return get("/services/announcement/", "") })
	if said["announcement"] != "The hub moves tonight." || said["user"] != "operator" {
		t.Errorf("it announces %v", said)
	}

	// HubOAuth: a browser goes to the hub and comes back.
	p := browser.New(t).Page(t)
	p.SetPatience(slowly)
	loginByLink(p, d.Link)
	for _, name := range []string{"whoami-oauth", "whoami"} {
		at := d.URL + "/services/" + name + "/"
		awaitAnswer(t, at)
		p.Open(at)
		p.WaitVisible("#consent")
		p.WaitText("Go on to the service " + name + "?")
		p.Click("#consent button")
		p.WaitURL("the service", func(u string) bool { return strings.HasPrefix(u, at) && !strings.Contains(u, "oauth_callback") })
		p.WaitText(`"name": "admin"`)
		var model struct {
			Kind, Name string
			Scopes     []string
		}
		if err := json.Unmarshal([]byte(p.Text("body")), &model); err != nil || model.Kind != "user" || !strings.Contains(strings.Join(model.Scopes, " "), "access:services!service="+name) {
			t.Errorf("%s says %+v, %v", name, model, err)
		}
	}

	// FastAPI: a token by itself, and a code that the service exchanges for one.
	if hello := awaitJSON(t, "fastapi", func() (answer, error) { return get("/services/fastapi/", "") }); hello["Hello"] != "World" {
		t.Errorf("fastapi says %v", hello)
	}
	if a, err := get("/services/fastapi/me", ""); err != nil || a.status != http.StatusUnauthorized {
		t.Errorf("fastapi answers nobody with %d %s, %v", a.status, a.body, err)
	}
	me := func(token string) (answer, error) {
		return get("/services/fastapi/me?token="+url.QueryEscape(token), "")
	}
	if user := awaitJSON(t, "fastapi", func() (answer, error) { return me(token) }); user["name"] != "operator" {
		t.Errorf("fastapi says %v", user)
	}
	exchanged := exchangeAtFastAPI(t, p, d.URL)
	if user := awaitJSON(t, "fastapi", func() (answer, error) { return me(exchanged) }); user["name"] != "admin" {
		t.Errorf("with the exchanged token fastapi says %v", user)
	}
}

// exchangeAtFastAPI does what the example's page of documentation does when somebody authorizes it, and returns the token.
func exchangeAtFastAPI(t *testing.T, p *browser.Page, hub string) string {
	t.Helper()
	back := hub + "/services/fastapi/oauth_callback"
	p.Open(hub + "/hub/api/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"service-fastapi"}, "redirect_uri": {back}, "state": {"as it was"},
	}.Encode())
	p.WaitVisible("#consent")
	p.Click("#consent button")
	var code string
	p.WaitURL("the service, with a code", func(at string) bool {
		u, err := url.Parse(at)
		if err == nil && strings.HasPrefix(at, back) && u.Query().Get("state") == "as it was" {
			code = u.Query().Get("code")
		}
		return code != ""
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, hub+"/services/fastapi/get_token", strings.NewReader(url.Values{"code": {code}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var token struct {
		Access string `json:"access_token"`
	}
	if text, err := io.ReadAll(res.Body); err != nil || json.Unmarshal(text, &token) != nil || token.Access == "" {
		t.Fatalf("the exchange gives %s %s, %v", res.Status, text, err)
	}
	return token.Access
}

// askService sends one request to a service and follows nowhere; without a token nobody asks.
func askService(t *testing.T, method, at, token, body string) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "token "+token)
	}
	c := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, string(text)}, err
}

// awaitJSON waits until a service answers with an object.
func awaitJSON(t *testing.T, what string, get func() (answer, error)) (object map[string]any) {
	t.Helper()
	await(t, what+" answers", slowly, func() error {
		a, err := get()
		if err != nil || a.status != http.StatusOK {
			return fmt.Errorf("it is %d %s, %w", a.status, a.body, err)
		}
		object = nil
		return json.Unmarshal([]byte(a.body), &object)
	})
	return object
}
