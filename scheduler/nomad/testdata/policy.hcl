# The least that the hub's Nomad token needs: to run notebooks as jobs of one namespace, whose IDs begin with "notebook-".
# "submit-job" includes parsing and validating. "variables" is what carries each server's environment; nobody but the hub and the job itself may read it.
namespace "notebooks" {
  capabilities = ["list-jobs", "read-job", "submit-job", "read-logs"]

  variables {
    path "nomad/jobs/notebook-*" {
      capabilities = ["read", "write", "destroy"]
    }
  }
}
