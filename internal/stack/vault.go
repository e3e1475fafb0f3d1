package stack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	vault "github.com/hashicorp/vault/api"
)

// Names of Vault's side of Nomad's workload identity.
const (
	vaultMount       = "jwt-nomad"
	vaultDefaultRole = "nomad-workloads"
)

// Vault is one Vault server on file storage. It seals itself when it restarts, as every Vault does; Start unseals it.
type Vault struct {
	*Process
	Address string // URL
	Token   string // the root token
	Mount   string // the key/value version 2 engine: "secret"
	Client  *vault.Client

	unsealKey string
}

func newVault(o Options, path string, ports []int) (*Vault, error) {
	v := &Vault{Address: "http://" + hostPort(ports[0]), Mount: "secret"}
	conf := map[string]any{
		"storage":       map[string]any{"file": map[string]any{"path": filepath.Join(o.Dir, "vault")}},
		"listener":      map[string]any{"tcp": map[string]any{"address": hostPort(ports[0]), "cluster_address": hostPort(ports[1]), "tls_disable": true}},
		"api_addr":      v.Address,
		"cluster_addr":  "https://" + hostPort(ports[1]),
		"disable_mlock": true,
	}
	file, err := writeJSON(o.Dir, "vault.json", conf)
	if err != nil {
		return nil, err
	}
	vc := vault.DefaultConfig()
	vc.Address, vc.MaxRetries = v.Address, 0
	if v.Client, err = vault.NewClient(vc); err != nil {
		return nil, fmt.Errorf("vault client: %w", err)
	}
	v.Client.ClearNamespace()
	v.Process = o.process("vault", path, "server", "-config="+file)
	v.ready = v.answers
	return v, nil
}

// answers is nil when Vault is initialized, unsealed and active; it does the first two itself.
func (v *Vault) answers(ctx context.Context) error {
	health, err := v.Client.Sys().HealthWithContext(ctx)
	if err != nil {
		return err
	}
	switch {
	case !health.Initialized:
		return v.initialize(ctx)
	case health.Sealed:
		return v.Unseal(ctx)
	case health.Standby:
		return errors.New("not active yet")
	}
	return nil
}

func (v *Vault) initialize(ctx context.Context) error {
	made, err := v.Client.Sys().InitWithContext(ctx, &vault.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return fmt.Errorf("initialize: %w", err)
	}
	v.unsealKey, v.Token = made.KeysB64[0], made.RootToken
	v.Client.SetToken(v.Token)
	return v.Unseal(ctx)
}

// Seal makes Vault refuse everything until it is unsealed.
func (v *Vault) Seal(ctx context.Context) error { return v.Client.Sys().SealWithContext(ctx) }

// Unseal opens a sealed Vault and returns when it is active.
func (v *Vault) Unseal(ctx context.Context) error {
	status, err := v.Client.Sys().UnsealWithContext(ctx, v.unsealKey)
	if err != nil {
		return fmt.Errorf("unseal: %w", err)
	}
	if status.Sealed {
		return errors.New("still sealed")
	}
	health, err := v.Client.Sys().HealthWithContext(ctx)
	if err != nil {
		return err
	}
	if health.Standby {
		return errors.New("unsealed, not active yet")
	}
	return nil
}

// setup makes the key/value engine.
func (v *Vault) setup(ctx context.Context) error {
	err := v.Client.Sys().MountWithContext(ctx, v.Mount, &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}})
	if err != nil {
		return fmt.Errorf("vault key/value engine: %w", err)
	}
	// The engine upgrades itself to version 2 in the background and refuses writes meanwhile.
	return poll(ctx, pollEvery, func(ctx context.Context) error {
		return v.Write(ctx, "stack/probe", map[string]any{"ok": "yes"})
	})
}

// Write puts a new version of a secret at a path below the key/value engine.
func (v *Vault) Write(ctx context.Context, path string, values map[string]any) error {
	_, err := v.Client.KVv2(v.Mount).Put(ctx, path, values)
	return err
}

// trustNomad lets Nomad's workloads log in by their identity, as "nomad setup vault" does: without a role of its own, a job may
// read what lies below its namespace and ID.
func (v *Vault) trustNomad(ctx context.Context, jwks string) error {
	logical := v.Client.Logical()
	if err := v.Client.Sys().EnableAuthWithOptionsWithContext(ctx, vaultMount, &vault.EnableAuthOptions{Type: "jwt"}); err != nil {
		return fmt.Errorf("vault auth method for Nomad: %w", err)
	}
	_, err := logical.WriteWithContext(ctx, "auth/"+vaultMount+"/config", map[string]any{
		"jwks_url": jwks, "jwt_supported_algs": []string{"RS256", "EdDSA"}, "default_role": vaultDefaultRole,
	})
	if err != nil {
		return fmt.Errorf("vault auth method for Nomad: %w", err)
	}
	auths, err := v.Client.Sys().ListAuthWithContext(ctx)
	if err != nil {
		return fmt.Errorf("vault auth methods: %w", err)
	}
	metadata := "{{identity.entity.aliases." + auths[vaultMount+"/"].Accessor + ".metadata."
	own := metadata + "nomad_namespace}}/" + metadata + "nomad_job_id}}"
	policy := fmt.Sprintf("path \"%[1]s/data/%[2]s/*\" { capabilities = [\"read\"] }\npath \"%[1]s/data/%[2]s\" { capabilities = [\"read\"] }\n", v.Mount, own)
	if err := v.Client.Sys().PutPolicyWithContext(ctx, vaultDefaultRole, policy); err != nil {
		return fmt.Errorf("vault policy for Nomad: %w", err)
	}
	return v.WorkloadRole(ctx, vaultDefaultRole, []string{vaultDefaultRole}, nil)
}

// WorkloadRole lets workloads of Nomad whose claims match log in with the policies.
func (v *Vault) WorkloadRole(ctx context.Context, name string, policies []string, claims map[string]string) error {
	role := map[string]any{
		"role_type": "jwt", "bound_audiences": []string{"vault.io"},
		"user_claim": "/nomad_job_id", "user_claim_json_pointer": true,
		"claim_mappings": map[string]string{"nomad_namespace": "nomad_namespace", "nomad_job_id": "nomad_job_id", "nomad_task": "nomad_task"},
		"token_type":     "service", "token_policies": policies, "token_period": "30m", "token_explicit_max_ttl": 0,
	}
	if claims != nil {
		role["bound_claims"] = claims
	}
	if _, err := v.Client.Logical().WriteWithContext(ctx, "auth/"+vaultMount+"/role/"+name, role); err != nil {
		return fmt.Errorf("vault role %s: %w", name, err)
	}
	return nil
}
