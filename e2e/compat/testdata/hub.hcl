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
  # Without the second one a program under the race detector takes a second to end.
  env            = { COMPAT_STUB = "1", GORACE = "atexit_sleep_ms=0" }
  answer_timeout = "10m"
}

limits {
  named_servers       = true
  requests_per_second = 0
}

scope "custom:grader:write" {
  description = "Grade"
  subscopes   = ["custom:grader:read"]
}

scope "custom:grader:read" {
  description = "Read grades"
}

service "culler" {
  api_token = env("COMPAT_SERVICE_TOKEN")
}

role "watcher" {
  scopes = ["list:users", "read:servers", "read:roles", "custom:grader:read"]
  users  = ["dave"]
}

role "assistant" {
  scopes = ["admin:servers!group=lab", "list:users!group=lab", "tokens!group=lab", "groups!group=lab"]
  groups = ["staff"]
}

role "idle-culler" {
  scopes   = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
  services = ["culler"]
}

role "grader" {
  scopes = ["custom:grader:write", "access:services", "read:users!user"]
  users  = ["gina"]
}

login {
  allow_all   = true
  admin_users = ["admin"]
}

authenticator "dummy" "dummy" {
  password = env("COMPAT_PASSWORD")
}
