package web_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// visitor is a browser: it keeps cookies, says that its requests come from our own pages, and lets the test follow redirects itself.
type visitor struct {
	b      *bench
	client *http.Client
	header http.Header
}

func (b *bench) visit() *visitor {
	jar, err := cookiejar.New(nil)
	check(b.t, err)
	return &visitor{
		b:      b,
		client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		header: http.Header{"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"navigate"}, "Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}},
	}
}

// loggedIn is a browser in which somebody is logged in.
func (b *bench) loggedIn(name string) *visitor {
	b.t.Helper()
	v := b.visit()
	v.login(name, "")
	return v
}

func (v *visitor) login(name, next string) answer {
	v.b.t.Helper()
	path := v.b.urls.Login()
	if next != "" {
		path += "?next=" + url.QueryEscape(next)
	}
	page := v.get(path)
	a := v.submit(page.form("login"), url.Values{"username": {name}, "password": {"open"}})
	if a.status != http.StatusFound {
		v.b.t.Fatalf("login of %q: status %d\n%s", name, a.status, a.body)
	}
	return a
}

// with is the same browser sending other headers.
func (v *visitor) with(key, value string) *visitor {
	other := *v
	other.header = v.header.Clone()
	if value == "" {
		other.header.Del(key)
	} else {
		other.header.Set(key, value)
	}
	return &other
}

// answer is what came back, parsed if it is a page.
type answer struct {
	t        *testing.T
	status   int
	header   http.Header
	body     string
	page     *html.Node
	location string
	url      *url.URL
}

func (v *visitor) do(method, path string, form url.Values) answer {
	v.b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(v.b.t.Context(), method, v.b.site.URL+path, body)
	check(v.b.t, err)
	maps.Copy(req.Header, v.header)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := v.client.Do(req)
	check(v.b.t, err)
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	check(v.b.t, err)
	a := answer{t: v.b.t, status: res.StatusCode, header: res.Header, body: string(content), location: res.Header.Get("Location"), url: req.URL}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		a.page, err = html.Parse(bytes.NewReader(content))
		check(v.b.t, err)
	}
	return a
}

func (v *visitor) get(path string) answer { return v.do(http.MethodGet, path, nil) }

func (v *visitor) post(path string, form url.Values) answer { return v.do(http.MethodPost, path, form) }

// follow goes where redirects lead.
func (v *visitor) follow(a answer) answer {
	v.b.t.Helper()
	for hops := 0; a.status/100 == 3; hops++ {
		if hops > 10 {
			v.b.t.Fatalf("redirects without end at %s", a.location)
		}
		a = v.get(a.location)
	}
	return a
}

// submit sends a form of a page with some fields filled in.
func (v *visitor) submit(f form, fill url.Values) answer {
	v.b.t.Helper()
	values := url.Values{}
	maps.Copy(values, f.fields)
	maps.Copy(values, fill)
	return v.post(f.action, values)
}

// form is a form as it stands in a page.
type form struct {
	action string
	fields url.Values
}

// form finds the form with this ID, or the one around the element with this ID.
func (a answer) form(id string) form {
	a.t.Helper()
	n := a.find(func(n *html.Node) bool { return attribute(n, "id") == id })
	for n != nil && n.Data != "form" {
		n = n.Parent
	}
	if n == nil {
		a.t.Fatalf("%s has no form %q:\n%s", a.url, id, a.body)
	}
	f := form{action: attribute(n, "action"), fields: url.Values{}}
	walk(n, func(n *html.Node) {
		switch kind := attribute(n, "type"); {
		case n.Data == "input" && (kind == "checkbox" || kind == "radio") && !carries(n, "checked"):
		case n.Data == "input" && attribute(n, "name") != "":
			f.fields.Add(attribute(n, "name"), attribute(n, "value"))
		case n.Data == "option" && carries(n, "selected"):
			f.fields.Add(attribute(n.Parent, "name"), attribute(n, "value"))
		}
	})
	return f
}

// Get is the first value of a field.
func (f form) Get(name string) string { return f.fields.Get(name) }

// href is where the link with this ID leads.
func (a answer) href(id string) string {
	a.t.Helper()
	n := a.find(func(n *html.Node) bool { return attribute(n, "id") == id })
	if n == nil || attribute(n, "href") == "" {
		a.t.Fatalf("%s has no link %q:\n%s", a.url, id, a.body)
	}
	return attribute(n, "href")
}

func carries(n *html.Node, key string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}

func (a answer) find(match func(*html.Node) bool) (found *html.Node) {
	if a.page == nil {
		a.t.Fatalf("%s is no page but %s: %s", a.url, a.header.Get("Content-Type"), a.body)
	}
	walk(a.page, func(n *html.Node) {
		if found == nil && n.Type == html.ElementNode && match(n) {
			found = n
		}
	})
	return found
}

func (a answer) has(id string) bool {
	return a.find(func(n *html.Node) bool { return attribute(n, "id") == id }) != nil
}

// text is what a person reads on the page.
func (a answer) text() string {
	var words strings.Builder
	walk(a.page, func(n *html.Node) {
		if n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style" {
			words.WriteString(n.Data + " ")
		}
	})
	return strings.Join(strings.Fields(words.String()), " ")
}

func walk(n *html.Node, visit func(*html.Node)) {
	visit(n)
	for c := range n.ChildNodes() {
		walk(c, visit)
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d\n%s", a.url, a.status, status, a.body)
	}
	return a
}

func (a answer) to(location string) answer {
	a.t.Helper()
	if a.location != location {
		a.t.Fatalf("%s: leads to %q, want %q (status %d)\n%s", a.url, a.location, location, a.status, a.body)
	}
	return a
}

func (a answer) says(words string) answer {
	a.t.Helper()
	if text := a.text(); !strings.Contains(text, words) {
		a.t.Fatalf("%s does not say %q but:\n%s", a.url, words, text)
	}
	return a
}
