resource "consul_acl_policy" "hub" {
  name        = var.name
  description = "The hub"

  rules = templatefile("${path.module}/policies/consul-hub.hcl", {
    consul_prefix  = var.consul_prefix
    service_prefix = "notebook"
  })
}

resource "consul_acl_role" "hub" {
  name        = var.name
  description = "The hub, by its workload identity"
  policies    = [consul_acl_policy.hub.id]
}

# Services, the notebooks' among them, need no rule here: Nomad's own lets each register under its own name and no other.
resource "consul_acl_binding_rule" "hub" {
  auth_method = var.consul_auth_method
  description = "The hub's task"
  bind_type   = "role"
  bind_name   = consul_acl_role.hub.name

  selector = join(" and ", [
    "\"nomad_service\" not in value",
    "value.nomad_namespace == \"${nomad_namespace.hub.name}\"",
    "value.nomad_job_id == \"nomadhub\"",
    "value.nomad_task == \"hub\"",
  ])
}
