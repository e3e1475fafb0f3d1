variable "namespace" {
  description = "Nomad namespace of the hub. The module makes it. Whoever may submit jobs in it gets the hub's rights."
  type        = string
  default     = "nomadhub"
}

variable "notebook_namespace" {
  description = "Nomad namespace of users' notebook servers. The module makes it."
  type        = string
  default     = "notebooks"
}

variable "further_notebook_namespaces" {
  description = "Nomad namespaces that profiles may choose beside that one, such as gpu-jobs. The module makes them, and gives the hub the same rights there."
  type        = set(string)
  default     = []
}

variable "name" {
  description = "Name of the policies and roles that the module makes in Nomad, Consul and Vault. Change it to run two hubs on one cluster."
  type        = string
  default     = "nomadhub"
}

variable "config" {
  description = "The rest of the hub's configuration, as its HCL text: who may enter (login), how people log in (authenticator), limits."
  type        = string
}

variable "hubs" {
  description = "How many hubs run. Each needs a machine of its own, since their ports are fixed."
  type        = number
  default     = 1
}

variable "binary" {
  description = "Path of the nomadhub program on the machines."
  type        = string
  default     = "/usr/local/bin/nomadhub"
}

variable "user" {
  description = "System account that the hub runs as, not the notebooks' one. Empty: the account of the Nomad agent."
  type        = string
  default     = "nomadhub"
}

variable "public_url" {
  description = "Address at which browsers reach the hub, such as https://hub.example.org. Empty: the address that it listens on."
  type        = string
  default     = ""
}

variable "notebook_variables" {
  description = "Values for the variables of the notebooks' jobspec, such as command, path and user."
  type        = map(string)
  default     = {}
}

variable "job_variables" {
  description = "Values for any other variable of the hub's jobspec, such as public_port or memory. Lists and maps as JSON."
  type        = map(string)
  default     = {}
}

variable "jobspec" {
  description = "Path of a jobspec for the hub that replaces jobspecs/hub.nomad.hcl of this repository. Its job, group and task are named nomadhub, hub and hub."
  type        = string
  default     = null
}

variable "consul_address" {
  description = "Address of the Consul agent as the hub reaches it."
  type        = string
  default     = "http://127.0.0.1:8500"
}

variable "consul_prefix" {
  description = "Key in Consul below which the hub publishes where notebooks are."
  type        = string
  default     = "nomadhub"
}

variable "consul_auth_method" {
  description = "Consul auth method of Nomad's workloads, as \"nomad setup consul\" makes it."
  type        = string
  default     = "nomad-workloads"
}

variable "vault_address" {
  description = "Address of Vault as the hub reaches it."
  type        = string
  default     = "https://active.vault.service.consul:8200"
}

variable "nomad_creds" {
  description = "Path in Vault at which its secrets engine for Nomad gives the hub a token with the policy `name`, such as nomad/creds/nomadhub. Empty: the hub shows its workload identity, for which Nomad before 2.0 makes no plans. The module does not make the engine."
  type        = string
  default     = ""
}

variable "vault_mount" {
  description = "Where Vault's key/value engine, version 2, is mounted. The module does not make it."
  type        = string
  default     = "secret"
}

variable "vault_prefix" {
  description = "Path in that engine below which the hub's secrets lie."
  type        = string
  default     = "nomadhub"
}

variable "vault_auth_mount" {
  description = "Vault auth method of Nomad's workloads, as \"nomad setup vault\" makes it."
  type        = string
  default     = "jwt-nomad"
}

variable "secret_names" {
  description = "Names of the secrets that the module writes into Vault, of those in `secrets`. Leave out those that others write there."
  type        = set(string)
  default     = []
}

variable "secrets" {
  description = "The hub's secrets by name, each with its values: postgres (dsn), keys (an ID and 32 random bytes in base64), and one for each authenticator (client_secret). They are in no plan and no state."
  type        = map(map(string))
  default     = {}
  ephemeral   = true
  sensitive   = true
}

variable "secrets_version" {
  description = "Count this up to have the secrets written again, since Terraform does not remember what they were."
  type        = number
  default     = 1
}
