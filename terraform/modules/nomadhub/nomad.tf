resource "nomad_namespace" "hub" {
  name        = var.namespace
  description = "The hub itself"
}

resource "nomad_namespace" "notebooks" {
  name        = var.notebook_namespace
  description = "Users' notebook servers"
}

resource "nomad_namespace" "further" {
  for_each = var.further_notebook_namespaces

  name        = each.key
  description = "Users' notebook servers, by their profiles"
}

# The hub's token is its workload identity: the policy is bound to the task of this job and handed to nobody.
resource "nomad_acl_policy" "hub" {
  name        = var.name
  description = "The hub, by its workload identity"

  rules_hcl = join("\n", concat(
    [templatefile("${path.module}/policies/nomad-hub.hcl", {
      notebook_namespace = nomad_namespace.notebooks.name
      job_prefix         = "notebook-"
    })],
    [for further in nomad_namespace.further : templatefile("${path.module}/policies/nomad-hub-namespace.hcl", {
      further_namespace = further.name
      job_prefix        = "notebook-"
    })],
  ))

  job_acl {
    namespace = nomad_namespace.hub.name
    job_id    = "nomadhub"
    group     = "hub"
    task      = "hub"
  }
}

resource "nomad_job" "hub" {
  jobspec          = file(coalesce(var.jobspec, "${path.module}/../../../jobspecs/hub.nomad.hcl"))
  purge_on_destroy = true
  detach           = false

  hcl2 {
    vars = merge(var.job_variables, {
      namespace                   = nomad_namespace.hub.name
      notebook_namespace          = nomad_namespace.notebooks.name
      further_notebook_namespaces = jsonencode([for further in nomad_namespace.further : further.name])
      hubs                        = tostring(var.hubs)
      binary                      = var.binary
      user                        = var.user
      public_url                  = var.public_url
      notebook_variables          = jsonencode(var.notebook_variables)
      config                      = var.config
      consul_address              = var.consul_address
      consul_prefix               = var.consul_prefix
      vault_address               = var.vault_address
      vault_mount                 = var.vault_mount
      vault_prefix                = var.vault_prefix
      nomad_creds                 = var.nomad_creds
      vault_role                  = vault_jwt_auth_backend_role.hub.role_name
    })
  }

  # The job would start without its rights and fail.
  depends_on = [
    nomad_acl_policy.hub,
    consul_acl_binding_rule.hub,
    vault_policy.hub,
    vault_kv_secret_v2.hub,
  ]
}
