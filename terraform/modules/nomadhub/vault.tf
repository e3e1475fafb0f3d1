# Everything in Vault is in this file, for clusters on which others look after it.

resource "vault_policy" "hub" {
  name = var.name

  policy = join("", concat(
    [templatefile("${path.module}/policies/vault-hub.hcl", { vault_mount = var.vault_mount, vault_prefix = var.vault_prefix })],
    var.nomad_creds == "" ? [] : [templatefile("${path.module}/policies/vault-hub-nomad.hcl", { nomad_creds = var.nomad_creds })],
  ))
}

resource "vault_jwt_auth_backend_role" "hub" {
  backend   = var.vault_auth_mount
  role_name = var.name
  role_type = "jwt"

  bound_audiences = ["vault.io"]
  bound_claims = {
    nomad_namespace = nomad_namespace.hub.name
    nomad_job_id    = "nomadhub"
    nomad_task      = "hub"
  }

  user_claim              = "/nomad_job_id"
  user_claim_json_pointer = true
  claim_mappings = {
    nomad_namespace = "nomad_namespace"
    nomad_job_id    = "nomad_job_id"
    nomad_task      = "nomad_task"
  }

  # A periodic token: Nomad renews it for as long as the task runs.
  token_type     = "service"
  token_period   = 1800
  token_policies = [vault_policy.hub.name]
}

resource "vault_kv_secret_v2" "hub" {
  for_each = var.secret_names

  mount                = var.vault_mount
  name                 = "${var.vault_prefix}/${each.key}"
  data_json_wo         = jsonencode(var.secrets[each.key])
  data_json_wo_version = var.secrets_version
}
