package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"
)

// ServiceProcess is one run of a service's command.
type ServiceProcess struct {
	Name        string
	Command     []string
	Directory   string // "": the hub's
	User        string // local account; "": the hub's
	Environment map[string]string
}

// ServiceRunner runs commands of services.
type ServiceRunner interface {
	// RunService starts the command, tells its process ID, and returns when it has ended, with how. When ctx ends, it ends the command and all that the command
	// started, and returns when they are gone.
	RunService(ctx context.Context, p ServiceProcess, started func(pid int)) error
}

const (
	// A service that ends is started again after a pause that doubles up to the longest; one that ran for longer than that begins with the shortest again.
	serviceShortest = time.Second
	serviceLongest  = time.Minute
)

// runServices runs the commands of services while this replica is the one that does, and follows the configuration.
func (h *Hub) runServices(ctx context.Context) error {
	type run struct {
		of    ConfiguredService
		stop  context.CancelFunc
		ended chan struct{}
	}
	runs := map[string]run{}
	end := func(name string) {
		runs[name].stop()
		<-runs[name].ended
		delete(runs, name)
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer func() {
		for _, r := range runs {
			r.stop()
		}
	}()
	for {
		news, configured := h.services.news(), *h.services.configured.Load()
		for name, r := range runs {
			if now, ok := configured[name]; !ok || !sameRun(now, r.of) {
				end(name)
			}
		}
		for name, s := range configured {
			if _, ok := runs[name]; ok || len(s.Command) == 0 || s.Job != nil {
				continue
			}
			rctx, stop := context.WithCancel(ctx)
			r := run{s, stop, make(chan struct{})}
			runs[name] = r
			all.Go(func() {
				defer close(r.ended)
				h.keepService(rctx, s)
			})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		}
	}
}

// keepService runs the command of a service and starts it again whenever it ends, until ctx does.
func (h *Hub) keepService(ctx context.Context, s ConfiguredService) {
	pause := serviceShortest
	for ctx.Err() == nil {
		begun := time.Now()
		err := h.runService(ctx, s)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begun) > serviceLongest {
			pause = serviceShortest
		}
		h.services.restarts.Inc()
		h.log.WarnContext(ctx, "service ended; it is started again", "service", s.Name, "ran", time.Since(begun).Round(time.Millisecond).String(), "in", pause.String(), "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, serviceLongest)
	}
}

// runService runs the command once, with a token that lives as long, unless the configuration gives one.
func (h *Hub) runService(ctx context.Context, s ConfiguredService) error {
	token := s.Token
	if token == "" {
		token = newSecret()
		err := h.store.InTx(ctx, func(tx Store) error {
			return h.writeServiceToken(ctx, tx, s.Name, token, "Made by the hub for the service's command")
		})
		if err != nil {
			return fmt.Errorf("give the service a token: %w", err)
		}
		defer h.revokeServiceToken(context.WithoutCancel(ctx), s.Name, token)
	}
	env := serviceEnvironment(h.urls, s.Service, token)
	defer h.services.update(s.Name, func(st *ServiceState) { st.PID = 0 })
	return h.opts.ServiceRunner.RunService(ctx, ServiceProcess{
		Name: s.Name, Command: s.Command, Directory: s.Directory, User: s.User, Environment: env,
	}, func(pid int) {
		h.services.update(s.Name, func(st *ServiceState) { st.PID = pid })
		h.log.InfoContext(ctx, "service started", "service", s.Name, "pid", pid)
	})
}

// revokeServiceToken removes the token of a command that has ended. If the database is away, the next start does.
func (h *Hub) revokeServiceToken(ctx context.Context, service, secret string) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	t, err := h.store.TokenByHash(ctx, hashSecret(secret))
	if err == nil && t.Service == service {
		err = h.store.DeleteToken(ctx, t.ID)
	}
	if err != nil && KindOf(err) != NotFound {
		h.log.WarnContext(ctx, "the token of a service that ended was not revoked; the next start of the service does it", "service", service, "err", err)
	}
}

// serviceEnvironment is what a service's command needs to know. Source: JupyterHub's Service.start.
func serviceEnvironment(u URLs, s Service, token string) map[string]string {
	access, _ := json.Marshal([]string{"access:services", "access:services!service=" + s.Name}) // strings always encode
	allowed, _ := json.Marshal(append([]string{}, s.AllowedScopes...))
	path, public := u.Service(s.Name), ""
	if s.pages() {
		public = u.Absolute(u.ServiceURL(s.Name))
	}
	id := s.clientID()
	if id == "" {
		id = serviceClientPrefix + s.Name
	}
	env := map[string]string{
		"JUPYTERHUB_SERVICE_NAME":                s.Name,
		"JUPYTERHUB_API_TOKEN":                   token,
		"JPY_API_TOKEN":                          token,
		"JUPYTERHUB_API_URL":                     u.APIForServers(),
		"JUPYTERHUB_BASE_URL":                    u.Base(),
		"JUPYTERHUB_HOST":                        u.Origin(),
		"JUPYTERHUB_CLIENT_ID":                   id,
		"JUPYTERHUB_OAUTH_CALLBACK_URL":          s.callback(u),
		"JUPYTERHUB_OAUTH_ACCESS_SCOPES":         string(access),
		"JUPYTERHUB_OAUTH_SCOPES":                string(access),
		"JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES": string(allowed),
		"JUPYTERHUB_SERVER_NAME":                 "",
		"JUPYTERHUB_USER":                        s.User,
		"JUPYTERHUB_PUBLIC_URL":                  public,
		"JUPYTERHUB_PUBLIC_HUB_URL":              u.Absolute(u.Hub()),
		"JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED":  u.hostPrefixSwitch(),
	}
	if s.pages() {
		env["JUPYTERHUB_SERVICE_PREFIX"] = path
	}
	if s.URL != "" { // else whoever gives the service its address says so
		env["JUPYTERHUB_SERVICE_URL"] = s.URL
	}
	maps.Copy(env, s.Environment)
	return env
}

// callback is where a service is told that visitors come back to. To one with pages JupyterHub says the usual place, also where another one is registered: who registers
// another one knows it.
func (s Service) callback(u URLs) string {
	if s.pages() {
		s.RedirectURI = ""
	}
	return s.redirectURI(u)
}
