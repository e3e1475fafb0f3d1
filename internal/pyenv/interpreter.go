package pyenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// interpreter is a Python that an environment can be built on.
type interpreter struct {
	path    string // absolute, the real program and not a version manager's shim
	version string // such as "3.11.2"
	canVenv bool   // false on a bare Debian, where python3-venv is a package of its own
}

// errNoPython says that this machine has no Python that could be used.
var errNoPython = errors.New("no Python 3.11 or newer was found")

// describe prints what we need to know of an interpreter; _base_executable is the one behind a virtual environment.
const describe = `import json, sys
try:
    import ensurepip, venv
    ok = True
except ImportError:
    ok = False
print(json.dumps([getattr(sys, "_base_executable", "") or sys.executable, ".".join(map(str, sys.version_info[:3])), ok, sys.version_info >= (3, 11)]))`

// findInterpreter picks the Python to build on. An environment that root makes must be usable by every account, so a Python
// below a private folder (such as a version manager in root's home) comes last.
func findInterpreter(ctx context.Context, wanted string) (interpreter, error) {
	if wanted == "" {
		wanted = os.Getenv("NOMADHUB_PYTHON")
	}
	if wanted != "" {
		return inspect(ctx, wanted)
	}
	var found []interpreter
	var problems []error
	for _, candidate := range []string{"python3", "/usr/bin/python3"} {
		py, err := inspect(ctx, candidate)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		found = append(found, py)
	}
	if len(found) == 0 {
		return interpreter{}, errors.Join(append([]error{errNoPython}, problems...)...)
	}
	if os.Geteuid() == 0 {
		if i := slices.IndexFunc(found, func(py interpreter) bool { return usableByAll(py.path) }); i >= 0 {
			return found[i], nil
		}
	}
	return found[0], nil
}

func inspect(ctx context.Context, name string) (interpreter, error) {
	out, err := exec.CommandContext(ctx, name, "-c", describe).Output()
	if err != nil {
		return interpreter{}, fmt.Errorf("ask %s for its version: %w", name, err)
	}
	var py interpreter
	var recent bool
	if err := json.Unmarshal(out, &[]any{&py.path, &py.version, &py.canVenv, &recent}); err != nil {
		return interpreter{}, fmt.Errorf("ask %s for its version: %w", name, err)
	}
	if !recent {
		return interpreter{}, fmt.Errorf("%s is Python %s; 3.11 or newer is needed", name, py.version)
	}
	return py, nil
}

// usableByAll tells whether every account may run the program at path: it and all folders above are open.
func usableByAll(path string) bool {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	for {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		parent := filepath.Dir(path)
		if parent == path {
			return true
		}
		path = parent
	}
}
