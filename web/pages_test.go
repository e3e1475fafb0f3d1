package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/nomadhub/nomadhub/hub"
)

// TestEveryPageIsSound renders every page in every state and looks at the HTML as parsed: a language, a title, one main heading, labels for all fields, no script or style
// in the page itself, nothing from elsewhere.
func TestEveryPageIsSound(t *testing.T) {
	t.Parallel()
	stages := map[bool]*bench{false: stage(t), true: choosing(t)}
	for _, s := range stories() {
		v := stages[s.menu].visit()
		if s.as != "" {
			v.login(s.as, "")
		}
		a := v.get(s.path)
		if a.page == nil {
			t.Errorf("%s: %s is no page", s.name, s.path)
			continue
		}
		for _, fault := range faults(a) {
			t.Errorf("%s: %s", s.name, fault)
		}
		for header, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store", "X-Jupyterhub-Version": hub.Version,
		} {
			if got := a.header.Get(header); got != want {
				t.Errorf("%s: header %s is %q, want %q", s.name, header, got, want)
			}
		}
		policy := a.header.Get("Content-Security-Policy")
		for _, rule := range []string{"default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, rule) {
				t.Errorf("%s: the content policy lacks %q: %s", s.name, rule, policy)
			}
		}
	}
}

// faults are what is wrong with a page.
func faults(a answer) (found []string) {
	headings, labelled := 0, map[string]bool{}
	walk(a.page, func(n *html.Node) {
		if n.Data == "label" {
			labelled[attribute(n, "for")] = true
		}
	})
	walk(a.page, func(n *html.Node) {
		if n.Type != html.ElementNode {
			return
		}
		for _, at := range n.Attr {
			if strings.HasPrefix(at.Key, "on") || at.Key == "style" {
				found = append(found, "<"+n.Data+"> has the attribute "+at.Key)
			}
			if (at.Key == "src" || at.Key == "href" || at.Key == "action") && !strings.HasPrefix(at.Val, "/") && at.Val != "#main" {
				found = append(found, "<"+n.Data+"> leads to "+at.Val)
			}
		}
		switch n.Data {
		case "html":
			if attribute(n, "lang") == "" {
				found = append(found, "the page has no language")
			}
		case "title":
			if n.FirstChild == nil || !strings.HasSuffix(n.FirstChild.Data, "· NomadHub") {
				found = append(found, "the page has no title")
			}
		case "h1":
			if !within(n, "hidden") {
				headings++
			}
		case "script":
			if n.FirstChild != nil {
				found = append(found, "a script stands in the page")
			}
		case "style":
			found = append(found, "a style stands in the page")
		case "input", "select":
			kind := attribute(n, "type")
			if kind != "hidden" && !labelled[attribute(n, "id")] && n.Parent.Data != "label" {
				found = append(found, "the field "+attribute(n, "name")+" has no label")
			}
		case "form":
			if attribute(n, "method") == "post" && !slices.ContainsFunc(inputs(n), func(name string) bool { return name == "_xsrf" }) {
				found = append(found, "the form to "+attribute(n, "action")+" has no page token")
			}
		}
	})
	if headings != 1 {
		found = append(found, "the page has not one main heading")
	}
	return found
}

// within tells whether the node or one around it has the attribute.
func within(n *html.Node, key string) bool {
	for ; n != nil; n = n.Parent {
		if slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key }) {
			return true
		}
	}
	return false
}

func inputs(n *html.Node) (names []string) {
	walk(n, func(n *html.Node) {
		if n.Data == "input" {
			names = append(names, attribute(n, "name"))
		}
	})
	return names
}

// hostileNames would break a page, an address or a header if anything forgot to encode them. Source: the catalogue of faults, F37.
func hostileNames() []string {
	return []string{
		`<script>alert(1)<b>"'`, `"><img src=x onerror=alert(1)>`, `' onmouseover='x`, `{{.secret}}`, `javascript:alert(1)`, `100%25`, `%2e%2e`, `a%00b`,
		`joe b@ex.org`, `üñï`, `名前`, `a?b=c&d#e`, `+`, `a;b`, `~`, `-`, `_`, `*`, `$(reboot)`, "`id`", `a=b`, `:x`, `a,b`, `[x]`, `|`, `^`,
	}
}

// TestHostileNames has each of them log in, start a server, reach it, see it and stop it; and looks at what administrators see of them.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.runServers()
	for _, name := range hostileNames() {
		t.Run(name, func(t *testing.T) {
			b := b.in(t)
			v := b.loggedIn(name)
			home := v.get("/hub/home").want(http.StatusOK).says(name)
			for _, fault := range faults(home) {
				t.Error(fault)
			}
			pending := v.submit(home.form("start"), nil).want(http.StatusFound).to(b.urls.SpawnPending(name, ""))
			b.await(name, "", hub.Ready)
			v.get(pending.location).want(http.StatusFound).to(b.urls.Server(name, ""))
			if a := v.get(b.urls.Server(name, "") + "lab"); a.body != "notebook at /user/"+name+"/lab" {
				t.Fatalf("got status %d and %q", a.status, a.body)
			}
			v.submit(v.get("/hub/home").form("stop"), nil).want(http.StatusSeeOther)
			b.await(name, "", hub.Stopped)
			v.get("/hub" + b.urls.Server(name, "")).want(http.StatusFailedDependency).says("not running")
			v.get("/hub/user-redirect/lab").want(http.StatusFound).to(b.urls.Spawn(name, "") + "?next=" + url.QueryEscape(b.urls.Server(name, "")+"lab"))
		})
	}
	admin := b.loggedIn("admin")
	page := admin.get("/hub/admin").want(http.StatusOK)
	for _, fault := range faults(page) {
		t.Error(fault)
	}
	for _, name := range hostileNames() {
		page.says(name)
		admin.get("/hub/admin/users/" + hub.EscapePath(name) + "/delete").want(http.StatusOK).says("Delete " + name + "?")
		admin.get("/hub/admin?q=" + url.QueryEscape(name)).want(http.StatusOK).says(name)
	}
}

// TestHostileServerNames: the same for names of servers.
func TestHostileServerNames(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.runServers()
	v := b.loggedIn("alice")
	for _, name := range hostileNames() {
		home := v.get("/hub/home").want(http.StatusOK)
		v.submit(home.form("add-server"), url.Values{"name": {name}}).want(http.StatusFound).to(b.urls.SpawnPending("alice", name))
		b.await("alice", name, hub.Ready)
		v.get(b.urls.SpawnPending("alice", name)).want(http.StatusFound).to(b.urls.Server("alice", name))
		if a := v.get(b.urls.Server("alice", name)); a.body != "notebook at /user/alice/"+name+"/" {
			t.Errorf("%q: got status %d and %q", name, a.status, a.body)
		}
	}
	page := v.get("/hub/home").want(http.StatusOK)
	for _, fault := range faults(page) {
		t.Error(fault)
	}
	for _, name := range hostileNames() {
		page.says(name)
	}
	v.submit(page.form("add-server"), url.Values{"name": {"a/b"}}).want(http.StatusBadRequest).says("slash")
}

// TestStaticFiles: what is at a hashed name never changes, so browsers may keep it; and what pages name is there.
func TestStaticFiles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.visit()
	page := v.get("/hub/login").want(http.StatusOK)
	seen := 0
	walk(page.page, func(n *html.Node) {
		for _, key := range []string{"src", "href"} {
			if path := attribute(n, key); strings.HasPrefix(path, "/hub/static/") {
				seen++
				a := v.get(path).want(http.StatusOK)
				if !strings.Contains(a.header.Get("Cache-Control"), "immutable") || a.header.Get("Content-Type") == "" {
					t.Errorf("%s: %v", path, a.header)
				}
			}
		}
	})
	if seen < 4 {
		t.Errorf("the page names %d files", seen)
	}
	v.get("/hub/static/style.css").want(http.StatusNotFound)
	v.get("/hub/static/..%2fweb.go").want(http.StatusNotFound)
	if a := v.get("/hub/logo").want(http.StatusOK); a.header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("the logo is %q", a.header.Get("Content-Type"))
	}
	v.do(http.MethodHead, "/hub/logo", nil).want(http.StatusOK)
}
