package nomad

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// generationItem is the variable's item that says which generation it is for. It is an environment variable like the others.
const generationItem = "NOMADHUB_GENERATION"

// maxEnvironmentLine is the longest line that Nomad's reader of environment files takes, without the line's end.
const maxEnvironmentLine = 64<<10 - 2

// mostQuoted is how many bytes JSON's quoting makes of one at most.
const mostQuoted = 6

// environmentTemplate brings all items of the variable into the task's environment. Nomad interpolates the environment in a job
// and does not interpolate what a template rendered; the template language evaluates this text and never the values; and
// JSON's quoting is the one that Nomad's reader of environment files undoes. "once" spares Nomad a blocking query per server.
func environmentTemplate(path string) *api.Template {
	text := `{{ with nomadVar "` + path + `" }}{{ range .Tuples }}{{ .K }}={{ .V | toJSON }}
{{ end }}{{ end }}`
	return &api.Template{
		EmbeddedTmpl: &text,
		DestPath:     new("${NOMAD_SECRETS_DIR}/nomadhub.env"),
		Envvars:      new(true),
		ChangeMode:   new("noop"),
		Once:         new(true),
		Perms:        new("0600"),
	}
}

// items returns what a server's variable holds.
func items(spec scheduler.Spec) (api.VariableItems, error) {
	all := make(api.VariableItems, len(spec.Env)+len(spec.Secrets)+1)
	maps.Copy(all, spec.Env)
	maps.Copy(all, spec.Secrets)
	for _, reserved := range []string{generationItem, spec.URLVariable} {
		if _, taken := all[reserved]; taken {
			return nil, &scheduler.RejectedError{
				Reason: fmt.Sprintf("The environment variable %s is set by the scheduler and cannot be given.", reserved),
				Err:    fmt.Errorf("variable %s is reserved", reserved),
			}
		}
	}
	all[generationItem] = strconv.FormatInt(spec.Generation, 10)
	for name, value := range all {
		if len(name)+len(value)*mostQuoted+len(`=""`) <= maxEnvironmentLine {
			continue
		}
		quoted, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("nomad: quoting %s: %w", name, err)
		}
		if len(name)+1+len(quoted) > maxEnvironmentLine {
			return nil, &scheduler.RejectedError{
				Reason: fmt.Sprintf("The value of the environment variable %s is too long.", name),
				Err:    fmt.Errorf("variable %s has %d bytes when quoted", name, len(quoted)),
			}
		}
	}
	return all, nil
}

// readVariable returns the server's variable, or nil if there is none.
func (s *Scheduler) readVariable(ctx context.Context, id string) (*api.Variable, error) {
	variable, _, err := s.client.Variables().Peek(s.variablePath(id), s.query(ctx))
	return variable, translate(ctx, "reading the variable", err)
}

// writeVariable makes sure that the variable holds what this generation needs, and returns its index. It fails with ErrStale when it
// is for a newer generation, and with errConflict when somebody else wrote at the same time.
func (s *Scheduler) writeVariable(ctx context.Context, spec scheduler.Spec) (uint64, error) {
	want, err := items(spec)
	if err != nil {
		return 0, err
	}
	current, err := s.readVariable(ctx, spec.ID)
	if err != nil {
		return 0, err
	}
	if current == nil {
		current = &api.Variable{Path: s.variablePath(spec.ID)}
	}
	switch generation := variableGeneration(current); {
	case generation > spec.Generation:
		return 0, scheduler.ErrStale
	case generation == spec.Generation && maps.Equal(current.Items, want):
		return current.ModifyIndex, nil
	}
	return s.setVariable(ctx, spec, want, current.ModifyIndex)
}

// createVariable writes the variable, and fails with errConflict if there is one. Where there is none, nothing of the server runs, not even without a job: a start
// writes it before it registers the job, and a stop deletes it when all has ended.
func (s *Scheduler) createVariable(ctx context.Context, spec scheduler.Spec) (uint64, error) {
	want, err := items(spec)
	if err != nil {
		return 0, err
	}
	return s.setVariable(ctx, spec, want, 0)
}

// settling is how long a write is waited for that was given up meanwhile.
const settling = 5 * time.Second

// setVariable writes the variable if its index is still that one (0: there is none), and returns the new one. Once sent, the write is waited for also when ctx ends: one that
// Nomad carries out after the stop which then follows would leave a variable without a job, which nobody finds.
func (s *Scheduler) setVariable(ctx context.Context, spec scheduler.Spec, items api.VariableItems, index uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	until, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(settling, cancel) })()
	next := &api.Variable{Namespace: s.opts.Namespace, Path: s.variablePath(spec.ID), ModifyIndex: index, Items: items}
	written, _, err := s.client.Variables().CheckedUpdate(next, s.write(until))
	if err != nil {
		return 0, translate(ctx, "writing the variable", err)
	}
	s.written.noteVariable(spec.ID, spec.Generation, written.ModifyIndex)
	return written.ModifyIndex, nil
}

// variableGeneration returns 0 for a variable that says nothing of a generation.
func variableGeneration(variable *api.Variable) int64 {
	generation, _ := strconv.ParseInt(variable.Items[generationItem], 10, 64)
	return generation
}

// deleteVariable removes the variable unless somebody wrote it since it had that index.
func (s *Scheduler) deleteVariable(ctx context.Context, id string, index uint64) error {
	_, err := s.client.Variables().CheckedDelete(s.variablePath(id), index, s.write(ctx))
	return translate(ctx, "deleting the variable", err)
}
