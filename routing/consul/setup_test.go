package consul

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/internal/freeport"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/routingtest"
)

// signer signs with one key.
type signer string

func (s signer) Sign(purpose string, message []byte) string {
	mac := hmac.New(sha256.New, []byte(s))
	_, _ = fmt.Fprintf(mac, "%d %s", len(purpose), purpose)
	_, _ = mac.Write(message)
	return hex.EncodeToString(mac.Sum(nil))
}

func (s signer) Verify(purpose string, message []byte, code string) bool {
	return hmac.Equal([]byte(s.Sign(purpose, message)), []byte(code))
}

const hubKey = signer("the hub's key")

// agent is a real Consul.
type agent struct {
	address string
	client  *api.Client
	stop    func() // kills it and waits; may be called more than once
}

type ports struct{ http, grpc, serfLAN, serfWAN, server int }

func freePorts(t *testing.T) ports {
	t.Helper()
	p, err := freeport.Find(5)
	if err != nil {
		t.Fatal(err)
	}
	return ports{http: p[0], grpc: p[1], serfLAN: p[2], serfWAN: p[3], server: p[4]}
}

// startAgent starts a Consul that keeps everything in memory.
func startAgent(t *testing.T, p ports, settings string) *agent {
	t.Helper()
	flags := []string{
		"agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-node=test", "-log-level=error", "-dns-port=-1", "-grpc-tls-port=-1",
		"-http-port=" + strconv.Itoa(p.http), "-grpc-port=" + strconv.Itoa(p.grpc), "-server-port=" + strconv.Itoa(p.server),
		"-serf-lan-port=" + strconv.Itoa(p.serfLAN), "-serf-wan-port=" + strconv.Itoa(p.serfWAN), "-hcl=" + settings,
	}
	cmd := exec.Command(stack.Program(t, "consul"), flags...) // ended below, after the test's context
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	a := &agent{address: "127.0.0.1:" + strconv.Itoa(p.http), stop: func() { _ = cmd.Process.Kill(); <-ended }}
	t.Cleanup(a.stop)
	var err error
	if a.client, err = api.NewClient(&api.Config{Address: a.address}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(60 * time.Second); ; {
		if leader, err := a.client.Status().Leader(); err == nil && leader != "" {
			if _, _, err := a.client.KV().List("any", nil); err == nil {
				return a
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ended:
			t.Fatalf("consul has ended: %s", output)
		case <-deadline:
			a.stop()
			t.Fatalf("consul has no leader after a minute: %s", output)
		}
	}
}

// manyReaders lets a test run more registries than one address may have by default.
const manyReaders = `limits { http_max_conns_per_client = 4000 }`

// register is what Nomad does, with the registration in the state of a check that has not passed yet.
func register(t *testing.T, client *api.Client, service string, b routing.Binding, change ...func(*api.AgentServiceRegistration)) {
	t.Helper()
	r := registrationOf(service, b)
	for _, f := range change {
		f(r)
	}
	if err := client.Agent().ServiceRegister(r); err != nil {
		t.Fatal(err)
	}
}

func registrationOf(service string, b routing.Binding) *api.AgentServiceRegistration {
	host, port, err := net.SplitHostPort(b.Address)
	number, err2 := strconv.Atoi(port)
	if err := errors.Join(err, err2); err != nil {
		panic(err)
	}
	return &api.AgentServiceRegistration{
		ID: "_nomad-task-" + service + b.Server + b.Instance, Name: ServiceName(service, b.Server), Address: host, Port: number,
		Meta:  map[string]string{MetaServer: b.Server, MetaGeneration: strconv.FormatInt(b.Generation, 10), MetaAllocation: b.Instance},
		Check: &api.AgentServiceCheck{TTL: "1h", Status: api.HealthCritical},
	}
}

// space is a place of its own in a Consul that tests share.
type space struct{ prefix, service string }

func newSpace(t *testing.T) space {
	name := strings.ToLower(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, t.Name()))
	return space{prefix: name, service: "nb-" + shortHash(name)}
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}

func (s space) options(t *testing.T, address string) Options {
	return Options{
		Config: &api.Config{Address: address}, Signer: hubKey, Prefix: s.prefix, Service: s.service, Wait: 20 * time.Second,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

func newRegistry(t *testing.T, o Options) *Registry {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// follow runs a router on a registry.
func follow(t *testing.T, o Options) (*Registry, *routing.Router) {
	t.Helper()
	r := newRegistry(t, o)
	return r, routingtest.Follow(t, r)
}

// countOf reads the counter of ignored registrations.
func countOf(t *testing.T, reg *prometheus.Registry, why reason) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "nomadhub_routing_ignored_registrations_total" && m.GetLabel()[0].GetValue() == string(why) {
				return m.GetCounter().GetValue()
			}
		}
	}
	return -1
}

func eventually(t *testing.T, sentence string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(60 * time.Second); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("this never became true: " + sentence)
		}
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func publish(ctx context.Context, t *testing.T, p routing.Publisher, b routing.Binding) {
	t.Helper()
	if err := p.Publish(ctx, b); err != nil {
		t.Fatal(err)
	}
}

func awaitRoute(t *testing.T, r *routing.Router, b routing.Binding) {
	t.Helper()
	routingtest.AwaitTable(t, r, "the route to "+b.Server, func(t *routing.Table) bool {
		route, ok := t.Server(b.Server)
		return ok && route == b.Route()
	})
}
