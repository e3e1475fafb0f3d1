package dockerd

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/nomadhub/nomadhub/internal/pyenv"
	"github.com/nomadhub/nomadhub/internal/rootfs"
)

// The account in the notebook image, as the public Jupyter images have it.
const (
	NotebookUser = "jovyan"
	NotebookUID  = 1000
	NotebookGID  = 100
	NotebookPort = 8888
)

//go:embed image
var imageFiles embed.FS

// NotebookImage is an image that behaves towards a hub as the public Jupyter images do (docker-stacks): the account jovyan, an entry program that can
// change that account's number when it is root, a command that becomes jupyterhub-singleuser where a hub's token is in the
// environment and then listens on all addresses, port 8888, and a health check. It is made of a Python environment of this machine.
func NotebookImage(ctx context.Context, env pyenv.Env) (Image, error) {
	set, err := Notebook(ctx, env)
	if err != nil {
		return Image{}, err
	}
	if err := addAccount(set); err != nil {
		return Image{}, err
	}
	return Image{Name: "nomadhub-test/notebook", Layer: set, Config: Config{
		Env: []string{
			"PATH=" + env.Bin() + ":/usr/local/bin:/usr/bin:/bin", "HOME=/home/" + NotebookUser, "SHELL=/bin/bash", "LANG=C.UTF-8", "LC_ALL=C.UTF-8",
			"NB_USER=" + NotebookUser, fmt.Sprintf("NB_UID=%d", NotebookUID), fmt.Sprintf("NB_GID=%d", NotebookGID),
		},
		User: fmt.Sprint(NotebookUID), WorkingDir: "/home/" + NotebookUser,
		Entrypoint: []string{"start.sh"}, Cmd: []string{"start-notebook.sh"},
		ExposedPorts: map[string]struct{}{fmt.Sprintf("%d/tcp", NotebookPort): {}},
		Healthcheck:  &Healthcheck{Test: []string{"CMD", "healthcheck.py"}, Interval: 5 * time.Second, Timeout: 3 * time.Second},
	}}, nil
}

// tools are what Jupyter's terminals, the scripts of the image and jobspecs need beside Python.
func tools() []string {
	return []string{
		"/bin/sh", "/bin/bash", "/usr/bin/env", "cat", "chmod", "chown", "cp", "date", "dirname", "echo", "grep", "head", "id", "kill", "ln", "ls", "mkdir", "mv", "ps", "pwd",
		"rm", "sed", "setpriv", "sleep", "stat", "tail", "test", "touch", "true", "tty", "uname", "whoami",
	}
}

// Notebook gathers a Python environment of this machine, and what it needs of the machine: the interpreter with its library, and a shell.
func Notebook(ctx context.Context, env pyenv.Env) (*rootfs.Set, error) {
	set := &rootfs.Set{}
	if err := set.AddPrograms(tools()...); err != nil {
		return nil, err
	}
	python, err := ask(ctx, env)
	if err != nil {
		return nil, err
	}
	if err := set.AddPrograms(python.Executable); err != nil {
		return nil, err
	}
	for _, dir := range slices.Compact([]string{python.Library, python.PlatformLibrary}) {
		// Tests of Python itself are a third of it.
		if err := set.AddTree(dir, "test", "idlelib", "site-packages", "dist-packages"); err != nil {
			return nil, fmt.Errorf("Python's library: %w", err) //nolint:staticcheck // a name
		}
	}
	if err := set.AddTree(env.Dir, "test", "tests"); err != nil {
		return nil, fmt.Errorf("the Python environment: %w", err)
	}
	for _, optional := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/os-release", "/lib/terminfo/x/xterm", "/lib/terminfo/x/xterm-256color"} {
		if _, err := os.Stat(optional); err == nil {
			if err := set.AddPath(optional); err != nil {
				return nil, err
			}
		}
	}
	return set, nil
}

// interpreter is the Python that an environment was made on.
type interpreter struct {
	Executable, Library, PlatformLibrary string
}

func ask(ctx context.Context, env pyenv.Env) (interpreter, error) {
	const question = `import json, sys, sysconfig
paths = sysconfig.get_paths(vars={"base": sys.base_prefix, "platbase": sys.base_exec_prefix})
print(json.dumps({"Executable": sys._base_executable, "Library": paths["stdlib"], "PlatformLibrary": paths["platstdlib"]}))`
	out, err := exec.CommandContext(ctx, env.Program("python"), "-c", question).Output()
	if err != nil {
		return interpreter{}, fmt.Errorf("ask the Python environment what it is made on: %w", err)
	}
	var python interpreter
	if err := json.Unmarshal(out, &python); err != nil {
		return interpreter{}, fmt.Errorf("ask the Python environment what it is made on: %w", err)
	}
	return python, nil
}

// addAccount adds the image's own files: its accounts, its folders, its scripts.
func addAccount(set *rootfs.Set) error {
	home := "/home/" + NotebookUser
	set.WriteFile("/etc/passwd", 0o644, fmt.Sprintf("root:x:0:0:root:/root:/bin/bash\n%s:x:%d:%d:notebooks:%s:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n",
		NotebookUser, NotebookUID, NotebookGID, home))
	set.WriteFile("/etc/group", 0o644, fmt.Sprintf("root:x:0:\nusers:x:%d:\nnogroup:x:65534:\n", NotebookGID))
	set.WriteFile("/etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files dns\n")
	set.Mkdir("/home", 0o755, 0, 0)
	set.Mkdir(home, 0o755, NotebookUID, NotebookGID)
	set.Mkdir("/root", 0o700, 0, 0)
	for _, dir := range []string{"/tmp", "/var/tmp"} {
		set.Mkdir(dir, os.ModeSticky|0o777, 0, 0)
	}
	for _, dir := range []string{"/dev", "/proc", "/run", "/sys", "/var", "/usr/local/bin"} {
		set.Mkdir(dir, 0o755, 0, 0)
	}
	files, err := imageFiles.ReadDir("image")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := imageFiles.ReadFile("image/" + file.Name())
		if err != nil {
			return err
		}
		set.WriteFile(filepath.Join("/usr/local/bin", file.Name()), 0o755, string(text))
	}
	return nil
}
