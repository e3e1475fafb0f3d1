package dockerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/internal/leftover"
	"github.com/nomadhub/nomadhub/internal/pyenv"
	"github.com/nomadhub/nomadhub/internal/rootfs"
)

// childVariable makes this test binary a process that starts an engine and a container, says so, and waits to be killed.
const childVariable = "NOMADHUB_DOCKERD_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := child(); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// shell is an image with little more than a shell.
func shell(t testing.TB) Image {
	t.Helper()
	image, err := shellImage()
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func shellImage() (Image, error) {
	set := &rootfs.Set{}
	set.Mkdir("/tmp", os.ModeSticky|0o777, 0, 0)
	return Image{Name: "nomadhub-test/shell", Layer: set, Config: Config{Env: []string{"PATH=/usr/bin:/bin"}}}, set.AddPrograms("/bin/sh", "/bin/bash", "sleep", "cat")
}

// TestEngine starts an engine, runs containers of an image that was imported and of one that was pulled, reaches this machine from a container,
// and leaves nothing.
func TestEngine(t *testing.T) {
	t.Parallel()
	var e *Engine
	t.Run("running", func(t *testing.T) {
		e = New(t)
		imported, err := e.ImportImage(t.Context(), shell(t))
		if err != nil {
			t.Fatal(err)
		}
		out, code, err := e.Run(t.Context(), Run{Image: imported, Cmd: []string{"sh", "-c", "echo $A; exit 3"}, Env: []string{"A=$b c"}})
		if out != "$b c\n" || code != 3 || err != nil {
			t.Errorf("output %q, code %d, %v", out, code, err)
		}

		pulled := Serve(t, shell(t)) + "/nomadhub-test/shell:" + Tag
		if err := e.Pull(t.Context(), pulled); err != nil {
			t.Fatal(err)
		}
		if has, err := e.HasImage(t.Context(), pulled); !has || err != nil {
			t.Errorf("the pulled image is there: %v, %v", has, err)
		}
		if err := e.Pull(t.Context(), pulled+"2"); err == nil {
			t.Error("an image that the registry does not have was pulled")
		}

		said := e.Expose(t, serveHello(t))
		host, port, _ := net.SplitHostPort(said)
		get := fmt.Sprintf("exec 3<>/dev/tcp/%s/%s; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3", host, port)
		if out, _, err := e.Run(t.Context(), Run{Image: pulled, Cmd: []string{"bash", "-c", get}}); !strings.Contains(out, "hello from this machine") || err != nil {
			t.Errorf("this machine says %q to a container, %v", out, err)
		}
	})
	if e != nil {
		requireNothingLeft(t, e.Dir, e.bridge.name)
	}
}

func serveHello(t *testing.T) (port int) {
	t.Helper()
	listener := listen(t, "127.0.0.1")
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello from this machine")
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on TCP
}

func requireNothingLeft(t *testing.T, dir, bridge string) {
	t.Helper()
	left := leftover.Run{Dir: dir}
	if pids := left.Processes(); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
	if mounts, err := left.Mounts(); err != nil || len(mounts) > 0 {
		t.Errorf("mounts %v are left, %v", mounts, err)
	}
	if _, err := net.InterfaceByName(bridge); err == nil {
		t.Errorf("the bridge %s is left", bridge)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder %s is left: %v", dir, err)
	}
}

// child is the process that [TestKilledTestLeavesNothing] kills.
func child() error {
	e, err := Start(context.Background())
	if err != nil {
		return err
	}
	image, err := shellImage()
	if err != nil {
		return err
	}
	name, err := e.ImportImage(context.Background(), image)
	if err != nil {
		return err
	}
	fmt.Println(e.Dir)
	fmt.Println(e.bridge.name)
	_, code, err := e.Run(context.Background(), Run{Image: name, Cmd: []string{"sh", "-c", "sleep 600 & sleep 600"}})
	return fmt.Errorf("the container ended with %d: %w", code, err)
}

// TestKilledTestLeavesNothing kills a process that has an engine with a running container, and waits until nothing of it is left.
func TestKilledTestLeavesNothing(t *testing.T) {
	t.Parallel()
	New(t) // decides whether engines can run here
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dir, bridge string
	if _, err := fmt.Fscanln(out, &dir); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, &bridge); err != nil || !strings.HasPrefix(dir, "/") {
		t.Fatalf("the child says %q, %q, %v", dir, bridge, err)
	}
	await(t, "the container runs", func() bool { return running(dir, "sleep\x00600") })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	await(t, "the watchdog has removed everything", func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist)
	})
	requireNothingLeft(t, dir, bridge)
}

// running tells whether a process of the engine has this command line.
func running(dir, command string) bool {
	for _, pid := range (leftover.Run{Dir: dir}).Processes() {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(text), command) {
			return true
		}
	}
	return false
}

func await(t *testing.T, what string, check func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := poll(ctx, func() error {
		if check() {
			return nil
		}
		return errors.New("not yet")
	})
	if err != nil {
		t.Fatalf("waited in vain until %s: %v", what, err)
	}
}

// TestEndedEngine: an engine that was killed is stopped without an error, with the container that outlived it.
func TestEndedEngine(t *testing.T) {
	t.Parallel()
	e := New(t)
	name, err := e.ImportImage(t.Context(), shell(t))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _, _ = e.Run(t.Context(), Run{Image: name, Cmd: []string{"sleep", "600"}}) }()
	await(t, "the container runs", func() bool { return running(e.Dir, "sleep\x00600") })
	if err := syscall.Kill(e.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-e.ended
	if err := e.Stop(); err != nil {
		t.Error(err)
	}
	requireNothingLeft(t, e.Dir, e.bridge.name)
}

// TestNotebookImage runs the entry programs of the notebook image in real containers, with a hub's server that only says how it was called.
func TestNotebookImage(t *testing.T) {
	t.Parallel()
	e := New(t)
	env, err := pyenv.Ensure(t.Context(), pyenv.Options{Name: "hub5", Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	image, err := NotebookImage(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	name := Serve(t, image) + "/" + image.Name + ":" + Tag
	if err := e.Pull(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	fake := filepath.Join(t.TempDir(), "says")
	says := "#!/bin/bash\necho \"${0##*/} $* as $(id -u):$(id -g) $(whoami) in $PWD home $HOME\"\n"
	if err := os.WriteFile(fake, []byte(says), 0o755); err != nil { //nolint:gosec // it runs as another account
		t.Fatal(err)
	}
	files := map[string]string{env.Program("jupyterhub-singleuser"): fake, env.Program("jupyter"): fake}
	cases := map[string]struct {
		run  Run
		code int
		want string
	}{
		"alone":                        {Run{}, 0, "jupyter lab --ip=0.0.0.0 as 1000:100 jovyan in /home/jovyan home /home/jovyan\n"},
		"under a hub":                  {Run{Env: []string{"JUPYTERHUB_API_TOKEN=t"}}, 0, "jupyterhub-singleuser --ip=0.0.0.0 as 1000:100 jovyan in /home/jovyan home /home/jovyan\n"},
		"with arguments":               {Run{Env: []string{"JUPYTERHUB_API_TOKEN=t", "NOTEBOOK_ARGS=--debug"}, Cmd: []string{"start-notebook.sh", "--A.b=c"}}, 0, "jupyterhub-singleuser --ip=0.0.0.0 --debug --A.b=c as"},
		"with an address":              {Run{Env: []string{"JUPYTERHUB_API_TOKEN=t", "NOTEBOOK_ARGS=--ip=127.0.0.1"}}, 0, "jupyterhub-singleuser --ip=127.0.0.1 as"},
		"the launcher itself":          {Run{Cmd: []string{"start-singleuser.sh"}}, 0, "jupyterhub-singleuser --ip=0.0.0.0 as"},
		"another command":              {Run{Cmd: []string{"echo", "hello"}}, 0, "hello\n"},
		"root gives the account a uid": {Run{User: "root", Env: []string{"NB_UID=4321", "NB_USER=ada", "NB_GID=77", "JUPYTERHUB_API_TOKEN=t"}}, 0, "jupyterhub-singleuser --ip=0.0.0.0 as 4321:77 ada in /home/ada home /home/ada\n"},
		"a hostile name":               {Run{User: "root", Env: []string{"NB_USER=a|b"}}, 64, "NB_USER is no name of an account: a|b\n"},
		"no program was found by luck": {Run{Cmd: []string{"no-such-program"}}, 127, "no-such-program"},
	}
	for what, c := range cases {
		t.Run(what, func(t *testing.T) {
			c.run.Image, c.run.Files = name, files
			out, code, err := e.Run(t.Context(), c.run)
			if !strings.Contains(out, c.want) || code != c.code || err != nil {
				t.Errorf("output %q, code %d, %v; want %q, %d", out, code, err, c.want, c.code)
			}
		})
	}
	// The real programs are there, with all that they need.
	out, code, err := e.Run(t.Context(), Run{Image: name, Cmd: []string{"sh", "-c", "jupyterhub-singleuser --version && python -c 'import ssl, sqlite3, ctypes, zmq, jupyterlab, ipykernel.ipkernel; print(\"imported\")'"}})
	if !strings.Contains(out, "imported") || code != 0 || err != nil {
		t.Errorf("output %q, code %d, %v", out, code, err)
	}
}
