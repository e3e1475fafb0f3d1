output "namespace" {
  description = "Nomad namespace of the hub."
  value       = nomad_namespace.hub.name
}

output "notebook_namespace" {
  description = "Nomad namespace of users' notebook servers."
  value       = nomad_namespace.notebooks.name
}

output "job_id" {
  description = "ID of the hub's Nomad job."
  value       = nomad_job.hub.id
}

output "vault_role" {
  description = "Vault role that the hub logs in to."
  value       = vault_jwt_auth_backend_role.hub.role_name
}

output "secrets_path" {
  description = "Path in Vault's key/value engine below which the hub's secrets lie."
  value       = "${var.vault_mount}/${var.vault_prefix}"
}
