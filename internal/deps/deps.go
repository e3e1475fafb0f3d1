// Package deps finds the programs that development and tests need on this machine, and installs them where it may: as root
// on Debian, by apt-get. Everywhere else it says exactly what is missing. The product itself never imports it.
package deps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A MissingError says that a program is not on this machine and could not be installed by this account.
type MissingError struct {
	Program  string   // what was looked for, in words
	Packages []string // Debian's packages that bring it
	Err      error    // why installing failed, or nil if it was not tried
}

// Error is a sentence with the command that mends it.
func (e *MissingError) Error() string {
	text := fmt.Sprintf("%s is missing on this machine; install it with: apt-get install -y %s", e.Program, strings.Join(e.Packages, " "))
	if e.Err != nil {
		text += fmt.Sprintf(" (trying that failed: %v)", e.Err)
	}
	return text
}

func (e *MissingError) Unwrap() error { return e.Err }

// chromiumNames are the names under which distributions ship Chromium, best first.
var chromiumNames = [...]string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// FindChromium returns the path of a Chromium on PATH, or a *MissingError. It installs nothing.
func FindChromium() (string, error) {
	for _, name := range chromiumNames {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", &MissingError{Program: "Chromium", Packages: []string{"chromium"}}
}

// FindPrometheus returns the path of a Prometheus server on PATH, or a *MissingError. It installs nothing.
func FindPrometheus() (string, error) {
	if path, err := exec.LookPath("prometheus"); err == nil {
		return path, nil
	}
	return "", &MissingError{Program: "Prometheus", Packages: []string{"prometheus"}}
}

// EnsureChromium returns the path of a Chromium on PATH, installing Debian's if there is none and this process may.
// The installer's output goes to log.
func EnsureChromium(ctx context.Context, log io.Writer) (string, error) {
	path, err := FindChromium()
	missing, isMissing := errors.AsType[*MissingError](err)
	if !isMissing {
		return path, err
	}
	if err := Install(ctx, log, missing.Program, missing.Packages...); err != nil {
		return "", err
	}
	return FindChromium()
}

// Install installs Debian packages if this process may, and fails with a *MissingError that names program otherwise.
func Install(ctx context.Context, log io.Writer, program string, packages ...string) error {
	missing := &MissingError{Program: program, Packages: packages}
	aptGet, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return missing
	}
	// Another apt may be running, for example another test binary's: wait for its lock instead of failing.
	wait := []string{"-o", "DPkg::Lock::Timeout=600"}
	install := append(append([]string{"install", "-y", "--no-install-recommends"}, wait...), packages...)
	if err := run(ctx, log, aptGet, install...); err == nil {
		return nil
	}
	// The package lists of a fresh machine are empty or old, so that the first try had to fail.
	if err := run(ctx, log, aptGet, append([]string{"update"}, wait...)...); err != nil {
		missing.Err = err
		return missing
	}
	if err := run(ctx, log, aptGet, install...); err != nil {
		missing.Err = err
		return missing
	}
	return nil
}

func run(ctx context.Context, log io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return nil
}
