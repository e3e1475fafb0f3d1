package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// onePatience bounds the start of one server.
const onePatience = 20 * time.Second

// boot is how long the stand-in for a notebook needs.
const boot = 100 * time.Millisecond

// startOne is O13: one server after the other through the hub, beside the same job through Nomad alone; and then while many others are on their way.
func (r *run) startOne(ctx context.Context) error {
	return r.databases(ctx, func(ctx context.Context, database, dsn string) error {
		dir, err := r.folder("o13-" + database)
		if err != nil {
			return err
		}
		c, err := startCluster(ctx, dir, "")
		if err != nil {
			return err
		}
		defer c.stop()
		told, err := r.folder("o13-" + database + "-boots")
		if err != nil {
			return err
		}
		o := hubOptions{
			name: "s" + database, binary: r.hub, dsn: dsn, jobspec: rawExec(r.self, boot.String(), boots(told)), cluster: c, users: r.starts + 1 + inFlight, logLevel: "info",
			profiles: r.profiles, more: heldProfile,
		}
		h, err := newHub(ctx, o)
		if err != nil {
			return err
		}
		if err := h.start(ctx); err != nil {
			return err
		}
		defer h.close()
		file, err := h.template(ctx, c, userName(r.starts))
		if err != nil {
			return err
		}
		s := &series{run: r, hubProcess: h, cluster: c, database: database, told: boots(told)}
		if err := s.alone(ctx, file); err != nil || !c.hasMock(ctx) {
			return err
		}
		return s.busy(ctx)
	})
}

func (r *run) folder(name string) (string, error) {
	dir := filepath.Join(r.dir, name)
	return dir, os.MkdirAll(dir, 0o700)
}

// hubStart is how one start went, in milliseconds from its request.
type hubStart struct{ firstEvent, ready float64 }

// job is the ID of the job in which a user's server runs.
func (h *hubProcess) job(s hub.Server) string { return filepath.Base(h.dir) + "-" + s.ID }

// template starts a server of that user, keeps its job for the peer, and stops it: the warm-up of both.
func (h *hubProcess) template(ctx context.Context, c *cluster, user string) (file string, err error) {
	if _, err := h.startServer(ctx, user); err != nil {
		return "", err
	}
	s, err := h.serverOf(ctx, user)
	if err != nil {
		return "", err
	}
	t, err := take(ctx, c.nomad, h.job(s))
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	file = filepath.Join(h.dir, "template.json")
	return file, errors.Join(os.WriteFile(file, text, 0o600), h.stopServer(ctx, user))
}

func (h *hubProcess) serverOf(ctx context.Context, user string) (hub.Server, error) {
	u, err := h.store.UserByName(ctx, user)
	if err != nil {
		return hub.Server{}, err
	}
	return h.store.ServerByName(ctx, u.ID, "")
}

// startEach starts one server after the other, has a look at them, and ends them together. There are that many stopped servers before it and after it.
func (h *hubProcess) startEach(ctx context.Context, n, stopped int, look func(context.Context) error) ([]hubStart, error) {
	var all []hubStart
	for i := range n {
		one, err := h.startServer(ctx, userName(i))
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	if err := look(ctx); err != nil {
		return nil, err
	}
	err := <-h.askAll(ctx, http.MethodDelete, n)
	if err == nil {
		err = h.awaitCount(ctx, hub.Stopped, n+stopped, burstPatience)
	}
	return all, err
}

// startServer asks for a server as a script does, and follows its progress as a page does.
func (h *hubProcess) startServer(ctx context.Context, user string) (hubStart, error) {
	ctx, cancel := context.WithTimeout(ctx, onePatience)
	defer cancel()
	began := time.Now()
	posted := make(chan error, 1)
	go func() {
		status, text, err := h.call(ctx, h.public, http.MethodPost, "/users/"+user+"/server", "")
		if err == nil && status != http.StatusCreated && status != http.StatusAccepted {
			err = fmt.Errorf("start of %s: %d %s", user, status, text)
		}
		posted <- err
	}()
	var one hubStart
	for {
		told, err := h.follow(ctx, user, func(ready bool) {
			if one.firstEvent == 0 {
				one.firstEvent = since(began)
			}
			if ready {
				one.ready = since(began)
			}
		})
		switch {
		case err != nil:
			return one, err
		case told && one.ready == 0:
			return one, fmt.Errorf("the start of %s failed: see the hub's log %s", user, h.log)
		case told:
			return one, <-posted
		}
		if !pause(ctx, 2*time.Millisecond) { // the request has not been seen yet
			return one, errors.Join(ctx.Err(), <-posted)
		}
	}
}

// follow reads the progress of a start to its end. told is false if there is none yet.
func (h *hubProcess) follow(ctx context.Context, user string, event func(ready bool)) (told bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.public+"/hub/api/users/"+user+"/server/progress", nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "token "+h.token)
	res, err := h.client.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return false, nil
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		var e hub.ProgressEvent
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return true, err
		}
		event(e.Ready)
	}
	return true, lines.Err()
}

// stopServer returns when the server is gone.
func (h *hubProcess) stopServer(ctx context.Context, user string) error {
	status, text, err := h.call(ctx, h.public, http.MethodDelete, "/users/"+user+"/server", "")
	if err == nil && status != http.StatusNoContent && status != http.StatusAccepted {
		err = fmt.Errorf("stop of %s: %d %s", user, status, text)
	}
	if err != nil {
		return err
	}
	return h.await(ctx, time.Minute, func(ctx context.Context) error {
		s, err := h.serverOf(ctx, user)
		if err == nil && s.State != hub.Stopped {
			err = fmt.Errorf("the server of %s is %s", user, s.State)
		}
		return err
	})
}
