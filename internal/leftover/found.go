package leftover

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Processes lists the living processes of the run: those that bear its mark, and all below them.
func (r Run) Processes() []int {
	var pids []int
	children := map[int][]int{}
	var round []int
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if env, err := os.ReadFile(file); err == nil && slices.Contains(strings.Split(string(env), "\x00"), r.Mark()) {
			round = append(round, pid)
		}
		if parent := parentOf(pid); parent > 0 {
			children[parent] = append(children[parent], pid)
		}
	}
	for len(round) > 0 {
		var next []int
		for _, pid := range round {
			if !slices.Contains(pids, pid) {
				pids = append(pids, pid)
				next = append(next, children[pid]...)
			}
		}
		round = next
	}
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

// Mounts lists what is mounted below the run's folder.
func (r Run) Mounts() ([]string, error) {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], r.Dir+"/") {
			found = append(found, fields[1])
		}
	}
	return found, nil
}

// Named lists the control groups and network namespaces whose name holds the ID of an allocation or a container.
func Named(id string) []string {
	var found []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(d.Name(), id) {
			found = append(found, path)
		}
		return nil // others' groups come and go meanwhile
	})
	for _, dir := range []string{"/run/netns", "/run/docker/netns"} {
		if _, err := os.Stat(filepath.Join(dir, id)); err == nil {
			found = append(found, filepath.Join(dir, id))
		}
	}
	return found
}
