package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/google/uuid"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/pyenv"
	"github.com/nomadhub/nomadhub/store"
)

// stockJupyter is a profile, given the program.
const stockJupyter = `
profile "jupyter" {
  mem_guarantee = "600M"

  command = "/bin/sh"
  args    = ["-c", "mkdir -p \"$HOME\" && cd \"$HOME\" && exec \"$0\"", %q]
}
notebook {
  answer_timeout = "5m"
}
`

// culls stops what nobody uses for so long, and says so early.
const culls = `
culling {
  idle_after        = %q
  warning           = "20s"
  keep_for          = "5s"
  interval          = "1s"
  activity_interval = "1s"
}
`

// testCulling lets two people leave their stock Jupyter alone: one whose kernel rests, and one whose kernel is at work.
func (l *notebookLife) testCulling(t *testing.T) {
	_, account := accounts(t)
	saved := filepath.Join(homes(t, l.Dir, account), "saved")
	profile := fmt.Sprintf(stockJupyter, jupyter(t, "hub5"))
	c := l.hub(t, "cull", setup{notebook: standIn, more: profile + fmt.Sprintf(culls, "10h")}, "")
	owner := c.person(t, "idle")
	c.person(t, "busy").start(t)
	owner.start(t)
	c.awaitReady(t, "busy")
	c.awaitReady(t, "idle")
	c.runCode(t, "busy", "import time\nwhile True: time.sleep(1)", "busy")
	c.runCode(t, "idle", fmt.Sprintf("import atexit\n@atexit.register\ndef save():\n    with open(%q, 'w') as f: f.write('x' * 100000)", saved), "idle")
	c.configure(t, setup{notebook: standIn, more: profile + fmt.Sprintf(culls, "25s")})
	if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}

	warned := c.awaitDetail(t, "is warned", "idle/server", func(s serverDetail) bool { return s.Notice != nil && s.Notice.Kind == "idle" })
	owner.sees(t, "home", "nothing shows that it is used", "Keep it running")
	owner.send(t, "keep/idle", nil)
	again := c.awaitDetail(t, "is kept, and warned again", "idle/server", func(s serverDetail) bool {
		return s.Notice != nil && s.Notice.Kind == "idle" && s.Notice.Until.After(warned.Notice.Until)
	})
	stopped := c.awaitDetail(t, "is stopped", "idle/server", func(s serverDetail) bool { return s.Stopped })
	if now := time.Now(); now.Before(again.Notice.Until) {
		t.Errorf("it was stopped before %s, of which its owner was told, at %s", again.Notice.Until, now)
	}
	if stopped.Failure == nil || !strings.Contains(stopped.Failure.Message, "nothing shows that it is used") {
		t.Fatalf("it was stopped with %+v", stopped.Failure)
	}
	evidence := strings.Join(stopped.Failure.Evidence, " ")
	for _, words := range []string{"It was last used at", "kernel", "A warning was shown from"} {
		if !strings.Contains(evidence, words) {
			t.Errorf("the evidence is %q, without %q", evidence, words)
		}
	}
	owner.sees(t, "home", append(stopped.Failure.Evidence, "nothing shows that it is used")...)
	if text, err := os.ReadFile(saved); err != nil || len(text) != 100000 {
		t.Errorf("Jupyter did not end its kernel in an orderly way: %d bytes, %v", len(text), err)
	}

	busy := c.awaitDetail(t, "is there", "busy/server", func(serverDetail) bool { return true })
	if !busy.Ready || busy.Notice != nil || !busy.LastUsed.Before(again.LastUsed) {
		t.Errorf("the server with a kernel at work, which was used before the other's last use at %s, is %+v", again.LastUsed, busy)
	}
	c.culledByStock(t, "busy")
	c.nothingLeft(t)
}

// runCode starts a kernel in the user's server, has it run code until it is in the state, and leaves it alone.
func (c *child) runCode(t *testing.T, user, code, state string) {
	t.Helper()
	base := c.URL + userPath(user) + "api/kernels"
	var kernel struct {
		ID    string
		State string `json:"execution_state"`
	}
	await(t, "a kernel starts", slowly, func() error { return c.askNotebook(t, http.MethodPost, base, &kernel) })
	ctx, cancel := context.WithTimeout(t.Context(), slowly)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(base, "http")+"/"+kernel.ID+"/channels", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"token " + c.token}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(1 << 20)
	id := uuid.NewString()
	err = wsjson.Write(ctx, conn, map[string]any{
		"channel": "shell", "parent_header": map[string]any{}, "metadata": map[string]any{}, "buffers": []any{},
		"header":  map[string]any{"msg_id": id, "session": uuid.NewString(), "username": user, "msg_type": "execute_request", "version": "5.3", "date": time.Now().UTC().Format(time.RFC3339)},
		"content": map[string]any{"code": code, "silent": false, "store_history": false, "user_expressions": map[string]any{}, "allow_stdin": false, "stop_on_error": true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for { // until it says so of this very code
		var message struct {
			Parent struct {
				ID string `json:"msg_id"`
			} `json:"parent_header"`
			Content struct {
				State string `json:"execution_state"`
				Error string `json:"evalue"`
			}
		}
		if err := wsjson.Read(ctx, conn, &message); err != nil {
			t.Fatalf("the kernel of %s did not become %s: %v", user, state, err)
		}
		if message.Parent.ID == id && message.Content.Error != "" {
			t.Fatalf("the kernel of %s says %s", user, message.Content.Error)
		}
		if message.Parent.ID == id && message.Content.State == state {
			return
		}
	}
}

// askNotebook asks a notebook's own API through the hub's proxy.
func (c *child) askNotebook(t *testing.T, method, at string, into any) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "token "+c.token)
	res, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s answers %s: %s, %w", at, res.Status, text, err)
	}
	return json.Unmarshal(text, into)
}

// culledByStock has jupyterhub-idle-culler, as it comes and with the scopes that its documentation names, stop the user's server.
func (c *child) culledByStock(t *testing.T, user string) {
	t.Helper()
	env, err := pyenv.Ensure(t.Context(), pyenv.Options{Name: "culler", Log: os.Stderr})
	if err != nil {
		browser.Missing(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	culler := exec.CommandContext(ctx, env.Program("jupyterhub-idle-culler"), "--timeout=10", "--cull-every=1") //nolint:gosec // G204: the test's own
	culler.Env = append(os.Environ(), "JUPYTERHUB_API_URL="+c.URL+"/hub/api",
		"JUPYTERHUB_API_TOKEN="+c.serviceToken(t, "list:users", "read:users:activity", "read:servers", "delete:servers"))
	culler.Stdout, culler.Stderr = t.Output(), t.Output()
	if err := culler.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = culler.Wait()
	}()
	c.awaitStopped(t, user)
}

// serviceToken makes a token of ada's with these scopes only.
func (c *child) serviceToken(t *testing.T, scopes ...string) string {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DSN: c.dsn})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ada, err := db.UserByName(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := hub.IssueToken(t.Context(), db, scope.Standard(), ada, hub.NewToken{Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}
