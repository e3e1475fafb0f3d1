package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/nomadhub/nomadhub/internal/restclient"
)

// notebook is a server, as far as the API tells.
type notebook struct {
	Name         string `json:"name"`
	DisplayName  string `json:"display_name"`
	Ready        bool   `json:"ready"`
	Stopped      bool   `json:"stopped"`
	Pending      string `json:"pending"`
	URL          string `json:"url"`
	FullURL      string `json:"full_url"`
	Started      moment `json:"started"`
	LastActivity moment `json:"last_activity"`
	KeepUntil    moment `json:"keep_until"`
	Notice       *struct {
		Message string `json:"message"`
	} `json:"notice"`
	Failure *struct {
		Message string `json:"message"`
	} `json:"failure"`
}

// label is what the server is called in a list; the default one has no name.
func (s notebook) label() string { return cmp.Or(s.Name, "(default)") }

func (s notebook) state() string {
	switch {
	case s.Pending == "spawn":
		return "starting"
	case s.Pending == "stop":
		return "stopping"
	case s.Pending != "":
		return s.Pending
	case s.Ready:
		return "ready"
	}
	return "stopped"
}

func serverVerbs() []verb {
	return append([]verb{
		{"list", "", 0, 0, "list servers", prepareServerList},
		{"show", "USER [SERVER]", 1, 2, "tell about a server", plain(showServer)},
		{"start", "USER [SERVER]", 1, 2, "start a server, and wait until it is ready", prepareServerStart},
		{"stop", "USER [SERVER]", 1, 2, "stop a server, and wait until it is gone", prepareServerStop},
		{"progress", "USER [SERVER]", 1, 2, "follow a start until its end", plain(followServer)},
		{"logs", "USER [SERVER]", 1, 2, "print what a server has printed", prepareServerLogs},
	}, careVerbs()...)
}

// serverPath is where the server of the arguments is in the API.
func serverPath(args []string) string {
	if len(args) > 1 {
		return restclient.Path("users", args[0], "servers", args[1])
	}
	return restclient.Path("users", args[0], "server")
}

func prepareServerList(fs *flag.FlagSet) action {
	user := fs.String("user", "", "only this user's")
	all := fs.Bool("all", false, "stopped ones, too")
	return func(ctx context.Context, r *remote, _ []string) error {
		users, err := owners(ctx, r, *user, *all)
		if err != nil {
			return err
		}
		if r.json {
			return r.printJSON(serversOf(users))
		}
		var rows [][]string
		for _, u := range users {
			for _, s := range sorted(u.Servers) {
				rows = append(rows, []string{u.Name, s.label(), s.state(), s.Started.String(), s.LastActivity.String(), cmp.Or(s.FullURL, s.URL)})
			}
		}
		return r.table([]string{"USER", "SERVER", "STATE", "STARTED", "LAST ACTIVITY", "URL"}, rows)
	}
}

// owner is a user with servers: as they are shown, and as the hub told them.
type owner struct {
	account

	raw map[string]json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *owner) UnmarshalJSON(text []byte) error {
	var told struct{ Servers map[string]json.RawMessage }
	if err := json.Unmarshal(text, &told); err != nil {
		return err
	}
	o.raw = told.Servers
	return json.Unmarshal(text, &o.account)
}

// owners reads the users who have servers, or one user.
func owners(ctx context.Context, r *remote, user string, all bool) ([]owner, error) {
	q := url.Values{"sort": {"name"}}
	if all {
		q.Set("include_stopped_servers", "1")
	} else if user == "" {
		q.Set("state", "active")
	}
	if user == "" {
		_, users, err := list[owner](ctx, r, "/users", q)
		return users, err
	}
	var u owner
	_, err := r.get(ctx, restclient.Path("users", user)+"?"+q.Encode(), &u)
	return []owner{u}, err
}

// serversOf are servers as the hub told them. The field full_name says whose each is.
func serversOf(users []owner) []json.RawMessage {
	raw := []json.RawMessage{}
	for _, u := range users {
		for _, s := range sorted(u.Servers) {
			raw = append(raw, u.raw[s.Name])
		}
	}
	return raw
}

func showServer(ctx context.Context, r *remote, args []string) error {
	var s notebook
	raw, err := r.get(ctx, serverPath(args), &s)
	if err != nil || r.json {
		return r.orJSON(raw, err)
	}
	facts := [][2]string{
		{"user", args[0]}, {"server", s.label()}, {"shown as", s.DisplayName}, {"state", s.state()},
		{"started", s.Started.String()}, {"last activity", s.LastActivity.String()}, {"url", cmp.Or(s.FullURL, s.URL)},
	}
	if s.KeepUntil != "" {
		facts = append(facts, [2]string{"kept until", s.KeepUntil.String()})
	}
	if s.Notice != nil {
		facts = append(facts, [2]string{"notice", s.Notice.Message})
	}
	if s.Failure != nil {
		facts = append(facts, [2]string{"why it ended", s.Failure.Message})
	}
	return r.facts(facts...)
}

func prepareServerStart(fs *flag.FlagSet) action {
	options := fs.String("options", "{}", "what is chosen, as a JSON object or @FILE: '{\"profile\": \"gpu\"}'")
	detach := fs.Bool("no-wait", false, "do not wait until it is ready")
	return func(ctx context.Context, r *remote, args []string) error {
		chosen, err := object("-options", *options)
		if err != nil {
			return err
		}
		status, err := r.Do(ctx, http.MethodPost, serverPath(args), chosen, nil)
		switch {
		case err != nil:
			return err
		case status == http.StatusCreated:
			return r.isReady(ctx, args)
		case *detach:
			return r.done(nil, "server of %s is starting", args[0])
		}
		return followServer(ctx, r, args)
	}
}

// isReady tells where a server that is up can be found.
func (r *remote) isReady(ctx context.Context, args []string) error {
	var s notebook
	raw, err := r.get(ctx, serverPath(args), &s)
	if err != nil {
		return err
	}
	return r.done(raw, "server of %s is ready at %s", args[0], cmp.Or(s.FullURL, s.URL))
}

// errEnded is what a start comes to that was called off.
var errEnded = errors.New("the server does not run; its start failed or was called off")

// patience is how often in a row a hub may be out of reach while a start is followed, before that is given up: some minutes, which an upgrade of the hub may take.
const patience = 60

// followServer tells what happens to a start, on the stream for errors, until the server is ready. A hub that goes away meanwhile is waited for: the start goes on
// without it.
func followServer(ctx context.Context, r *remote, args []string) error {
	for away := 0; ; {
		ended, err := r.follow(ctx, args)
		if ended {
			return err
		}
		var s notebook
		_, lookErr := r.get(ctx, serverPath(args), &s)
		_, refused := errors.AsType[*restclient.Error](lookErr)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case refused && !isPassing(lookErr):
			return lookErr
		case lookErr != nil:
			if away++; away == patience {
				return lookErr
			}
		case s.Ready && s.Pending == "":
			return r.isReady(ctx, args)
		case s.state() == "stopped":
			return cmp.Or(err, errEnded)
		default:
			away = 0
		}
		if err := pause(ctx, lookAgain); err != nil {
			return err
		}
	}
}

// isPassing tells whether a refusal is about the hub's state, and not about what was asked for.
func isPassing(err error) bool {
	e, ok := errors.AsType[*restclient.Error](err)
	return ok && (e.Status == http.StatusTooManyRequests || e.Status == http.StatusBadGateway || e.Status == http.StatusServiceUnavailable || e.Status == http.StatusGatewayTimeout)
}

// lookAgain is how long to wait before the hub is asked again.
const lookAgain = 2 * time.Second

// follow tells the events of one stream. ended says that the last of them was an outcome.
func (r *remote) follow(ctx context.Context, args []string) (ended bool, err error) {
	last := ""
	for e, err := range r.Progress(ctx, serverPath(args)+"/progress") {
		switch {
		case err != nil:
			return false, err
		case e.Failed:
			for _, l := range e.Log {
				_, _ = fmt.Fprintln(r.err, printable(l)) // the outcome is what counts
			}
			return true, errors.New(cmp.Or(e.Message, errEnded.Error()))
		case e.Ready:
			return true, r.isReady(ctx, args)
		case e.Message != "" && e.Message != last:
			last = e.Message
			_, _ = fmt.Fprintf(r.err, "%3d%%  %s\n", e.Progress, printable(e.Message))
		}
	}
	return false, nil
}

func prepareServerStop(fs *flag.FlagSet) action {
	remove := fs.Bool("remove", false, "also remove the server itself, which only named ones can be")
	detach := fs.Bool("no-wait", false, "do not wait until it is gone")
	return func(ctx context.Context, r *remote, args []string) error {
		var body any
		if *remove {
			body = map[string]any{"remove": true}
		}
		status, err := r.Do(ctx, http.MethodDelete, serverPath(args), body, nil)
		if err != nil {
			return err
		}
		if status == http.StatusAccepted && *detach {
			return r.done(nil, "server of %s is stopping", args[0])
		}
		if status == http.StatusAccepted {
			if err := r.awaitStop(ctx, args); err != nil {
				return err
			}
		}
		if *remove {
			return r.done(nil, "server of %s removed", args[0])
		}
		return r.done(nil, "server of %s stopped", args[0])
	}
}

// awaitStop waits until a server is stopped or gone.
func (r *remote) awaitStop(ctx context.Context, args []string) error {
	for {
		var s notebook
		_, err := r.get(ctx, serverPath(args), &s)
		switch {
		case restclient.IsNotFound(err):
			return nil
		case err != nil && !isPassing(err):
			return err
		case err == nil && s.state() == "stopped":
			return nil
		case err == nil && s.Pending != "stop":
			return errors.New("the server was started again meanwhile")
		}
		if err := pause(ctx, lookAgain); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func prepareServerLogs(fs *flag.FlagSet) action {
	follow := fs.Bool("follow", false, "go on as the server prints more, until it ends")
	stdout := fs.Bool("stdout", false, "what it wrote to its standard output; default: to standard error, where Jupyter writes")
	tail := fs.Int("tail", 64<<10, "only the last so many bytes; 0: all")
	return func(ctx context.Context, r *remote, args []string) error {
		q := url.Values{"tail": {strconv.Itoa(*tail)}}
		if *follow {
			q.Set("follow", "1")
		}
		if *stdout {
			q.Set("stream", "stdout")
		}
		body, err := r.Stream(ctx, serverPath(args)+"/log?"+q.Encode(), "text/plain")
		if err != nil {
			return err
		}
		defer body.Close()
		_, err = io.Copy(r.out, body)
		return err
	}
}
