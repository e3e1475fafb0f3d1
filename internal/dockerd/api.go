package dockerd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Container is what the engine tells of one, running or not.
type Container struct {
	ID    string `json:"Id"`
	Names []string
	Image string
	State string // created, running, exited …
}

// Containers lists all containers, those that have ended too.
func (e *Engine) Containers(ctx context.Context) ([]Container, error) {
	var all []Container
	return all, e.get(ctx, "/containers/json?all=1", &all)
}

// Remove kills a container and removes it with its anonymous volumes. Removing one that is not there is no error.
func (e *Engine) Remove(ctx context.Context, id string) error {
	err := e.call(ctx, http.MethodDelete, "/containers/"+url.PathEscape(id)+"?force=1&v=1", nil, nil)
	if status, ok := errors.AsType[*statusError](err); ok && (status.code == http.StatusNotFound || status.code == http.StatusConflict) {
		return nil // it is gone, or about to go
	}
	return err
}

// Inspect reads what the engine knows of a container into v.
func (e *Engine) Inspect(ctx context.Context, id string, v any) error {
	return e.get(ctx, "/containers/"+url.PathEscape(id)+"/json", v)
}

// HasImage tells whether the engine has an image of that name.
func (e *Engine) HasImage(ctx context.Context, name string) (bool, error) {
	err := e.get(ctx, "/images/"+name+"/json", nil)
	if status, ok := errors.AsType[*statusError](err); ok && status.code == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// Import makes an image of a tar archive with a root file system, as "docker import" does. changes are lines of a Dockerfile: ENV, USER, CMD …
func (e *Engine) Import(ctx context.Context, name string, archive io.Reader, changes []string) error {
	repo, tag, _ := strings.Cut(name, ":")
	query := url.Values{"fromSrc": {"-"}, "repo": {repo}, "tag": {tag}, "changes": changes}
	return e.call(ctx, http.MethodPost, "/images/create?"+query.Encode(), archive, nil)
}

// Pull has the engine fetch an image from a registry.
func (e *Engine) Pull(ctx context.Context, name string) error {
	return e.call(ctx, http.MethodPost, "/images/create?fromImage="+url.QueryEscape(name), nil, nil)
}

func (e *Engine) get(ctx context.Context, path string, v any) error {
	return e.call(ctx, http.MethodGet, path, nil, v)
}

// statusError is an answer of the engine that is no success.
type statusError struct {
	code    int
	message string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the engine answers %d: %s", e.code, e.message)
}

func (e *Engine) call(ctx context.Context, method, path string, body io.Reader, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, body)
	if err != nil {
		return err
	}
	if _, isJSON := body.(*bytes.Reader); isJSON {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 10_000))
		return &statusError{code: res.StatusCode, message: strings.TrimSpace(string(text))}
	}
	if v != nil {
		return json.NewDecoder(res.Body).Decode(v)
	}
	return progressError(res.Body)
}

// progressError reads an answer to its end. An import that fails half way says so on its last line, after the good status.
func progressError(r io.Reader) error {
	dec := json.NewDecoder(r)
	for {
		var line struct{ Error string }
		err := dec.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			_, copyErr := io.Copy(io.Discard, r) // an answer that is no JSON says nothing of interest
			return copyErr
		case line.Error != "":
			return errors.New(line.Error)
		}
	}
}
