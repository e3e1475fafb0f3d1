package browser

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/internal/deps"
	"github.com/nomadhub/nomadhub/internal/freeport"
	"github.com/nomadhub/nomadhub/internal/pyenv"
)

// TestLab proves the helpers on stock JupyterLab without any hub: a failure here is not the hub's.
func TestLab(t *testing.T) {
	t.Parallel()
	b := New(t)
	for _, name := range []string{"hub5", "hub3"} { // JupyterLab 4 and 3
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := startLab(t, name)
			p := b.Page(t)
			p.SetPatience(labPatience)
			p.Open(url)
			cells := []struct{ code, want string }{
				{"1+1", "2"},
				{"for i in range(3):\n    print('row', i)", "row 0\nrow 1\nrow 2"},
				{"from IPython.display import HTML; HTML('<b>bold</b>')", "bold"},
			}
			for _, c := range cells {
				if got := p.LabRunCell(c.code); got != c.want {
					t.Errorf("%s: got %q, want %q", c.code, got, c.want)
				}
			}
			if got := p.LabRunCell("1/0"); !strings.Contains(got, "ZeroDivisionError") {
				t.Errorf("an exception shows as %q", got)
			}
			p.Screenshot("jupyterlab-" + name)
		})
	}
}

// startLab starts a stock JupyterLab that lets everybody in, and returns its address.
func startLab(t *testing.T, name string) string {
	t.Helper()
	env, err := pyenv.Ensure(t.Context(), pyenv.Options{Name: name, Log: t.Output()})
	if _, isMissing := errors.AsType[*deps.MissingError](err); isMissing {
		Missing(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	ports, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(ports[0])
	home := t.TempDir()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), env.Program("jupyter-lab"), "--no-browser", "--allow-root", "--ServerApp.token=",
		"--ServerApp.password=", "--ServerApp.ip=127.0.0.1", "--ServerApp.port="+port, "--ServerApp.port_retries=0", "--ServerApp.root_dir="+home)
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "PATH=" + env.Bin() + ":/usr/bin:/bin"}
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(15 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	url := "http://127.0.0.1:" + port + "/"
	awaitServer(t, url+"api", ended)
	return url + "lab"
}

func awaitServer(t *testing.T, url string, ended <-chan struct{}) {
	t.Helper()
	deadline := time.NewTimer(labPatience)
	defer deadline.Stop()
	again := time.NewTicker(pollEvery)
	defer again.Stop()
	for {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-again.C:
		case <-ended:
			t.Fatal("JupyterLab ended before it answered")
		case <-deadline.C:
			t.Fatal("JupyterLab does not answer")
		}
	}
}
