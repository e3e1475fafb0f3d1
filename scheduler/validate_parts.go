package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (p Placement) check() string {
	for what, name := range map[string]string{"region": p.Region, "namespace": p.Namespace, "node pool": p.NodePool} {
		if name != "" && !placePattern.MatchString(name) {
			return fmt.Sprintf("The %s %q cannot be used: it needs letters, digits, hyphens and underscores.", what, name)
		}
	}
	for _, dc := range p.Datacenters {
		if !globPattern.MatchString(dc) {
			return fmt.Sprintf("The datacenter %q cannot be used.", dc)
		}
	}
	if p.Priority < 0 || p.Priority > 100 {
		return fmt.Sprintf("The priority %d cannot be used: it is between 1 and 100.", p.Priority)
	}
	if reason := checkRules(p.Constraints, p.Affinities); reason != "" {
		return reason
	}
	return checkSpreads(p.Spreads)
}

// needsValue says of each operator of Nomad's conditions whether it compares with a value.
var needsValue = map[string]bool{
	"": true, "=": true, "==": true, "is": true, "!=": true, "not": true, "<": true, "<=": true, ">": true, ">=": true,
	"regexp": true, "version": true, "semver": true, "set_contains": true, "set_contains_all": true, "set_contains_any": true,
	"is_set": false, "is_not_set": false, "distinct_property": false, "distinct_hosts": false,
}

func checkRules(constraints []Constraint, affinities []Affinity) string {
	if len(constraints)+len(affinities) > maxRules {
		return fmt.Sprintf("There are more than %d conditions and wishes for machines.", maxRules)
	}
	for _, c := range constraints {
		if reason := c.check(); reason != "" {
			return reason
		}
	}
	for _, a := range affinities {
		if reason := a.check(); reason != "" {
			return reason
		}
		if a.Weight < -100 || a.Weight > 100 || a.Weight == 0 {
			return fmt.Sprintf("The weight %d of the wish for %s cannot be used: it is between -100 and 100, and not 0.", a.Weight, a.Attribute)
		}
		if !needsValue[a.Operator] {
			return fmt.Sprintf("The operator %q is for conditions and not for wishes.", a.Operator)
		}
	}
	return ""
}

func (c Constraint) check() string {
	compares, known := needsValue[c.Operator]
	switch {
	case !known:
		return fmt.Sprintf("The operator %q of a condition is not one of Nomad's.", c.Operator)
	case !isText(c.Attribute) || !isText(c.Value) || len(c.Attribute)+len(c.Value) > maxText:
		return "A condition is not plain text, or too long."
	case c.Attribute == "" && c.Operator != "distinct_hosts":
		return "A condition does not say which attribute of machines it is about."
	case c.Value == "" && compares:
		return fmt.Sprintf("The condition on %s does not say with what to compare.", c.Attribute)
	}
	return ""
}

func checkSpreads(spreads []Spread) string {
	for _, s := range spreads {
		switch {
		case s.Attribute == "" || !isText(s.Attribute) || len(s.Attribute) > maxText:
			return "A spread does not say over which attribute of machines."
		case s.Weight < 1 || s.Weight > 100:
			return fmt.Sprintf("The weight %d of the spread over %s cannot be used: it is between 1 and 100.", s.Weight, s.Attribute)
		}
		sum := 0
		for value, percent := range s.Targets {
			if value == "" || !isText(value) || percent < 0 || percent > 100 {
				return fmt.Sprintf("The spread over %s has a share of %d percent for %q, which is not possible.", s.Attribute, percent, value)
			}
			sum += percent
		}
		if sum > 100 {
			return fmt.Sprintf("The shares of the spread over %s are %d percent together.", s.Attribute, sum)
		}
	}
	return ""
}

var accessModes = []string{
	"", "single-node-reader-only", "single-node-writer", "single-node-single-writer", "single-node-multi-writer",
	"multi-node-reader-only", "multi-node-single-writer", "multi-node-multi-writer",
}

func (w Workload) checkMounts() string {
	if len(w.Mounts) > maxMounts {
		return fmt.Sprintf("There are %d mounts, and at most %d are possible.", len(w.Mounts), maxMounts)
	}
	names, paths := make(map[string]bool), make(map[string]bool)
	for _, m := range w.Mounts {
		if reason := m.check(); reason != "" {
			return reason
		}
		if names[m.Name] {
			return fmt.Sprintf("There are two mounts named %q.", m.Name)
		}
		if paths[m.Path] {
			return fmt.Sprintf("Two mounts have the path %s.", m.Path)
		}
		names[m.Name], paths[m.Path] = true, true
	}
	return ""
}

func (m Mount) check() string {
	switch m.Kind {
	case MountHost, MountDynamic, MountCSI, MountDocker:
		if !sourcePattern.MatchString(m.Source) {
			return fmt.Sprintf("The volume %q cannot be mounted: that is no name of one.", m.Source)
		}
	case MountSticky:
		if m.Source != "" || m.ReadOnly {
			return fmt.Sprintf("The mount %q is the server's own disk: it has no source, and is not read-only.", m.Name)
		}
	default:
		return fmt.Sprintf("The mount %q is of the unknown kind %q.", m.Name, m.Kind)
	}
	switch {
	case !mountPattern.MatchString(m.Name):
		return fmt.Sprintf("The mount's name %q cannot be used: it needs small letters, digits, hyphens and underscores.", m.Name)
	case !slices.Contains(accessModes, m.AccessMode):
		return fmt.Sprintf("The access mode %q of the mount %q is not one of Nomad's.", m.AccessMode, m.Name)
	case m.AttachmentMode != "" && m.AttachmentMode != "file-system" && m.AttachmentMode != "block-device":
		return fmt.Sprintf("The attachment mode %q of the mount %q is not one of Nomad's.", m.AttachmentMode, m.Name)
	}
	return checkMountPath(m.Name, m.Path)
}

// taken are the folders that a mount would hide the system's or Nomad's own files in: the server's token is in /secrets.
var taken = []string{"/", "/alloc", "/local", "/secrets", "/proc", "/sys", "/dev", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/usr"}

func checkMountPath(name, p string) string {
	switch {
	case !isCleanPath(p):
		return fmt.Sprintf("The mount %q cannot be at %q: its path must be absolute, without \"..\" and without variables.", name, p)
	case slices.Contains(taken, p), strings.HasPrefix(p, "/secrets/"), strings.HasPrefix(p, "/proc/"), strings.HasPrefix(p, "/sys/"), strings.HasPrefix(p, "/dev/"):
		return fmt.Sprintf("The mount %q cannot be at %s, where the system has its own files.", name, p)
	}
	return ""
}

func (w Workload) checkTasks() string {
	if len(w.Tasks) > maxTasks {
		return fmt.Sprintf("There are %d tasks, and at most %d are possible.", len(w.Tasks), maxTasks)
	}
	mounts := make(map[string]bool)
	for _, m := range w.Mounts {
		mounts[m.Name] = true
	}
	names := map[string]bool{ServerTask: true}
	for _, t := range w.Tasks {
		if !namePattern.MatchString(t.Name) {
			return fmt.Sprintf("The task's name %q cannot be used: it needs letters, digits, hyphens and underscores.", t.Name)
		}
		if names[t.Name] {
			return fmt.Sprintf("There are two tasks named %q; the server's own is named %q.", t.Name, ServerTask)
		}
		names[t.Name] = true
		if reason := t.check(mounts); reason != "" {
			return fmt.Sprintf("In the task %q: %s", t.Name, reason)
		}
	}
	return ""
}

func (t Task) check(mounts map[string]bool) string {
	switch t.Hook {
	case HookPrestart, HookPoststart:
	case HookPoststop:
		if t.Sidecar {
			return "What runs after the server's end cannot run for as long as the server."
		}
	default:
		return fmt.Sprintf("The hook %q is unknown: prestart, poststart and poststop are known.", t.Hook)
	}
	for name, value := range t.Env {
		if !envNamePattern.MatchString(name) || !isText(value) || len(value) > maxText {
			return fmt.Sprintf("The environment variable %q cannot be used.", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Mounts)) {
		if !mounts[name] {
			return fmt.Sprintf("There is no mount %q that it could see.", name)
		}
		if reason := checkMountPath(name, t.Mounts[name]); reason != "" {
			return reason
		}
	}
	if reason := t.Resources.check(); reason != "" {
		return reason
	}
	if t.Resources.DiskMB != 0 {
		return "A task has no disk of its own: ask for it with the server."
	}
	return program{t.Driver, t.Image, t.Command, t.Args, t.User, "", t.Config}.check()
}
