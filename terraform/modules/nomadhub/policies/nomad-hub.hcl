# What the hub may do in Nomad: run and watch notebooks in their namespace, and nothing anywhere else. It is bound to the hub's
# job by its workload identity. It makes and deletes the volumes with users' files in that namespace; "host-volume-write" includes reading and deleting them. It may not read what notebooks store in variables of their own, enter their tasks or change the
# cluster.
namespace "${notebook_namespace}" {
  capabilities = ["list-jobs", "read-job", "submit-job", "read-logs", "host-volume-write", "csi-write-volume", "csi-mount-volume"]

  # The environment of a notebook, with its token, until the notebook ended.
  variables {
    path "nomad/jobs/${job_prefix}*" {
      capabilities = ["read", "write", "destroy"]
    }
  }
}

# Volumes for users' files: jobs mount those that the hub made, and the hub chooses a machine for each.
host_volume "${job_prefix}*" {
  policy = "write"
}

# Machines: which are being emptied and until when, and what they offer.
node {
  policy = "read"
}

# Plugins that make CSI volumes.
plugin {
  policy = "read"
}
