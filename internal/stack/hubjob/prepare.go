// Package hubjob runs the hub on a real stack the way an operator does: it makes the namespaces, policies and roles that the
// hub's job needs, from the same policy texts as terraform/modules/nomadhub, writes the hub's secrets into Vault, and
// submits jobspecs/hub.nomad.hcl. It is what "make cluster" and the end-to-end tests share.
package hubjob

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	vault "github.com/hashicorp/vault/api"

	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/secret"
)

// Names on the cluster. They are the defaults of the jobspec and of the Terraform module.
const (
	JobID             = "nomadhub"
	Namespace         = "nomadhub"  // of the hub
	NotebookNamespace = "notebooks" // of users' servers
	taskName          = "hub"
	vaultPrefix       = "nomadhub"

	// NomadCreds is where Vault gives the hub a token for Nomad.
	NomadCreds = "nomad/creds/" + JobID
)

// Prepare makes what the hub's job needs. It may be called again. secrets are more secrets for the hub, by name, such as
// the client secrets of authenticators; the key ring is made only where there is none, and the database's address where the
// stack has a Postgres.
func Prepare(ctx context.Context, s *stack.Stack, secrets map[string]map[string]any) error {
	policies, err := readPolicies()
	if err != nil {
		return err
	}
	return errors.Join(
		prepareNomad(ctx, s.Nomad, policies["nomad"]),
		prepareConsul(ctx, s.Consul, policies["consul"]),
		prepareVault(ctx, s.Vault, policies["vault"]+policies["vault-nomad"]),
		prepareNomadCreds(ctx, s),
		writeSecrets(ctx, s, secrets),
	)
}

// readPolicies returns the policy texts for "nomad", "consul" and "vault", filled in as the Terraform module fills them in.
func readPolicies() (map[string]string, error) {
	root, err := stack.Root()
	if err != nil {
		return nil, err
	}
	fill := strings.NewReplacer(
		"${notebook_namespace}", NotebookNamespace, "${job_prefix}", "notebook-",
		"${consul_prefix}", "nomadhub", "${service_prefix}", "notebook",
		"${vault_mount}", "secret", "${vault_prefix}", vaultPrefix, "${nomad_creds}", NomadCreds,
	)
	policies := map[string]string{}
	for name, file := range map[string]string{"nomad": "nomad-hub", "consul": "consul-hub", "vault": "vault-hub", "vault-nomad": "vault-hub-nomad"} {
		text, err := os.ReadFile(filepath.Join(root, "terraform", "modules", "nomadhub", "policies", file+".hcl"))
		if err != nil {
			return nil, err
		}
		policies[name] = fill.Replace(string(text))
		if strings.Contains(policies[name], "${") {
			return nil, fmt.Errorf("the policy %s.hcl has a variable that this program does not know", file)
		}
	}
	return policies, nil
}

func prepareNomad(ctx context.Context, n *stack.Nomad, rules string) error {
	w := (&nomad.WriteOptions{}).WithContext(ctx)
	for name, description := range map[string]string{Namespace: "The hub itself", NotebookNamespace: "Users' notebook servers"} {
		if _, err := n.Client.Namespaces().Register(&nomad.Namespace{Name: name, Description: description}, w); err != nil {
			return fmt.Errorf("nomad namespace %s: %w", name, err)
		}
	}
	policy := &nomad.ACLPolicy{
		Name: JobID, Description: "The hub, by its workload identity", Rules: rules,
		JobACL: &nomad.JobACL{Namespace: Namespace, JobID: JobID, Group: "hub", Task: taskName},
	}
	if _, err := n.Client.ACLPolicies().Upsert(policy, w); err != nil {
		return fmt.Errorf("nomad policy %s: %w", policy.Name, err)
	}
	return nil
}

func prepareConsul(ctx context.Context, c *stack.Consul, rules string) error {
	w := (&consul.WriteOptions{}).WithContext(ctx)
	q := (&consul.QueryOptions{}).WithContext(ctx)
	acl := c.Client.ACL()
	if existing, _, err := acl.RoleReadByName(JobID, q); err != nil || existing != nil {
		return err
	}
	if _, _, err := acl.PolicyCreate(&consul.ACLPolicy{Name: JobID, Description: "The hub", Rules: rules}, w); err != nil {
		return fmt.Errorf("consul policy %s: %w", JobID, err)
	}
	role := &consul.ACLRole{Name: JobID, Description: "The hub, by its workload identity", Policies: []*consul.ACLLink{{Name: JobID}}}
	if _, _, err := acl.RoleCreate(role, w); err != nil {
		return fmt.Errorf("consul role %s: %w", JobID, err)
	}
	rule := &consul.ACLBindingRule{
		Description: "The hub's task", AuthMethod: stack.NomadAuthMethod, BindType: consul.BindingRuleBindTypeRole, BindName: JobID,
		Selector: fmt.Sprintf(`"nomad_service" not in value and value.nomad_namespace == %q and value.nomad_job_id == %q and value.nomad_task == %q`,
			Namespace, JobID, taskName),
	}
	if _, _, err := acl.BindingRuleCreate(rule, w); err != nil {
		return fmt.Errorf("consul binding rule of %s: %w", JobID, err)
	}
	return nil
}

func prepareVault(ctx context.Context, v *stack.Vault, rules string) error {
	if err := v.Client.Sys().PutPolicyWithContext(ctx, JobID, rules); err != nil {
		return fmt.Errorf("vault policy %s: %w", JobID, err)
	}
	return v.WorkloadRole(ctx, JobID, []string{JobID}, map[string]string{
		"nomad_namespace": Namespace, "nomad_job_id": JobID, "nomad_task": taskName,
	})
}

// prepareNomadCreds has Vault give out Nomad tokens with the hub's policy.
func prepareNomadCreds(ctx context.Context, s *stack.Stack) error {
	mounts, err := s.Vault.Client.Sys().ListMountsWithContext(ctx)
	if err != nil {
		return fmt.Errorf("vault mounts: %w", err)
	}
	if mounts["nomad/"] == nil {
		if err := s.Vault.Client.Sys().MountWithContext(ctx, "nomad", &vault.MountInput{Type: "nomad"}); err != nil {
			return fmt.Errorf("vault engine for Nomad: %w", err)
		}
	}
	for path, data := range map[string]map[string]any{
		"nomad/config/access": {"address": s.Nomad.Address, "token": s.Nomad.Token},
		"nomad/config/lease":  {"ttl": "1h", "max_ttl": "768h"},
		"nomad/role/" + JobID: {"policies": []string{JobID}, "type": "client"},
	} {
		if _, err := s.Vault.Client.Logical().WriteWithContext(ctx, path, data); err != nil {
			return fmt.Errorf("vault %s: %w", path, err)
		}
	}
	return nil
}

func writeSecrets(ctx context.Context, s *stack.Stack, secrets map[string]map[string]any) error {
	if _, err := s.Vault.Client.KVv2(s.Vault.Mount).Get(ctx, vaultPrefix+"/keys"); err != nil {
		id, key := secret.NewKey(time.Now())
		if err := WriteSecret(ctx, s, "keys", map[string]any{id: key.Reveal()}); err != nil {
			return err
		}
	}
	if s.Postgres != nil {
		if err := WriteSecret(ctx, s, "postgres", map[string]any{"dsn": s.Postgres.DSN}); err != nil {
			return err
		}
	}
	for name, values := range secrets {
		if err := WriteSecret(ctx, s, name, values); err != nil {
			return err
		}
	}
	return nil
}

// WriteSecret puts a new version of one of the hub's secrets into Vault.
func WriteSecret(ctx context.Context, s *stack.Stack, name string, values map[string]any) error {
	if err := s.Vault.Write(ctx, vaultPrefix+"/"+name, values); err != nil {
		return fmt.Errorf("vault secret %s: %w", name, err)
	}
	return nil
}
