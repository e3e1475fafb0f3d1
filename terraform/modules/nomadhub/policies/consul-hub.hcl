# What the hub may do in Consul: publish where notebooks are, and see which are registered. It may register nothing and read no
# other key.
key_prefix "${consul_prefix}/" {
  policy = "write"
}

service_prefix "${service_prefix}-" {
  policy = "read"
}

# A health query answers with the node beside the service.
node_prefix "" {
  policy = "read"
}
