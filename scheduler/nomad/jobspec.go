package nomad

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Check asks Nomad to parse each of the jobspecs and to validate the job that a start would make of it. It needs no capability beyond
// those of a start, and changes nothing.
func (s *Scheduler) Check(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(*s.templates.Load())) {
		job, err := s.compose(ctx, scheduler.Spec{
			ID: "check", Generation: 1, Env: map[string]string{"CHECK": "1"},
			URLVariable: "CHECK_URL", URLPath: "/", HealthPath: "/", Service: "check",
			Workload: scheduler.Workload{Template: name},
		})
		if err != nil {
			return inJobspec(name, err)
		}
		if err := s.validate(ctx, job); err != nil {
			return inJobspec(name, err)
		}
	}
	return nil
}

// inJobspec says in which jobspec something is wrong, if it is not the default one.
func inJobspec(name string, err error) error {
	rejected, ok := errors.AsType[*scheduler.RejectedError](err)
	if name == "" || !ok {
		return err
	}
	return &scheduler.RejectedError{Reason: fmt.Sprintf("In the jobspec %q: %s", name, rejected.Reason), Err: err}
}

// compose makes the job of a Spec.
func (s *Scheduler) compose(ctx context.Context, spec scheduler.Spec) (*api.Job, error) {
	if err := s.checkPlace(spec.Workload.Placement); err != nil {
		return nil, err
	}
	job, err := s.template(ctx, spec.Workload.Template)
	if err != nil {
		return nil, err
	}
	if spec, err = s.inMHz(ctx, job, spec); err != nil {
		return nil, err
	}
	if err := s.fill(job, spec); err != nil {
		return nil, err
	}
	stayUntilDeadline(job)
	return job, nil
}

// checkPlace refuses to run a server where nobody would look for it.
func (s *Scheduler) checkPlace(p scheduler.Placement) error {
	switch {
	case p.Namespace != "" && p.Namespace != s.opts.Namespace:
		return refuse("This hub runs no servers in the namespace %q, which the profile asks for, but in %q. An operator must correct the profile, or add the namespace to the hub's configuration.", p.Namespace, s.opts.Namespace)
	case p.Region != "" && p.Region != s.opts.Region:
		return refuse("This hub was not configured to run servers in the region %q, which the profile asks for. An operator must correct the profile, or add the region to the hub's configuration.", p.Region)
	}
	return nil
}

// jobspec is one of the operator's, parsed when it is first needed.
type jobspec struct {
	text      string
	variables map[string]string // those that it declares
	parsed    atomic.Pointer[api.Job]
}

// SetJobspecs replaces the jobspecs that profiles choose by name; the default one stays. Servers that run keep theirs. Jobspecs that are the
// same as before are not parsed again.
func (s *Scheduler) SetJobspecs(named map[string]string) error {
	texts := maps.Clone(named)
	if texts == nil {
		texts = make(map[string]string)
	}
	if _, taken := texts[""]; taken {
		return errors.New("nomad: a jobspec without a name is given")
	}
	texts[""] = s.opts.Jobspec
	if name := undeclared(s.opts.Variables, texts); name != "" {
		return fmt.Errorf("nomad: no jobspec declares a variable %q", name)
	}
	before := s.templates.Load()
	templates := make(map[string]*jobspec, len(texts))
	for name, text := range texts {
		if strings.TrimSpace(text) == "" {
			return fmt.Errorf("nomad: the jobspec %q is empty", name)
		}
		made := &jobspec{text: text, variables: maps.Clone(s.opts.Variables)}
		maps.DeleteFunc(made.variables, func(variable, _ string) bool { return !declares(text, variable) })
		if before != nil && (*before)[name] != nil && (*before)[name].text == text {
			made = (*before)[name]
		}
		templates[name] = made
	}
	s.templates.Store(&templates)
	return nil
}

// undeclared returns a variable that was given and that no jobspec has, because Nomad passes over such without a word.
func undeclared(variables, jobspecs map[string]string) string {
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		known := false
		for _, text := range jobspecs {
			known = known || declares(text, name)
		}
		if !known {
			return name
		}
	}
	return ""
}

func declares(text, variable string) bool {
	declaration, err := regexp.Compile(`(?m)^\s*variable\s+"?` + regexp.QuoteMeta(variable) + `"?\s*\{`)
	return err == nil && declaration.MatchString(text)
}

// template returns a fresh copy of the job that Nomad made of the named jobspec. Each is parsed once.
func (s *Scheduler) template(ctx context.Context, name string) (*api.Job, error) {
	chosen := (*s.templates.Load())[name]
	if chosen == nil {
		return nil, refuse("There is no jobspec named %q. An operator must correct the profile.", name)
	}
	parsed := chosen.parsed.Load()
	if parsed == nil {
		var err error
		if parsed, err = s.parse(ctx, chosen); err != nil {
			return nil, err
		}
		chosen.parsed.Store(parsed)
	}
	return copied(parsed), nil
}

// parse sends jobspec and variables to Nomad, whose parser is the only one that knows what its jobspecs mean.
func (s *Scheduler) parse(ctx context.Context, from *jobspec) (*api.Job, error) {
	endpoint := "/v1/jobs/parse"
	request := api.JobsParseRequest{JobHCL: from.text, Variables: variableFile(from.variables)}
	var job api.Job
	_, err := s.client.Raw().Write(endpoint, &request, &job, s.write(ctx))
	if err == nil {
		return &job, nil
	}
	// The parser's complaints come as 400 or, from some functions, as 500 with the position in the file.
	if code := statusCode(err); code == 400 || code == 500 && strings.Contains(body(err), "input.hcl") {
		return nil, misconfigured(body(err), err)
	}
	return nil, translate(ctx, "parsing the jobspec", err)
}

// misconfigured says that no server can be started until an operator changed the jobspec.
func misconfigured(detail string, err error) error {
	return &scheduler.RejectedError{
		Reason: "Nomad does not accept the jobspec, which an operator must mend: " + sentence(detail),
		Err:    err,
	}
}

// variableFile writes the variables as a file of HCL2 variables. Values of simple types are quoted, because HCL turns text into
// what the variable's type asks for; a JSON list or object is an HCL expression as it stands.
func variableFile(variables map[string]string) string {
	var file strings.Builder
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		value := variables[name]
		literal := quoteHCL(value)
		if text := strings.TrimSpace(value); strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{") {
			if json.Valid([]byte(text)) {
				literal = escapeHCL(text)
			}
		}
		fmt.Fprintf(&file, "%s = %s\n", name, literal)
	}
	return file.String()
}

func quoteHCL(value string) string {
	var quoted bytes.Buffer
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // text always encodes
	return escapeHCL(strings.TrimSpace(quoted.String()))
}

// escapeHCL keeps HCL's templates from being evaluated in quoted text.
func escapeHCL(quoted string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(quoted)
}

// validate asks Nomad whether it would take the job, and turns a no into a sentence.
func (s *Scheduler) validate(ctx context.Context, job *api.Job) error {
	answer, _, err := s.client.Jobs().Validate(job, s.write(ctx))
	if err != nil {
		return translate(ctx, "validating the job", err)
	}
	if complaint := cmpComplaint(answer); complaint != "" {
		return misconfigured(complaint, fmt.Errorf("job %s: %s", *job.ID, complaint))
	}
	return nil
}

func cmpComplaint(answer *api.JobValidateResponse) string {
	if len(answer.ValidationErrors) > 0 {
		return strings.Join(answer.ValidationErrors, "; ")
	}
	return answer.Error
}
