// Package pyenv prepares Python environments with stock Jupyter software from the package registry, once per machine.
//
// An environment is a virtual environment made from a file of pinned versions (e2e/python/NAME.txt). It lives in the cache
// folder under a name that contains a hash of those pins and of the interpreter, so a changed pin makes a new environment and
// an unchanged one is found again in milliseconds. Everybody on the machine may read it, because servers run in it may belong
// to another account than the one that made it.
package pyenv

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/nomadhub/nomadhub/e2e/python"
	"github.com/nomadhub/nomadhub/internal/cache"
	"github.com/nomadhub/nomadhub/internal/deps"
)

// Options say which environment is wanted, and where.
type Options struct {
	// Name is one of python.Names: "hub5" is what `make run` uses.
	Name string
	// Cache is the folder for environments, [cache.Dir] by default.
	Cache string
	// Python is the interpreter to build on, by default the first suitable one of $NOMADHUB_PYTHON, PATH and /usr/bin.
	Python string
	// Log takes the output of pip and apt-get, which can go on for a minute. Nothing is written when the environment is there.
	Log io.Writer
}

// An Env is a finished environment.
type Env struct {
	Dir string // absolute path of the virtual environment
}

// Bin is the folder with its programs: python, jupyterhub-singleuser, jupyter-lab …
func (e Env) Bin() string { return filepath.Join(e.Dir, "bin") }

// Program is the path of one of its programs.
func (e Env) Program(name string) string { return filepath.Join(e.Bin(), name) }

// Examples is the folder of JupyterHub's examples, in an environment that has them; see [python.Examples].
func (e Env) Examples() string { return filepath.Join(e.Dir, "examples") }

// complete is the name of the file that is written last, so that an environment whose making was cut short is made anew.
const complete = ".complete"

// Find returns the environment if it is already there, and an error that matches [fs.ErrNotExist] otherwise. It makes nothing.
func Find(ctx context.Context, opts Options) (Env, error) {
	p, err := prepare(ctx, opts)
	if err != nil {
		return Env{}, err
	}
	if !p.finished() {
		return Env{}, fmt.Errorf("the Python environment %q is not prepared (make it with: go run ./internal/cmd/pyenv %s): %w",
			opts.Name, opts.Name, fs.ErrNotExist)
	}
	return p.env, nil
}

// Ensure returns the environment, making it first if needed. Callers that want the same one at once wait for each other, also
// across processes. Cancelling ctx leaves nothing that a later call would take for finished.
func Ensure(ctx context.Context, opts Options) (Env, error) {
	p, err := prepare(ctx, opts)
	if errors.Is(err, errNoPython) {
		if err := deps.Install(ctx, cmp.Or[io.Writer](opts.Log, io.Discard), "Python 3", "python3", "python3-venv"); err != nil {
			return Env{}, err
		}
		p, err = prepare(ctx, opts)
	}
	if err != nil {
		return Env{}, err
	}
	if err := p.ensure(ctx); err != nil {
		return Env{}, fmt.Errorf("prepare the Python environment %q: %w", opts.Name, err)
	}
	return p.env, nil
}

// plan is one environment, decided on and not yet made.
type plan struct {
	env          Env
	interpreter  interpreter
	requirements string
	examples     bool // JupyterHub's examples are wanted beside it
	log          io.Writer
}

func prepare(ctx context.Context, opts Options) (*plan, error) {
	requirements, err := python.Requirements(opts.Name)
	if err != nil {
		return nil, err
	}
	folder := opts.Cache
	if folder == "" {
		if folder, err = cache.Dir(); err != nil {
			return nil, err
		}
	}
	py, err := findInterpreter(ctx, opts.Python)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(requirements + "\x00" + py.path + "\x00" + py.version))
	dir := filepath.Join(folder, "python", opts.Name+"-"+hex.EncodeToString(sum[:6]))
	return &plan{
		env:          Env{Dir: dir},
		interpreter:  py,
		requirements: requirements,
		examples:     python.Examples(opts.Name),
		log:          cmp.Or[io.Writer](opts.Log, io.Discard),
	}, nil
}

// ensure makes the environment unless it is there, one caller at a time.
func (p *plan) ensure(ctx context.Context) error {
	if p.finished() {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(p.env.Dir), 0o755); err != nil { //nolint:gosec // G301: meant to be read by every account
		return fmt.Errorf("make the cache folder: %w", err)
	}
	unlock, err := cache.Lock(ctx, p.env.Dir+".lock", nil)
	if err != nil {
		return fmt.Errorf("wait for another process that prepares it: %w", err)
	}
	defer unlock()
	if p.finished() { // somebody else made it while we waited
		return nil
	}
	return p.build(ctx)
}

func (p *plan) finished() bool {
	_, err := os.Stat(filepath.Join(p.env.Dir, complete))
	return err == nil
}

// build makes the environment in its final place, because a virtual environment cannot be moved.
func (p *plan) build(ctx context.Context) error {
	if err := os.RemoveAll(p.env.Dir); err != nil {
		return fmt.Errorf("clear what an earlier try left: %w", err)
	}
	if !p.interpreter.canVenv {
		if err := deps.Install(ctx, p.log, "Python's venv module", "python3-venv"); err != nil {
			return err
		}
	}
	if err := p.run(ctx, p.interpreter.path, "-m", "venv", p.env.Dir); err != nil {
		return err
	}
	pins := filepath.Join(p.env.Dir, "requirements.txt")
	if err := os.WriteFile(pins, []byte(p.requirements), 0o644); err != nil { //nolint:gosec // G306: meant to be read by every account
		return err
	}
	err := p.run(ctx, p.env.Program("python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--quiet",
		"--requirement", pins)
	if err != nil {
		return err
	}
	if p.examples {
		if err := p.fetchExamples(ctx); err != nil {
			return fmt.Errorf("take the examples out of JupyterHub's source distribution: %w", err)
		}
	}
	if err := makeReadable(p.env.Dir); err != nil {
		return fmt.Errorf("let other accounts read the environment: %w", err)
	}
	return os.WriteFile(filepath.Join(p.env.Dir, complete), nil, 0o644) //nolint:gosec // G306: meant to be read by every account
}

func (p *plan) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %v: %w", name, args, errors.Join(err, ctx.Err()))
	}
	return nil
}

// makeReadable gives everybody what the owner may read or run, whatever umask this process has.
func makeReadable(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if mode&0o100 != 0 {
			mode |= 0o111
		}
		if mode == info.Mode().Perm() {
			return nil
		}
		return os.Chmod(path, mode)
	})
}
