# What the hub may do in Vault: read its own secrets. Nobody changes them through the hub.
path "${vault_mount}/data/${vault_prefix}/*" {
  capabilities = ["read"]
}
