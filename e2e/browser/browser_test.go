package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
)

const formPage = `<!doctype html><html><head><title>form</title><link rel="icon" href="data:,"><style>
@media (prefers-color-scheme: dark) { body { background: black } }
</style></head><body>
<h1>Form</h1>
<form action="/done"><label>Name <input name="name" value="old text"></label>
<select name="size"><option value="s">Small</option><option value="l">Large</option></select>
<button id="go" disabled>Go</button></form>
<button class="show" hidden>Show</button>
<button class="show" onclick="document.querySelector('#late').hidden = false">Show</button>
<button onclick="if (confirm('sure?')) document.querySelector('#late').innerText = 'confirmed'">Ask</button>
<p id="late" hidden>Here I am</p>
<div id="cover" style="position:fixed; inset:0"></div>
<script>
	// The page gets ready in steps, as real ones do: what drives it must wait for each.
	document.cookie = document.cookie ? "seen=again" : "seen=first";
	document.querySelector("h1").innerText += " " + document.cookie;
	requestAnimationFrame(() => document.querySelector("#cover").remove());
	setTimeout(() => document.querySelector("#go").disabled = false, 100);
</script></body></html>`

func serveForm(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, formPage) })
	mux.HandleFunc("GET /done", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "name=%s size=%s", r.FormValue("name"), r.FormValue("size"))
	})
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><link rel="icon" href="data:,"><script>console.error("said so"); console.log("harmless"); nosuch()</script>`)
	})
	mux.HandleFunc("GET /wide", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><link rel="icon" href="data:,"><div style="width: 500px">wide</div>`)
	})
	mux.HandleFunc("GET /restless", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><link rel="icon" href="data:,"><p>restless</p><script>
			const n = Number(new URLSearchParams(location.search).get("n"));
			if (n < 100) setTimeout(() => location.replace("/restless?n=" + (n + 1)), n % 20);
			else document.querySelector("p").innerText = "at rest";
		</script>`)
	})
	asked := make(chan struct{})
	mux.HandleFunc("GET /way/{step}", func(w http.ResponseWriter, r *http.Request) { // leads from step to step, and nowhere
		step, err := strconv.Atoi(r.PathValue("step"))
		switch {
		case err != nil:
			http.NotFound(w, r)
			return
		case step == 0:
			asked <- struct{}{}
		case step == 15:
			<-r.Context().Done()
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
			http.Redirect(w, r, fmt.Sprintf("/way/%d", step+1), http.StatusFound)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("GET /asked", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-asked:
		case <-r.Context().Done():
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestPage(t *testing.T) {
	t.Parallel()
	url := serveForm(t)
	b := New(t)
	cases := map[string]func(t *testing.T, p *Page){
		"a form is filled and sent": func(t *testing.T, p *Page) {
			p.Open(url)
			p.Fill("input[name=name]", `Ada "the" <b> ü`)
			p.Fill("select", "l")
			p.Click("#go") // disabled and covered at first
			p.WaitURL("/done", func(u string) bool { return strings.Contains(u, "/done") })
			p.WaitText(`name=Ada "the" <b> ü size=l`)
			if got := p.Status(); got != http.StatusTeapot {
				t.Errorf("status %d", got)
			}
			p.Back()
			p.WaitText("Form")
		},
		"a field is emptied, the keyboard sends": func(t *testing.T, p *Page) {
			p.Open(url)
			p.Fill("input[name=name]", "")
			p.WaitTrue("the button is enabled", `!document.querySelector("#go").disabled`)
			p.Press(kb.Tab)
			p.Press(kb.Tab)
			if got := p.Focused(); got != `button "Go"` {
				t.Errorf("the keyboard is at %s", got)
			}
			p.Press(kb.Enter)
			p.WaitText("name= size=s")
		},
		"a click shows what was hidden": func(t *testing.T, p *Page) {
			p.Open(url)
			if p.Has("#late") {
				t.Error("a hidden element counts as visible")
			}
			p.Click(".show") // the second one: the first is hidden
			p.WaitVisible("#late")
			p.WaitTextIn("#late", "Here I am")
		},
		"a dialog is accepted": func(_ *testing.T, p *Page) {
			p.Open(url)
			p.ClickText("button", "Ask")
			p.WaitTrue("it is confirmed", `document.querySelector("#late").textContent === "confirmed"`)
		},
		"pages share no cookies, tabs do": func(t *testing.T, p *Page) {
			p.Open(url)
			p.WaitText("Form seen=first")
			b.Page(t).Open(url)
			other := b.Page(t)
			other.Open(url)
			other.WaitText("Form seen=first")
			tab := p.Tab()
			tab.Open(url)
			tab.WaitText("Form seen=again")
		},
		"dark mode and size": func(t *testing.T, p *Page) {
			p.Open(url)
			background := func() string { return Eval[string](p, "getComputedStyle(document.body).backgroundColor") }
			p.SetDark(true)
			if got := background(); got != "rgb(0, 0, 0)" {
				t.Errorf("dark: %s", got)
			}
			p.SetDark(false)
			if got := background(); got == "rgb(0, 0, 0)" {
				t.Errorf("light: %s", got)
			}
			p.Open(url + "/wide")
			p.SetViewport(800, 600)
			if p.Overflows() {
				t.Error("500 pixels overflow 800")
			}
			p.SetViewport(360, 640)
			if got := Eval[int](p, "innerWidth"); got != 360 || !p.Overflows() {
				t.Errorf("width %d, overflows: %v", got, p.Overflows())
			}
		},
		"another page is opened while one loads": func(_ *testing.T, p *Page) {
			other := p.Tab()
			for range 10 {
				p.Open(url)
				Eval[bool](p, `(location = "/way/0", true)`)
				other.Open(url + "/asked") // answers when the page is on the way to one that never comes
				p.Open(url)
				p.WaitText("Form")
			}
		},
		"a page is asked while others take its place": func(t *testing.T, p *Page) {
			p.Open(url + "/restless")
			for p.Text("p") == "restless" {
				if !p.Has("p") && p.Has("h1") {
					t.Error("another page was asked")
				}
			}
		},
		"errors in the console are gathered": func(t *testing.T, p *Page) {
			p.Open(url + "/broken")
			var got []string
			p.Open(url + "/") // errors stay across pages
			for range 100 {
				if got = p.ConsoleErrors(); len(got) >= 2 {
					break
				}
				Eval[int](p, "new Promise(r => setTimeout(() => r(1), 10))") // lets events come in
			}
			has := func(part string) bool {
				return slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, part) })
			}
			if len(got) != 2 || !has("said so") || !has("nosuch is not defined") {
				t.Errorf("got %q", got)
			}
		},
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, b.Page(t))
		})
	}
}

// TestScreenshot sets an environment variable and so runs alone.
func TestScreenshot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pictures")
	t.Setenv("NOMADHUB_SCREENSHOTS", dir)
	p := New(t).Page(t)
	p.Open(serveForm(t))
	p.Screenshot("login page/dark")
	png, err := os.ReadFile(filepath.Join(dir, "login-page-dark.png"))
	if err != nil || !strings.HasPrefix(string(png), "\x89PNG") {
		t.Errorf("%d bytes, %v", len(png), err)
	}
}
