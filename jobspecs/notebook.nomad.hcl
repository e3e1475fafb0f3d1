# One user's notebook server. The hub takes this file as the template of every server that it starts on Nomad: Nomad itself parses
# it with the variables below, then the hub sets, as typed values, the job's ID, name and metadata, the resources a user asked for, the
# service's name and check path, and one template that brings the server's environment from a Nomad Variable. Nothing that a user
# types ever becomes part of this text. It runs by itself, too:  nomad job run notebook.nomad.hcl
#
# What the hub needs of any file that replaces this one: one group with a port labelled "http" and a task named "notebook".
# The driver, the image, volumes, constraints and everything else are the operator's.

variable "datacenters" {
  description = "Datacenters whose machines may run notebooks; globs are allowed."
  type        = list(string)
  default     = ["*"]
}

variable "node_pool" {
  description = "Node pool whose machines run notebooks."
  type        = string
  default     = "default"
}

variable "priority" {
  description = "Nomad's priority of notebooks, 1 to 100. Batch work usually has 50."
  type        = number
  default     = 50
}

variable "command" {
  description = "Program that is the notebook server: a name on `path`, or an absolute path."
  type        = string
  default     = "jupyterhub-singleuser"
}

variable "args" {
  description = "Arguments of the program. Nomad replaces its own variables in them."
  type        = list(string)
  default     = []
}

variable "path" {
  description = "PATH of notebooks; put the bin directory of the Python environment first. `user` must be able to read and run what is there."
  type        = string
  default     = "/opt/nomadhub/venv/bin:/usr/local/bin:/usr/bin:/bin"
}

variable "user" {
  description = "System account that notebooks run as. All notebooks of one account can read each other's files and processes: for users who do not trust each other choose a driver that isolates (docker, podman, exec). Notebook servers refuse to run as root."
  type        = string
  default     = "nobody"
}

variable "home_base" {
  description = "Directory on the machine below which each user has a home that outlives their servers; `user` must be able to create directories in it. Empty: the home is in the allocation and Nomad removes it some hours after the server ended."
  type        = string
  default     = ""
}

variable "cpu" {
  description = "Processor share of a notebook in MHz, where its profile says nothing."
  type        = number
  default     = 200
}

variable "memory" {
  description = "Memory reserved for a notebook in MiB, where its profile says nothing."
  type        = number
  default     = 512
}

variable "memory_max" {
  description = "Most memory of a notebook in MiB; 0 means as much as is reserved. Works where the cluster's scheduler configuration allows memory oversubscription."
  type        = number
  default     = 0
}

variable "disk" {
  description = "Disk that a machine must have free for a notebook, in MB; it must exceed what its logs may take (50 MB)."
  type        = number
  default     = 300
}

variable "kill_timeout" {
  description = "How long a notebook may take to save its state after it was asked to end. Clients cap it by their max_kill_timeout (30 s by default)."
  type        = string
  default     = "30s"
}

variable "lost_after" {
  description = "How long Nomad waits before it may take a notebook on a machine that it has lost contact with for lost. With replace = false below, it is never started elsewhere by Nomad, also after that: two writers could spoil one home."
  type        = string
  default     = "6h"
}

variable "service_provider" {
  description = "Where notebooks are registered: consul, or nomad for Nomad's own service discovery."
  type        = string
  default     = "consul"

  validation {
    condition     = contains(["consul", "nomad"], var.service_provider)
    error_message = "The service provider is consul or nomad."
  }
}

job "notebook" {
  type        = "service"
  datacenters = var.datacenters
  node_pool   = var.node_pool
  priority    = var.priority

  # A notebook is one instance that is never rolled: no deployment is kept for it.
  update {
    max_parallel = 0
  }

  group "notebook" {
    count = 1

    # A notebook that crashed is reported, not restarted behind its user's back: its kernels are gone in any case.
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    # A cut network must not end kernels, and must not give one home two writers.
    disconnect {
      lost_after = var.lost_after
      replace    = false
      reconcile  = "keep_original"
    }

    network {
      port "http" {}
    }

    ephemeral_disk {
      size = var.disk
    }

    service {
      name     = "notebook"
      provider = var.service_provider
      port     = "http"

      check {
        name     = "answers"
        type     = "http"
        path     = "/"
        interval = "2s"
        timeout  = "2s"
      }
    }

    task "notebook" {
      driver = "raw_exec"
      user   = var.user

      # Jupyter saves and ends its kernels on SIGTERM; on SIGINT it asks a question that nobody would answer.
      kill_signal  = "SIGTERM"
      kill_timeout = var.kill_timeout

      config {
        command = "/bin/sh"
        # The shell makes the home and becomes the server. Its text is constant; everything that varies is an argument.
        args = concat(
          ["-c", "umask 077 && mkdir -p \"$HOME\" && cd \"$HOME\" && exec \"$@\"", "notebook", var.command],
          var.args,
        )
      }

      env {
        PATH = var.path
        HOME = var.home_base == "" ? "${NOMAD_TASK_DIR}/home" : "${var.home_base}/${NOMAD_META_nomadhub_home}"
      }

      resources {
        cpu        = var.cpu
        memory     = var.memory
        memory_max = var.memory_max
      }

      logs {
        max_files     = 5
        max_file_size = 5
      }
    }
  }
}
