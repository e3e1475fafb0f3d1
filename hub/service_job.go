package hub

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// ServiceJob is what the cluster runs for a service: the service's command, or an image's own.
type ServiceJob struct {
	Workload  scheduler.Workload
	Resources scheduler.Resources
}

// ServiceRun is one start of a service's job: what the cluster shall have, and where that is.
type ServiceRun struct {
	Service string
	// Generation rises with each start, also over a removal of the service in between, since a route that was withdrawn stays so for all older ones.
	Generation int64
	// Salt and Mark tell whether the service would be told the same today, and not what it was told, which may hold secrets.
	Salt, Mark []byte
	Token      []byte // hash of the token that it was given
	// Instance and Address are those of its place; "": it had none yet.
	Instance, Address string
}

const (
	// markRounds make guessing what a mark was made of as slow as guessing a password.
	markRounds = 100_000
	markSize   = 32
	saltSize   = 16
)

// toldService is all that a service's job is made of, but for the token if the hub makes one.
func (h *Hub) toldService(s ConfiguredService) (string, error) {
	all := struct {
		Spec     scheduler.Spec
		Token    []byte
		Template string
	}{Spec: h.serviceSpec(s, "", 1), Template: h.opts.ServiceTemplate}
	if s.Token != "" {
		all.Token = hashSecret(s.Token)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("the job of the service %s cannot be written down: %w", s.Name, err)
	}
	return string(text), nil
}

func markOf(told string, salt []byte) ([]byte, error) {
	return pbkdf2.Key(sha256.New, told, salt, markRounds, markSize)
}

// Spec is what a scheduler is to run for the service, as far as it can be said before there is a hub: without environment and secrets.
func (j *ServiceJob) Spec(s Service) scheduler.Spec {
	spec := scheduler.Spec{ID: serviceJobID(s.Name), Generation: 1, Labels: map[string]string{"service": s.Name}, Resources: j.Resources, Workload: j.Workload}
	if s.Serves {
		spec.URLVariable = "JUPYTERHUB_SERVICE_URL"
	}
	return spec
}

// serviceSpec is what the scheduler is to run for a service.
func (h *Hub) serviceSpec(s ConfiguredService, secret string, generation int64) scheduler.Spec {
	env := serviceEnvironment(h.urls, s.Service, "")
	spec := s.Job.Spec(s.Service)
	spec.Generation, spec.Env, spec.Secrets = generation, env, map[string]string{}
	for _, name := range [...]string{"JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"} {
		if env[name] == "" { // the operator did not say another one
			delete(env, name)
			spec.Secrets[name] = secret
		}
	}
	if s.Serves {
		delete(env, spec.URLVariable)
		if h.opts.ServiceName != nil {
			spec.Service = h.opts.ServiceName(spec.ID)
		}
	}
	return spec
}

// plainJobID is short enough to be no server's ID, which is a UUID.
var plainJobID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,29}$`)

// serviceJobID names the job of a service: like the service where its name can be part of a job's ID, else so that no two are the same.
func serviceJobID(name string) string {
	if plainJobID.MatchString(name) {
		return name
	}
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	sum := sha256.Sum256([]byte(name))
	return plain[:min(len(plain), 20)] + "-" + hex.EncodeToString(sum[:4])
}

// jobObservation is all that a plan for the job of one service is made from.
type jobObservation struct {
	run    *ServiceRun       // nil: it was never started
	status *scheduler.Status // nil: the cluster knows no such job
	same   bool              // it would be told what the run was told
	dead   time.Duration     // for how long it has been seen to be dead
	serves bool
	routed bool // requests reach this run, or will as soon as the registration is seen
}

// jobStep is what to do next for the job of one service. Doing a step twice is doing it once.
type jobStep int

const (
	jobRest    jobStep = iota
	jobStart           // begin another run, whatever runs
	jobPlace           // write down where it runs
	jobPublish         // tell the routers where it runs
)

// jobPatience is how long a job may be dead until the hub starts it anew. The cluster is faster, if the jobspec says that it shall start it again.
const jobPatience = 15 * time.Second

// planServiceJob decides what to do next. It is pure.
func planServiceJob(o jobObservation) jobStep {
	switch {
	case o.run == nil, !o.same, o.status == nil, o.status.Generation != o.run.Generation:
		return jobStart
	case o.status.State == scheduler.Dead:
		if o.dead >= jobPatience {
			return jobStart
		}
		return jobRest
	case o.status.Address != "" && (o.status.Instance != o.run.Instance || o.status.Address != o.run.Address):
		return jobPlace
	case o.serves && o.run.Address != "" && !o.routed:
		return jobPublish
	}
	return jobRest
}

// nextGeneration is above all that ever were: those that are known, and those of a service of this name that was removed.
func nextGeneration(run *ServiceRun, st *scheduler.Status, now time.Time) int64 {
	next := now.Unix()
	if run != nil {
		next = max(next, run.Generation+1)
	}
	if st != nil {
		next = max(next, st.Generation+1)
	}
	return next
}

// placeServices completes services whose jobs listen with the addresses that those have.
func (h *Hub) placeServices(ctx context.Context, all []Service) ([]Service, error) {
	if !anyServes(all) {
		return all, nil
	}
	runs, err := h.serviceRuns(ctx)
	if err != nil {
		return nil, err
	}
	for i, s := range all {
		if run := runs[s.Name]; s.Serves && run != nil && run.Address != "" {
			all[i].URL = "http://" + run.Address
		}
	}
	return all, nil
}

func anyServes(all []Service) bool {
	for _, s := range all {
		if s.Serves {
			return true
		}
	}
	return false
}

func (h *Hub) serviceRuns(ctx context.Context) (map[string]*ServiceRun, error) {
	list, err := h.store.ServiceRuns(ctx)
	if err != nil {
		return nil, err
	}
	runs := make(map[string]*ServiceRun, len(list))
	for i := range list {
		runs[list[i].Service] = &list[i]
	}
	return runs, nil
}

// placed is the service with the address that its job was last seen at.
func (s *services) placed(one Service) Service {
	if known := s.known.Load(); one.Serves && known != nil {
		for _, other := range *known {
			if other.Name == one.Name {
				one.URL = other.URL
			}
		}
	}
	return one
}

// sameMark tells whether a run was told this. The last answer is remembered, since making a mark takes long.
func (m *jobMemory) sameMark(run *ServiceRun, told string) (bool, error) {
	if run == nil {
		return false, nil
	}
	if m.told != told || !bytes.Equal(m.salt, run.Salt) {
		mark, err := markOf(told, run.Salt)
		if err != nil {
			return false, err
		}
		if m.told != told {
			m.pause, m.notBefore = 0, time.Time{} // what was wrong may be mended
		}
		m.told, m.salt, m.mark = told, run.Salt, mark
	}
	return bytes.Equal(m.mark, run.Mark), nil
}
