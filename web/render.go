package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

//go:embed templates/*.html
var templateFiles embed.FS

// chrome is what surrounds every page.
type chrome struct {
	Title   string
	Section string // which entry of the navigation is this page: "home", "token", "usage", "admin" or ""
	User    *personView
	XSRF    string // for forms
	// Refresh is after how many seconds a browser without JavaScript asks again; 0: never.
	Refresh int
	Links   links
	Version string
}

// personView is who looks at the page.
type personView struct {
	Name  string
	Admin bool // may see the administration
}

// links are the addresses that every page offers.
type links struct{ Index, Home, Token, Usage, Admin, Login, Logout, Hub string }

// chrome prepares a page for whoever asks for it. It may set the cookie of the page token, so it comes before anything is written.
func (h *Web) chrome(w http.ResponseWriter, r *http.Request, title, section string) chrome {
	c := h.bareChrome(title)
	p := httpd.Principal(r)
	c.Section = section
	c.XSRF = h.sessions.PageToken(w, r, p.Session)
	if p.User.ID != "" {
		c.User = &personView{Name: p.User.Name, Admin: p.Can(scopeAdminUI, everything)}
	}
	return c
}

// bareChrome is for pages that may be shown where the hub's cookies do not reach.
func (h *Web) bareChrome(title string) chrome {
	at := h.urls.Origin() + h.urls.Hub()
	return chrome{
		Title: title, Version: h.version,
		Links: links{
			Index: at, Home: at + "home", Token: at + "token", Usage: at + "usage", Admin: at + "admin", Login: at + "login", Logout: at + "logout", Hub: at,
		},
	}
}

// pages are one set of templates each: the layout, the parts that pages share, and the page itself. A set is made when its page is shown for the first time: each
// has a copy of all that is shared, which is much for pages that hardly anybody opens.
type pages map[string]func() (*template.Template, error)

func newPages(a *assets) (pages, error) {
	shared, err := template.New("").Funcs(template.FuncMap{"asset": a.url, "within": within}).Option("missingkey=error").
		ParseFS(templateFiles, "templates/_*.html")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	files, err := fs.Glob(templateFiles, "templates/[a-z]*.html")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	all := make(pages, len(files))
	for _, f := range files {
		all[strings.TrimSuffix(path.Base(f), ".html")] = sync.OnceValues(func() (*template.Template, error) { return parsePage(shared, f) })
	}
	return all, nil
}

// parsePage makes one set. It leaves the shared one as it is, so that others are made of it meanwhile.
func parsePage(shared *template.Template, file string) (*template.Template, error) {
	t, err := shared.Clone()
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if _, err := t.ParseFS(templateFiles, file); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return t, nil
}

// part is one server together with what forms need.
type part struct {
	Server serverView
	XSRF   string
}

// within hands a template that is about a server what it needs of a page with several.
func within(page homeView, s serverView) part { return part{s, page.XSRF} }

// show renders a page completely before anything is written, so that a fault in it is an error and not half a page.
func (h *Web) show(w http.ResponseWriter, status int, name string, page any) error {
	body, err := h.pages.render(name, page)
	if err != nil {
		return err
	}
	h.send(w, status, body)
	return nil
}

func (all pages) render(name string, page any) ([]byte, error) {
	made := all[name]
	if made == nil {
		return nil, fmt.Errorf("web: there is no page %q", name)
	}
	t, err := made()
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	if err := t.ExecuteTemplate(&body, "layout", page); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return body.Bytes(), nil
}

// send writes a page that was rendered.
func (h *Web) send(w http.ResponseWriter, status int, body []byte) {
	h.setSecureHeaders(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // what was shown to one person is not shown to the next by "back"
	w.WriteHeader(status)
	_, _ = w.Write(body) // the browser is gone; nobody is left to tell
}

// contentPolicy says what a page may do: nothing that we did not write ourselves. Servers of users may live on the same origin, so a hole here would
// be one into them. Pages about servers that do not answer are shown on the servers' hosts. What follows a form may lead to any of these.
func contentPolicy(urls hub.URLs) string {
	self, onwards := "'self'", "'self'"
	if urls.Subdomains() {
		self, onwards = "'self' "+urls.Origin(), "'self' "+urls.Origin()+" "+urls.Everywhere()
	}
	return "default-src 'none'; script-src " + self + "; style-src " + self + "; img-src " + self + " data:; connect-src 'self'; " +
		"form-action " + onwards + "; frame-ancestors 'none'; base-uri 'none'; report-uri " + urls.Origin() + urls.Hub() + "security/csp-report"
}

func (h *Web) setSecureHeaders(header http.Header) {
	header.Set("Content-Security-Policy", h.policy)
	httpd.Alone(header)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
}

func (h *Web) secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.setSecureHeaders(w.Header())
		next.ServeHTTP(w, r)
	})
}
