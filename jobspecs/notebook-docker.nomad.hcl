# One user's notebook server in a container of Docker. It behaves in all as notebook.nomad.hcl does, whose first lines say what the hub sets and needs, and
# adds what containers have: an image, a network and limits of their own. Any image does whose command becomes jupyterhub-singleuser when
# JUPYTERHUB_API_TOKEN is in its environment, such as the public Jupyter ones (docker-stacks).

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

variable "image" {
  description = "Image with the notebook server. Give a version as its tag: what is tagged latest is asked for again at every start."
  type        = string
}

variable "command" {
  description = "Program that replaces the command of the image. Empty: the image's own."
  type        = string
  default     = ""
}

variable "args" {
  description = "Arguments of the program. Nomad replaces its own variables in them."
  type        = list(string)
  default     = []
}

variable "user" {
  description = "Account or number that the notebook runs as. Empty: the image's own, which must not be root."
  type        = string
  default     = ""
}

variable "port" {
  description = "Port that the server listens at inside of its container. With docker_network host it must be -1: there it is the published one."
  type        = number
  default     = 8888
}

variable "network_mode" {
  description = "Network that Nomad makes for the allocation: bridge, or cni/NAME, which need CNI plugins on the machines. With host Docker makes it: its own bridge, or docker_network."
  type        = string
  default     = "host"
}

variable "docker_network" {
  description = "Docker network of the container, where network_mode is host. Empty: Docker's bridge."
  type        = string
  default     = ""
}

variable "home" {
  description = "Directory in the image that is the user's home."
  type        = string
  default     = "/home/jovyan"
}

variable "home_volume" {
  description = "Beginning of the names of Docker volumes that keep homes, one for each, on the machine where the notebook ran first. Empty: the home ends with the container."
  type        = string
  default     = ""
}

variable "init" {
  description = "Whether Docker puts a small init process before the image's program. The public Jupyter images bring their own."
  type        = bool
  default     = false
}

variable "force_pull" {
  description = "Whether the registry is asked at every start if the image has changed."
  type        = bool
  default     = false
}

variable "image_pull_timeout" {
  description = "How long a pull of the image may take."
  type        = string
  default     = "15m"
}

variable "shm_size" {
  description = "Shared memory in bytes, which some numerical libraries use between processes."
  type        = number
  default     = 67108864
}

variable "runtime" {
  description = "Runtime for containers, such as runsc; the client must allow it. Empty: Docker's own."
  type        = string
  default     = ""
}

variable "cpu_hard_limit" {
  description = "Whether cpu is a limit. If not, it is a share: a notebook may use what others leave idle."
  type        = bool
  default     = false
}

variable "pids_limit" {
  description = "Most processes and threads of a notebook; 0 means no limit of its own."
  type        = number
  default     = 1024
}

variable "cap_drop" {
  description = "Linux capabilities that are taken from a notebook."
  type        = list(string)
  default     = ["all"]
}

variable "cap_add" {
  description = "Linux capabilities that are given back; clients allow few by default. An image that changes its account from root needs chown, setgid and setuid."
  type        = list(string)
  default     = []
}

variable "security_opt" {
  description = "Security options of the engine. The default keeps programs in the container from gaining rights that their account does not have, so sudo does not work."
  type        = list(string)
  default     = ["no-new-privileges"]
}

variable "readonly_rootfs" {
  description = "Whether the image's file system is closed for writing. Then the home needs a volume, and what else is written to, too."
  type        = bool
  default     = false
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

      # The hub tells the server to listen at this port on all addresses of its container, since the port is published.
      port "http" {
        to = var.port
      }
    }

    ephemeral_disk {
      size = var.disk
    }

    service {
      name     = "notebook"
      provider = var.service_provider
      port     = "http"

      # The address at which the machine publishes the port, not the one inside of the container.
      address_mode = "host"

      check {
        name     = "answers"
        type     = "http"
        path     = "/"
        interval = "2s"
        timeout  = "2s"
      }
    }

    task "notebook" {
      driver = "docker"
      user   = var.user

      # Jupyter saves and ends its kernels on SIGTERM; on SIGINT it asks a question that nobody would answer.
      kill_signal  = "SIGTERM"
      kill_timeout = var.kill_timeout

      config {
        image              = var.image
        force_pull         = var.force_pull
        image_pull_timeout = var.image_pull_timeout
        command            = var.command == "" ? null : var.command
        args               = var.args
        init               = var.init

        ports        = ["http"]
        network_mode = var.docker_network == "" ? null : var.docker_network

        cpu_hard_limit  = var.cpu_hard_limit
        pids_limit      = var.pids_limit == 0 ? null : var.pids_limit
        shm_size        = var.shm_size
        cap_drop        = var.cap_drop
        cap_add         = var.cap_add
        security_opt    = var.security_opt
        readonly_rootfs = var.readonly_rootfs
        runtime         = var.runtime == "" ? null : var.runtime

        mount = [for name in compact([var.home_volume]) : {
          type   = "volume"
          source = "${name}-${NOMAD_META_nomadhub_home}"
          target = var.home
        }]
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
