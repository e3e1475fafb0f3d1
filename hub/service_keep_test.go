package hub_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// serviceCluster is where jobs of services run, by a scheduler in memory that places and runs each at once.
func serviceCluster() *schedulertest.Fake {
	fake := schedulertest.NewFake()
	fake.OnStart = func(spec scheduler.Spec) {
		fake.Place(spec.ID, spec.ID+".test:9000")
		fake.Run(spec.ID)
	}
	return fake
}

// on makes a hub run jobs of services there.
func on(fake *schedulertest.Fake) func(*hub.Options) {
	return func(o *hub.Options) {
		o.ServiceScheduler, o.ServiceTemplate = fake, "as it was"
		o.ServiceName = func(string) string { return "notebook-00" }
	}
}

func job(name string) hub.ConfiguredService {
	return hub.ConfiguredService{
		Service: hub.Service{Name: name, Serves: true, Display: true, Environment: map[string]string{"COLOUR": "blue"}},
		Job:     &hub.ServiceJob{Workload: scheduler.Workload{Command: "serve"}},
	}
}

// jobToken is what the job that runs was given.
func jobToken(t *testing.T, fake *schedulertest.Fake, id string) string {
	t.Helper()
	spec, ok := fake.Spec(id)
	if !ok {
		t.Fatalf("no job %s runs", id)
	}
	if _, open := spec.Env["JUPYTERHUB_API_TOKEN"]; open {
		t.Error("the token is told openly")
	}
	return spec.Secrets["JUPYTERHUB_API_TOKEN"]
}

func routed(b *hubtest.Bench, name string) func() bool {
	return func() bool {
		r, ok := b.Router.Table().Lookup("/services/" + name + "/x")
		return ok && strings.HasSuffix(r.Address, ".test:9000") && r.Prefix == "/services/"+name+"/"
	}
}

// TestJobsOfServicesFollowTheConfiguration: a service is started as a job that is told what JupyterHub's services are told, is routed, is left alone while it is told the same,
// is started anew when that changes, and ends when the configuration has it no more.
func TestJobsOfServicesFollowTheConfiguration(t *testing.T) {
	t.Parallel()
	fake := serviceCluster()
	b := hubtest.New(t, on(fake))
	setServices(t, b, job("whoami"))
	b.Eventually("it is routed", routed(b, "whoami"))
	spec, _ := fake.Spec("whoami")
	for name, want := range map[string]string{
		"JUPYTERHUB_SERVICE_NAME": "whoami", "JUPYTERHUB_SERVICE_PREFIX": "/services/whoami/", "JUPYTERHUB_CLIENT_ID": "service-whoami", "COLOUR": "blue",
		"JUPYTERHUB_OAUTH_CALLBACK_URL": "/services/whoami/oauth_callback", "JUPYTERHUB_BASE_URL": "/", "JUPYTERHUB_SERVER_NAME": "",
		"JUPYTERHUB_OAUTH_ACCESS_SCOPES": `["access:services","access:services!service=whoami"]`,
	} {
		if got, ok := spec.Env[name]; !ok || got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if spec.URLVariable != "JUPYTERHUB_SERVICE_URL" || spec.URLPath != "" || spec.Service != "notebook-00" || spec.Labels["service"] != "whoami" {
		t.Errorf("the job is %+v", spec)
	}
	if err := spec.Validate(); err != nil {
		t.Error(err)
	}
	first := jobToken(t, fake, "whoami")
	if !speaks(t, b, first) {
		t.Error("the job cannot speak to the hub")
	}
	b.Eventually("its address is known", func() bool {
		s, err := b.Hub.Service(t.Context(), "whoami")
		return err == nil && s.URL == "http://whoami.test:9000"
	})

	shown := job("whoami")
	shown.Display = false
	setServices(t, b, shown, job("Other.One"))
	const other = "other-one-b06d595b"
	b.Eventually("the other one is routed", routed(b, "Other.One"))
	if _, ok := fake.Spec(other); ok == (fake.Starts("whoami") != 1) {
		t.Errorf("a job was started anew that is told nothing new: %d starts", fake.Starts("whoami"))
	}

	changed := shown
	changed.Environment = map[string]string{"COLOUR": "red"}
	setServices(t, b, changed, job("Other.One"))
	b.Eventually("it is told what is new", func() bool { s, ok := fake.Spec("whoami"); return ok && s.Env["COLOUR"] == "red" })
	second := jobToken(t, fake, "whoami")
	b.Eventually("only the token of the run that is there is good", func() bool { return speaks(t, b, second) && !speaks(t, b, first) })
	b.Eventually("it is routed again", routed(b, "whoami"))

	setServices(t, b)
	b.Eventually("all have ended", func() bool {
		list, err := fake.List(t.Context())
		return err == nil && len(list) == 0
	})
	b.Eventually("nothing is routed", func() bool {
		_, one := b.Router.Table().Lookup("/services/whoami/x")
		_, two := b.Router.Table().Lookup("/services/Other.One/x")
		return !one && !two
	})
	if speaks(t, b, second) {
		t.Error("a service that is gone speaks on")
	}
	setServices(t, b, job("whoami"))
	b.Eventually("it is back, though its route was withdrawn", routed(b, "whoami"))
}

// TestJobsOfServicesOutliveTheirHub: another hub finds what runs, and starts nothing twice; what was removed meanwhile it ends.
func TestJobsOfServicesOutliveTheirHub(t *testing.T) {
	t.Parallel()
	fake := serviceCluster()
	b := hubtest.New(t, on(fake))
	setServices(t, b, job("whoami"), job("gone"))
	b.Eventually("both are routed", func() bool { return routed(b, "whoami")() && routed(b, "gone")() })
	token := jobToken(t, fake, "whoami")
	b.Die()

	next := b.Replica(func(o *hub.Options) { on(fake)(o); o.URLs = b.Hub.URLs() })
	setServices(t, next, job("whoami"))
	next.Eventually("what was removed has ended", func() bool { _, runs := fake.Spec("gone"); return !runs })
	if fake.Starts("whoami") != 1 || !speaks(t, next, token) {
		t.Errorf("the job was started %d times, and its token is good: %v", fake.Starts("whoami"), speaks(t, next, token))
	}
	fake.Forget("whoami") // as an operator's purge does
	next.Eventually("it is started again", func() bool { return fake.Starts("whoami") == 2 })
	next.Eventually("with another token", func() bool { return speaks(t, next, jobToken(t, fake, "whoami")) && !speaks(t, next, token) })
}

// TestAJobThatCannotRunLeavesTheOneThatRuns: a mistake in the configuration takes nothing away that worked.
func TestAJobThatCannotRunLeavesTheOneThatRuns(t *testing.T) {
	t.Parallel()
	fake := serviceCluster()
	b := hubtest.New(t, on(fake))
	setServices(t, b, job("whoami"))
	b.Eventually("it is routed", routed(b, "whoami"))
	token := jobToken(t, fake, "whoami")

	fake.FailStart(&scheduler.RejectedError{Reason: "There is no such driver.", Err: errors.New("driver")})
	wrong := job("whoami")
	wrong.Job = &hub.ServiceJob{Workload: scheduler.Workload{Driver: "nothing", Command: "serve"}}
	setServices(t, b, wrong)
	b.Eventually("a run of the new one was begun", func() bool {
		tokens, err := b.Store.TokensOfService(t.Context(), "whoami")
		return err == nil && len(tokens) == 2
	})
	if !speaks(t, b, token) || fake.Starts("whoami") != 1 {
		t.Error("the service that runs lost its token, or its job")
	}
	fake.FailStart(nil)
	setServices(t, b, job("whoami"))
	b.Eventually("one run is left, and it is routed", func() bool {
		tokens, err := b.Store.TokensOfService(t.Context(), "whoami")
		return err == nil && len(tokens) == 1 && speaks(t, b, jobToken(t, fake, "whoami")) && routed(b, "whoami")()
	})
}

// TestWhatARunWasToldIsNotInTheDatabase: the environment may hold secrets.
func TestWhatARunWasToldIsNotInTheDatabase(t *testing.T) {
	t.Parallel()
	fake := serviceCluster()
	b := hubtest.New(t, on(fake))
	s := job("whoami")
	s.Environment, s.Token = map[string]string{"DB_PASSWORD": "hush-hush"}, "0123456789abcdef"
	setServices(t, b, s)
	b.Eventually("it runs", routed(b, "whoami"))
	if got := jobToken(t, fake, "whoami"); got != s.Token || !speaks(t, b, s.Token) {
		t.Error("the token of the configuration is not what the job has")
	}
	runs, err := b.Store.ServiceRuns(t.Context())
	if err != nil || len(runs) != 1 || strings.Contains(string(runs[0].Mark), "hush") || len(runs[0].Salt) < 16 || runs[0].Generation > time.Now().Unix() {
		t.Errorf("the run is %+v, %v", runs, err)
	}
	row, err := b.Store.Service(t.Context(), "whoami")
	if err != nil || row.Environment != nil || !row.Scheduled || !row.Serves {
		t.Errorf("the row is %+v, %v", row, err)
	}
}

// TestTwoWhoKeepTheSameJobs: while a lease changes hands two replicas may both think that they have it. What comes of that is one job, whose token is good.
func TestTwoWhoKeepTheSameJobs(t *testing.T) {
	t.Parallel()
	fake := serviceCluster()
	b := hubtest.New(t, on(fake))
	other := b.Replica(func(o *hub.Options) { on(fake.Reopen())(o); o.URLs = b.Hub.URLs() })
	for _, colour := range []string{"blue", "red", "green"} {
		s := job("whoami")
		s.Environment = map[string]string{"COLOUR": colour}
		setServices(t, b, s)
		setServices(t, other, s)
		b.Eventually("one run is left, of which both know", func() bool {
			spec, runs := fake.Spec("whoami")
			tokens, err := b.Store.TokensOfService(t.Context(), "whoami")
			return err == nil && runs && spec.Env["COLOUR"] == colour && len(tokens) == 1 && speaks(t, b, spec.Secrets["JUPYTERHUB_API_TOKEN"]) && speaks(t, other, spec.Secrets["JUPYTERHUB_API_TOKEN"])
		})
	}
	b.Eventually("it is routed", routed(b, "whoami"))
	other.Eventually("at both", routed(other, "whoami"))
}
