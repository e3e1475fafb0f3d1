# One user's notebook server in a chroot with processes, memory and files of its own, by Nomad's exec driver: isolation without images. It behaves in
# all else as notebook.nomad.hcl does, whose first lines say what the hub sets and needs. The client copies or links what its chroot_env names
# into every allocation: the Python environment with the notebook server must be named there, and as little as possible beside it.

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
  description = "PATH of notebooks; put the bin directory of the Python environment first. All of it must be in the client's chroot_env."
  type        = string
  default     = "/opt/nomadhub/venv/bin:/usr/local/bin:/usr/bin:/bin"
}

variable "user" {
  description = "System account that notebooks run as. Notebook servers refuse to run as root."
  type        = string
  default     = "nobody"
}

variable "network_mode" {
  description = "Network that Nomad makes for the allocation: bridge, or cni/NAME, which need CNI plugins on the machines. With host notebooks are on the machine's own network and reach all that it reaches, its loopback address included."
  type        = string
  default     = "host"
}

variable "port" {
  description = "Port that the server listens at inside of a network of its own."
  type        = number
  default     = 8888
}

variable "home" {
  description = "Where a profile mounts the volume that is its user's home; the server's home is there if anything is. Otherwise the home is in the allocation, and Nomad removes it some hours after the server ended. user must be able to write to the volume."
  type        = string
  default     = "/home/notebook"
}

variable "shared_home_volume" {
  description = "Name of a host volume of the clients below which all users have their homes, in place of a volume for each; user must be able to create directories in it. All notebooks see all of it and run as one account, so THEY CAN READ AND CHANGE EACH OTHER'S HOMES: only for users who trust each other."
  type        = string
  default     = ""
}

variable "cap_drop" {
  description = "Linux capabilities that are taken from a notebook."
  type        = list(string)
  default     = ["all"]
}

variable "cap_add" {
  description = "Linux capabilities that are given back; clients allow few by default."
  type        = list(string)
  default     = []
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
      mode = var.network_mode

      port "http" {
        to = var.network_mode == "host" ? 0 : var.port
      }
    }

    ephemeral_disk {
      size = var.disk
    }

    dynamic "volume" {
      for_each = var.shared_home_volume == "" ? [] : [var.shared_home_volume]
      labels   = ["home"]

      content {
        type   = "host"
        source = volume.value
      }
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
      driver = "exec"
      user   = var.user

      # Jupyter saves and ends its kernels on SIGTERM; on SIGINT it asks a question that nobody would answer.
      kill_signal  = "SIGTERM"
      kill_timeout = var.kill_timeout

      config {
        command = "/bin/sh"
        # The shell makes the home and becomes the server. Its text is constant; everything that varies is an argument. The home is one, too: Nomad sets
        # HOME to what the machine says of the account. A volume that cannot be written must not be passed over: work would be lost with the allocation.
        args = concat(
          ["-c", join("; ", [
            "[ -d \"$1\" ] && home=$1 || home=$2",
            "shift 2",
            "export HOME=\"$home\"",
            "umask 077",
            "mkdir -p \"$HOME\" && cd \"$HOME\" || exit 1",
            "[ -w . ] || { echo \"The account $(id -u) may not write to the home $HOME. Give the volume the parameters uid and gid of that account.\" >&2; exit 1; }",
            "exec \"$@\"",
          ]), "notebook"],
          var.shared_home_volume == "" ? [var.home, "${NOMAD_TASK_DIR}/home"] : ["", "/home/${NOMAD_META_nomadhub_home}"],
          [var.command],
          var.args,
        )
        pid_mode = "private"
        ipc_mode = "private"
        cap_drop = var.cap_drop
        cap_add  = var.cap_add
      }

      dynamic "volume_mount" {
        for_each = var.shared_home_volume == "" ? [] : [var.shared_home_volume]

        content {
          volume      = "home"
          destination = "/home"
        }
      }

      env {
        PATH = var.path
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
