# The hub on a Nomad, Consul and Vault of this machine. Their addresses and the management tokens come from the environment:
# NOMAD_ADDR, NOMAD_TOKEN, CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN, VAULT_ADDR, VAULT_TOKEN.

terraform {
  required_version = ">= 1.11"

  required_providers {
    nomad = {
      source = "hashicorp/nomad"
    }
    consul = {
      source = "hashicorp/consul"
    }
    vault = {
      source = "hashicorp/vault"
    }
  }
}

provider "nomad" {}

provider "consul" {}

provider "vault" {
  # The token at hand may be one that cannot make a child token of its own.
  skip_child_token = true
}

module "nomadhub" {
  source = "../../modules/nomadhub"

  binary         = var.binary
  user           = var.user
  consul_address = var.consul_address
  vault_address  = var.vault_address

  job_variables = {
    public_port  = tostring(var.public_port)
    servers_port = tostring(var.servers_port)
    metrics_port = tostring(var.metrics_port)
  }

  notebook_variables = var.notebook_variables

  secret_names = ["keys", "postgres"]
  secrets = {
    keys     = { "20260101T000000Z" = var.signing_key }
    postgres = { dsn = var.database_url }
  }

  # Everybody may enter under any name. That is for one machine only, and the hub refuses it on any address but loopback.
  config = <<-END
    login {
      allow_all   = true
      admin_users = ["admin"]
    }

    authenticator "dummy" "trial" {
      label = "Trial"
    }
  END
}

output "job_id" {
  description = "ID of the hub's Nomad job."
  value       = module.nomadhub.job_id
}
