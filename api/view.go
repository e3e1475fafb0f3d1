package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/go-faster/jx"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// viewer writes what one caller may see as JSON. A field that may not be read is absent, not null: JupyterHub's clients look for the key.
//
// Users and servers are written field by field: a list of them is what scripts ask for most, and what a map of values or reflection would cost is many times what
// it takes to read them from the database.
type viewer struct {
	scopes  scope.Set
	may     sights
	roles   *scope.Policy
	urls    hub.URLs
	stopped bool // show servers that are not active, too
}

// sights are of whom the caller may see what.
type sights struct {
	all, roles, names, groups, activity, authState, servers, serverState scope.Filter
}

func newViewer(scopes scope.Set, roles *scope.Policy, urls hub.URLs) *viewer {
	return &viewer{scopes: scopes, roles: roles, urls: urls, may: sights{
		all: scopes.Filter("read:users"), roles: scopes.Filter("read:roles:users"), names: scopes.Filter("read:users:name"), groups: scopes.Filter("read:users:groups"),
		activity: scopes.Filter("read:users:activity"), authState: scopes.Filter("admin:auth_state"), servers: scopes.Filter("read:servers"),
		serverState: scopes.Filter("admin:server_state"),
	}}
}

// needsServers tells whether any of the caller's fields depends on servers.
func (v *viewer) needsServers() bool { return !v.may.servers.Empty() || !v.may.all.Empty() }

// sees tells whether the caller may read anything of the user.
func (v *viewer) sees(on scope.Object) bool {
	m := &v.may
	return m.all.Covers(on) || m.roles.Covers(on) || m.names.Covers(on) || m.groups.Covers(on) || m.activity.Covers(on) || m.authState.Covers(on)
}

// users writes a list of users with the servers that a listing has of them, without those of whom the caller may read nothing.
func (v *viewer) users(e writer, users []hub.User, of *hub.Listing) {
	e.ArrStart()
	for i := range users {
		v.user(e, &users[i], of.ServersOf(users[i].ID))
	}
	e.ArrEnd()
}

// user writes a user with those of their servers that were read, unless the caller may read nothing of the user.
func (v *viewer) user(e writer, u *hub.User, servers []hub.ServerOutline) {
	on := userObject(*u)
	if !v.sees(on) {
		return
	}
	e.next()
	e.ObjStart()
	v.userFields(e, on, u, servers)
	e.ObjEnd()
}

// userFields writes the fields of a user within an object. There are none if the caller may read nothing of the user.
func (v *viewer) userFields(e writer, on scope.Object, u *hub.User, servers []hub.ServerOutline) {
	if !v.sees(on) {
		return
	}
	textField(e, "kind", "user")
	textField(e, "name", u.Name)
	all, roles := v.may.all.Covers(on), v.may.roles.Covers(on)
	named := all || v.may.names.Covers(on)
	if named || roles {
		boolField(e, "admin", u.Admin)
	}
	if named {
		nullField(e, "user_info") // the hub keeps none
	}
	if all || roles {
		textsField(e, "roles", v.roles.RolesOfUser(hub.HolderOf(*u)))
	}
	if all || v.may.groups.Covers(on) {
		textsField(e, "groups", u.Groups)
	}
	if all || v.may.activity.Covers(on) {
		timeField(e, "last_activity", u.LastActivity)
	}
	if all {
		timeField(e, "created", u.Created)
		v.defaultServer(e, u, servers)
	}
	if v.may.authState.Covers(on) {
		nullField(e, "auth_state") // the hub keeps none
	}
	v.servers(e, on, u, servers)
}

// defaultServer writes the URL of the default server while it is ready, and what is pending for it.
func (v *viewer) defaultServer(e writer, u *hub.User, servers []hub.ServerOutline) {
	state := hub.Stopped
	for i := range servers {
		if servers[i].Name == "" {
			state = servers[i].State
		}
	}
	if state == hub.Ready {
		v.serverURL(e, "server", u.Name, "")
	} else {
		nullField(e, "server")
	}
	textOrNullField(e, "pending", state.Pending())
}

// serverURL writes where browsers find a server.
func (v *viewer) serverURL(e writer, key, user, server string) {
	e.key(key)
	at := e.quote()
	e.Buf = v.urls.AppendServerURL(e.Buf, user, server)
	e.unquote(at)
}

// servers writes those of a user's servers that the caller may read. It writes an empty object for who may read the user's servers and there are none, and nothing for others.
func (v *viewer) servers(e writer, on scope.Object, u *hub.User, servers []hub.ServerOutline) {
	began := false
	begin := func() {
		if !began {
			e.key("servers")
			e.ObjStart()
		}
		began = true
	}
	if v.may.servers.Covers(on) {
		begin()
	}
	show := func(s *hub.ServerOutline) {
		begin()
		e.keyOf(s.Name)
		v.server(e, u, s)
	}
	isDefault := func(s hub.ServerOutline) bool { return s.Name == "" }
	if v.stopped && !slices.ContainsFunc(servers, isDefault) && coversServer(v.may.servers, u, "") {
		show(&hub.ServerOutline{UserID: u.ID, State: hub.Stopped}) // everybody has one, also before its first start
	}
	for i := range servers {
		if s := &servers[i]; (s.State.Active() || v.stopped) && coversServer(v.may.servers, u, s.Name) {
			show(s)
		}
	}
	if began {
		e.ObjEnd()
	}
}

// coversServer tells whether a scope that holds there holds for a server of the user; mostly it holds everywhere, and needs no object for that.
func coversServer(f scope.Filter, u *hub.User, server string) bool {
	return f.All() || f.Covers(serverObject(*u, server))
}

// server writes a server of the user.
func (v *viewer) server(e writer, u *hub.User, s *hub.ServerOutline) {
	e.ObjStart()
	textField(e, "name", s.Name)
	textField(e, "display_name", s.Title())
	e.key("full_name")
	at := e.quote()
	e.Buf = append(append(append(e.Buf, u.Name...), '/'), s.Name...)
	e.unquote(at)
	timeField(e, "last_activity", s.LastActivity)
	if s.State.Active() {
		timeField(e, "started", s.Started)
	} else {
		nullField(e, "started")
	}
	textOrNullField(e, "pending", s.State.Pending())
	boolField(e, "ready", s.State == hub.Ready)
	boolField(e, "stopped", s.State == hub.Stopped)
	v.serverURL(e, "url", u.Name, s.Name)
	e.key("progress_url")
	at = e.quote()
	e.Buf = v.urls.AppendProgress(e.Buf, u.Name, s.Name)
	e.unquote(at)
	if v.urls.Public() != nil {
		textField(e, "full_url", v.urls.Absolute(v.urls.ServerURL(u.Name, s.Name)))
		textField(e, "full_progress_url", v.urls.Absolute(v.urls.Progress(u.Name, s.Name)))
	} else {
		nullField(e, "full_url")
		nullField(e, "full_progress_url")
	}
	rawField(e, "user_options", options(s.Options))
	v.use(e, s)
	if coversServer(v.may.serverState, u, s.Name) {
		e.key("state")
		e.ObjStart()
		textField(e, "id", s.ID)
		e.key("generation")
		e.Int64(s.Generation)
		textField(e, "instance", s.Instance)
		textField(e, "address", s.Address)
		e.ObjEnd()
	}
	e.ObjEnd()
}

// use writes what is known of a server's use, why it ended, and what its owner should know. None of it is JupyterHub's.
func (v *viewer) use(e writer, s *hub.ServerOutline) {
	timeField(e, "last_used", s.LastUsed)
	if !s.KeepUntil.IsZero() {
		timeField(e, "keep_until", s.KeepUntil)
	}
	if f := s.Failure; f != nil {
		valueField(e, "failure", failureView{Message: f.Message, Cause: string(f.Cause), Time: timestamp(f.Time), Evidence: f.Evidence})
	}
	if s.Notice != nil {
		valueField(e, "notice", viewNotice(*s.Notice))
	}
}

func options(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// appendTime writes a time as JupyterHub does: in UTC with microseconds, which are left out if there are none. A list has several for each user, and to follow a layout
// would take a quarter of all that it takes to write the list.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 { // nobody's clock shows this
		return t.AppendFormat(b, time.RFC3339)
	}
	hour, minute, second := t.Clock()
	text := [...]byte{'0', '0', '0', '0', '-', '0', '0', '-', '0', '0', 'T', '0', '0', ':', '0', '0', ':', '0', '0', '.', '0', '0', '0', '0', '0', '0', 'Z'}
	twoDigits(text[0:], year/100)
	twoDigits(text[2:], year%100)
	twoDigits(text[5:], int(month))
	twoDigits(text[8:], day)
	twoDigits(text[11:], hour)
	twoDigits(text[14:], minute)
	twoDigits(text[17:], second)
	const dot = 19
	micros := t.Nanosecond() / int(time.Microsecond)
	if micros == 0 {
		return append(append(b, text[:dot]...), 'Z')
	}
	twoDigits(text[dot+1:], micros/10_000)
	twoDigits(text[dot+3:], micros/100%100)
	twoDigits(text[dot+5:], micros%100)
	return append(b, text[:]...)
}

// twoDigits writes a number below 100.
func twoDigits(into []byte, n int) {
	into[0], into[1] = byte('0'+n/10), byte('0'+n%10)
}

// timestamp is what [appendTime] writes, and null for the zero time.
func timestamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return string(appendTime(nil, t))
}

// write answers with what fill writes, which is one JSON value.
func write(w http.ResponseWriter, status int, fill func(e writer)) error {
	e := writer{jx.GetWriter()}
	defer jx.PutWriter(e.Writer)
	fill(e)
	return httpd.JSONText(w, status, e.Buf)
}
