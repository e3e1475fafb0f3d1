package nomad

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Check asks Nomad to parse the jobspec and to validate the job that a start would make of it. It needs no capability beyond
// those of a start, and changes nothing.
func (s *Scheduler) Check(ctx context.Context) error {
	job, err := s.compose(ctx, scheduler.Spec{
		ID: "check", Generation: 1, Env: map[string]string{"CHECK": "1"},
		URLVariable: "CHECK_URL", URLPath: "/", HealthPath: "/", Service: "check",
	})
	if err != nil {
		return err
	}
	return s.validate(ctx, job)
}

// compose makes the job of a Spec.
func (s *Scheduler) compose(ctx context.Context, spec scheduler.Spec) (*api.Job, error) {
	job, err := s.template(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.fill(job, spec); err != nil {
		return nil, err
	}
	return job, nil
}

// template returns a fresh copy of the job that Nomad made of the jobspec. It is parsed once: options never change.
func (s *Scheduler) template(ctx context.Context) (*api.Job, error) {
	text := s.parsed.Load()
	if text == nil {
		job, err := s.parse(ctx)
		if err != nil {
			return nil, err
		}
		encoded, err := json.Marshal(job)
		if err != nil {
			return nil, fmt.Errorf("nomad: encoding the parsed jobspec: %w", err)
		}
		text = &encoded
		s.parsed.Store(text)
	}
	var job api.Job
	if err := json.Unmarshal(*text, &job); err != nil {
		return nil, fmt.Errorf("nomad: decoding the parsed jobspec: %w", err)
	}
	return &job, nil
}

// parse sends jobspec and variables to Nomad, whose parser is the only one that knows what its jobspecs mean.
func (s *Scheduler) parse(ctx context.Context) (*api.Job, error) {
	endpoint := "/v1/jobs/parse"
	request := api.JobsParseRequest{JobHCL: s.opts.Jobspec, Variables: variableFile(s.opts.Variables)}
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
		Reason: "Nomad does not accept the jobspec for notebooks, which an operator must mend: " + sentence(detail),
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
