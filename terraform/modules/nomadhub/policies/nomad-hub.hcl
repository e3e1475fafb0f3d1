# What the hub may do in Nomad: run and watch notebooks in their namespace, and nothing anywhere else. It is bound to the hub's
# job by its workload identity. It may not read what notebooks store in variables of their own, enter their tasks or change the
# cluster.
namespace "${notebook_namespace}" {
  capabilities = ["list-jobs", "read-job", "submit-job", "read-logs"]

  # The environment of a notebook, with its token, until the notebook ended.
  variables {
    path "nomad/jobs/${job_prefix}*" {
      capabilities = ["read", "write", "destroy"]
    }
  }
}
