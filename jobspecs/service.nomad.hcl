# A service beside the hub, such as an idle culler or a page of announcements. The hub takes this file as the template of every service block that has a command or an
# image: Nomad itself parses it with the variables below, then the hub sets, as typed values, the job's ID, name and metadata, what the block says (driver, image,
# command, account, network, resources, node pool), the registration in Consul of a service that has pages, and a template that brings the service's environment, its token
# included, from a Nomad Variable which only this job may read.
#
# Nomad runs what is here as it stands: programs of the machine. A block with an image runs that instead, by the driver docker if it names none.

variable "datacenters" {
  description = "Datacenters whose machines may run services; globs are allowed."
  type        = list(string)
  default     = ["*"]
}

variable "node_pool" {
  description = "Node pool whose machines run services."
  type        = string
  default     = "default"
}

variable "priority" {
  description = "Nomad's priority of services, 1 to 100."
  type        = number
  default     = 60
}

variable "path" {
  description = "PATH of services that are programs of the machine; put the bin directory of the Python environment first. `user` must be able to read and run what is there."
  type        = string
  default     = "/opt/nomadhub/venv/bin:/usr/local/bin:/usr/bin:/bin"
}

variable "user" {
  description = "System account that services run as which are programs of the machine. It should not be the one of notebooks: who runs as the same account reads a service's token."
  type        = string
  default     = "daemon"
}

variable "cpu" {
  description = "Processor share of a service in MHz, where its block says nothing."
  type        = number
  default     = 100
}

variable "memory" {
  description = "Memory reserved for a service in MiB, where its block says nothing."
  type        = number
  default     = 128
}

variable "memory_max" {
  description = "Most memory of a service in MiB; 0 means as much as is reserved. Works where the cluster's scheduler configuration allows memory oversubscription."
  type        = number
  default     = 0
}

variable "disk" {
  description = "Disk that a machine must have free for a service, in MB; it must exceed what its logs may take (20 MB)."
  type        = number
  default     = 100
}

variable "kill_timeout" {
  description = "How long a service may take to end after it was asked to."
  type        = string
  default     = "10s"
}

variable "service_provider" {
  description = "Where services with pages are registered: consul, or nomad for Nomad's own service discovery."
  type        = string
  default     = "consul"

  validation {
    condition     = contains(["consul", "nomad"], var.service_provider)
    error_message = "The service provider is consul or nomad."
  }
}

job "service" {
  type        = "service"
  datacenters = var.datacenters
  node_pool   = var.node_pool
  priority    = var.priority

  # A service is one instance, which ends before the next one begins: no deployment is kept for it.
  update {
    max_parallel = 0
  }

  group "service" {
    count = 1

    # What ends is started again in its place, for ever: after a second, and after a minute's pause if it did so ten times within one.
    restart {
      attempts = 10
      interval = "1m"
      delay    = "1s"
      mode     = "delay"
    }

    # What cannot run where it is goes elsewhere.
    reschedule {
      delay          = "5s"
      delay_function = "exponential"
      max_delay      = "1m"
      unlimited      = true
    }

    # A drain moves it at once.
    migrate {
      max_parallel = 1
    }

    network {
      port "http" {}
    }

    ephemeral_disk {
      size = var.disk
    }

    service {
      name     = "service"
      provider = var.service_provider
      port     = "http"

      # For who looks at Consul: routes do not depend on it, and the hub asks services by itself.
      check {
        name     = "listens"
        type     = "tcp"
        interval = "10s"
        timeout  = "2s"
      }
    }

    task "service" {
      driver = "raw_exec"
      user   = var.user

      kill_signal  = "SIGTERM"
      kill_timeout = var.kill_timeout

      config {
        command = "/bin/sh"
        # The shell finds the program on PATH and becomes it. Its text is constant; everything that varies is an argument.
        args = ["-c", "mkdir -p \"$HOME\" && cd \"$HOME\" && exec \"$@\"", "service", "false"]
      }

      env {
        PATH = var.path
        HOME = "${NOMAD_TASK_DIR}/home"
      }

      resources {
        cpu        = var.cpu
        memory     = var.memory
        memory_max = var.memory_max
      }

      logs {
        max_files     = 2
        max_file_size = 10
      }
    }
  }
}
