# What the hub's Nomad token needs beside policy.hcl for each further namespace that profiles may choose.
namespace "notebooks-gpu" {
  capabilities = ["list-jobs", "read-job", "submit-job", "read-logs", "host-volume-write", "csi-write-volume", "csi-mount-volume"]

  variables {
    path "nomad/jobs/notebook-*" {
      capabilities = ["read", "write", "destroy"]
    }
  }
}
