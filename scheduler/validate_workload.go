package scheduler

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ServerTask is the name of the task that is the server, and ServerPort the label of the port where it listens. Nothing beside it may
// be called so.
const (
	ServerTask = "notebook"
	ServerPort = "http"
)

// The most of each that one server may have.
const (
	maxMounts      = 64
	maxTasks       = 16
	maxPorts       = 64
	maxRules       = 64
	maxArgs        = 1024
	maxText        = 32 << 10
	maxDuration    = 366 * 24 * time.Hour
	maxConfigDepth = 8
	maxConfigSize  = 4096
)

var (
	namePattern     = atMost(63, `^[A-Za-z0-9][A-Za-z0-9_-]*$`)
	mountPattern    = atMost(63, `^[a-z0-9][a-z0-9_-]*$`)
	templatePattern = atMost(128, `^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	driverPattern   = atMost(63, `^[a-z0-9][a-z0-9_-]*$`)
	labelPattern    = atMost(63, `^[a-z][a-z0-9_]*$`)
	// The shape that Nomad gives to names of node pools, namespaces and regions.
	placePattern  = atMost(128, `^[A-Za-z0-9][A-Za-z0-9_-]*$`)
	globPattern   = atMost(128, `^[A-Za-z0-9_*.-]+$`)
	sourcePattern = atMost(128, `^[A-Za-z0-9][A-Za-z0-9._\[\]-]*$`)
	devicePattern = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._ -]+){0,2}$`)
	signalPattern = atMost(15, `^SIG[A-Z0-9+]+$`)
	modePattern   = atMost(128, `^[A-Za-z0-9][A-Za-z0-9_.-]*$`) // of a network, without the "cni/" before it
	// What registries and container engines take for an image, and no more: no space, no quote, nothing that could be replaced.
	imagePattern = atMost(512, `^[A-Za-z0-9][A-Za-z0-9._/:@+-]*$`)
	userPattern  = atMost(64, `^[A-Za-z0-9_][A-Za-z0-9_.@-]*$`)
	groupPattern = atMost(64, `^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	hostPattern  = atMost(45, `^[0-9A-Fa-f.:]{2,}$`)
)

func (s Spec) checkWorkload() string {
	w := s.Workload
	checks := []func() string{w.checkProgram, w.checkLife, w.Placement.check, w.Network.check, w.checkMounts, w.checkTasks}
	for _, check := range checks {
		if reason := check(); reason != "" {
			return reason
		}
	}
	return ""
}

func (w Workload) checkProgram() string {
	if w.Template != "" && !templatePattern.MatchString(w.Template) {
		return fmt.Sprintf("The jobspec's name %q cannot be used.", w.Template)
	}
	return program{w.Driver, w.Image, w.Command, w.Args, w.User, w.WorkDir, w.Config}.check()
}

// program is what the server and the tasks beside it have in common.
type program struct {
	driver, image, command string
	args                   []string
	user, workDir          string
	config                 map[string]any
}

func (p program) check() string {
	switch {
	case p.driver != "" && !driverPattern.MatchString(p.driver):
		return fmt.Sprintf("The driver %q cannot be used: Nomad's are docker, podman, exec and raw_exec.", p.driver)
	case p.image != "" && !imagePattern.MatchString(p.image):
		return fmt.Sprintf("The image %q cannot be used: it is no name of an image, such as registry.example.org/jupyter/base-notebook:latest.", p.image)
	case p.user != "" && !isAccount(p.user):
		return fmt.Sprintf("The account %q cannot be used: it must be a name, or numbers as UID:GID.", p.user)
	case p.workDir != "" && !isCleanPath(p.workDir):
		return fmt.Sprintf("The folder %q to begin in cannot be used: it must be absolute, without \"..\".", p.workDir)
	case !isText(p.command) || len(p.command) > maxText:
		return "The command is not plain text, or too long."
	case len(p.args) > maxArgs:
		return fmt.Sprintf("There are %d arguments, and at most %d are possible.", len(p.args), maxArgs)
	}
	for _, arg := range p.args {
		if !isText(arg) || len(arg) > maxText {
			return "An argument is not plain text, or too long."
		}
	}
	size := 0
	return checkConfig(p.config, "", 0, &size)
}

// isAccount reports whether a text is a user, or a user and a group with a colon between.
func isAccount(text string) bool {
	user, group, both := strings.Cut(text, ":")
	return userPattern.MatchString(user) && (!both || groupPattern.MatchString(group))
}

// checkConfig holds a driver's options to what can be written as JSON and read by Nomad.
func checkConfig(value any, name string, depth int, size *int) string {
	*size++
	if depth > maxConfigDepth || *size > maxConfigSize {
		return "The driver's options are too many, or too deep within each other."
	}
	switch v := value.(type) {
	case nil, bool, int, int64:
		return ""
	case float64:
		if v-v != 0 { // not a number, or infinite
			return fmt.Sprintf("The driver's option %q is no number.", name)
		}
		return ""
	case string:
		if !isText(v) || len(v) > maxText {
			return fmt.Sprintf("The driver's option %q is not plain text, or too long.", name)
		}
		return ""
	case []string:
		return checkEach(slices.Values(v), name, depth, size)
	case []any:
		return checkEach(slices.Values(v), name, depth, size)
	case []map[string]any:
		return checkEach(slices.Values(v), name, depth, size)
	case map[string]string:
		return checkOptions(v, depth, size)
	case map[string]any:
		return checkOptions(v, depth, size)
	}
	return fmt.Sprintf("The driver's option %q is of the kind %T, which cannot be written down.", name, value)
}

func checkEach[T any](values func(func(T) bool), name string, depth int, size *int) string {
	for value := range values {
		if reason := checkConfig(value, name, depth+1, size); reason != "" {
			return reason
		}
	}
	return ""
}

func checkOptions[T any](options map[string]T, depth int, size *int) string {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if name == "" || !isText(name) || len(name) > 256 {
			return fmt.Sprintf("The driver's option %q has no proper name.", name)
		}
		if reason := checkConfig(options[name], name, depth+1, size); reason != "" {
			return reason
		}
	}
	return ""
}

func (w Workload) checkLife() string {
	if w.StopSignal != "" && !signalPattern.MatchString(w.StopSignal) {
		return fmt.Sprintf("The signal %q cannot be used: signals are named like SIGTERM.", w.StopSignal)
	}
	times := []time.Duration{w.StopTimeout, w.PullTimeout}
	numbers := []int{}
	if w.Restart != nil {
		times = append(times, w.Restart.Interval, w.Restart.Delay)
		numbers = append(numbers, w.Restart.Attempts)
	}
	if w.Reschedule != nil {
		times = append(times, w.Reschedule.Interval)
		numbers = append(numbers, w.Reschedule.Attempts)
		if w.Reschedule.Unlimited && w.Reschedule.Attempts > 0 {
			return "A server cannot be rescheduled without end and only a number of times."
		}
	}
	if d := w.Disconnect; d != nil {
		times = append(times, d.LostAfter, d.StopAfter)
		if d.LostAfter > 0 && d.StopAfter > 0 {
			return "After lost contact a server either counts as perhaps running for a time or is stopped by its machine: choose one."
		}
	}
	for _, t := range times {
		if t < 0 || t > maxDuration {
			return fmt.Sprintf("The time %s cannot be used: it must be between nothing and a year.", t)
		}
	}
	for _, n := range numbers {
		if n < 0 || n > 1000 {
			return fmt.Sprintf("%d attempts are not possible: between 0 and 1000 are.", n)
		}
	}
	return ""
}

func (n Network) check() string {
	switch {
	case n.Mode != "" && !modePattern.MatchString(strings.TrimPrefix(n.Mode, "cni/")):
		return fmt.Sprintf("The network mode %q cannot be used: host, bridge, none, cni/NAME or the name of a network can.", n.Mode)
	case n.HostNetwork != "" && !placePattern.MatchString(n.HostNetwork):
		return fmt.Sprintf("The host network's name %q cannot be used.", n.HostNetwork)
	case !isPort(n.Port):
		return fmt.Sprintf("%d is no port.", n.Port)
	case n.Mode == "none":
		return "A server without a network cannot be reached."
	case len(n.Ports) > maxPorts:
		return fmt.Sprintf("There are %d ports, and at most %d are possible.", len(n.Ports), maxPorts)
	}
	for _, label := range slices.Sorted(maps.Keys(n.Ports)) {
		switch {
		case !labelPattern.MatchString(label):
			return fmt.Sprintf("The port's label %q cannot be used: it needs small letters, digits and underscores.", label)
		case label == ServerPort:
			return fmt.Sprintf("The port's label %q is the server's own.", label)
		case !isPort(n.Ports[label]):
			return fmt.Sprintf("%d is no port.", n.Ports[label])
		}
	}
	for _, server := range n.DNS {
		if !hostPattern.MatchString(server) {
			return fmt.Sprintf("%q is no address of a DNS server.", server)
		}
	}
	return ""
}

func isPort(n int) bool { return n >= 0 && n <= 65535 }

// isCleanPath reports whether a path is absolute and has nothing that would lead elsewhere or be replaced.
func isCleanPath(p string) bool {
	return isText(p) && len(p) <= 1024 && strings.HasPrefix(p, "/") && path.Clean(p) == p && !strings.Contains(p, "${") &&
		!strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == ':' || r == ',' })
}
