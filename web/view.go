package web

import (
	"fmt"
	"net/url"
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
	Message  string
	Log      []string
	Evidence []string // what an automatic stop was decided by
	OfferURL string   // the form, filled in so that the same would not happen again; ""
	Time     moment
}

// noticeView is what the owner of a running server should know.
type noticeView struct {
	Title    string
	Message  string
	When     string // the words before Until
	Until    moment
	Evidence []string
	MoveURL  string // where "move it now" is sent; "" if moving does not help
	KeepURL  string // where "keep it running" is sent; "" if that is not the question
}

// waitView is what a start waits for.
type waitView struct {
	Reason   string
	Position string // in words; "" if nobody knows
}

// serverView is one server as pages show it.
type serverView struct {
	Owner, Name  string
	Label        string // what people call it
	Called       string // the same if its owner has chosen that; else ""
	State        string // "stopped", "starting", "ready", "stopping"; also chooses a colour
	StateText    string
	Ready        bool
	Starting     bool
	Stopping     bool
	Stopped      bool
	Started      moment
	LastActivity moment
	Failure      *failureView
	Notice       *noticeView
	Wait         *waitView
	Profile      string // what it runs or ran with; "" if there are no profiles
	Chosen       bool   // a choice was made at an earlier start

	OpenURL, StartURL, StopURL, PendingURL, RestartURL, DetailsURL string
	ShareURL                                                       string // "" if the person may not share it
}

func (h *Web) viewServer(s hub.Server, now time.Time) serverView {
	v := serverView{
		Owner: s.UserName, Name: s.Name, Label: s.Title(), Called: s.DisplayName, State: string(s.State),
		Ready: s.State == hub.Ready, Starting: s.State == hub.Starting, Stopping: s.State == hub.Stopping, Stopped: s.State == hub.Stopped,
		Started: when(s.Started, now), LastActivity: when(s.LastActivity, now),
		OpenURL: h.urls.ServerURL(s.UserName, s.Name), StartURL: h.urls.Spawn(s.UserName, s.Name),
		StopURL: h.action("stop", s), PendingURL: h.urls.SpawnPending(s.UserName, s.Name),
		RestartURL: h.action("restart", s), DetailsURL: h.action("server", s), Profile: s.Profile, Chosen: s.Options != nil,
		Notice: h.viewNotice(s, now), Wait: viewWait(s),
	}
	if v.Label == "" {
		v.Label = "default server"
	}
	v.StateText = map[hub.ServerState]string{
		hub.Stopped: "Not running", hub.Starting: "Starting", hub.Ready: "Running", hub.Stopping: "Stopping",
	}[s.State]
	if s.Failure != nil && s.State == hub.Stopped {
		v.State, v.StateText = "failed", "Failed"
		v.Failure = &failureView{
			Message: s.Failure.Message, Log: s.Failure.Log, Evidence: s.Failure.Evidence, OfferURL: h.offerURL(s), Time: when(s.Failure.Time, now),
		}
	}
	return v
}

// action is the address below which something is done with a server.
func (h *Web) action(what string, s hub.Server) string {
	to := h.urls.Hub() + what + "/" + hub.EscapePath(s.UserName)
	if s.Name != "" {
		to += "/" + hub.EscapePath(s.Name)
	}
	return to
}

// offerURL leads to the form with a choice that would not meet the same end; "" if there is none.
func (h *Web) offerURL(s hub.Server) string {
	if s.Failure == nil || s.Failure.Offer == nil {
		return ""
	}
	q := url.Values{}
	for name, value := range choicesOf(s.Failure.Offer) {
		q.Set(name, value)
	}
	return h.urls.Spawn(s.UserName, s.Name) + "?" + q.Encode()
}

func (h *Web) viewNotice(s hub.Server, now time.Time) *noticeView {
	n := s.Notice
	if n == nil || s.State != hub.Ready {
		return nil
	}
	v := &noticeView{Message: n.Message, Evidence: n.Evidence, Until: when(n.Until, now), When: "That will be"}
	switch n.Kind {
	case hub.NoticeDrain:
		v.Title, v.MoveURL = "Its machine is being emptied", h.action("move", s)
	case hub.NoticeLost:
		v.Title = "Its machine cannot be reached"
	case hub.NoticeIdle:
		v.Title, v.KeepURL = "Nothing shows that it is used", h.action("keep", s)
	case hub.NoticeAge:
		v.Title = "It has run for long"
	case hub.NoticeUsage:
		v.Title = "A limit of use is near"
	}
	return v
}

func viewWait(s hub.Server) *waitView {
	if s.Wait == nil || s.State != hub.Starting {
		return nil
	}
	return &waitView{Reason: s.Wait.Reason}
}

// placeText says where somebody stands.
func placeText(p *hub.QueuePlace) string {
	if p == nil || p.Position == 0 {
		return ""
	}
	return fmt.Sprintf("You are number %d of %d.", p.Position, p.Of)
}

// own tells whether the principal is the user.
func own(p hub.Principal, user string) bool { return p.User.Name == user }

// serverObject is a server of the user, for asking what a principal may do with it.
func serverObject(u hub.User, server string) scope.Object {
	return scope.Server(u.Name, server, u.Groups...)
}
