package web

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// errorView is the page that says what went wrong.
type errorView struct {
	chrome
	Status    int
	Heading   string
	Message   string
	RequestID string
	Retry     string // where "try again" leads; "": it is not offered
	Waiting   bool   // the page asks again by itself
}

// RenderError shows a problem as a page. It is an [httpd.Renderer].
func (h *Web) RenderError(w http.ResponseWriter, r *http.Request, p httpd.Problem) {
	v := errorView{
		chrome: h.bareChrome(heading(p.Status)), Status: p.Status, Heading: heading(p.Status), Message: p.Message, RequestID: p.RequestID,
	}
	if who := httpd.Principal(r); who.User.ID != "" {
		v.User = &personView{Name: who.User.Name, Admin: who.Can(scopeAdminUI, everything)}
	}
	if r.Method == http.MethodGet && (p.Status >= http.StatusInternalServerError || p.Status == http.StatusTooManyRequests) {
		v.Retry = r.URL.RequestURI()
	}
	h.showOrSay(w, p.Status, "error", v, p.Message)
}

// showOrSay shows a page, or its sentence alone if even that fails.
func (h *Web) showOrSay(w http.ResponseWriter, status int, name string, page any, sentence string) {
	if err := h.show(w, status, name, page); err != nil {
		h.log.Error("page not rendered", "page", name, "err", err)
		http.Error(w, sentence, status)
	}
}

// heading says in a few words what a status means to a person.
func heading(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "That did not work"
	case http.StatusUnauthorized:
		return "Please log in"
	case http.StatusForbidden:
		return "You may not do this"
	case http.StatusNotFound:
		return "There is nothing here"
	case http.StatusMethodNotAllowed:
		return "That is not possible here"
	case http.StatusConflict:
		return "Something else came first"
	case http.StatusFailedDependency:
		return "The server is not running"
	case http.StatusTooManyRequests:
		return "Too much at once"
	case http.StatusServiceUnavailable:
		return "Not available at this moment"
	}
	if status >= http.StatusInternalServerError {
		return "Something went wrong"
	}
	return "That did not work"
}

func (h *Web) notFound(http.ResponseWriter, *http.Request) error {
	return hub.Errorf(hub.NotFound, "There is no page at this address. The link may be old, or mistyped.")
}

func (h *Web) methodNotAllowed(w http.ResponseWriter, r *http.Request) error {
	h.RenderError(w, r, problem(r, http.StatusMethodNotAllowed, "This address cannot be asked in that way."))
	return nil
}

func problem(r *http.Request, status int, message string) httpd.Problem {
	return httpd.Problem{Status: status, Message: message, RequestID: middleware.GetReqID(r.Context())}
}

// errorPage is the body that a proxy shows for an error of its own; it relays it under the original status, so ours is 200.
func (h *Web) errorPage(w http.ResponseWriter, r *http.Request) error {
	code, err := strconv.Atoi(chi.URLParam(r, "code"))
	if err != nil || code < 400 || code > 599 {
		return h.notFound(w, r)
	}
	message := map[int]string{
		http.StatusNotFound:           "No server answers at this address. It may have been stopped.",
		http.StatusServiceUnavailable: "The server at this address does not answer. It may be stopped, or on its way up.",
	}[code]
	if message == "" {
		message = "The request could not be passed on to the server behind this address."
	}
	v := errorView{chrome: h.bareChrome(heading(code)), Status: code, Heading: heading(code), Message: message}
	return h.show(w, http.StatusOK, "error", v)
}

// refreshSeconds is how often a page without JavaScript asks again.
const refreshSeconds = 3

// ProxyError shows that a request could not be forwarded to a user's server. Programs get JSON. It is meant as the proxy's error handler, so it asks neither
// a cookie nor the database.
func (h *Web) ProxyError(w http.ResponseWriter, r *http.Request, status int, _ error) {
	message := "Your server was asked and did not answer. If it is busy or on its way up, it will answer soon. If not, look at its state on the home page."
	if h.ofService(r) {
		message = "The service was asked and did not answer. If that does not pass soon, tell whoever runs it."
	}
	if status < http.StatusInternalServerError {
		message = "This request cannot be passed on: " + strings.ToLower(http.StatusText(status)) + "."
	}
	if h.wantsJSON(r) {
		w.Header().Set("Cache-Control", "no-store")
		httpd.RenderJSON(w, r, problem(r, status, message))
		return
	}
	v := errorView{chrome: h.bareChrome(heading(status)), Status: status, Heading: heading(status), Message: message}
	if status == http.StatusServiceUnavailable {
		v.Title, v.Heading = "The server does not answer", "The server does not answer"
		if h.ofService(r) {
			v.Title, v.Heading = "The service does not answer", "The service does not answer"
		}
		if r.Method == http.MethodGet {
			v.Retry, v.Waiting, v.Refresh = r.URL.RequestURI(), true, refreshSeconds
		}
	}
	h.showOrSay(w, status, "error", v, message)
}

// maxReport bounds what a browser may tell us of a breach of our content policy, in bytes.
const maxReport = 4 << 10

// cspReport notes what a browser refused to load into one of our pages. Only of people who are logged in, so that strangers cannot fill the log; and without a page
// token, which browsers do not send here.
func (h *Web) cspReport(w http.ResponseWriter, r *http.Request) error {
	p, err := h.sessions.Browser(r)
	if hub.KindOf(err) == hub.Unauthenticated {
		return hub.Errorf(hub.Forbidden, "Only people who are logged in can report.")
	}
	if err != nil {
		return err
	}
	report, err := io.ReadAll(io.LimitReader(r.Body, maxReport))
	if err != nil {
		return &hub.Error{Kind: hub.Invalid, Message: "The report could not be read.", Err: err}
	}
	h.log.WarnContext(r.Context(), "browser reports a breach of the content policy", "user", p.User.Name, "report", string(report))
	w.WriteHeader(http.StatusNoContent)
	return nil
}
