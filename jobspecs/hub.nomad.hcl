# The hub itself, as a Nomad job. Run it with:  nomad job run -var-file=hub.vars.hcl hub.nomad.hcl
#
# It holds no token and no password. By the workload identity of its task, the hub
#   - speaks to Nomad through the task API (a socket in its secrets directory),
#   - gets a Consul token from the auth method of Nomad's workloads,
#   - gets a Vault token from the role `vault_role`, and with it the database's address and its own keys.
# What must exist before (terraform/modules/nomadhub makes it): the namespaces, the Nomad ACL policy of this job, the Consul role
# bound to it, the Vault role and policy, and in Vault, below `vault_mount`/`vault_prefix`:
#   postgres   dsn = postgres://USER:PASSWORD@HOST/DATABASE
#   keys       one value for each signing key: its ID, and 32 random bytes in base64
#   and the client secret of each authenticator under the name that its block gives.
#
# The task runs the binary that lies on the machine (raw_exec). For a container change three lines of the task: driver = "docker",
# config { image = "...", args = [the same] }, and give the group network the mode that your clients use.

variable "datacenters" {
  description = "Datacenters whose machines may run the hub; globs are allowed."
  type        = list(string)
  default     = ["*"]
}

variable "node_pool" {
  description = "Node pool whose machines run the hub."
  type        = string
  default     = "default"
}

variable "namespace" {
  description = "Namespace of this job. Keep it apart from the notebooks' one: whoever may submit jobs here gets the hub's rights."
  type        = string
  default     = "nomadhub"
}

variable "hubs" {
  description = "How many hubs run. All are equal; each needs a machine of its own, since their ports are fixed."
  type        = number
  default     = 1
}

variable "binary" {
  description = "Path of the nomadhub program on the machines."
  type        = string
  default     = "/usr/local/bin/nomadhub"
}

variable "user" {
  description = "System account that the hub runs as. Not the notebooks' account: they could read the hub's memory. Empty: the account of the Nomad agent."
  type        = string
  default     = "nomadhub"
}

variable "public_url" {
  description = "Address at which browsers reach the hub, such as https://hub.example.org. Empty: the address that it listens on."
  type        = string
  default     = ""
}

variable "base_url" {
  description = "Path below which everything is served. Begins and ends with a slash."
  type        = string
  default     = "/"
}

variable "servers_url" {
  description = "URL at which notebooks reach the hub's API. Empty: the address that this hub listens on, which is right for one hub that never moves; for more give a name that leads to all of them, such as http://nomadhub-servers.service.consul:8081."
  type        = string
  default     = ""
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

variable "notebook_namespace" {
  description = "Namespace of the notebooks' jobs."
  type        = string
  default     = "notebooks"
}

variable "further_notebook_namespaces" {
  description = "Namespaces that profiles may choose beside that one. The hub needs the same rights there."
  type        = list(string)
  default     = []
}

variable "notebook_variables" {
  description = "Values for the variables of the notebooks' jobspec, such as command, path and user."
  type        = map(string)
  default     = {}
}

variable "notebook_jobspec" {
  description = "The text of a notebook jobspec that replaces the one in the program. Empty: the one in the program."
  type        = string
  default     = ""
}

variable "config" {
  description = "The rest of the hub's configuration, as its HCL text: who may enter (login), how people log in (authenticator), limits. It may read Vault as Nomad's templates do."
  type        = string
}

variable "vault_address" {
  description = "Address of Vault as the hub reaches it."
  type        = string
  default     = "https://active.vault.service.consul:8200"
}

variable "vault_role" {
  description = "Role of Vault's auth method for Nomad that the hub logs in to."
  type        = string
  default     = "nomadhub"
}

variable "vault_mount" {
  description = "Where Vault's key/value engine, version 2, is mounted."
  type        = string
  default     = "secret"
}

variable "vault_prefix" {
  description = "Path in that engine below which the hub's secrets lie."
  type        = string
  default     = "nomadhub"
}

variable "nomad_creds" {
  description = "Path in Vault at which its secrets engine for Nomad gives the hub a token, such as nomad/creds/nomadhub. Empty: the hub shows its workload identity, for which Nomad before 2.0 makes no plans, so that people are not told whether a server would fit."
  type        = string
  default     = ""
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

variable "cpu" {
  description = "Processor share of one hub in MHz."
  type        = number
  default     = 500
}

variable "memory" {
  description = "Memory reserved for one hub in MiB."
  type        = number
  default     = 256
}

variable "memory_max" {
  description = "Most memory of one hub in MiB, where the cluster allows memory oversubscription."
  type        = number
  default     = 1024
}

variable "log_level" {
  description = "debug, info, warn or error."
  type        = string
  default     = "info"
}

job "nomadhub" {
  type        = "service"
  namespace   = var.namespace
  datacenters = var.datacenters
  node_pool   = var.node_pool
  priority    = 80 # above what users start

  # One hub after the other, each healthy before the next. A version that does not become healthy is taken back.
  update {
    max_parallel      = 1
    canary            = 0
    health_check      = "checks"
    min_healthy_time  = "5s"
    healthy_deadline  = "2m"
    progress_deadline = "5m"
    auto_revert       = true
  }

  group "hub" {
    count = var.hubs

    network {
      port "public" {
        static = var.public_port
      }
      port "servers" {
        static = var.servers_port
      }
      port "metrics" {
        static = var.metrics_port
      }
    }

    # The hub keeps nothing on its machine: it starts again wherever it can, for ever.
    restart {
      attempts = 10
      interval = "5m"
      delay    = "3s"
      mode     = "delay"
    }

    service {
      name = "nomadhub"
      port = "public"
      tags = ["public"]

      # Not that the process lives, but that it serves: a hub that still waits for Vault or its database does not replace one that works. It does not ask the
      # database, so that notebooks are reached while that is away.
      check {
        name     = "public answers"
        type     = "http"
        path     = "${var.base_url}hub/api/health"
        interval = "5s"
        timeout  = "3s"
      }
    }

    service {
      name = "nomadhub-servers"
      port = "servers"

      check {
        name     = "API for servers answers"
        type     = "http"
        path     = "${var.base_url}hub/api/health"
        interval = "5s"
        timeout  = "3s"
      }
    }

    service {
      name = "nomadhub-metrics"
      port = "metrics"

      check {
        name     = "metrics answer"
        type     = "http"
        path     = "/health"
        interval = "10s"
        timeout  = "3s"
      }
    }

    task "hub" {
      driver = "raw_exec"
      user   = var.user

      kill_signal  = "SIGTERM"
      kill_timeout = "30s" # longer than the hub's drain_timeout

      config {
        command = var.binary
        args    = ["serve", "-config", "${NOMAD_TASK_DIR}/nomadhub.hcl"]
      }

      # The proof of who this task is, for Nomad's own API. It is worth nothing once the allocation has ended.
      identity {
        file = true
      }

      # The hub reads the tokens for Consul and Vault again when their files change: no renewal restarts it.

      consul {}

      vault {
        role        = var.vault_role
        change_mode = "noop"
      }

      # The only secrets that the hub does not fetch itself. Nomad keeps this file for itself and hands on its content.
      template {
        destination = "${NOMAD_SECRETS_DIR}/hub.env"
        env         = true
        perms       = "0400"
        change_mode = "restart"
        data        = <<-END
          NOMADHUB_DATABASE_DSN={{ with secret "${var.vault_mount}/data/${var.vault_prefix}/postgres" }}{{ .Data.data.dsn | toJSON }}{{ end }}
          ${var.nomad_creds == "" ? "" : "NOMAD_TOKEN={{ with secret ${jsonencode(var.nomad_creds)} }}{{ .Data.secret_id | toJSON }}{{ end }}"}
        END
      }

      # What changes in it is in force at once, or the hub's log says what needs a restart.
      template {
        destination   = "${NOMAD_TASK_DIR}/nomadhub.hcl"
        change_mode   = "signal"
        change_signal = "SIGHUP"
        data        = <<-END
          base_url   = ${jsonencode(var.base_url)}
          public_url = ${jsonencode(var.public_url)}

          log {
            level  = ${jsonencode(var.log_level)}
            format = "json"
          }

          listen {
            public      = "{{ env "NOMAD_ADDR_public" }}"
            servers     = "{{ env "NOMAD_ADDR_servers" }}"
            servers_url = ${var.servers_url == "" ? "\"http://{{ env \"NOMAD_ADDR_servers\" }}\"" : jsonencode(var.servers_url)}
            metrics     = "{{ env "NOMAD_ADDR_metrics" }}"
          }

          secrets {
            vault {
              address    = ${jsonencode(var.vault_address)}
              mount      = ${jsonencode(var.vault_mount)}
              prefix     = ${jsonencode(var.vault_prefix)}
              token_file = "{{ env "NOMAD_SECRETS_DIR" }}/vault_token"
            }
          }

          nomad {
            address    = "unix://{{ env "NOMAD_SECRETS_DIR" }}/api.sock"
            ${var.nomad_creds == "" ? "token_file = \"{{ env \"NOMAD_SECRETS_DIR\" }}/nomad_token\"" : ""}
            namespace  = ${jsonencode(var.notebook_namespace)}
            namespaces = ${jsonencode(var.further_notebook_namespaces)}
            variables  = ${jsonencode(var.notebook_variables)}
            ${var.notebook_jobspec == "" ? "" : "jobspec    = \"{{ env \"NOMAD_TASK_DIR\" }}/notebook.nomad.hcl\""}
          }

          consul {
            address    = ${jsonencode(var.consul_address)}
            token_file = "{{ env "NOMAD_SECRETS_DIR" }}/consul_token"
            prefix     = ${jsonencode(var.consul_prefix)}
          }

          ${indent(10, var.config)}
        END
      }

      dynamic "template" {
        for_each = var.notebook_jobspec == "" ? [] : [var.notebook_jobspec]

        content {
          destination = "${NOMAD_TASK_DIR}/notebook.nomad.hcl"
          change_mode = "restart"
          data        = template.value

          # The jobspec may have templates of its own, which are the notebook's, not the hub's.
          left_delimiter  = "[[nomadhub:"
          right_delimiter = ":]]"
        }
      }

      resources {
        cpu        = var.cpu
        memory     = var.memory
        memory_max = var.memory_max
      }

      logs {
        max_files     = 5
        max_file_size = 10
      }
    }
  }
}
