package api

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

func (a *API) mountActivity(r chi.Router) {
	r.With(a.need(onUserBriefly("users:activity"))).Post("/users/{name}/activity", a.do(a.postActivity))
}

// activityReport is what a server tells every few minutes: when its user, and it itself, was last active. The default server's name is empty. Keys that are not
// known are ignored, as a newer server may send more.
type activityReport struct {
	LastActivity *string                    `json:"last_activity"`
	Servers      map[string]*serverActivity `json:"servers"`
}

type serverActivity struct {
	LastActivity *string `json:"last_activity"`
}

func (a *API) postActivity(w http.ResponseWriter, r *http.Request) error {
	body, err := httpd.DecodeLenient[activityReport](r)
	if err != nil {
		return err
	}
	user, servers, err := body.times()
	if err != nil {
		return err
	}
	if err := a.hub.ReportActivity(r.Context(), targetOf(r).user, user, servers); err != nil {
		return err
	}
	empty(w, http.StatusOK)
	return nil
}

func (b activityReport) times() (user time.Time, servers map[string]time.Time, err error) {
	if b.LastActivity == nil && len(b.Servers) == 0 {
		return user, nil, hub.Errorf(hub.Invalid, "Report last_activity, servers, or both.")
	}
	if b.LastActivity != nil {
		if user, err = parseTime(*b.LastActivity); err != nil {
			return user, nil, err
		}
	}
	if len(b.Servers) > 0 {
		servers = make(map[string]time.Time, len(b.Servers))
	}
	for name, s := range b.Servers {
		if s == nil || s.LastActivity == nil {
			return user, nil, hub.Errorf(hub.Invalid, "The report on the server %q lacks last_activity.", clip(name))
		}
		if servers[name], err = parseTime(*s.LastActivity); err != nil {
			return user, nil, err
		}
	}
	return user, servers, nil
}
