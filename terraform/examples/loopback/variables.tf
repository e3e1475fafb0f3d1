variable "binary" {
  description = "Absolute path of the nomadhub program."
  type        = string
}

variable "user" {
  description = "System account that the hub runs as."
  type        = string
  default     = "daemon"
}

variable "database_url" {
  description = "Address of a Postgres database: postgres://USER:PASSWORD@HOST/DATABASE."
  type        = string
  ephemeral   = true
  sensitive   = true
}

variable "signing_key" {
  description = "32 random bytes in base64: openssl rand -base64 32."
  type        = string
  ephemeral   = true
  sensitive   = true
}

variable "consul_address" {
  description = "Address of the Consul agent as the hub reaches it."
  type        = string
  default     = "http://127.0.0.1:8500"
}

variable "vault_address" {
  description = "Address of Vault as the hub reaches it."
  type        = string
  default     = "http://127.0.0.1:8200"
}

variable "public_port" {
  description = "Port for browsers."
  type        = number
  default     = 8000
}

variable "servers_port" {
  description = "Port for the API that notebooks use."
  type        = number
  default     = 8081
}

variable "metrics_port" {
  description = "Port for metrics, health and readiness."
  type        = number
  default     = 8082
}

variable "notebook_variables" {
  description = "Values for the variables of the notebooks' jobspec: path is where jupyterhub-singleuser is found, user whom it runs as."
  type        = map(string)
  default     = {}
}
