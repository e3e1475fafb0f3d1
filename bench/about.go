package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomadhub/nomadhub/internal/stack"
)

// about says where and with what a run was made. It names no machine and no folder.
type about struct {
	Date      string `json:"date"`
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	MemoryGiB int    `json:"memory_gib"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
	Commit    string `json:"commit,omitempty"`
}

// describe finds out what this machine is.
func describe() about {
	a := about{Date: time.Now().UTC().Format(time.DateOnly), Cores: runtime.NumCPU(), Go: strings.TrimPrefix(runtime.Version(), "go")}
	a.Processor = firstField("/proc/cpuinfo", "model name")
	var kib int
	if _, err := fmt.Sscan(firstField("/proc/meminfo", "MemTotal"), &kib); err == nil {
		a.MemoryGiB = (kib + 1<<19) >> 20
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-") // what follows names who built it
		a.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + release
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				a.Commit = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return a
}

// firstField is what stands behind the colon in the first such line of a file; "" if there is none.
func firstField(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// open writes the first line of the output, and notes the programs that take part.
func (r *recorder) open(ctx context.Context, a about) {
	r.begins(a)
	for program, name := range map[string]string{"nomad": "Nomad", "consul": "Consul"} {
		path, err := stack.Binary(ctx, program)
		if err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, path, "version").Output()
		if err != nil {
			continue
		}
		first, _, _ := strings.Cut(string(out), "\n")
		if fields := strings.Fields(first); len(fields) > 1 {
			r.note(name, strings.TrimPrefix(fields[1], "v"))
		}
	}
	r.writeOrigin(&a)
}
