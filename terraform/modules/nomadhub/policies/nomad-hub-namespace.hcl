# What the hub may do in each further namespace that profiles may choose: the same as in the notebooks' own, of which nomad-hub.hcl tells.
namespace "${further_namespace}" {
  capabilities = ["list-jobs", "read-job", "submit-job", "read-logs", "host-volume-write", "csi-write-volume", "csi-mount-volume"]

  variables {
    path "nomad/jobs/${job_prefix}*" {
      capabilities = ["read", "write", "destroy"]
    }
  }
}
