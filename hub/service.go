package hub

import (
	"context"
	"time"
)

// Service is a program beside the hub that speaks its API, under a name of its own: an idle culler, a dashboard, a grader.
type Service struct {
	Name   string        `json:"-"`
	Origin ServiceOrigin `json:"-"`
	// Admin gives it the role "admin". What else it may do is said by the roles that name it.
	Admin bool `json:"admin,omitempty"`
	// URL is where it listens, for the proxy: "http://10.0.0.5:9000". "": it serves nothing through the hub.
	URL string `json:"url,omitempty"`
	// Command is what the hub runs and keeps running; nil: somebody else runs it.
	Command     []string          `json:"command,omitempty"`
	Directory   string            `json:"cwd,omitempty"` // in which the command runs; "": the hub's
	User        string            `json:"user,omitempty"`
	Environment map[string]string `json:"environment,omitempty"`
	Info        map[string]any    `json:"info,omitempty"` // for who reads it; means nothing to the hub
	Display     bool              `json:"display"`        // shown in the pages' menu
	// ClientID, RedirectURI and AllowedScopes are those of its OAuth client; "", "" and nil: the usual ones.
	ClientID      string   `json:"oauth_client_id,omitempty"`
	RedirectURI   string   `json:"oauth_redirect_uri,omitempty"`
	AllowedScopes []string `json:"oauth_client_allowed_scopes,omitempty"`
	NoConfirm     bool     `json:"oauth_no_confirm,omitempty"` // visitors are not asked

	// Scheduled: the cluster runs it, as a job that the hub keeps; see [ServiceJob].
	Scheduled bool `json:"scheduled,omitempty"`
	// Serves: that job listens, and the scheduler decides where. URL is then where its present run does, and "" while that is not known.
	Serves bool `json:"serves,omitempty"`

	Created time.Time `json:"-"`
}

// ServiceOrigin is who defined a service.
type ServiceOrigin string

// The origins of services. What the configuration defines only the configuration changes.
const (
	FromConfig ServiceOrigin = "config"
	FromAPI    ServiceOrigin = "api"
)

// ServiceStore keeps services. Their tokens, and what their OAuth clients were given, go with them.
type ServiceStore interface {
	// PutService creates or replaces a service; its tokens stay.
	PutService(ctx context.Context, s Service) error
	// CreateService stores a new one. ErrExists if the name is taken.
	CreateService(ctx context.Context, s Service) error
	Service(ctx context.Context, name string) (Service, error)
	// Services returns all, by name.
	Services(ctx context.Context) ([]Service, error)
	// DeleteService is ErrNotFound for the unknown.
	DeleteService(ctx context.Context, name string) error

	// ServiceRuns returns the runs that the cluster shall have, by the names of their services. A run goes with its service.
	ServiceRuns(ctx context.Context) ([]ServiceRun, error)
	// BeginServiceRun writes the next run of a service, in the place of the one of that generation; 0: of none. ErrStale if another one is there.
	BeginServiceRun(ctx context.Context, r ServiceRun, before int64) error
	// PlaceServiceRun writes where a run is. ErrStale if there is no run of this generation any more.
	PlaceServiceRun(ctx context.Context, r ServiceRun) error
}
