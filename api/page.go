package api

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// Limits of pages, as in JupyterHub.
const (
	defaultLimit = 50 // for callers that know of pages
	maxLimit     = 200
	maxOffset    = 1 << 31
	maxNumber    = 1<<53 - 1 // what every JSON parser reads alike
)

// pageMedia in the Accept header is how callers ask for pages. Without it they get a bare array, cut at maxLimit.
const pageMedia = "application/jupyterhub-pagination+json"

// page is the part of a list that is asked for.
type page struct {
	offset, limit int
	told          bool // the caller wants to be told how it goes on
}

func pageOf(r *http.Request) (p page, err error) {
	p = page{limit: maxLimit}
	for item := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		if strings.ToLower(strings.TrimSpace(item)) == pageMedia {
			p.told, p.limit = true, defaultLimit
		}
	}
	if p.offset, err = number(r, "offset", 0); err != nil {
		return p, err
	}
	if p.limit, err = number(r, "limit", p.limit); err != nil {
		return p, err
	}
	p.limit = min(max(p.limit, 1), maxLimit)
	return p, nil
}

// number reads an integer of the query; JupyterHub takes negative ones for positive.
func number(r *http.Request, name string, otherwise int) (int, error) {
	q := r.URL.Query()
	if !q.Has(name) {
		return otherwise, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n > maxOffset || n < -maxOffset {
		return 0, hub.Errorf(hub.Invalid, "The parameter %s must be a whole number.", name)
	}
	return max(n, -n), nil
}

type pagination struct {
	Offset int       `json:"offset"`
	Limit  int       `json:"limit"`
	Total  int       `json:"total"`
	Next   *nextPage `json:"next"`
}

type nextPage struct {
	Offset int    `json:"offset"`
	Limit  int    `json:"limit"`
	URL    string `json:"url"`
}

// write answers with the items of a page.
func (p page) write(w http.ResponseWriter, r *http.Request, urls hub.URLs, items any, total int) error {
	if !p.told {
		return httpd.JSON(w, http.StatusOK, items)
	}
	return httpd.JSON(w, http.StatusOK, map[string]any{"items": items, "_pagination": p.about(r, urls, total)})
}

func (p page) about(r *http.Request, urls hub.URLs, total int) pagination {
	about := pagination{Offset: p.offset, Limit: p.limit, Total: total}
	if following := p.offset + p.limit; following < total {
		about.Next = &nextPage{Offset: following, Limit: p.limit, URL: p.nextURL(r, urls, following)}
	}
	return about
}

// around writes a list that list writes, and with it how it goes on if the caller wants to be told.
func (p page) around(e writer, r *http.Request, urls hub.URLs, total int, list func()) {
	if !p.told {
		list()
		return
	}
	e.ObjStart()
	e.key("items")
	list()
	valueField(e, "_pagination", p.about(r, urls, total))
	e.ObjEnd()
}

// nextURL is absolute, because clients fetch it as it stands, and by the name under which this client reached us, because servers and services use
// another one than browsers.
func (p page) nextURL(r *http.Request, urls hub.URLs, offset int) string {
	q := r.URL.Query()
	q.Set("offset", strconv.Itoa(offset))
	q.Set("limit", strconv.Itoa(p.limit))
	next := url.URL{Scheme: schemeOf(r, urls), Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: q.Encode()}
	return next.String()
}

// schemeOf is how the client reached us, or what stands before us.
func schemeOf(r *http.Request, urls hub.URLs) string {
	if r.TLS != nil {
		return "https"
	}
	if proto := r.Header.Get("X-Forwarded-Proto"); proto == "http" || proto == "https" {
		return proto
	}
	if p := urls.Public(); p != nil && strings.EqualFold(p.Host, r.Host) {
		return p.Scheme
	}
	return "http"
}
