package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "embed"
)

// watchdog.sh waits for the end of the process that made the stack, however it ends, and then sweeps.
//
//go:embed watchdog.sh
var watchdogScript string

// watch starts the watchdog: a shell that reads a pipe of which only this process has the other end. When this process ends in
// any way, kill -9 included, the pipe closes and the shell ends what the stack started. closing tells it that all is done.
func watch(dir string) (closing func() error, err error) {
	//nolint:noctx // it outlives everything else on purpose
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "sh", marker, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
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

// sweep ends every process that carries the stack's marker, and unmounts what Nomad mounted for its tasks. It is the last
// step: after an orderly stop it finds nothing.
func sweep(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := poll(ctx, 20*time.Millisecond, func(context.Context) error {
		pids := marked(dir)
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone meanwhile, or still there in the next round
		}
		if len(pids) > 0 {
			return fmt.Errorf("processes %v of the stack in %s do not end", pids, dir)
		}
		return nil
	})
	return errors.Join(err, unmountBelow(dir))
}

// marked lists the living processes that were started by the stack in dir.
func marked(dir string) []int {
	want := []byte(marker + "=" + dir)
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	var pids []int
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil { // ended, or another account's
			continue
		}
		if !slices.ContainsFunc(bytes.Split(env, []byte{0}), func(kv []byte) bool { return bytes.Equal(kv, want) }) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func unmountBelow(dir string) error {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var errs []error
	lines := strings.Split(string(text), "\n")
	slices.Reverse(lines) // the newest first, since mounts nest
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			errs = append(errs, syscall.Unmount(fields[1], syscall.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}
