package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/internal/pyenv"
	"github.com/nomadhub/nomadhub/internal/stack"
)

// programs is an embedded hub with one server, of the user admin, in which there is what others wrote for single-user servers.
type programs struct {
	*hubProcess
	token string // of another administrator
	echo  int    // port of the program of testdata/echo.py, once jupyter-server-proxy has started it
}

// TestEmbeddedPrograms has programs that others wrote, as they come, at work in a server behind the hub's proxy: Notebook 7, jupyter-server-proxy, terminals, and
// the files of Jupyter Server, with contents of a size that no memory should hold. In the end the hub is restarted under them.
func TestEmbeddedPrograms(t *testing.T) {
	h := newPrograms(t)
	p := browser.New(t).Page(t)
	loginByLink(p, h.Link)
	p.SetPatience(slowly)
	startServer(p, h.URL, "admin")
	t.Run("Notebook 7", func(t *testing.T) { h.notebook(t, p) })
	t.Run("server proxy", h.serverProxy)
	t.Run("terminal", h.terminal)
	t.Run("large files", h.largeFiles)
	t.Run("hub restart", h.restart)
}

func newPrograms(t *testing.T) *programs {
	t.Helper()
	ports, err := stack.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	h := &programs{echo: ports[0]}
	h.hubProcess = newDev(t, plain.binary(t), "programs", fmt.Sprintf(`
notebook {
  default_url = "/tree"
  env         = { JUPYTER_CONFIG_PATH = %q }
}
`, h.jupyterConfig(t)))
	h.start()
	h.token = h.operator(t, nil)[0]
	return h
}

// jupyterConfig writes what jupyter-server-proxy has to know of the program that it shall start, and returns the folder.
func (h *programs) jupyterConfig(t *testing.T) string {
	t.Helper()
	env, err := pyenv.Ensure(t.Context(), pyenv.Options{Name: "programs", Log: os.Stderr})
	if err != nil {
		browser.Missing(t, err)
	}
	program, err := filepath.Abs("testdata/echo.py")
	if err != nil {
		t.Fatal(err)
	}
	type server struct {
		Command []string `json:"command"`
		Port    int      `json:"port"`
		Timeout int      `json:"timeout"` // seconds
	}
	text, err := json.Marshal(map[string]any{"ServerProxy": map[string]any{"servers": map[string]server{
		"echo": {Command: []string{env.Program("python"), program, "{port}"}, Port: h.echo, Timeout: int(slowly.Seconds())},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jupyter_server_config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// notebook runs cells in Notebook 7, which is where the server's root leads.
func (h *programs) notebook(t *testing.T, p *browser.Page) {
	p.WaitURL("the tree", func(u string) bool { return strings.HasPrefix(u, h.URL+"/user/admin/tree") })
	h.must(t, http.MethodPut, "api/contents/seven.ipynb", `{"type": "notebook", "format": "json", "content": {"cells": [], "nbformat": 4, "nbformat_minor": 5,
		"metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}}}}`)
	p.NotebookOpen(h.URL+"/user/admin/tree", ".jp-DirListing-item", "seven.ipynb")
	p.Screenshot("notebook7-tree")
	p.NotebookOpen(h.URL+"/user/admin/notebooks/seven.ipynb", ".jp-KernelName", "Python 3")
	h.awaitKernel(t)
	if got := p.NotebookRunCell("6*7"); got != "42" {
		t.Errorf("6*7 in Notebook 7 is %q", got)
	}
	if got := p.NotebookRunCell("import os, notebook; print(os.environ['JUPYTERHUB_USER'], notebook.__version__)"); !strings.HasPrefix(got, "admin 7.") {
		t.Errorf("the notebook is of %q", got)
	}
	p.Screenshot("notebook7")
}

// awaitKernel waits until the server has a kernel that rests, and somebody is connected to it.
func (h *programs) awaitKernel(t *testing.T) {
	t.Helper()
	await(t, "the notebook's kernel rests", slowly, func() error {
		var kernels []struct {
			State       string `json:"execution_state"`
			Connections int    `json:"connections"`
		}
		text := h.must(t, http.MethodGet, "api/kernels", "")
		if err := json.Unmarshal(text, &kernels); err != nil || len(kernels) != 1 || kernels[0].State != "idle" || kernels[0].Connections == 0 {
			return fmt.Errorf("the kernels are %s, %w", text, err)
		}
		return nil
	})
}

// kernels are the IDs of the server's kernels.
func (h *programs) kernels(t *testing.T) (ids []string) {
	t.Helper()
	var kernels []struct{ ID string }
	if err := json.Unmarshal(h.must(t, http.MethodGet, "api/kernels", ""), &kernels); err != nil {
		t.Fatal(err)
	}
	for _, k := range kernels {
		ids = append(ids, k.ID)
	}
	return ids
}

// serverProxy asks a program that jupyter-server-proxy starts: by its name, by its port, and by an absolute path.
func (h *programs) serverProxy(t *testing.T) {
	port := strconv.Itoa(h.echo)
	for _, way := range []struct{ name, path, program, prefix string }{
		{name: "by name", path: "echo/", program: "/", prefix: "/user/admin/echo"}, // starts it
		{name: "by port", path: "proxy/" + port + "/", program: "/", prefix: "/user/admin/proxy/" + port},
		{name: "by host and port", path: "proxy/127.0.0.1:" + port + "/", program: "/", prefix: "/user/admin/proxy/127.0.0.1:" + port},
		{name: "by absolute path", path: "proxy/absolute/" + port + "/", program: "/user/admin/proxy/absolute/" + port + "/"},
	} {
		t.Run(way.name, func(t *testing.T) {
			h.tells(t, http.MethodGet, way.path+"a%20b/tell?q=%C3%A9&q=2", "", told{URI: way.program + "a%20b/tell?q=%C3%A9&q=2", Prefix: way.prefix})
			h.tells(t, http.MethodPost, way.path+"tell", strings.Repeat("x", 1<<20), told{URI: way.program + "tell", Prefix: way.prefix, Got: 1 << 20})
			h.tells(t, http.MethodGet, way.path+"elsewhere", "", told{URI: way.program + "tell?by=redirect", Prefix: way.prefix})
			h.echoes(t, way.path+"echo")
		})
	}
}

// told is what the program tells of a request.
type told struct {
	URI, Host, Prefix string
	Got               int // bytes
}

// tells sends a request, follows where it is sent to, and compares what the program saw.
func (h *programs) tells(t *testing.T, method, path, body string, want told) {
	t.Helper()
	want.Host = strings.TrimPrefix(h.URL, "http://")
	var got told
	if text := h.must(t, method, path, body); json.Unmarshal(text, &got) != nil || got != want {
		t.Errorf("%s %s: the program says %s, and not %+v", method, path, text, want)
	}
}

// echoes sends messages on a websocket of the program: text, bytes, and more than any buffer on the way holds.
func (h *programs) echoes(t *testing.T, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), slowly)
	defer cancel()
	conn := h.dial(t, path)
	for kind, message := range map[websocket.MessageType]string{websocket.MessageText: "é", websocket.MessageBinary: strings.Repeat("\x00\xff", 1<<20)} {
		if err := conn.Write(ctx, kind, []byte(message)); err != nil {
			t.Fatal(err)
		}
		gotKind, got, err := conn.Read(ctx)
		if err != nil || gotKind != kind || string(got) != message {
			t.Fatalf("%s: of %v with %d bytes came back %v with %d bytes, %v", path, kind, len(message), gotKind, len(got), err)
		}
	}
}

// dial opens a websocket of the server.
func (h *programs) dial(t *testing.T, path string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), slowly)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(h.URL, "http")+"/user/admin/"+path,
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"token " + h.token}}})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if res.Body != nil {
		_ = res.Body.Close()
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// do sends a request to the server and returns its answer, whose body the caller closes.
func (h *programs) do(t *testing.T, method, path string, body io.Reader) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), slowly)
	t.Cleanup(cancel) // after the body
	req, err := http.NewRequestWithContext(ctx, method, h.URL+"/user/admin/"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+h.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// must is do for what has to succeed.
func (h *programs) must(t *testing.T, method, path, body string) []byte {
	t.Helper()
	res := h.do(t, method, path, strings.NewReader(body))
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= http.StatusMultipleChoices {
		t.Fatalf("%s %s answers %d: %.1000s %v", method, path, res.StatusCode, text, err)
	}
	return text
}

// restart ends the hub and starts it again. Its proxy ends with it, and websockets through it are cut; server, kernel and terminal are as they were, and whoever
// connects again goes on.
func (h *programs) restart(t *testing.T) {
	shell, kernels := h.openTerminal(t), h.kernels(t)
	shell.says(t, "x=41; echo before=$((x))", "before=41")
	h.signal(syscall.SIGTERM)
	if err := shell.drain(t); err == nil {
		t.Error("the websocket goes on without the hub")
	}
	h.start()
	again := h.joinTerminal(t, shell.name)
	again.says(t, "echo after=$((x+1))", "after=42")
	if after := h.kernels(t); !slices.Equal(after, kernels) || len(after) != 1 {
		t.Errorf("the kernels were %q and are %q", kernels, after)
	}
	h.tells(t, http.MethodGet, "echo/tell", "", told{URI: "/tell", Prefix: "/user/admin/echo"})
}
