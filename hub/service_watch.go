package hub

import (
	"context"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/routing"
)

const (
	// serviceRefresh is how often a replica looks for services that others made or removed.
	serviceRefresh = 5 * time.Second
	// A service that answers is asked again after serviceCheck, one that does not after serviceRecheck.
	serviceCheck   = time.Minute
	serviceRecheck = 5 * time.Second
)

// ServiceState is how a service is doing, as far as this replica knows.
type ServiceState struct {
	PID int // of its command, if this replica runs it now; 0: it does not
	// Checked is when it was last asked whether it answers; zero: it was not, or has no address.
	Checked time.Time
	Up      bool // it answered
}

// ServiceState tells how a service is doing.
func (h *Hub) ServiceState(name string) ServiceState {
	h.services.mu.Lock()
	defer h.services.mu.Unlock()
	return h.services.states[name]
}

func (s *services) update(name string, change func(*ServiceState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.states[name]
	change(&state)
	if state == (ServiceState{}) {
		delete(s.states, name)
		return
	}
	s.states[name] = state
}

// down counts services that did not answer when they were last asked.
func (s *services) down() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range s.states {
		if !state.Checked.IsZero() && !state.Up {
			n++
		}
	}
	return n
}

// RefreshServices reads which services there are and has them routed.
func (h *Hub) RefreshServices(ctx context.Context) ([]Service, error) {
	all, err := h.Services(ctx)
	if err != nil {
		return nil, err
	}
	h.services.known.Store(&all)
	if h.opts.ServiceRoutes != nil {
		h.opts.ServiceRoutes(h.serviceRoutes(all))
	}
	return all, nil
}

// serviceRoutes are the routes of all services that have an address. A service that is down keeps its route: only who defined it says that it is gone.
func (h *Hub) serviceRoutes(all []Service) []routing.Route {
	routes := []routing.Route{}
	for _, s := range all {
		if s.URL == "" || s.Scheduled { // the way to a job is published when it has a place, as to a server
			continue
		}
		if address, err := serviceAddress(s.URL); err == nil {
			routes = append(routes, routing.Route{Prefix: h.urls.Service(s.Name), Address: address, Server: serviceRouteID(s.Name), Generation: 1})
		}
	}
	return routes
}

// serviceRouteID stands where the ID of a server does. No server has such a one.
func serviceRouteID(name string) string { return "service:" + name }

// watchServices keeps the routes to all services, asks those that have an address whether they answer, and mends the rows of those of the configuration: a
// replica that still ran with an older one may have removed them.
func (h *Hub) watchServices(ctx context.Context) error {
	watched := map[string]watchedService{}
	var looks sync.WaitGroup
	defer looks.Wait()
	defer func() {
		for _, w := range watched {
			w.stop()
		}
	}()
	for {
		news := h.services.news()
		all, err := h.RefreshServices(ctx)
		if err == nil {
			err = h.mendServices(ctx, all)
		}
		if err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "services not read, will be again in seconds", "err", err)
		}
		if err == nil {
			h.watchEach(ctx, &looks, watched, all)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		case <-time.After(serviceRefresh):
		}
	}
}

type watchedService struct {
	url  string
	stop context.CancelFunc
}

// watchEach looks after the health of the services that have an address now.
func (h *Hub) watchEach(ctx context.Context, looks *sync.WaitGroup, watched map[string]watchedService, all []Service) {
	present := map[string]string{}
	for _, s := range all {
		if s.URL != "" {
			present[s.Name] = s.URL
		}
	}
	for name, w := range watched {
		if present[name] != w.url {
			w.stop()
			delete(watched, name)
			h.services.update(name, func(s *ServiceState) { s.Checked, s.Up = time.Time{}, false })
		}
	}
	for name, url := range present {
		if _, ok := watched[name]; ok {
			continue
		}
		address, err := serviceAddress(url)
		if err != nil {
			continue
		}
		lctx, stop := context.WithCancel(ctx)
		watched[name] = watchedService{url, stop}
		looks.Go(func() { h.checkOn(lctx, name, "http://"+address+h.urls.Service(name)) })
	}
}

// checkOn asks one service again and again whether it answers, and says so when that changes.
func (h *Hub) checkOn(ctx context.Context, name, url string) {
	first := true
	for {
		up := h.answersAsService(ctx, url)
		if ctx.Err() != nil {
			return
		}
		before := h.ServiceState(name).Up
		h.services.update(name, func(s *ServiceState) { s.Checked, s.Up = h.now(), up })
		switch {
		case up && (first || !before):
			h.log.InfoContext(ctx, "service answers", "service", name, "url", url)
		case !up && (first || before):
			h.log.WarnContext(ctx, "service does not answer; its route stays", "service", name, "url", url)
		}
		first = false
		pause := serviceRecheck
		if up {
			pause = serviceCheck
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (h *Hub) answersAsService(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	res, err := h.opts.Probe.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode < http.StatusInternalServerError
}

// mendServices writes configured services again whose rows are gone.
func (h *Hub) mendServices(ctx context.Context, rows []Service) error {
	h.services.changing.Lock()
	defer h.services.changing.Unlock()
	configured := *h.services.configured.Load()
	there := map[string]bool{}
	for _, row := range rows {
		there[row.Name] = row.Origin == FromConfig
	}
	for name := range configured {
		if !there[name] {
			h.log.WarnContext(ctx, "service of the configuration was removed by another replica, and is written again", "service", name)
			return h.writeServices(ctx, configured, false)
		}
	}
	return nil
}

// sameRun tells whether a service of the configuration needs no other process than before.
func sameRun(a, b ConfiguredService) bool {
	a.Info, b.Info, a.Display, b.Display, a.NoConfirm, b.NoConfirm = nil, nil, false, false, false, false
	return reflect.DeepEqual(a, b)
}
