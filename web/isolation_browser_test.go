package web_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// hostile is a notebook whose owner means no good: it answers with headers that speak for the whole host, and gives whoever visits it a page with scripts.
func hostile(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Service-Worker-Allowed", "/")
		h.Set("Clear-Site-Data", `"cookies", "storage"`)
		h.Add("Set-Cookie", "jupyterhub-session-id=00000000000000000000000000000000; Path=/")
		h.Add("Set-Cookie", "tossed=1; Domain=hub.localhost; Path=/")
		if strings.HasSuffix(r.URL.Path, ".js") {
			h.Set("Content-Type", "text/javascript")
			_, _ = io.WriteString(w, `addEventListener("fetch", (e) => e.respondWith(new Response("caught")))`)
			return
		}
		h.Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>Free GPUs</title><body>Look here</body>")
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// attacks is what the page tries, in the browser and in the name of its visitor. Each result is what it got hold of, or begins with "refused".
const attacks = `(async () => {
	const hub = %q, victim = %q;
	const tell = async (work) => { try { return String(await work()); } catch (e) { return "refused: " + e.name; } };
	const read = (url, more) => tell(async () => {
		const answer = await fetch(url, {credentials: "include", ...more});
		return (answer.ok || answer.type === "opaque" ? "" : "refused: ") + answer.status + " " + (await answer.text());
	});
	const frame = (url, what = (d) => d.documentElement.innerText) => new Promise((done) => {
		const f = document.createElement("iframe");
		f.addEventListener("load", () => done(tell(() => f.contentDocument ? what(f.contentDocument) : "refused: another origin")));
		f.src = url;
		document.body.append(f);
	});
	const popup = (url) => new Promise((done) => {
		const w = open(url);
		const look = () => {
			try {
				if (w.closed) return done("refused: the window is out of reach");
				if (w.location.href !== "about:blank" && w.document.readyState === "complete") return done("read " + w.document.documentElement.innerText);
			} catch (e) {
				return done("refused: " + e.name);
			}
			setTimeout(look, 50);
		};
		look();
	});
	const worker = (options) => tell(async () => {
		const w = await navigator.serviceWorker.register("worker.js", options);
		await w.unregister();
		return "registered";
	});
	return JSON.stringify({
		cookies: document.cookie,
		api: await read(hub + "api/user"),
		home: await read(hub + "home"),
		login: await read(hub + "login"),
		token: await read(hub + "api/users/ada/tokens", {method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"}),
		stop: await read(hub + "stop/ada", {method: "POST", mode: "no-cors", body: new URLSearchParams({_xsrf: "x"})}),
		frame: await frame(hub + "home"),
		popup: await popup(hub + "home"),
		root: await worker({scope: "/"}),
		own: await worker({}),
		server: await read(victim + "secret"),
		serverFrame: await frame(victim + "secret"),
		apiFrame: await frame(hub + "api/user"),
		apiCookies: await frame(hub + "api/", (d) => d.cookie),
		apiPopup: await popup(hub + "api/user"),
		moved: (history.replaceState(null, "", "/hub/home"), document.cookie),
	});
})()`

// TestF32_HostilePage has ada, who is logged in, look at a page of eve's notebook, in Chromium: on one host for all, and on hosts of their own.
func TestF32_HostilePage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	chromium := browser.New(t, browser.AnyCertificate)
	for name, apart := range map[string]bool{"one host": false, "hosts of their own": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(s *setup) { s.pages.HomeFirst, s.apart = true, apart })
			origin, evil, notebooks := b.site.URL, hostile(t), newNotebooks(t)
			if apart {
				origin = b.urls.Origin()
			}
			b.fake.OnStart = func(s scheduler.Spec) {
				address := evil
				if s.Labels["user"] != "eve" {
					address = notebooks.open()
				}
				go func() { b.fake.Place(s.ID, address); b.fake.Run(s.ID) }()
			}
			b.addUsers("ada", "eve")
			at := map[string]string{}
			for _, user := range []string{"ada", "eve"} {
				b.start(user, "")
				b.await(user, "", hub.Ready)
				if at[user] = b.urls.ServerURL(user, ""); !apart {
					at[user] = origin + at[user]
				}
			}
			p := chromium.Page(t)
			p.SetPatience(patience)
			p.Open(origin + "/hub/login?next=%2Fuser%2Fada%2Fhello")
			p.Fill("#username_input", "ada")
			p.Fill("#password_input", "open")
			p.Click("#login_submit")
			p.WaitURL("ada's server", func(u string) bool { return u == at["ada"]+"hello" })
			p.WaitText("notebook at /user/ada/hello")

			p.Open(at["eve"] + "page")
			p.WaitText("Look here")
			var got map[string]string
			check(t, json.Unmarshal([]byte(browser.Eval[string](p, fmt.Sprintf(attacks, origin+"/hub/", at["ada"]))), &got))
			b.judge(got, apart)
			b.toss(p, origin, apart)
		})
	}
}

// judge tells what the page got hold of.
func (b *bench) judge(got map[string]string, apart bool) {
	t := b.t
	t.Helper()
	for _, secret := range []string{"hub-login", "session-id", "_xsrf"} {
		for _, where := range []string{"cookies", "apiCookies", "moved"} {
			if strings.Contains(got[where], secret) {
				t.Errorf("the page reads the cookies %q (%s)", got[where], where)
			}
		}
	}
	refused := []string{"api", "home", "token", "popup", "apiPopup", "root"}
	if apart {
		refused = append(refused, "login", "frame", "server", "serverFrame")
	}
	for _, what := range refused {
		if !strings.HasPrefix(got[what], "refused") {
			t.Errorf("%s: %.300s", what, got[what])
		}
	}
	for what, text := range got {
		if what != "server" && what != "serverFrame" && (strings.Contains(text, "ada") || strings.Contains(text, `name="_xsrf" value="a`)) {
			t.Errorf("%s tells of the visitor: %.300s", what, text)
		}
	}
	if got["own"] != "registered" {
		t.Errorf("a worker for the server's own pages: %s", got["own"])
	}
	if !apart && !strings.Contains(got["server"], "notebook at /user/ada/secret") {
		t.Errorf("on one host the servers are kept apart, and the docs say that they are not: %s", got["server"])
	}
	u, err := b.hub.UserByName(t.Context(), "ada")
	check(t, err)
	tokens, err := b.hub.Tokens(t.Context(), u.ID)
	check(t, err)
	for _, token := range tokens {
		if token.ServerID == "" {
			t.Errorf("the page made a token: %+v", token)
		}
	}
	if s, err := b.hub.Server(t.Context(), "ada", ""); err != nil || s.State != hub.Ready {
		t.Errorf("the page stopped ada's server: %v %v", s.State, err)
	}
}

// toss has eve's page plant cookies for the hub, where it can: eve's own good login, and a page token. Ada stays ada, and her own pages work.
func (b *bench) toss(p *browser.Page, origin string, apart bool) {
	t := b.t
	t.Helper()
	session, _, err := b.hub.Login(t.Context(), auth.Identity{Provider: "door", Subject: "eve", Name: "eve"}, hub.Browser{}, hub.LoginOptions{})
	check(t, err)
	w := httptest.NewRecorder()
	plain := &httpd.Sessions{Accounts: b.hub, Keys: b.keys, URLs: hub.NewURLs("/", nil, "")}
	plain.Begin(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hub/login", http.NoBody), session)
	for _, c := range w.Result().Cookies() {
		if !apart {
			break // on one host a page can plant them by a longer path, and the docs say so
		}
		for _, path := range []string{"/", "/hub/", "/hub/home", "/hub/api/"} {
			browser.Eval[bool](p, fmt.Sprintf("(document.cookie = %q, true)", c.Name+"="+c.Value+"; domain=hub.localhost; path="+path))
			browser.Eval[bool](p, fmt.Sprintf("(document.cookie = %q, true)", "__Host-"+c.Name+"="+c.Value+"; secure; domain=hub.localhost; path="+path))
		}
	}
	p.Open(origin + "/hub/home")
	p.WaitVisible("#stop")
	who := browser.Eval[string](p, `fetch("/hub/api/user", {headers: {"X-XSRFToken": document.querySelector("input[name=_xsrf]").value}}).then((a) => a.json()).then((u) => u.name)`)
	if who != "ada" {
		t.Errorf("after the visit the hub takes its visitor for %q", who)
	}
	p.Click("#stop")
	b.await("ada", "", hub.Stopped)
}
