package stack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/google/uuid"
	consul "github.com/hashicorp/consul/api"
)

// Consul is one Consul server with ACLs on and everything denied by default.
type Consul struct {
	*Process
	Address string // URL
	Token   string // the management token
	Client  *consul.Client

	nomadToken string // what the Nomad agent uses
	port       int
}

func newConsul(o Options, path string, ports []int) (*Consul, error) {
	c := &Consul{Address: "http://" + hostPort(ports[0]), Token: uuid.NewString(), port: ports[0]}
	conf := map[string]any{
		"server": true, "bootstrap_expect": 1, "node_name": "loopback", "datacenter": "dc1",
		"bind_addr": loopback, "client_addr": loopback, "data_dir": filepath.Join(o.Dir, "consul"),
		"ports": map[string]any{
			"http": ports[0], "server": ports[1], "serf_lan": ports[2],
			"serf_wan": -1, "dns": -1, "grpc": -1, "grpc_tls": -1, "https": -1,
		},
		"acl": map[string]any{
			"enabled": true, "default_policy": "deny", "enable_token_persistence": true,
			"tokens": map[string]any{"initial_management": c.Token},
		},
		"performance":          map[string]any{"raft_multiplier": 1},
		"disable_update_check": true,
	}
	file, err := writeJSON(o.Dir, "consul.json", conf)
	if err != nil {
		return nil, err
	}
	c.Client, err = consul.NewClient(&consul.Config{Address: c.Address, Token: c.Token})
	if err != nil {
		return nil, fmt.Errorf("consul client: %w", err)
	}
	c.Process = o.process("consul", path, "agent", "-config-file="+file)
	c.ready = c.answers
	return c, nil
}

// answers is nil when Consul has a leader and can be written to.
func (c *Consul) answers(ctx context.Context) error {
	leader, err := c.Client.Status().LeaderWithQueryOptions((&consul.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return err
	}
	if leader == "" {
		return errors.New("no leader yet")
	}
	_, _, err = c.Client.ACL().TokenReadSelf((&consul.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	return err
}

// setup makes the agent's own token and the one for Nomad.
func (c *Consul) setup(ctx context.Context) error {
	w := (&consul.WriteOptions{}).WithContext(ctx)
	agent, err := c.token(w, "consul-agent", `node_prefix "" { policy = "write" } service_prefix "" { policy = "read" }`)
	if err != nil {
		return err
	}
	if _, err := c.Client.Agent().UpdateAgentACLToken(agent, w); err != nil {
		return fmt.Errorf("hand Consul its agent token: %w", err)
	}
	c.nomadToken, err = c.token(w, "nomad-agent", `agent_prefix "" { policy = "read" } node_prefix "" { policy = "write" } service_prefix "" { policy = "write" }`)
	return err
}

func (c *Consul) token(w *consul.WriteOptions, name, rules string) (string, error) {
	if _, _, err := c.Client.ACL().PolicyCreate(&consul.ACLPolicy{Name: name, Rules: rules}, w); err != nil {
		return "", fmt.Errorf("consul policy %s: %w", name, err)
	}
	t, _, err := c.Client.ACL().TokenCreate(&consul.ACLToken{Description: name, Policies: []*consul.ACLLink{{Name: name}}}, w)
	if err != nil {
		return "", fmt.Errorf("consul token %s: %w", name, err)
	}
	return t.SecretID, nil
}

// NomadAuthMethod is the name under which Nomad logs its workloads in to Consul; it is Nomad's default.
const NomadAuthMethod = "nomad-workloads"

// trustNomad lets Nomad's workloads log in by their identity, as "nomad setup consul" does: a service may register under its
// own name, and a task gets the role nomad-tasks-NAMESPACE if there is one.
func (c *Consul) trustNomad(ctx context.Context, jwks string) error {
	w := (&consul.WriteOptions{}).WithContext(ctx)
	_, _, err := c.Client.ACL().AuthMethodCreate(&consul.ACLAuthMethod{
		Name: NomadAuthMethod, Type: "jwt", TokenLocality: "local",
		Description: "Login of Nomad's workloads by their identity",
		Config: map[string]any{
			"JWKSURL": jwks, "JWTSupportedAlgs": []string{"RS256"}, "BoundAudiences": []string{"consul.io"},
			"ClaimMappings": map[string]string{
				"nomad_namespace": "nomad_namespace", "nomad_job_id": "nomad_job_id",
				"nomad_task": "nomad_task", "nomad_service": "nomad_service",
			},
		},
	}, w)
	if err != nil {
		return fmt.Errorf("consul auth method for Nomad: %w", err)
	}
	for _, rule := range []*consul.ACLBindingRule{
		{BindType: consul.BindingRuleBindTypeService, BindName: "${value.nomad_service}", Selector: `"nomad_service" in value`},
		{BindType: consul.BindingRuleBindTypeRole, BindName: "nomad-tasks-${value.nomad_namespace}", Selector: `"nomad_service" not in value`},
	} {
		rule.AuthMethod = NomadAuthMethod
		if _, _, err := c.Client.ACL().BindingRuleCreate(rule, w); err != nil {
			return fmt.Errorf("consul binding rule for Nomad: %w", err)
		}
	}
	return nil
}

// NewToken makes a token with the given rules and a policy of the given name for it, and returns its secret.
func (c *Consul) NewToken(ctx context.Context, name, rules string) (token string, err error) {
	return c.token((&consul.WriteOptions{}).WithContext(ctx), name, rules)
}
