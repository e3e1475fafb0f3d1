package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
	"github.com/nomadhub/nomadhub/internal/pyenv"
	"github.com/nomadhub/nomadhub/oauth"
	"github.com/nomadhub/nomadhub/scheduler"
)

// stockPatience is how long a Python program may take to start on a machine that is busy with something else.
const stockPatience = 3 * time.Minute

// stock is a hub whose servers are stock jupyterhub-singleuser processes.
type stock struct {
	*hubtest.Bench
	t   *testing.T
	env pyenv.Env

	asked url.Values // what the server asked of the hub through the last browser that walked

	mu   sync.Mutex
	seen []string // what servers asked of the hub: "POST /hub/api/oauth2/token 200"
	news chan struct{}
}

func newStock(t *testing.T, name string) *stock {
	t.Helper()
	return newStockIn(t, name, hubtest.New)
}

func newStockIn(t *testing.T, name string, open func(testing.TB, ...func(*hub.Options)) *hubtest.Bench) *stock {
	t.Helper()
	env, err := pyenv.Find(t.Context(), pyenv.Options{Name: name})
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("NOMADHUB_TEST_REQUIRE") != "1" {
		t.Skipf("no stock server to test with: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &stock{t: t, env: env, news: make(chan struct{}, 1)}
	s.Bench = open(t, func(o *hub.Options) { o.Notebook.AnswerTimeout = stockPatience })
	a, err := api.New(api.Options{Hub: s.Hub, Sessions: s.Sessions, Logger: s.Log})
	if err != nil {
		t.Fatal(err)
	}
	p, err := oauth.New(oauth.Options{Hub: s.Hub, Sessions: s.Sessions, Logger: s.Log})
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(func(r chi.Router) { r.Use(s.note); a.Mount(r) }, func(r chi.Router) { r.Use(s.note); p.Mount(r) })
	s.Fake.OnStart = s.start
	return s
}

// note remembers what is asked on the address for servers.
func (s *stock) note(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec, r)
		if r.Host != s.Servers.Listener.Addr().String() {
			return
		}
		s.mu.Lock()
		s.seen = append(s.seen, fmt.Sprintf("%s %s %d", r.Method, r.URL.Path, rec.status))
		s.mu.Unlock()
		select {
		case s.news <- struct{}{}:
		default:
		}
	})
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) { r.status = status; r.ResponseWriter.WriteHeader(status) }

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// awaitRequest waits until a server has asked this of the hub.
func (s *stock) awaitRequest(want string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), stockPatience)
	defer cancel()
	for {
		s.mu.Lock()
		seen := strings.Join(s.seen, "\n")
		s.mu.Unlock()
		if strings.Contains(seen, want) {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("the server never asked %q of the hub, only:\n%s", want, seen)
		case <-s.news:
		}
	}
}

// start runs a stock server as its own process, as a scheduler would.
func (s *stock) start(spec scheduler.Spec) {
	t := s.t
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return
	}
	address := l.Addr().String()
	_ = l.Close()
	home := t.TempDir()
	args := []string{}
	if os.Geteuid() == 0 {
		args = append(args, "--allow-root")
	}
	cmd := exec.Command(s.env.Program("jupyterhub-singleuser"), args...) // ended below
	cmd.Dir, cmd.Stdout, cmd.Stderr = home, t.Output(), t.Output()
	cmd.Env = []string{"PATH=" + s.env.Bin() + ":/usr/bin:/bin", "HOME=" + home, "LANG=C.UTF-8", spec.URLVariable + "=http://" + address + spec.URLPath}
	variables := maps.Clone(spec.Env)
	maps.Copy(variables, spec.Secrets)
	for k, v := range variables {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	s.Up(spec.ID, address)
}

// walk opens an address as a browser does, and returns where it went and what it found at the end.
func (s *stock) walk(c *http.Client, path string) (hops []string, res *http.Response, body string) {
	s.t.Helper()
	at := s.Public.URL + path
	for range 12 {
		res, body = s.get(c, at)
		hops = append(hops, fmt.Sprintf("%d %s", res.StatusCode, res.Request.URL.Path))
		if strings.HasSuffix(res.Request.URL.Path, "/oauth2/authorize") {
			s.asked = res.Request.URL.Query()
		}
		if res.StatusCode != http.StatusFound && res.StatusCode != http.StatusMovedPermanently {
			return hops, res, body
		}
		next, err := res.Location()
		if err != nil {
			s.t.Fatal(err)
		}
		at = next.String()
	}
	s.t.Fatalf("the browser is sent in circles: %s", strings.Join(hops, "\n"))
	return nil, nil, ""
}

func (s *stock) get(c *http.Client, at string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, at, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(c, req)
}

func (s *stock) do(c *http.Client, req *http.Request) (*http.Response, string) {
	s.t.Helper()
	res, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(body)
}

// status asks a server's API with the browser's cookies.
func (s *stock) status(c *http.Client, path string) int {
	s.t.Helper()
	res, _ := s.get(c, s.Public.URL+path)
	return res.StatusCode
}

// statusWith asks a server's API with a token.
func (s *stock) statusWith(token, path string) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.Public.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+token)
	res, _ := s.do(http.DefaultClient, req)
	return res.StatusCode
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// TestStockServer walks the whole road of a visitor with stock servers of several generations of JupyterHub. It is the proof of the protocol.
func TestStockServer(t *testing.T) {
	t.Parallel()
	// A name that is written differently in the URL, in the client's ID and in scopes.
	for name, user := range map[string]string{"hub3": "alice", "hub4": "alice", "hub5": "joe b@ex.org", "hub6": "zoë"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStock(t, name)
			owner, path := s.User(user, false), s.Hub.URLs().Server(user, "")
			server := s.begin(owner, path)
			s.visitByOwner(owner, path)
			if method := map[string]string{"hub6": "S256"}[name]; s.asked.Get("code_challenge_method") != method {
				t.Errorf("A42: the server sends the proof key %q, want the method %q", s.asked.Get("code_challenge"), method)
			}
			s.visitByStranger(path)
			s.visitByAdmin(path)
			s.tokens(owner, path)
			s.logout(owner, path)
			s.end(owner, path, server)
		})
	}
}

// begin starts the server through the API.
func (s *stock) begin(owner hub.User, path string) hub.Server {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.Public.URL+s.Hub.URLs().APIServer(owner.Name, ""), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token(owner))
	res, body := s.do(http.DefaultClient, req)
	if res.StatusCode != http.StatusCreated && res.StatusCode != http.StatusAccepted {
		s.t.Fatalf("start: %s: %s", res.Status, body)
	}
	server, err := s.Hub.Server(s.t.Context(), owner.Name, "")
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), stockPatience)
	defer cancel()
	server, err = s.Hub.AwaitServer(ctx, server.ID, func(s hub.Server) bool { return s.State != hub.Starting })
	if err != nil || server.State != hub.Ready {
		s.t.Fatalf("the server of %s at %s is %s (%v, %+v)", owner.Name, path, server.State, err, server.Failure)
	}
	s.awaitRequest("GET /hub/api 200")
	s.awaitRequest("POST /hub/api/users/" + owner.Name + "/activity 200")
	return server
}

var labPage = regexp.MustCompile(`id="jupyter-config-data"`)

// visitByOwner goes through the whole OAuth road to JupyterLab.
func (s *stock) visitByOwner(owner hub.User, path string) {
	s.t.Helper()
	browser := s.Browser(owner.Name)
	hops, res, body := s.walk(browser, path)
	if res.StatusCode != http.StatusOK || !labPage.MatchString(body) {
		s.t.Fatalf("the way to JupyterLab:\n%s\nended with %s: %.2000s", strings.Join(hops, "\n"), res.Status, body)
	}
	s.t.Logf("the way to JupyterLab:\n%s", strings.Join(hops, "\n"))
	all := strings.Join(hops, "\n")
	for _, hop := range []string{"302 /hub/api/oauth2/authorize", "302 " + mustUnescape(path) + "oauth_callback"} {
		if !strings.Contains(all, hop) {
			s.t.Errorf("there is no %q on the way:\n%s", hop, all)
		}
	}
	s.awaitRequest("POST /hub/api/oauth2/token 200")
	s.awaitRequest("GET /hub/api/user 200")
	want(s.t, "API of the server by the cookie", s.status(browser, path+"api/status"), http.StatusOK)
	if id := s.Cookie(browser, path, "jupyterhub-session-id"); len(id) != 32 {
		s.t.Errorf("the browser's session cookie is %q", id)
	}
	if c := s.Cookie(browser, path, "jupyterhub-hub-login"); c != "" {
		s.t.Error("the hub's login cookie reaches the server")
	}
}

func mustUnescape(path string) string {
	p, err := url.PathUnescape(path)
	if err != nil {
		panic(err)
	}
	return p
}

// visitByStranger is refused by the hub, and by the server without a login.
func (s *stock) visitByStranger(path string) {
	s.t.Helper()
	s.User("bob", false)
	hops, res, body := s.walk(s.Browser("bob"), path)
	if res.StatusCode != http.StatusForbidden || !strings.Contains(body, "You may not use this server") {
		s.t.Errorf("a stranger's way:\n%s\nended with %s: %.500s", strings.Join(hops, "\n"), res.Status, body)
	}
	want(s.t, "API of the server without anything", s.status(s.Browser(""), path+"api/contents"), http.StatusForbidden)
}

var formField = regexp.MustCompile(`<form method="post" action="([^"]*)">\s*<input type="hidden" name="_xsrf" value="([^"]*)">`)

// visitByAdmin asks for consent, once.
func (s *stock) visitByAdmin(path string) {
	s.t.Helper()
	s.User("root", true)
	admin := s.Browser("root")
	hops, res, body := s.walk(admin, path)
	form := formField.FindStringSubmatch(body)
	if res.StatusCode != http.StatusOK || form == nil {
		s.t.Fatalf("the administrator's way:\n%s\nended with %s: %.1000s", strings.Join(hops, "\n"), res.Status, body)
	}
	unescape := strings.NewReplacer("&amp;", "&", "&#43;", "+", "&#39;", "'", "&#34;", `"`)
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.Public.URL+unescape.Replace(form[1]),
		strings.NewReader(url.Values{"_xsrf": {unescape.Replace(form[2])}}.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, body = s.do(admin, req)
	if res.StatusCode != http.StatusFound {
		s.t.Fatalf("consent: %s: %.1000s", res.Status, body)
	}
	hops, res, body = s.walk(admin, res.Header.Get("Location"))
	if res.StatusCode != http.StatusOK || !labPage.MatchString(body) {
		s.t.Fatalf("the administrator's way after consent:\n%s\nended with %s: %.1000s", strings.Join(hops, "\n"), res.Status, body)
	}
}

// tokens opens the server's API for scripts.
func (s *stock) tokens(owner hub.User, path string) {
	s.t.Helper()
	bob := s.User("bob", false)
	want(s.t, "the owner's token", s.statusWith(s.Token(owner), path+"api/contents"), http.StatusOK)
	want(s.t, "a stranger's token", s.statusWith(s.Token(bob), path+"api/contents"), http.StatusForbidden)
	want(s.t, "a token that may do nothing", s.statusWith(s.Token(owner, "read:users!user"), path+"api/contents"), http.StatusForbidden)
	want(s.t, "no token", s.statusWith("0123", path+"api/contents"), http.StatusForbidden)
}

// logout ends one browser's visit at once, and no other's.
func (s *stock) logout(owner hub.User, path string) {
	s.t.Helper()
	here, there := s.Browser(owner.Name), s.Browser(owner.Name)
	for _, c := range []*http.Client{here, there} {
		if _, res, body := s.walk(c, path+"lab"); res.StatusCode != http.StatusOK {
			s.t.Fatalf("JupyterLab before the logout: %s: %.500s", res.Status, body)
		}
	}
	u, err := url.Parse(s.Public.URL + path)
	if err != nil {
		s.t.Fatal(err)
	}
	kept := here.Jar.Cookies(u) // as a browser that does not forget its cookies
	want(s.t, "logout", s.status(here, "/hub/logout"), http.StatusOK)
	want(s.t, "the server after the logout", s.status(here, path+"api/contents"), http.StatusForbidden)
	hops, res, body := s.walk(here, path+"lab")
	if !strings.Contains(body, "Please log in.") {
		s.t.Errorf("after the logout the way\n%s\nended with %s: %.500s", strings.Join(hops, "\n"), res.Status, body)
	}
	want(s.t, "the server in another browser", s.status(there, path+"api/contents"), http.StatusOK)

	// The hub has forgotten the token itself. Only what the server remembers of the very same cookies lives on, for minutes.
	for _, c := range kept {
		if c.Name == "jupyterhub-session-id" {
			c.Value = strings.Repeat("0", 32)
		}
	}
	thief := s.Browser("")
	thief.Jar.SetCookies(u, kept)
	want(s.t, "the server by stolen cookies after the logout", s.status(thief, path+"api/contents"), http.StatusForbidden)
}

// end stops the server through the API.
func (s *stock) end(owner hub.User, path string, server hub.Server) {
	s.t.Helper()
	token := s.ServerToken(server)
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodDelete, s.Public.URL+s.Hub.URLs().APIServer(owner.Name, ""), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+s.Token(owner))
	res, body := s.do(http.DefaultClient, req)
	want(s.t, "stop "+path+" "+body, res.StatusCode, http.StatusNoContent)
	if _, err := s.Hub.TokenPrincipal(s.t.Context(), token); hub.KindOf(err) != hub.Forbidden {
		s.t.Errorf("the stopped server's token still works: %v", err)
	}
}
