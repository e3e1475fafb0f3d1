package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/pyenv"
	"github.com/nomadhub/nomadhub/store"
)

// quietJupyter answers what a Jupyter server is asked about itself, and has no kernels.
const quietJupyter = `#!%s
import http.server, json, os, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.split("?")[0]
        body = json.dumps({"kernels": 0} if path.endswith("/api/status") else []).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
url = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
http.server.ThreadingHTTPServer((url.hostname, url.port), Handler).serve_forever()
`

// quietHub is an embedded hub whose servers are quiet ones, with an administrator who has a token of these scopes.
type quietHub struct {
	*hubProcess
	apiClient
	service string // the token of a service with narrower scopes
}

func newQuietHub(t *testing.T, binary, config string, scopes ...string) quietHub {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "notebook")
	if err := os.WriteFile(program, fmt.Appendf(nil, quietJupyter, python(t)), 0o700); err != nil { //nolint:gosec // G306: must be a program
		t.Fatal(err)
	}
	d := newDev(t, binary, "hub5", config)
	d.args = append(d.args, "-notebook", program) // the last one counts
	d.start()
	wanted := [][]string{nil}
	if scopes != nil {
		wanted = append(wanted, scopes)
	}
	tokens := d.operator(t, wanted...)
	q := quietHub{hubProcess: d, apiClient: apiClient{base: d.URL, token: tokens[0]}}
	if scopes != nil {
		q.service = tokens[1]
	}
	return q
}

// operator makes an administrator of that name in an embedded hub, and gives it a token for each list of scopes: nil for all that it may do.
func (d *hubProcess) operator(t testing.TB, wanted ...[]string) (tokens []string) {
	t.Helper()
	state := d.args[2] // after "dev -dir"
	db, err := store.Open(t.Context(), store.Options{DSN: "sqlite://" + filepath.Join(state, "hub.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	admin := hub.User{ID: uuid.Must(uuid.NewV7()).String(), Name: "operator", Admin: true, Created: time.Now()}
	if err := db.CreateUser(t.Context(), admin); err != nil {
		t.Fatal(err)
	}
	for _, scopes := range wanted {
		secret, _, err := hub.IssueToken(t.Context(), db, scope.Standard(), admin, hub.NewToken{Scopes: scopes})
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, secret)
	}
	return tokens
}

func (q quietHub) up(t *testing.T, user string) {
	t.Helper()
	q.must(t, http.MethodPost, "/users/"+user, http.StatusCreated)
	q.must(t, http.MethodPost, "/users/"+user+"/server", http.StatusCreated, http.StatusAccepted)
	q.awaitReady(t, user)
}

// TestEmbeddedStockIdleCuller runs jupyterhub-idle-culler as it comes, with a token of the scopes that its documentation names. It stops the server that nobody
// uses and leaves the one that is in use.
func TestEmbeddedStockIdleCuller(t *testing.T) {
	q := newQuietHub(t, plain.binary(t), "", "list:users", "read:users:activity", "read:servers", "delete:servers")
	q.up(t, "idle")
	q.up(t, "busy")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stopped := make(chan struct{})
	go func() { // somebody at work
		defer close(stopped)
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, q.URL+"/user/busy/lab", nil)
			if err == nil {
				if res, err := http.DefaultClient.Do(req); err == nil {
					_ = res.Body.Close()
				}
			}
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	}()
	env, err := pyenv.Ensure(t.Context(), pyenv.Options{Name: "culler", Log: os.Stderr})
	if err != nil {
		browser.Missing(t, err)
	}
	culler := exec.CommandContext(ctx, env.Program("jupyterhub-idle-culler"), "--timeout=20", "--cull-every=1") //nolint:gosec // G204: the test's own
	culler.Env = append(os.Environ(), "JUPYTERHUB_API_URL="+q.URL+"/hub/api", "JUPYTERHUB_API_TOKEN="+q.service)
	culler.Stdout, culler.Stderr = t.Output(), t.Output()
	if err := culler.Start(); err != nil {
		t.Fatal(err)
	}
	q.awaitStopped(t, "idle")
	if s, err := q.server(t.Context(), "busy"); err != nil || !s.Ready {
		t.Errorf("the server in use is %+v, %v", s, err)
	}
	cancel()
	_ = culler.Wait()
	<-stopped
}

const eager = `
culling {
  idle_after        = "10s"
  warning           = "5s"
  interval          = "1s"
  activity_interval = "1s"
}
usage {
  interval = "1s"
}
`

// TestF49_EmbeddedKilledWhileCulling kills the hub in the moment in which it has written that an idle server shall stop, and in that right before. The next hub
// carries it out, with the reason and the evidence, and the ledger has the run once.
func TestF49_EmbeddedKilledWhileCulling(t *testing.T) {
	for _, point := range []string{"cull.before-row", "cull.after-row"} {
		t.Run(point, func(t *testing.T) {
			q := newQuietHub(t, failpoints.binary(t), eager)
			q.signal(syscall.SIGTERM)
			q.start("NOMADHUB_FAILPOINT=" + point)
			q.up(t, "idle")
			q.diesByItself(t)
			q.start()
			q.awaitStopped(t, "idle")
			var s struct {
				Failure struct {
					Message  string
					Evidence []string
				}
			}
			q.read(t, "/users/idle/server", &s)
			if !strings.Contains(s.Failure.Message, "nothing shows that it is used") || len(s.Failure.Evidence) < 3 {
				t.Errorf("it was stopped with %+v", s.Failure)
			}
			q.oneRun(t)
		})
	}
}

// TestEmbeddedKilledBesideTheLedger kills the hub before and after it writes down that a run began, and before it writes down that it ended. The next hub
// writes what is missing, and nothing twice.
func TestEmbeddedKilledBesideTheLedger(t *testing.T) {
	for _, point := range []string{"usage.before-open", "usage.after-open", "usage.before-close"} {
		t.Run(point, func(t *testing.T) {
			q := newQuietHub(t, failpoints.binary(t), "usage {\n  interval = \"1s\"\n}\n")
			q.signal(syscall.SIGTERM)
			q.start("NOMADHUB_FAILPOINT=" + point)
			q.must(t, http.MethodPost, "/users/ada", http.StatusCreated)
			_, _ = q.ask(t.Context(), http.MethodPost, "/users/ada/server", "")
			if point == "usage.before-close" {
				q.awaitReady(t, "ada")
				_, _ = q.ask(t.Context(), http.MethodDelete, "/users/ada/server", "")
			}
			q.diesByItself(t)
			q.start()
			if point != "usage.before-close" {
				q.awaitReady(t, "ada")
				q.must(t, http.MethodDelete, "/users/ada/server", http.StatusNoContent, http.StatusAccepted)
			}
			q.awaitStopped(t, "ada")
			q.oneRun(t)
		})
	}
}

// TestEmbeddedAsksStockJupyter: a stock single-user server lets the hub in with the token that it makes for the question, and tells of its kernels; being asked is
// no activity to it.
func TestEmbeddedAsksStockJupyter(t *testing.T) {
	q := newQuietHub(t, plain.binary(t), strings.NewReplacer(`"10s"`, `"20s"`, `"5s"`, `"8s"`).Replace(eager))
	q.signal(syscall.SIGTERM)
	q.args = q.args[:len(q.args)-2] // Jupyter itself, not the stand-in
	q.start()
	q.up(t, "idle")
	q.awaitStopped(t, "idle")
	var s struct{ Failure struct{ Evidence []string } }
	q.read(t, "/users/idle/server", &s)
	if said := strings.Join(s.Failure.Evidence, " "); !strings.Contains(said, "it had no kernels") {
		t.Errorf("the evidence is %q", said)
	}
}

func (q quietHub) diesByItself(t *testing.T) {
	t.Helper()
	q.awaitEnd()
	how, ok := q.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || how.Signal() != syscall.SIGKILL {
		t.Fatalf("the hub was not killed at the point: %s", q.cmd.ProcessState)
	}
}

func (q quietHub) read(t *testing.T, path string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(q.must(t, http.MethodGet, path, http.StatusOK).body), into); err != nil {
		t.Fatal(err)
	}
}

// oneRun waits until the ledger has exactly one run, which has ended.
func (q quietHub) oneRun(t *testing.T) {
	t.Helper()
	await(t, "the ledger has one run with an end", patience, func() error {
		var ledger struct {
			Items []struct {
				Began, Ended string
			}
		}
		q.read(t, "/usage?by=run", &ledger)
		if len(ledger.Items) != 1 || ledger.Items[0].Began == "" || ledger.Items[0].Ended == "" {
			return fmt.Errorf("it has %+v", ledger.Items)
		}
		return nil
	})
}
