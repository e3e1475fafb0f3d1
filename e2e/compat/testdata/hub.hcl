# Our hub for the side-by-side suite: everybody may log in with one password, and servers are a stub.
log {
  level = "info"
}

database {
  dsn = env("COMPAT_DATABASE")
}

secrets {
  file = env("COMPAT_SECRETS")
}

local {
  directory    = env("COMPAT_SERVERS")
  home         = env("COMPAT_HOME")
  command      = [env("COMPAT_STUB_PROGRAM")]
  stop_servers = true
}

notebook {
  env            = { COMPAT_STUB = "1" }
  answer_timeout = "10m"
}

limits {
  named_servers       = true
  requests_per_second = 0
}

login {
  allow_all   = true
  admin_users = ["admin"]
}

authenticator "dummy" "dummy" {
  password = env("COMPAT_PASSWORD")
}
