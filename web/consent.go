package web

import "net/http"

// Consent is what a visitor is asked before the server of somebody else, or a service, learns who they are. Its form is sent by POST to Action, with the page token and one field
// "scopes" for each scope that is ticked.
type Consent struct {
	User        string // the visitor
	Owner       string // whose server it is; "" if it is a service
	Service     string // the name of the service; "" if it is a server
	Description string // "Server at /user/alice/"
	Action      string
	XSRF        string
	Home        string // where to go instead
	Scopes      []ConsentScope
}

// ConsentScope is one thing that the server would be allowed.
type ConsentScope struct {
	Raw      string
	Label    string // a sentence
	Required bool   // cannot be taken away
}

type consentView struct {
	chrome
	Ask Consent
}

// ShowConsent shows the question in the hub's own looks.
func (h *Web) ShowConsent(w http.ResponseWriter, _ *http.Request, c Consent) error {
	whom := "the server of " + c.Owner
	if c.Service != "" {
		whom = "the service " + c.Service
	}
	v := consentView{chrome: h.bareChrome("Go on to " + whom + "?"), Ask: c}
	v.User = &personView{Name: c.User}
	return h.show(w, http.StatusOK, "consent", v)
}
