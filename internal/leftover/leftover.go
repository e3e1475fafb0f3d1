// Package leftover ends what a run of real programs leaves on the machine: a test that was killed, a stack that did not stop in order. A run has a
// folder of its own, and every process that it starts bears the mark NOMADHUB_RUN with that folder as its value, which what they start inherits.
// Found by these two and by nothing else are
//
//	processes            that bear the mark, and all below them, such as those in containers
//	mounts               below the folder
//	network namespaces   named by an allocation or a container, whose ID is the name of a folder in the run's
//	control groups       the same
//
// so that what other runs, other accounts and the machine itself have is never touched.
//
// One shell script does it, both when a run asks for it at its end ([Run.Sweep]) and when the process of a run died without asking ([Run.Watch]).
package leftover

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// mark is an environment variable of every process of a run.
const mark = "NOMADHUB_RUN"

//go:embed sweep.sh
var script string

// Run is what belongs together.
type Run struct {
	// Dir is the absolute path of the run's folder, which no other run has, and without blanks.
	Dir string
	// Made are patterns of folders, relative to Dir, whose names are IDs of what the run made: Nomad's allocations and Docker's containers.
	Made []string
	// Last are shell commands that remove what is of another kind; they find Dir in $dir. They run after all else, and again if Sweep is called again.
	Last string
}

// Mark is the entry of the environment, as NAME=value, that every process of the run gets.
func (r Run) Mark() string { return mark + "=" + r.Dir }

// Sweep ends what is left, and returns when it is gone. After an orderly end it finds nothing.
func (r Run) Sweep(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script)
	cmd.Env = r.environment("now")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sweep what is left of %s: %w: %s", r.Dir, err, bytes.TrimSpace(out))
	}
	return nil
}

// Watch sweeps when this process ends without having called closing, in whatever way it ends, SIGKILL included. Call closing after the last [Run.Sweep].
func (r Run) Watch() (closing func() error, err error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	//nolint:noctx // it outlives everything else on purpose
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env = r.environment("later")
	// A session of its own: a signal to the group of this process, such as a Ctrl-C, is not for the one who cleans up after it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe() // of which only this process has the other end
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the watchdog: %w", err)
	}
	return func() error {
		_, err := io.WriteString(pipe, "done\n")
		return errors.Join(err, pipe.Close(), cmd.Wait())
	}, nil
}

// check refuses a folder by which more than the run could be meant.
func (r Run) check() error {
	if depth := strings.Count(strings.TrimRight(r.Dir, "/"), "/"); !strings.HasPrefix(r.Dir, "/") || depth < 2 || strings.ContainsAny(r.Dir, " \t\n\\*?[") {
		return fmt.Errorf("the folder %q cannot be a run's own: give an absolute path below a temporary folder, without blanks", r.Dir)
	}
	return nil
}

func (r Run) environment(when string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin",
		"when=" + when, "mark=" + mark, "dir=" + r.Dir, "ids=" + strings.Join(r.Made, " "), "last=" + r.Last,
	}
}
