package dockerd

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
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
)

// marker is an environment variable of the daemon. What it starts itself inherits it: containerd, the shims of containers, proxies of ports. What
// runs in containers does not, and hangs below a shim.
const marker = "NOMADHUB_DOCKER"

// watchdog.sh waits for the end of the process that started the engine, however it ends, and then removes the engine.
//
//go:embed watchdog.sh
var watchdogScript string

// watch starts the watchdog: a shell that reads a pipe of which only this process has the other end. closing tells it that all is done.
func (e *Engine) watch() (closing func() error, err error) {
	//nolint:noctx // it outlives everything else on purpose
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "sh", marker, e.Dir, e.bridge.name)
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

// sweep ends what the daemon started and left, containers first, and unmounts what is mounted below dir. After an orderly end it finds nothing.
func sweep(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := poll(ctx, func() error {
		pids := left(dir)
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone meanwhile, or still there in the next round
		}
		if len(pids) > 0 {
			return fmt.Errorf("processes %v of the engine in %s do not end", pids, dir)
		}
		return nil
	})
	return errors.Join(err, unmountBelow(dir), removeShimSockets(dir))
}

// removeShimSockets removes the sockets of shims that were killed. containerd keeps them in one folder for all engines of a machine, under a hash of its own
// address, Docker's namespace and the container's ID.
func removeShimSockets(dir string) error {
	containers, err := os.ReadDir(filepath.Join(dir, "data", "containers"))
	if err != nil {
		return nil //nolint:nilerr // the engine never came that far
	}
	for _, c := range containers {
		sum := sha256.Sum256([]byte(filepath.Join(dir, "exec/containerd/containerd.sock/moby", c.Name())))
		socketErr := os.Remove("/run/containerd/s/" + hex.EncodeToString(sum[:]))
		if !errors.Is(socketErr, os.ErrNotExist) {
			err = errors.Join(err, socketErr)
		}
	}
	return err
}

// left lists the living processes of an engine: those with its marker and all below them, the youngest generation first.
func left(dir string) []int {
	want := []byte(marker + "=" + dir)
	var pids, marked []int
	children := map[int][]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if env, err := os.ReadFile(file); err == nil && slices.ContainsFunc(bytes.Split(env, []byte{0}), func(kv []byte) bool { return bytes.Equal(kv, want) }) {
			marked = append(marked, pid)
		}
		if parent := parentOf(pid); parent > 0 {
			children[parent] = append(children[parent], pid)
		}
	}
	for round := marked; len(round) > 0; {
		var next []int
		for _, pid := range round {
			if !slices.Contains(pids, pid) {
				pids = append(pids, pid)
				next = append(next, children[pid]...)
			}
		}
		round = next
	}
	slices.Reverse(pids)
	return pids
}

// parentOf returns 0 for a process that has ended, also if nobody has asked for its end yet.
func parentOf(pid int) int {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // the command's name may hold anything
	if len(fields) < 2 || fields[0] == "Z" {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
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
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			errs = append(errs, syscall.Unmount(fields[1], syscall.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}
