package compat

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/internal/chp"
	"github.com/nomadhub/nomadhub/internal/freeport"
	"github.com/nomadhub/nomadhub/internal/pyenv"
)

// password is everybody's, at both hubs.
const password = "correct-horse"

// cullerToken is that of the service which both configurations have.
const cullerToken = "culler-secret-of-many-letters"

// binaryVariable names a program to compare instead of what this tree builds.
const binaryVariable = "COMPAT_BINARY"

// hub is one of the two, with what was kept of its answers.
type hub struct {
	name   string
	origin string // scheme and host that clients use
	proc   *process
	client *http.Client

	mu   sync.Mutex
	vars map[string]string         // what tables write as {name}; "token.NAME" are credentials
	jars map[string]http.CookieJar // of browsers, by their name
}

func newHub(name, origin string, p *process) *hub {
	return &hub{
		name: name, origin: origin, proc: p, vars: map[string]string{"token.culler": cullerToken}, jars: map[string]http.CookieJar{},
		client: &http.Client{
			Timeout:       patience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// startStock starts JupyterHub as its makers ship it.
func startStock(t *testing.T, stub string) *hub {
	t.Helper()
	env, err := pyenv.Ensure(t.Context(), pyenv.Options{Name: "hub5", Log: os.Stderr})
	if err != nil {
		browser.Missing(t, err)
	}
	dir, routes := t.TempDir(), &chp.Table{}
	api, public := httptest.NewServer(routes), httptest.NewServer(routes.Forward())
	t.Cleanup(api.Close)
	t.Cleanup(public.Close)
	config, err := filepath.Abs("testdata/jupyterhub_config.py")
	if err != nil {
		t.Fatal(err)
	}
	p := run(t, "jupyterhub", dir, []string{
		"COMPAT_PUBLIC=" + public.URL, "COMPAT_ROUTES=" + api.URL, "COMPAT_HUB=" + "http://127.0.0.1:" + ports(t, 1)[0],
		"COMPAT_PASSWORD=" + password, "COMPAT_SERVICE_TOKEN=" + cullerToken, "COMPAT_STUB_PROGRAM=" + stub,
	}, env.Program("jupyterhub"), "-f", config)
	return newHub("JupyterHub", public.URL, p)
}

// startOurs starts this project's hub.
func startOurs(t *testing.T, stub string) *hub {
	t.Helper()
	dir := t.TempDir()
	binary := os.Getenv(binaryVariable)
	if binary == "" {
		binary = filepath.Join(dir, "nomadhub")
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/nomadhub/nomadhub/cmd/nomadhub").CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	config, err := filepath.Abs("testdata/hub.hcl")
	if err != nil {
		t.Fatal(err)
	}
	port := ports(t, 3)
	p := run(t, "nomadhub", dir, []string{
		"NOMADHUB_LISTEN_PUBLIC=127.0.0.1:" + port[0], "NOMADHUB_LISTEN_SERVERS=127.0.0.1:" + port[1], "NOMADHUB_LISTEN_METRICS=127.0.0.1:" + port[2],
		"COMPAT_DATABASE=sqlite://" + filepath.Join(dir, "hub.db"), "COMPAT_SECRETS=" + filepath.Join(dir, "secrets.json"),
		"COMPAT_SERVERS=" + filepath.Join(dir, "servers"), "COMPAT_HOME=" + filepath.Join(dir, "home"),
		"COMPAT_PASSWORD=" + password, "COMPAT_SERVICE_TOKEN=" + cullerToken, "COMPAT_STUB_PROGRAM=" + stub,
	}, binary, "serve", "-config", config)
	return newHub("NomadHub", "http://127.0.0.1:"+port[0], p)
}

func ports(t *testing.T, n int) []string {
	t.Helper()
	free, err := freeport.Find(n)
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, port := range free {
		text = append(text, strconv.Itoa(port))
	}
	return text
}

// await returns when the hub answers.
func (h *hub) await(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		res, err := h.client.Get(h.origin + "/hub/api")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-h.proc.ended:
			t.Fatalf("%s ended while it started:\n%s", h.name, h.proc.tail())
		case <-deadline:
			t.Fatalf("%s did not answer in time:\n%s", h.name, h.proc.tail())
		}
	}
}

// jar is the cookie jar of a browser, made at its first use.
func (h *hub) jar(name string) http.CookieJar {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.jars[name] == nil {
		h.jars[name], _ = cookiejar.New(nil) // cannot fail without options
	}
	return h.jars[name]
}

// ended tells whether the hub's process is gone.
func (h *hub) ended() bool {
	select {
	case <-h.proc.ended:
		return true
	default:
		return false
	}
}
