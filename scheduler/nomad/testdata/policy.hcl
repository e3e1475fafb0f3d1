# The least that the hub's Nomad token needs: to run notebooks as jobs of one namespace, whose IDs begin with "notebook-".
# "submit-job" includes parsing and validating. "variables" is what carries each server's environment; nobody but the hub and the job itself may read it. The capabilities for volumes let the hub make places for
# users' files, which outlive servers; "host-volume-write" includes reading and deleting them.
namespace "notebooks" {
  capabilities = ["list-jobs", "read-job", "submit-job", "read-logs", "host-volume-write", "csi-write-volume", "csi-mount-volume"]

  variables {
    path "nomad/jobs/notebook-*" {
      capabilities = ["read", "write", "destroy"]
    }
  }
}

# Volumes for users' files: jobs mount those that the hub made, and the hub chooses a machine for each.
host_volume "notebook-*" {
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
