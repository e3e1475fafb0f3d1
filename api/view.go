package api

import (
	"encoding/json"
	"time"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
)

// viewer makes JSON of what one caller may see. A field that may not be read is absent, not null: JupyterHub's clients look for the key.
type viewer struct {
	scopes  scope.Set
	roles   *scope.Policy
	urls    hub.URLs
	stopped bool // show servers that are not active, too
}

// can tells whether the caller holds the scope for a user.
func (v viewer) can(name string, u hub.User) bool {
	return v.scopes.Has(name, userObject(u))
}

// needsServers tells whether any of the caller's fields depends on servers.
func (v viewer) needsServers() bool {
	return !v.scopes.Filter("read:servers").Empty() || !v.scopes.Filter("read:users").Empty()
}

// user shows a user with those of their servers that were read. It is empty if the caller may read nothing of the user.
func (v viewer) user(u hub.User, servers []hub.Server) map[string]any {
	m := map[string]any{}
	all, roles := v.can("read:users", u), v.can("read:roles:users", u)
	named := v.can("read:users:name", u)
	if all || roles || named {
		m["admin"] = u.Admin
	}
	if all || named {
		m["user_info"] = nil // the hub keeps none
	}
	if all || roles {
		m["roles"] = v.roles.RolesOfUser(hub.HolderOf(u))
	}
	if all || v.can("read:users:groups", u) {
		m["groups"] = append([]string{}, u.Groups...)
	}
	if all || v.can("read:users:activity", u) {
		m["last_activity"] = timestamp(u.LastActivity)
	}
	if all {
		m["created"] = timestamp(u.Created)
		m["server"], m["pending"] = v.defaultServer(servers)
	}
	if v.can("admin:auth_state", u) {
		m["auth_state"] = nil // the hub keeps none
	}
	if len(m) == 0 {
		return m
	}
	m["kind"], m["name"] = "user", u.Name
	if list := v.servers(u, servers); len(list) > 0 || v.can("read:servers", u) {
		m["servers"] = list
	}
	return m
}

// defaultServer is the URL of the default server while it is ready, and what is pending for it.
func (v viewer) defaultServer(servers []hub.Server) (url, pending any) {
	for _, s := range servers {
		if s.Name != "" {
			continue
		}
		if s.State == hub.Ready {
			url = v.urls.Server(s.UserName, s.Name)
		}
		return url, orNull(s.Pending())
	}
	return nil, nil
}

func (v viewer) servers(u hub.User, servers []hub.Server) map[string]any {
	list := map[string]any{}
	if v.stopped && v.scopes.Has("read:servers", serverObject(u, "")) { // everybody has one, also before its first start
		list[""] = v.server(u, hub.Server{UserID: u.ID, UserName: u.Name, State: hub.Stopped})
	}
	for _, s := range servers {
		if (s.Active() || v.stopped) && v.scopes.Has("read:servers", serverObject(u, s.Name)) {
			list[s.Name] = v.server(u, s)
		}
	}
	return list
}

// server shows a server of the user.
func (v viewer) server(u hub.User, s hub.Server) map[string]any {
	m := map[string]any{
		"name": s.Name, "display_name": s.Title(), "full_name": u.Name + "/" + s.Name,
		"last_activity": timestamp(s.LastActivity), "started": nil,
		"pending": orNull(s.Pending()), "ready": s.State == hub.Ready, "stopped": s.State == hub.Stopped,
		"url": v.urls.Server(u.Name, s.Name), "progress_url": v.urls.Progress(u.Name, s.Name),
		"full_url": nil, "full_progress_url": nil, "user_options": options(s.Options),
	}
	if s.Active() {
		m["started"] = timestamp(s.Started)
	}
	addUse(m, s)
	if s.Notice != nil {
		m["notice"] = viewNotice(*s.Notice)
	}
	if p := v.urls.Public(); p != nil {
		host := p.Scheme + "://" + p.Host
		m["full_url"], m["full_progress_url"] = host+v.urls.Server(u.Name, s.Name), host+v.urls.Progress(u.Name, s.Name)
	}
	if v.scopes.Has("admin:server_state", serverObject(u, s.Name)) {
		m["state"] = map[string]any{"id": s.ID, "generation": s.Generation, "instance": s.Instance, "address": s.Address}
	}
	return m
}

func options(raw json.RawMessage) any {
	if len(raw) == 0 {
		return map[string]any{}
	}
	return raw
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// timestamp writes a time as JupyterHub does: in UTC with microseconds, which are left out if there are none; null for the zero time.
func timestamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}
