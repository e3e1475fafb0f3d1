package nomad

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// The task drivers whose options this package knows.
const (
	driverDocker  = "docker"
	driverPodman  = "podman"
	driverExec    = "exec"
	driverRawExec = "raw_exec"
)

// driver says what a task driver can do, and under which names it takes it.
type driver struct {
	container   bool   // it runs images, with a network of their own, and holds them to a part of the processor
	workDir     string // the option for the folder to begin in
	mounts      bool   // it shows volumes to tasks
	listOfMaps  []string
	pullTimeout string
}

// driverNamed returns false for a driver whose options this package does not know.
func driverNamed(name string) (driver, bool) {
	switch name {
	case driverDocker:
		return driver{
			container: true, workDir: "work_dir", mounts: true, pullTimeout: "image_pull_timeout",
			listOfMaps: []string{"labels", "sysctl", "ulimit", "port_map"},
		}, true
	case driverPodman:
		return driver{
			container: true, workDir: "working_dir", mounts: true, pullTimeout: "image_pull_timeout",
			listOfMaps: []string{"labels", "sysctl", "ulimit", "port_map"},
		}, true
	case driverExec:
		return driver{workDir: "work_dir", mounts: true}, true
	case driverRawExec:
		return driver{workDir: "work_dir"}, true
	}
	return driver{}, false
}

// Options of drivers that mean the same in each of a kind.
var (
	containerOptions = []string{"image", "command", "args", "ports", "force_pull", "image_pull_timeout", "cpu_hard_limit", "cpu_cfs_period", "init"}
	processOptions   = []string{"command", "args", "work_dir"}
)

// program is what a task runs.
type program struct {
	driver, image, command string
	args                   []string
	user, workDir          string
	config                 map[string]any
	pull                   time.Duration
}

// over lays the program over a task.
func (p program) over(task *api.Task) error {
	if p.driver != "" && p.driver != task.Driver {
		changeDriver(task, p.driver)
	}
	kind, known := driverNamed(task.Driver)
	if !known && (p.image != "" || p.command != "" || p.args != nil || p.workDir != "") {
		return refuse("What the driver %q runs must be given by its own options: the hub does not know them.", task.Driver)
	}
	if p.image != "" && !kind.container {
		return refuse("The driver %q runs programs of the machine and no images. Choose the driver docker or podman, or leave the image out.", task.Driver)
	}
	config := maps.Clone(task.Config)
	if config == nil {
		config = make(map[string]any)
	}
	for name, value := range p.config {
		config[name] = kind.option(name, value)
	}
	p.setCommand(config)
	set(config, "image", p.image)
	set(config, kind.workDir, p.workDir)
	if p.pull > 0 && kind.pullTimeout != "" {
		config[kind.pullTimeout] = p.pull.String()
	}
	if p.user != "" {
		task.User = p.user
	}
	task.Config = config
	return runnable(task, kind, known)
}

func set(config map[string]any, name, value string) {
	if name != "" && value != "" {
		config[name] = value
	}
}

// runnable refuses what no machine could run, so that the operator hears of it before any user does.
func runnable(task *api.Task, kind driver, known bool) error {
	switch {
	case !known:
	case kind.container && text(task.Config["image"]) == "":
		return refuse("No image is given, and the driver %q runs nothing else.", task.Driver)
	case !kind.container && text(task.Config["command"]) == "":
		return refuse("No command is given, and the driver %q runs nothing else.", task.Driver)
	}
	return nil
}

func text(value any) string { s, _ := value.(string); return s }

// changeDriver keeps of the template what means the same under the other driver. A container has other files than a machine: accounts
// and search paths of one mean nothing in the other.
func changeDriver(task *api.Task, to string) {
	before, _ := driverNamed(task.Driver)
	after, known := driverNamed(to)
	keep := []string{}
	if same := before.container == after.container; same && known {
		keep = processOptions
		if after.container {
			keep = containerOptions
		}
	} else {
		task.User = ""
		task.Env = maps.Clone(task.Env)
		delete(task.Env, "PATH")
		delete(task.Env, "HOME")
	}
	task.Config = maps.Clone(task.Config)
	maps.DeleteFunc(task.Config, func(name string, _ any) bool { return !slices.Contains(keep, name) })
	task.Driver = to
}

// option writes an option in the shape that Nomad reads: what is a block of names and values in a jobspec is a list of maps.
func (d driver) option(name string, value any) any {
	if slices.Contains(d.listOfMaps, name) {
		switch value.(type) {
		case map[string]any, map[string]string:
			return []any{value}
		}
	}
	return value
}

// setCommand replaces the template's command and arguments. Arguments of the template are another program's, so they do not stay with a
// new command. A shell that prepares something and then becomes its own arguments stays; what it becomes is replaced.
func (p program) setCommand(config map[string]any) {
	if p.command == "" && p.args == nil {
		return
	}
	before, _ := config["args"].([]any)
	if wraps(text(config["command"]), before) {
		inner := []any{before[3]}
		rest := before[4:]
		if p.command != "" {
			inner, rest = []any{p.command}, nil
		}
		if p.args != nil {
			rest = list(p.args)
		}
		config["args"] = slices.Concat(before[:3], inner, rest)
		return
	}
	if p.command != "" {
		config["command"] = p.command
		delete(config, "args")
	}
	if p.args != nil {
		config["args"] = list(p.args)
	}
}

// wraps reports whether a command is of the form  sh -c '… exec "$@"' NAME PROGRAM ARGUMENTS…
func wraps(command string, args []any) bool {
	if len(args) < 4 || !strings.HasSuffix(command, "sh") || args[0] != "-c" {
		return false
	}
	return strings.HasSuffix(strings.TrimSpace(text(args[1])), `exec "$@"`)
}

func list(texts []string) []any {
	made := make([]any, 0, len(texts))
	for _, t := range texts {
		made = append(made, t)
	}
	return made
}

// isContainer reports whether a task runs an image.
func isContainer(task *api.Task) bool {
	kind, _ := driverNamed(task.Driver)
	return kind.container
}

// limitCPU holds a container to a part of the processor. Nomad's drivers hold one to exactly what is reserved for it, so the limit is
// reserved, too; see inMHz. Whole cores are a limit by themselves, and other drivers hold nobody.
func limitCPU(task *api.Task, ask scheduler.Resources) {
	if ask.CPULimit > 0 && ask.Cores == 0 && isContainer(task) {
		task.Config["cpu_hard_limit"] = true
	}
}
