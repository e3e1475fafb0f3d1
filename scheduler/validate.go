package scheduler

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxEnvironment bounds the sum of all names and values of Env and Secrets, in bytes. Nomad keeps 64 KiB in one variable, and
// a server that runs on this machine today must be able to run there tomorrow.
const maxEnvironment = 60 << 10

var (
	idPattern      = atMost(40, `^[a-z0-9][a-z0-9-]*$`)
	envNamePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	servicePattern = atMost(63, `^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	pathPattern    = regexp.MustCompile(`^/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$`)
)

// shape is a pattern of ASCII characters and how many there may be of them. The number stands beside the pattern since a regular expression holds what it
// counts as often as it counts it: with its bounds inside, half a megabyte would go to patterns.
type shape struct {
	pattern *regexp.Regexp
	most    int
}

func atMost(most int, pattern string) shape { return shape{regexp.MustCompile(pattern), most} }

// MatchString reports whether the text has the shape.
func (s shape) MatchString(text string) bool {
	return len(text) <= s.most && s.pattern.MatchString(text)
}

// Validate reports, as a [*RejectedError], the first reason why no scheduler can run this Spec. Implementations call it before
// anything else, so that all of them refuse the same things.
func (s Spec) Validate() error {
	checks := []func() string{s.checkIdentity, s.checkEnvironment, s.checkAddressing, s.Resources.check, s.checkWorkload}
	for _, check := range checks {
		if reason := check(); reason != "" {
			return &RejectedError{Reason: reason, Err: fmt.Errorf("spec %q generation %d: invalid", s.ID, s.Generation)}
		}
	}
	return nil
}

func (s Spec) checkIdentity() string {
	switch {
	case !idPattern.MatchString(s.ID):
		return fmt.Sprintf("The server's ID %q cannot be used: it needs 1 to 40 characters of a-z, 0-9 and hyphen.", s.ID)
	case s.Home != "" && !idPattern.MatchString(s.Home):
		return fmt.Sprintf("The name %q of the server's files cannot be used: it needs 1 to 40 characters of a-z, 0-9 and hyphen.", s.Home)
	case s.Generation < 1:
		return fmt.Sprintf("The server's generation %d cannot be used: it counts from 1.", s.Generation)
	}
	for name, value := range s.Labels {
		if !isText(name) || !isText(value) {
			return fmt.Sprintf("The label %q is not plain text.", name)
		}
	}
	return ""
}

func (s Spec) checkEnvironment() string {
	size := 0
	for _, env := range []map[string]string{s.Env, s.Secrets} {
		for name, value := range env {
			if !envNamePattern.MatchString(name) {
				return fmt.Sprintf("The environment variable's name %q cannot be used: it needs letters, digits and underscores.", name)
			}
			if !isText(value) {
				return fmt.Sprintf("The value of the environment variable %s is not plain text.", name)
			}
			size += len(name) + len(value)
		}
	}
	for name := range s.Secrets {
		if _, both := s.Env[name]; both {
			return fmt.Sprintf("The environment variable %s is given twice, openly and as a secret.", name)
		}
	}
	if size > maxEnvironment {
		return fmt.Sprintf("The server's environment has %d bytes, and at most %d are possible.", size, maxEnvironment)
	}
	return ""
}

func (s Spec) checkAddressing() string {
	switch {
	case s.URLVariable != "" && !envNamePattern.MatchString(s.URLVariable):
		return fmt.Sprintf("The environment variable's name %q cannot be used.", s.URLVariable)
	case s.Service != "" && !servicePattern.MatchString(s.Service):
		return fmt.Sprintf("The service name %q cannot be used: it must be a DNS label.", s.Service)
	}
	for _, path := range []string{s.URLPath, s.HealthPath} {
		// A brace could begin "${…}", which Nomad would replace: percent-encoded paths have none.
		if path != "" && !pathPattern.MatchString(path) {
			return fmt.Sprintf("The path %q is not percent-encoded.", path)
		}
	}
	return ""
}

// isText reports whether a value can be an environment variable and JSON alike.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
