# Where the hub takes its Nomad token from, if it does not show its workload identity.
path "${nomad_creds}" {
  capabilities = ["read"]
}
