package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub/cull"
	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	askTokenLifetime = 2 * time.Minute // of the token with which a server is asked; it is removed right after
	maxAnswer        = 1 << 20         // bytes of what a server says
	maxKernels       = 1000            // of what it says they are
)

// askServer asks a server what it is doing, and the cluster what it uses. A server that gives no answer is not idle for that.
func (h *Hub) askServer(ctx context.Context, s Server) cull.Answer {
	a := h.askJupyter(ctx, s)
	a.Time = h.now()
	h.culls.asked(string(a.Outcome))
	if meter, ok := h.opts.Scheduler.(scheduler.Meter); ok {
		mctx, cancel := context.WithTimeout(ctx, askPatience)
		defer cancel()
		if u, err := meter.Usage(mctx, s.ID); err == nil {
			a.CPU, a.Devices = &u.CPU, busiest(u.Devices)
		}
	}
	return a
}

// busiest is the highest utilization that a device tells of, in percent; nil: none tells.
func busiest(devices []scheduler.DeviceUsage) *float64 {
	var most *float64
	for _, d := range devices {
		for name, text := range d.Values {
			if !strings.Contains(strings.ToLower(name), "utili") || strings.Contains(strings.ToLower(name), "memory") {
				continue
			}
			v, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "%")), 64)
			if err == nil && (most == nil || v > *most) {
				most = &v
			}
		}
	}
	return most
}

// What a Jupyter server says of itself.
type (
	jupyterKernel struct {
		State        string    `json:"execution_state"`
		LastActivity time.Time `json:"last_activity"`
		Connections  int       `json:"connections"`
	}
	jupyterTerminal struct {
		LastActivity time.Time `json:"last_activity"`
	}
)

// errNoJupyter is what a server says that has no such address.
var errNoJupyter = errors.New("the server does not speak Jupyter's API")

// askJupyter asks with a token that opens this server only, and only for as long as that takes.
func (h *Hub) askJupyter(ctx context.Context, s Server) cull.Answer {
	if h.admission.Load().blocks(s.UserName) { // the server would refuse whatever is asked in their name
		return cull.Answer{Outcome: cull.Unable}
	}
	secret, done, err := h.issueAskToken(ctx, s)
	if err != nil {
		h.log.DebugContext(ctx, "no token to ask a server with", "server_id", s.ID, "err", err)
		return cull.Answer{Outcome: cull.Silent}
	}
	defer done()
	q := question{client: h.opts.Probe, base: "http://" + s.Address + h.urls.Server(s.UserName, s.Name) + "api/", token: secret}
	var status struct {
		Kernels *int `json:"kernels"`
	}
	err = q.get(ctx, "status", &status)
	var kernels []jupyterKernel
	if err == nil && status.Kernels != nil {
		err = q.get(ctx, "kernels", &kernels)
	} else if err == nil {
		err = errNoJupyter
	}
	var terminals []jupyterTerminal
	if err == nil {
		if err = q.get(ctx, "terminals", &terminals); errors.Is(err, errNoJupyter) { // they may be switched off
			err = nil
		}
	}
	switch {
	case errors.Is(err, errNoJupyter):
		return cull.Answer{Outcome: cull.Unable}
	case err != nil:
		h.log.DebugContext(ctx, "server did not say what it is doing", "server_id", s.ID, "err", err)
		return cull.Answer{Outcome: cull.Silent}
	case len(kernels) > maxKernels || len(terminals) > maxKernels:
		return cull.Answer{Outcome: cull.TooLittle}
	}
	a := cull.Answer{Outcome: cull.Answered}
	for _, k := range kernels {
		busy := k.State != "idle" && k.State != "dead" // busy, starting, restarting
		a.Kernels = append(a.Kernels, cull.Kernel{Busy: busy, LastActivity: k.LastActivity, Connections: k.Connections})
	}
	for _, t := range terminals {
		a.Terminals = append(a.Terminals, t.LastActivity)
	}
	return a
}

// issueAskToken makes a token of the owner's that opens one server. It dies with the server's own tokens, if not before.
func (h *Hub) issueAskToken(ctx context.Context, s Server) (secret string, done func(), err error) {
	secret = newSecret()
	t, err := h.store.CreateToken(ctx, Token{
		UserID: s.UserID, Hash: hashSecret(secret), ServerID: s.ID, Note: "The hub asks whether the server is used",
		Scopes:  []string{scope.Scope{Name: "access:servers", Kind: scope.ByServer, Value: scope.FullName(s.UserName, s.Name)}.String()},
		Created: h.now(), Expires: h.now().Add(askTokenLifetime),
	})
	if err != nil {
		return "", nil, err
	}
	return secret, func() {
		if err := h.store.DeleteToken(context.WithoutCancel(ctx), t.ID); err != nil {
			h.log.DebugContext(ctx, "token with which a server was asked not removed; it expires", "err", err)
		}
	}, nil
}

// question asks one server.
type question struct {
	client      *http.Client
	base, token string
}

func (q question) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, q.base+path+"?no_track_activity=1", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "token "+q.token)
	req.Header.Set("Accept", "application/json")
	res, err := q.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	switch {
	case res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusMethodNotAllowed:
		return errNoJupyter
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", path, res.Status)
	case !strings.Contains(res.Header.Get("Content-Type"), "json"):
		return errNoJupyter
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
