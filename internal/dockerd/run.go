package dockerd

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Run is one short container.
type Run struct {
	Image string
	User  string   // "" is the image's
	Env   []string // NAME=value
	Cmd   []string // nil is the image's
	// Files replaces programs of the image: absolute path in the container, path on this machine.
	Files map[string]string
}

// Run runs a container to its end, removes it, and returns all that it printed and its exit code.
func (e *Engine) Run(ctx context.Context, r Run) (output string, code int, err error) {
	var binds []string
	for inside, outside := range r.Files {
		binds = append(binds, outside+":"+inside+":ro")
	}
	body, err := json.Marshal(map[string]any{
		"Image": r.Image, "User": r.User, "Env": r.Env, "Cmd": r.Cmd, "HostConfig": map[string]any{"Binds": binds},
	})
	if err != nil {
		return "", 0, err
	}
	var made struct {
		ID string `json:"Id"`
	}
	if err := e.call(ctx, http.MethodPost, "/containers/create", bytes.NewReader(body), &made); err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, e.Remove(context.WithoutCancel(ctx), made.ID)) }()
	if err := e.call(ctx, http.MethodPost, "/containers/"+made.ID+"/start", nil, nil); err != nil {
		return "", 0, err
	}
	var ended struct{ StatusCode int }
	if err := e.call(ctx, http.MethodPost, "/containers/"+made.ID+"/wait", nil, &ended); err != nil {
		return "", 0, err
	}
	output, err = e.output(ctx, made.ID)
	return output, ended.StatusCode, err
}

// output reads both outputs of a container, which come in frames of an eight-byte header and the text.
func (e *Engine) output(ctx context.Context, id string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/containers/"+id+"/logs?stdout=1&stderr=1", nil)
	if err != nil {
		return "", err
	}
	res, err := e.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var all bytes.Buffer
	for {
		var header struct {
			_    [4]byte
			Size uint32
		}
		err := binary.Read(res.Body, binary.BigEndian, &header)
		if errors.Is(err, io.EOF) {
			return all.String(), nil
		}
		if err != nil {
			return "", fmt.Errorf("read the output of container %s: %w", id, err)
		}
		if _, err := io.CopyN(&all, res.Body, int64(header.Size)); err != nil {
			return "", fmt.Errorf("read the output of container %s: %w", id, err)
		}
	}
}
