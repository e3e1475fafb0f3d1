package compat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// page stands for a page for people: each hub has its own.
const page = "<page>"

// content is the body as it is compared: JSON with what differs by nature masked, the events of a stream, or text.
func (h *hub) content(a answer) any {
	kind := a.header.Get("Content-Type")
	switch {
	case a.status/100 == 3, len(a.body) == 0: // what is shown to those few who cannot follow
		return ""
	case strings.HasPrefix(kind, "application/json"):
		var v any
		if json.Unmarshal(a.body, &v) == nil {
			return h.mask("", v)
		}
	case strings.HasPrefix(kind, "text/event-stream"):
		return h.mask("", events(a.body))
	case strings.HasPrefix(kind, "text/html"):
		return page
	case bytes.HasPrefix(a.body, []byte("# HELP")):
		return "<metrics>"
	case strings.HasPrefix(kind, "image/"):
		return "<image>"
	}
	return h.text(string(a.body))
}

// events are the JSON objects of an event stream.
func events(body []byte) []any {
	all := []any{}
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data:"); ok {
			var v any
			if json.Unmarshal([]byte(data), &v) != nil {
				v = "not JSON: " + data
			}
			all = append(all, v)
		}
	}
	return all
}

// masks say which values differ by nature, by their key. A value that has not the form stays as it is, so that a wrong form shows.
var masks = map[string]struct {
	form *regexp.Regexp
	mask string
}{
	"id":                {regexp.MustCompile(`^(a|sc_)\d+$`), "<id>"},
	"token_id":          {regexp.MustCompile(`^a\d+$`), "<id>"},
	"token":             {regexp.MustCompile(`^[A-Za-z0-9_-]{16,}$`), "<secret>"},
	"access_token":      {regexp.MustCompile(`^[A-Za-z0-9_-]{16,}$`), "<secret>"},
	"code":              {regexp.MustCompile(`^[A-Za-z0-9_-]{16,}$`), "<secret>"},
	"session_id":        {regexp.MustCompile(`^[0-9a-f]{32}$`), "<session>"},
	"version":           {regexp.MustCompile(`^\d+\.\d+\.\d+.*|^unknown|^dev`), "<version>"},
	"created":           {timestamp, "<time>"},
	"started":           {timestamp, "<time>"},
	"request_id":        {regexp.MustCompile(`^[A-Z0-9]{8,}$`), "<request>"},
	"expires_at":        {timestamp, "<time>"},
	"created_at":        {timestamp, "<time>"},
	"last_exchanged_at": {timestamp, "<time>"},
	"message":           {regexp.MustCompile(`(?s).`), "<message>"}, // sentences are each hub's own
	"html_message":      {regexp.MustCompile(`(?s).`), "<message>"},
	"error_description": {regexp.MustCompile(`(?s).`), "<message>"},
	"target":            {regexp.MustCompile(`^http://127\.0\.0\.1:\d+$`), "<address>"},
	"python":            {regexp.MustCompile(`.`), "<python>"},
	"sys_executable":    {regexp.MustCompile(`.`), "<program>"},
	"class":             {regexp.MustCompile(`.`), "<class>"},
}

var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$`)

func (h *hub) mask(key string, v any) any {
	if text, ok := v.(string); key == "last_activity" && (v == nil || ok && timestamp.MatchString(text)) {
		return "<time or null>" // both hubs write it some time after the activity
	}
	switch v := v.(type) {
	case map[string]any:
		if key == "state" && len(v) > 0 {
			return "<state>"
		}
		for k := range v {
			v[k] = h.mask(k, v[k])
		}
		return v
	case []any:
		for i := range v {
			v[i] = h.mask(key, v[i])
		}
		slices.SortStableFunc(v, byNote)
		return v
	case string:
		if m, ok := masks[key]; ok && m.form.MatchString(v) {
			return m.mask
		}
		if key == "scope" {
			scopes := strings.Fields(v)
			slices.Sort(scopes)
			return strings.Join(scopes, " ")
		}
		if key == "url" {
			return h.text(inOrder(v))
		}
		return h.text(v)
	}
	return v
}

// byNote orders tokens, which come by a last use that either hub writes when it likes. Other things stay where they are.
func byNote(a, b any) int {
	x, y := tokenKey(a), tokenKey(b)
	return strings.Compare(x, y)
}

func tokenKey(v any) string {
	token, ok := v.(map[string]any)
	if !ok || token["kind"] != "api_token" {
		return ""
	}
	var scopes []string
	if list, ok := token["scopes"].([]any); ok {
		for _, scope := range list {
			if name, ok := scope.(string); ok && !strings.HasPrefix(name, "start:servers") {
				scopes = append(scopes, name)
			}
		}
	}
	slices.Sort(scopes)
	return show(token["note"]) + show(token["expires_at"]) + show(token["oauth_client"]) + strings.Join(scopes, " ")
}

// inOrder sorts the parameters of a URL, whose order means nothing.
func inOrder(s string) string {
	rest, fragment, _ := strings.Cut(s, "#")
	path, query, found := strings.Cut(rest, "?")
	if !found {
		return s
	}
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return s
	}
	s = path + "?" + parameters.Encode()
	if fragment != "" {
		s += "#" + fragment
	}
	return s
}

var secretParameter = regexp.MustCompile(`((?:[?&]|%3F|%26)code(?:=|%3D))[A-Za-z0-9_-]{16,}`)

// text masks what is the hub's own inside a text: its address, and secrets in URLs.
func (h *hub) text(s string) string {
	s = strings.ReplaceAll(s, h.origin, "<origin>")
	if at, err := url.Parse(h.origin); err == nil {
		s = strings.ReplaceAll(s, at.Host, "<host>")
		s = strings.ReplaceAll(s, url.QueryEscape(at.Host), "<host>")
	}
	return secretParameter.ReplaceAllString(s, "${1}<secret>")
}

// compared are the headers that matter to clients.
var compared = []string{
	"Content-Type", "Location", "Allow", "Www-Authenticate", "Cache-Control", "Pragma", "Retry-After", "Access-Control-Allow-Origin",
	"Access-Control-Allow-Headers",
}

// headers are those that are compared, with cookies as sentences: their name, path and flags.
func (h *hub) headers(a answer) map[string]string {
	seen := map[string]string{}
	for _, name := range compared {
		if v := strings.Join(a.header.Values(name), ", "); v != "" {
			seen[name] = h.text(inOrder(v))
		}
	}
	if kind, _, _ := strings.Cut(seen["Content-Type"], ";"); kind == "text/html" {
		seen["Content-Type"] = kind
	}
	if a.status/100 == 3 {
		delete(seen, "Content-Type")
	}
	if a.header.Get("X-JupyterHub-Version") != "" {
		seen["X-JupyterHub-Version"] = "<version>"
	}
	return seen
}

// cookies are what the answer sets, by name: path and flags as a sentence. SameSite is apart.
func cookies(a answer) map[string]string {
	seen := map[string]string{}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		seen[c.Name] = describe(c)
		if _, rest, found := strings.Cut(c.Raw, "SameSite="); found {
			seen[c.Name+" SameSite"], _, _ = strings.Cut(rest, ";")
		}
	}
	return seen
}

func describe(c *http.Cookie) string {
	text := "on " + c.Path
	switch {
	case c.MaxAge < 0, c.Value == "":
		return text + " deleted"
	case c.MaxAge > 0, !c.Expires.IsZero():
		text += " kept"
	default:
		text += " for the session"
	}
	if c.HttpOnly {
		text += " HttpOnly"
	}
	if c.Secure {
		text += " Secure"
	}
	return text
}
