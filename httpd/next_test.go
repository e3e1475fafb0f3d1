package httpd_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

func nextURLs(base string) hub.URLs {
	return hub.NewURLs(base, &url.URL{Scheme: "https", Host: "public.example"}, "http://127.0.0.1:8081")
}

func TestA01A02F39_SafeNext(t *testing.T) {
	t.Parallel()
	r := request(http.MethodGet, "/hub/login")
	for next, want := range map[string]string{
		// Places of ours.
		"/":                                    "/",
		"/hub/home":                            "/hub/home",
		"/user/alice/lab?reset=1&a=%20b":       "/user/alice/lab?reset=1&a=%20b",
		"/user/joe%20b@ex.org/":                "/user/joe%20b@ex.org/",
		"/user/alice/tree/a%2Fb":               "/user/alice/tree/a%2Fb",
		"/user/alice/doc/x.ipynb#cell=3":       "/user/alice/doc/x.ipynb#cell=3",
		"/user/%E5%90%8D%E5%89%8D/":            "/user/%E5%90%8D%E5%89%8D/",
		"/user/名前/":                            "/user/%E5%90%8D%E5%89%8D/",
		"/hub/spawn?next=https://evil.example": "/hub/spawn?next=https://evil.example",
		"http://hub.example/hub/home":          "/hub/home",
		"https://hub.example/hub/home?x#y":     "/hub/home?x#y",
		"//hub.example/hub/home":               "/hub/home",
		"///hub.example/hub/home":              "/hub/home",
		"https://public.example/hub/home":      "/hub/home",
		"HTTPS://PUBLIC.EXAMPLE/hub/home":      "/hub/home",
		"https://public.example":               "/",
		"//public.example":                     "/",
		"https://public.example?x=1":           "/?x=1",
		"/a:b":                                 "/a:b",
		"/a//b":                                "/a//b",
		"/%2Fevil.example":                     "/%2Fevil.example",
		"/...":                                 "/...",

		// Other sites, however they are written.
		"https://evil.example/":                "",
		"https://evil.example":                 "",
		"http://evil.example/hub/home":         "",
		"//evil.example":                       "",
		"//evil.example/":                      "",
		"///evil.example":                      "",
		"////evil.example/x":                   "",
		"//////////evil.example":               "",
		"//evil.example:80/":                   "",
		"https:evil.example":                   "",
		"https:/evil.example":                  "",
		"https:///evil.example":                "",
		"https:////evil.example":               "",
		"http:/hub.example/x":                  "",
		"//hub.example@evil.example/":          "",
		"https://hub.example@evil.example/":    "",
		"https://hub.example:x@evil.example/":  "",
		"https://x@hub.example/":               "",
		"https://hub.example.evil.example/":    "",
		"https://evil.example/hub.example/":    "",
		"https://evil.example#hub.example/":    "",
		"https://evil.example?hub.example/":    "",
		"https://evil.example\\hub.example":    "",
		"https://hub.example%2eevil.example/":  "",
		"https://hub.example%00.evil.example":  "",
		"https://[::1]/":                       "",
		"https://hub.example:8443/":            "",
		"//public.example.evil.example/":       "",
		"//hub.example//evil.example":          "",
		"http://hub.example//evil.example":     "",
		"ftp://hub.example/x":                  "",
		"ftp://public.example/x":               "",
		"javascript://hub.example/%0aalert(1)": "",
		"javascript:alert(1)":                  "",
		"JaVaScRiPt:alert(1)":                  "",
		"data:text/html,<script>":              "",
		"vbscript:x":                           "",
		"file:///etc/passwd":                   "",
		"blob:https://hub.example/x":           "",
		"mailto:x@hub.example":                 "",
		"about:blank":                          "",

		// What browsers drop or turn round.
		`\\evil.example`:         "",
		`\evil.example`:          "",
		`\/evil.example`:         "",
		"/\t/evil.example":       "",
		"/\n/evil.example":       "",
		"/\r/evil.example":       "",
		"/\r\nSet-Cookie: a=b":   "",
		"/x\r\nLocation: //evil": "",
		"\t//evil.example":       "",
		"java\tscript:alert(1)":  "",
		"\x00//evil.example":     "",
		"/\x00/evil.example":     "",
		"/\x7f/evil.example":     "",
		" //evil.example":        "",
		" https://evil.example":  "",
		"\u00a0//evil.example":   "",
		"／／evil.example":         "",
		"/../hub/home":           "",
		"/hub/../../evil":        "",
		"/%2e%2e/evil":           "",
		"/.%2E/evil":             "",
		"/./hub":                 "",
		"/..//evil.example":      "",
		"/..":                    "",

		// What is no place at all.
		"":              "",
		"home":          "",
		"hub/home":      "",
		"./home":        "",
		"../home":       "",
		"?next=/":       "",
		"#top":          "",
		"/%zz":          "",
		"/%":            "",
		"https://":      "",
		"//":            "",
		"///":           "",
		":":             "",
		"evil.example":  "",
		"@evil.example": "",
		"//[::1":        "",
		"//a b/":        "",
	} {
		if got := httpd.SafeNext(r, nextURLs("/"), next); got != want {
			t.Errorf("SafeNext(%q) = %q, want %q", next, got, want)
		}
	}
	// A backslash is only a slash to browsers where it stands: encoded, it is part of a name.
	for next, want := range map[string]string{`/\evil.example`: "/%5Cevil.example", `/a\b`: "/a%5Cb", `/\/evil.example`: "/%5C/evil.example"} {
		if got := httpd.SafeNext(r, nextURLs("/"), next); got != want {
			t.Errorf("SafeNext(%q) = %q, want %q", next, got, want)
		}
	}
}

func TestA01A02F39_SafeNextBelowAPrefix(t *testing.T) {
	t.Parallel()
	r := request(http.MethodGet, "/team/hub/login")
	for next, want := range map[string]string{
		"/team/": "/team/", "/team": "/team", "/team/hub/home": "/team/hub/home", "https://hub.example/team/x": "/team/x",
		"/": "", "/hub/home": "", "/teams/x": "", "/team/../x": "", "/team/%2e%2e/x": "", "/team/%2E./x": "", "//hub.example": "", "/TEAM/x": "",
	} {
		if got := httpd.SafeNext(r, nextURLs("/team/"), next); got != want {
			t.Errorf("SafeNext(%q) = %q, want %q", next, got, want)
		}
	}
}

// FuzzA01F39SafeNext: whatever comes in, what comes out is a path on this host below the base path, as Go and as browsers read it; and it stays the same when judged again.
func FuzzA01F39SafeNext(f *testing.F) {
	for _, seed := range []string{
		"/team/hub/home", "//evil.example", `/\evil`, "https://hub.example/team/x?y#z", "/team/%2e%2e/", "///x", "javascript:alert(1)", "/team/名", "/team/a%2Fb", "",
	} {
		f.Add(seed)
	}
	urls := nextURLs("/team/")
	origin, err := url.Parse("https://hub.example/team/hub/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, next string) {
		r := request(http.MethodGet, "/team/hub/login")
		got := httpd.SafeNext(r, urls, next)
		if got == "" {
			return
		}
		if !strings.HasPrefix(got, "/team") || strings.HasPrefix(got, "//") || strings.ContainsFunc(got, func(c rune) bool { return c < 0x20 || c == 0x7f }) ||
			strings.Contains(got, `\`) {
			t.Fatalf("SafeNext(%q) = %q", next, got)
		}
		to, err := origin.Parse(got)
		if err != nil || to.Host != origin.Host || to.Scheme != "https" || !strings.HasPrefix(to.Path+"/", "/team/") {
			t.Fatalf("SafeNext(%q) = %q, which leads to %v (%v)", next, got, to, err)
		}
		if again := httpd.SafeNext(r, urls, got); again != got {
			t.Fatalf("SafeNext(%q) = %q, and again %q", next, got, again)
		}
	})
}
