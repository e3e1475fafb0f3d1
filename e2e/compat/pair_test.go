package compat

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// pair is one request that both hubs get. In do, json, form and header, {name} stands for what was kept at that hub of an earlier answer.
type pair struct {
	// as is who asks: the name of a token (kept as "token.NAME"), "browser.NAME" for cookies, or "" for nobody.
	as string
	// do is a method and a path: below the API's root, or from the host's root with a slash at its beginning.
	do string
	// json or form is the body.
	json, form string
	header     map[string]string
	// keep says what of the answer later requests need: "id" is a field of the JSON, "?code" a parameter of the Location, "=_xsrf" a cookie.
	keep map[string]string
	// until repeats the request until both hubs answer with this status.
	until int
	// note tells pairs apart that otherwise have the same name.
	note string
}

func (p pair) String() string {
	who := p.as
	if who == "" {
		who = "nobody"
	}
	name := p.do + " as " + who
	switch {
	case p.note != "":
		name += " (" + p.note + ")"
	case p.json+p.form != "":
		name += " " + p.json + p.form
	}
	return name
}

// answer is what one hub said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

var variable = regexp.MustCompile(`\{[a-z0-9_.:!=-]+\}`)

// fill puts in what was kept. What was not kept stays as it is: then the earlier pair failed, and says so.
func (h *hub) fill(text string, p pair) string {
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		name = name[1 : len(name)-1]
		if name == "xsrf" {
			return h.cookie(p, "_xsrf")
		}
		if name == "origin" {
			return h.origin
		}
		return h.kept(name)
	})
}

func (h *hub) kept(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v, ok := h.vars[name]; ok {
		return v
	}
	return "not-kept-" + name
}

// cookie is the value of a cookie that the pair's browser has for the hub's pages.
func (h *hub) cookie(p pair, name string) string {
	at, err := url.Parse(h.origin + "/hub/")
	if err != nil {
		return ""
	}
	for _, c := range h.jar(p.as).Cookies(at) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// ask sends the request to the hub.
func (h *hub) ask(ctx context.Context, p pair) (answer, error) {
	method, path, _ := strings.Cut(p.do, " ")
	path = h.fill(path, p)
	if !strings.HasPrefix(path, "/") {
		path = "/hub/api/" + path
	}
	body := p.json
	if p.form != "" {
		body = p.form
	}
	req, err := http.NewRequestWithContext(ctx, method, h.origin+path, strings.NewReader(h.fill(body, p)))
	if err != nil {
		return answer{}, err
	}
	switch {
	case p.form != "":
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case p.json != "":
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "compat")
	client := *h.client
	if strings.HasPrefix(p.as, "browser.") {
		client.Jar = h.jar(p.as)
	} else if p.as != "" {
		req.Header.Set("Authorization", "token "+h.fill("{token."+p.as+"}", p))
	}
	for name, value := range p.header {
		req.Header.Set(name, h.fill(value, p))
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: res.StatusCode, header: res.Header, body: text}
	h.keep(p, a)
	return a, nil
}

// keep remembers what later requests need of this answer.
func (h *hub) keep(p pair, a answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, from := range p.keep {
		if param, ok := strings.CutPrefix(from, "?"); ok {
			if to, err := url.Parse(a.header.Get("Location")); err == nil && to.Query().Has(param) {
				h.vars[name] = to.Query().Get(param)
			}
			continue
		}
		if cookie, ok := strings.CutPrefix(from, "="); ok {
			for _, c := range (&http.Response{Header: a.header}).Cookies() {
				if c.Name == cookie {
					h.vars[name] = url.PathEscape(c.Value)
				}
			}
			continue
		}
		var fields map[string]any
		if json.Unmarshal(a.body, &fields) == nil {
			if v, ok := fields[from].(string); ok {
				h.vars[name] = v
			}
		}
	}
}
