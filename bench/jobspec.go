package main

import (
	"fmt"
	"strconv"
)

// processMemory is what a notebook that is a process may have, in MB. What it reads of its program counts, and with too little it does hardly anything but read it again and again.
const processMemory = 64

// rawExec runs this program as the notebook, which says in a folder when it answers; "": nowhere.
func rawExec(self string, boot string, told boots) string {
	return jobspec(processMemory, fmt.Sprintf(`
      driver = "raw_exec"
      config {
        command = %q
        args    = ["notebook", "-boot", %q, "-told", %q]
      }`, self, boot, string(told)))
}

// mock runs nothing: only what Nomad does for any job is done.
func mock() string {
	return jobspec(10, `
      driver = "mock_driver"
      config {
        run_for = "1000h"
      }`)
}

// jobspec is the product's own in all that costs time, with little of each resource. The check is so rare that ten thousand of them do not
// keep a machine busy that is to be measured.
func jobspec(memory int, driver string) string {
	return `job "notebook" {
  type = "service"
  update {
    max_parallel = 0
  }
  group "notebook" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    disconnect {
      lost_after = "6h"
      replace    = false
      reconcile  = "keep_original"
    }
    # Else Nomad's client asks Consul twice a second about each new server whether its rare check has passed.
    migrate {
      health_check     = "task_states"
      min_healthy_time = "1s"
    }
    network {
      port "http" {}
    }
    ephemeral_disk {
      size = 10
    }
    service {
      name     = "notebook"
      provider = "consul"
      port     = "http"
      check {
        type     = "http"
        path     = "/"
        interval = "1h"
        timeout  = "2s"
      }
    }
    task "notebook" {` + driver + `
      kill_timeout = "2s"
      resources {
        cpu    = 10
        memory = ` + strconv.Itoa(memory) + `
      }
      logs {
        disabled      = true
        max_files     = 1
        max_file_size = 1
      }
    }
  }
}
`
}
