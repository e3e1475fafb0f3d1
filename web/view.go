package web

import (
	"fmt"
	"strconv"
	"time"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
)

// moment is a time as a page shows it.
type moment struct {
	ISO   string // for programs
	Exact string // for who wants to know
	Ago   string // for people
}

// when tells a time against now; the zero time is "never".
func when(t, now time.Time) moment {
	if t.IsZero() {
		return moment{Ago: "never"}
	}
	return moment{ISO: t.UTC().Format(time.RFC3339), Exact: t.UTC().Format("2 January 2006, 15:04:05 MST"), Ago: distance(now.Sub(t))}
}

func distance(d time.Duration) string {
	future := d < 0
	d = d.Abs()
	var text string
	switch {
	case d < 45*time.Second && !future:
		return "just now"
	case d < 90*time.Second:
		text = "1 minute"
	case d < 90*time.Minute:
		text = plural(d, time.Minute, "minute")
	case d < 36*time.Hour:
		text = plural(d, time.Hour, "hour")
	case d < 60*24*time.Hour:
		text = plural(d, 24*time.Hour, "day")
	default:
		text = plural(d, 30*24*time.Hour, "month")
	}
	if future {
		return "in " + text
	}
	return text + " ago"
}

func number(n int) string { return strconv.Itoa(n) }

func plural(d, unit time.Duration, name string) string {
	n := int((d + unit/2) / unit)
	if n == 1 {
		return "1 " + name
	}
	return fmt.Sprintf("%d %ss", n, name)
}

// failureView is why a server ended.
type failureView struct {
	Message string
	Log     []string
	Time    moment
}

// serverView is one server as pages show it.
type serverView struct {
	Owner, Name  string
	Label        string // what people call it
	State        string // "stopped", "starting", "ready", "stopping"; also chooses a colour
	StateText    string
	Ready        bool
	Starting     bool
	Stopping     bool
	Stopped      bool
	Started      moment
	LastActivity moment
	Failure      *failureView

	OpenURL, StartURL, StopURL, PendingURL string
}

func (h *Web) viewServer(s hub.Server, now time.Time) serverView {
	v := serverView{
		Owner: s.UserName, Name: s.Name, Label: s.Name, State: string(s.State),
		Ready: s.State == hub.Ready, Starting: s.State == hub.Starting, Stopping: s.State == hub.Stopping, Stopped: s.State == hub.Stopped,
		Started: when(s.Started, now), LastActivity: when(s.LastActivity, now),
		OpenURL: h.urls.Server(s.UserName, s.Name), StartURL: h.urls.Spawn(s.UserName, s.Name),
		StopURL: h.stopURL(s.UserName, s.Name), PendingURL: h.urls.SpawnPending(s.UserName, s.Name),
	}
	if s.Name == "" {
		v.Label = "default server"
	}
	v.StateText = map[hub.ServerState]string{
		hub.Stopped: "Not running", hub.Starting: "Starting", hub.Ready: "Running", hub.Stopping: "Stopping",
	}[s.State]
	if s.Failure != nil && s.State == hub.Stopped {
		v.State, v.StateText = "failed", "Failed"
		v.Failure = &failureView{Message: s.Failure.Message, Log: s.Failure.Log, Time: when(s.Failure.Time, now)}
	}
	return v
}

// stopURL is where a form that stops the server is sent.
func (h *Web) stopURL(user, server string) string {
	to := h.urls.Hub() + "stop/" + hub.EscapePath(user)
	if server != "" {
		to += "/" + hub.EscapePath(server)
	}
	return to
}

// own tells whether the principal is the user.
func own(p hub.Principal, user string) bool { return p.User.Name == user }

// serverObject is a server of the user, for asking what a principal may do with it.
func serverObject(u hub.User, server string) scope.Object {
	return scope.Server(u.Name, server, u.Groups...)
}
