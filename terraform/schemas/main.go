// Command schemas stands in for Terraform's providers of Nomad, Consul and Vault where the real ones cannot be had: it tells
// Terraform the arguments that the modules here use, so that "terraform validate" finds wrong references, types and blocks,
// and missing or unknown arguments. It can create nothing. Its name says whose place it takes: terraform-provider-nomad and so on.
package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/hashicorp/terraform-plugin-sdk/v2/plugin"
)

func main() {
	name := strings.TrimPrefix(filepath.Base(os.Args[0]), "terraform-provider-")
	plugin.Serve(&plugin.ServeOpts{ProviderFunc: func() *schema.Provider {
		return map[string]func() *schema.Provider{"nomad": nomad, "consul": consul, "vault": vault}[name]()
	}})
}

func nomad() *schema.Provider {
	return provider(nil, resources{
		"nomad_namespace": {
			"name": required(schema.TypeString), "description": optional(schema.TypeString),
		},
		"nomad_acl_policy": {
			"name": required(schema.TypeString), "description": optional(schema.TypeString), "rules_hcl": required(schema.TypeString),
			"job_acl": block(arguments{
				"namespace": optional(schema.TypeString), "job_id": required(schema.TypeString),
				"group": optional(schema.TypeString), "task": optional(schema.TypeString),
			}),
		},
		"nomad_job": {
			"jobspec": required(schema.TypeString), "purge_on_destroy": optional(schema.TypeBool), "detach": optional(schema.TypeBool),
			"hcl2": block(arguments{"vars": texts(schema.TypeMap)}),
		},
	})
}

func consul() *schema.Provider {
	return provider(nil, resources{
		"consul_acl_policy": {
			"name": required(schema.TypeString), "description": optional(schema.TypeString), "rules": required(schema.TypeString),
		},
		"consul_acl_role": {
			"name": required(schema.TypeString), "description": optional(schema.TypeString), "policies": texts(schema.TypeSet),
		},
		"consul_acl_binding_rule": {
			"auth_method": required(schema.TypeString), "description": optional(schema.TypeString), "selector": optional(schema.TypeString),
			"bind_type": required(schema.TypeString), "bind_name": required(schema.TypeString),
		},
	})
}

func vault() *schema.Provider {
	secret := optional(schema.TypeString)
	secret.WriteOnly = true
	return provider(arguments{"skip_child_token": optional(schema.TypeBool)}, resources{
		"vault_policy": {
			"name": required(schema.TypeString), "policy": required(schema.TypeString),
		},
		"vault_jwt_auth_backend_role": {
			"backend": optional(schema.TypeString), "role_name": required(schema.TypeString), "role_type": optional(schema.TypeString),
			"bound_audiences": texts(schema.TypeSet), "bound_claims": texts(schema.TypeMap), "claim_mappings": texts(schema.TypeMap),
			"user_claim": required(schema.TypeString), "user_claim_json_pointer": optional(schema.TypeBool),
			"token_type": optional(schema.TypeString), "token_period": optional(schema.TypeInt), "token_policies": texts(schema.TypeSet),
		},
		"vault_kv_secret_v2": {
			"mount": required(schema.TypeString), "name": required(schema.TypeString),
			"data_json_wo": secret, "data_json_wo_version": optional(schema.TypeInt),
		},
	})
}

type (
	arguments = map[string]*schema.Schema
	resources = map[string]arguments
)

func provider(own arguments, all resources) *schema.Provider {
	p := &schema.Provider{Schema: own, ResourcesMap: map[string]*schema.Resource{}}
	for name, args := range all {
		p.ResourcesMap[name] = &schema.Resource{Schema: args}
	}
	return p
}

func required(t schema.ValueType) *schema.Schema { return &schema.Schema{Type: t, Required: true} }

func optional(t schema.ValueType) *schema.Schema { return &schema.Schema{Type: t, Optional: true} }

// texts is a collection of strings.
func texts(t schema.ValueType) *schema.Schema {
	return &schema.Schema{Type: t, Optional: true, Elem: &schema.Schema{Type: schema.TypeString}}
}

func block(args arguments) *schema.Schema {
	return &schema.Schema{Type: schema.TypeList, Optional: true, MaxItems: 1, Elem: &schema.Resource{Schema: args}}
}
