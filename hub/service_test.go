package hub_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
)

// commands are runs of services, which the test ends.
type commands struct {
	mu   sync.Mutex
	runs []*command
}

type command struct {
	hub.ServiceProcess

	end  chan struct{} // closed by the test
	gone chan struct{} // closed when the run has ended
}

func (c *commands) RunService(ctx context.Context, p hub.ServiceProcess, started func(pid int)) error {
	run := &command{p, make(chan struct{}), make(chan struct{})}
	c.mu.Lock()
	c.runs = append(c.runs, run)
	pid := len(c.runs)
	c.mu.Unlock()
	defer close(run.gone)
	started(pid)
	select {
	case <-ctx.Done():
	case <-run.end:
	}
	return nil
}

func (c *commands) all() []*command {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.runs)
}

func (c *command) over() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

func setServices(t *testing.T, b *hubtest.Bench, all ...hub.ConfiguredService) {
	t.Helper()
	if err := b.Hub.SetServices(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

func speaks(t *testing.T, b *hubtest.Bench, token string) bool {
	t.Helper()
	p, err := b.Hub.TokenPrincipal(t.Context(), token)
	if err != nil && hub.KindOf(err) != hub.Forbidden {
		t.Fatal(err)
	}
	return err == nil && p.Service != nil
}

// TestCommandsOfServicesFollowTheConfiguration starts what is there, leaves alone what is told the same, and gives each run a token of its own.
func TestCommandsOfServicesFollowTheConfiguration(t *testing.T) {
	t.Parallel()
	c := &commands{}
	b := hubtest.New(t, func(o *hub.Options) { o.ServiceRunner = c })
	culler := hub.ConfiguredService{Service: hub.Service{Name: "culler", Command: []string{"cull"}}}
	setServices(t, b, culler)
	b.Eventually("the command runs", func() bool { return len(c.all()) == 1 && b.Hub.ServiceState("culler").PID == 1 })
	first := c.all()[0]
	token := first.Environment["JUPYTERHUB_API_TOKEN"]
	if !speaks(t, b, token) {
		t.Error("the command cannot speak to the hub")
	}

	shown := culler
	shown.Display, shown.Info = true, map[string]any{"about": "it"}
	setServices(t, b, shown, hub.ConfiguredService{Service: hub.Service{Name: "other", Command: []string{"x"}}, Token: "0123456789abcdef"})
	b.Eventually("the other one runs", func() bool { return len(c.all()) == 2 })
	if first.over() {
		t.Error("a command was ended that is told nothing new")
	}
	if other := c.all()[1]; other.Environment["JUPYTERHUB_API_TOKEN"] != "0123456789abcdef" {
		t.Error("the token of the configuration is not what the command has")
	}

	close(first.end)
	b.Eventually("it is started again", func() bool { return len(c.all()) == 3 })
	again := c.all()[2].Environment["JUPYTERHUB_API_TOKEN"]
	if again == token || speaks(t, b, token) || !speaks(t, b, again) {
		t.Error("the token of a run that has ended is as good as before")
	}

	setServices(t, b)
	b.Eventually("all have ended", func() bool { return c.all()[1].over() && c.all()[2].over() })
	if speaks(t, b, again) || speaks(t, b, "0123456789abcdef") {
		t.Error("a service that is gone speaks on")
	}
	if state := b.Hub.ServiceState("culler"); state != (hub.ServiceState{}) {
		t.Errorf("its state is %+v", state)
	}
}

// TestServicesOfReplicasWithDifferentConfigurations: a replica that still has an older one may take a service away, and the one that has it puts it back.
func TestServicesOfReplicasWithDifferentConfigurations(t *testing.T) {
	t.Parallel()
	b := hubtest.New(t)
	old := b.Replica()
	grader := hub.ConfiguredService{Service: hub.Service{Name: "grader", URL: "http://127.0.0.1:1"}, Token: "0123456789abcdef"}
	setServices(t, b, grader)
	if !speaks(t, old, "0123456789abcdef") {
		t.Error("a replica that has not read the new configuration does not know the token")
	}
	old.Eventually("it routes the service by its row", func() bool { _, ok := old.Router.Table().Lookup("/services/grader/x"); return ok })
	if err := old.Store.DeleteService(t.Context(), "grader"); err != nil { // as one does that starts with the older configuration
		t.Fatal(err)
	}
	b.Eventually("the service is back", func() bool {
		rows, err := b.Store.TokensOfService(t.Context(), "grader") // and not what either remembers
		if err != nil {
			t.Fatal(err)
		}
		return len(rows) == 1
	})
	if !speaks(t, b, "0123456789abcdef") || !speaks(t, old, "0123456789abcdef") {
		t.Error("it came back without its token")
	}
}

// TestConfiguredServicesWinOverThoseOfTheAPI, and nobody who made one of that name speaks for it.
func TestConfiguredServicesWinOverThoseOfTheAPI(t *testing.T) {
	t.Parallel()
	b := hubtest.New(t)
	root := hub.Principal{User: b.User("root", true)}
	if _, err := b.Hub.CreateService(t.Context(), root, hub.NewService{Service: hub.Service{Name: "grader"}, Token: "made-by-somebody"}); err != nil {
		t.Fatal(err)
	}
	if !speaks(t, b, "made-by-somebody") {
		t.Fatal("it does not speak")
	}
	setServices(t, b, hub.ConfiguredService{Service: hub.Service{Name: "grader", Admin: true}, Token: "of-the-configuration"})
	if speaks(t, b, "made-by-somebody") || !speaks(t, b, "of-the-configuration") {
		t.Error("the token of before speaks for the service of the configuration")
	}
	setServices(t, b)
	if _, err := b.Hub.Service(t.Context(), "grader"); hub.KindOf(err) != hub.NotFound {
		t.Errorf("it is removed, and %v", err)
	}
}

// TestTokensAndClientsOfServicesAreNotShared refuses configurations in which one service would speak for another.
func TestTokensAndClientsOfServicesAreNotShared(t *testing.T) {
	t.Parallel()
	b := hubtest.New(t)
	service := func(name, client, token string) hub.ConfiguredService {
		return hub.ConfiguredService{Service: hub.Service{Name: name, ClientID: client}, Token: token}
	}
	for name, all := range map[string][]hub.ConfiguredService{
		"a token":  {service("a", "", "0123456789abcdef"), service("b", "", "0123456789abcdef")},
		"a client": {service("a", "service-x", ""), service("b", "service-x", "")},
		"a user's": {service("a", "", b.Token(b.User("alice", false)))},
	} {
		if err := b.Hub.SetServices(t.Context(), all); hub.KindOf(err) != hub.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	setServices(t, b, service("a", "service-x", ""), service("b", "service-y", ""))
	setServices(t, b, service("a", "service-y", ""), service("b", "service-x", "")) // they may swap
}
