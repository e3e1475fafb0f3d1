terraform {
  # Write-only arguments keep the secrets out of the state.
  required_version = ">= 1.11"

  required_providers {
    nomad = {
      source  = "hashicorp/nomad"
      version = ">= 2.1.0"
    }
    consul = {
      source  = "hashicorp/consul"
      version = ">= 2.20.0"
    }
    vault = {
      source  = "hashicorp/vault"
      version = ">= 5.0.0"
    }
  }
}
