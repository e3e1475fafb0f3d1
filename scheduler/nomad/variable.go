package nomad

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// generationItem is the variable's item that says which generation it is for. It is an environment variable like the others.
const generationItem = "NOMADHUB_GENERATION"

// maxEnvironmentLine is the longest line that Nomad's reader of environment files takes, without the line's end.
const maxEnvironmentLine = 64<<10 - 2

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
// is for a newer generation, and with errConflict when somebody else wrote at the same time. Where there is most likely none it is created without
// being looked for.
func (s *Scheduler) writeVariable(ctx context.Context, spec scheduler.Spec, likelyNone bool) (uint64, error) {
	want, err := items(spec)
	if err != nil {
		return 0, err
	}
	if likelyNone {
		index, err := s.setVariable(ctx, spec, want, 0)
		if !errors.Is(err, errConflict) {
			return index, err
		}
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

// setVariable writes the variable if its index is still that one (0: there is none), and returns the new one.
func (s *Scheduler) setVariable(ctx context.Context, spec scheduler.Spec, items api.VariableItems, index uint64) (uint64, error) {
	next := &api.Variable{Namespace: s.opts.Namespace, Path: s.variablePath(spec.ID), ModifyIndex: index, Items: items}
	written, _, err := s.client.Variables().CheckedUpdate(next, s.write(ctx))
	if err != nil {
		return 0, translate(ctx, "writing the variable", err)
	}
	s.written.note(spec.ID, spec.Generation, written.ModifyIndex)
	return written.ModifyIndex, nil
}

// maxWritten bounds how many variables are remembered.
const maxWritten = 20_000

// writtenVariables are the indexes of variables that this process wrote, which spare it to read them before it deletes them. That they are still
// right is for Nomad to say. The zero value is ready.
type writtenVariables struct {
	mu sync.Mutex
	of map[string]writtenVariable // by server
}

type writtenVariable struct {
	generation int64
	index      uint64
}

func (w *writtenVariables) note(id string, generation int64, index uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = make(map[string]writtenVariable)
	}
	if len(w.of) >= maxWritten {
		clear(w.of)
	}
	w.of[id] = writtenVariable{generation, index}
}

// index hands out what was noted of a server, if it is of that generation or an older one.
func (w *writtenVariables) index(id string, generation int64) (uint64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, ok := w.of[id]
	if !ok || last.generation > generation {
		return 0, false
	}
	delete(w.of, id)
	return last.index, true
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
