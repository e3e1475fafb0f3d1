package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
	"github.com/nomadhub/nomadhub/internal/restclient"
	"github.com/nomadhub/nomadhub/scheduler"
)

// shell is a terminal of an administrator: commands in it speak to a whole hub, by its real API.
type shell struct {
	*hubtest.Bench
	t       *testing.T
	environ []string
}

func newShell(t *testing.T, o api.Options, change ...func(*hub.Options)) *shell {
	t.Helper()
	b := hubtest.New(t, change...)
	o.Hub, o.Sessions, o.Logger = b.Hub, b.Sessions, b.Log
	a, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Serve(a.Mount, nil)
	s := &shell{Bench: b, t: t}
	return s.as(b.User("root", true))
}

// as is a terminal of somebody else.
func (s *shell) as(u hub.User, scopes ...string) *shell {
	s.t.Helper()
	other := *s
	other.environ = []string{"JUPYTERHUB_API_URL=" + s.Servers.URL + "/hub/api", "JUPYTERHUB_API_TOKEN=" + s.Token(u, scopes...)}
	return &other
}

// run runs a command that shall succeed, and returns what it prints.
func (s *shell) run(line ...string) string {
	s.t.Helper()
	got := call(s.t, s.environ, line...)
	if got.err != nil {
		s.t.Fatalf("%q: %v\n%s", line, got.err, got.errs)
	}
	return got.out
}

// prints checks what a command prints, with columns of any width.
func (s *shell) prints(want string, line ...string) {
	s.t.Helper()
	if got := squeeze(s.run(line...)); !strings.Contains(got, want) {
		s.t.Errorf("%q printed\n%s\nwithout %q", line, got, want)
	}
}

func squeeze(text string) string { return regexp.MustCompile(` {2,}`).ReplaceAllString(text, " ") }

// fails runs a command that shall fail with this code, and for this reason.
func (s *shell) fails(code int, reason string, line ...string) {
	s.t.Helper()
	got := call(s.t, s.environ, line...)
	if exitCode(got.err) != code || got.err == nil || !strings.Contains(got.err.Error(), reason) {
		s.t.Errorf("%q: exit %d, error %v, want %d with %q", line, exitCode(got.err), got.err, code, reason)
	}
}

func TestUserCommands(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{})
	s.prints("user ada created\nuser bob created\n", "user", "create", "Ada", "bob")
	s.prints("user carol created\n1 existed already\n", "user", "create", "carol", "bob")
	s.fails(1, "exist already", "user", "create", "bob")
	s.prints("USER ADMIN GROUPS SERVERS LAST ACTIVITY\nada no - 0 -\nbob no - 0 -\n", "user", "list")
	s.prints("USER ADMIN GROUPS SERVERS LAST ACTIVITY\nada no - 0 -\n", "user", "list", "-filter", "AD")
	s.prints("user ada is an administrator", "user", "admin", "ada")
	s.prints("admin yes\n", "user", "show", "ada")
	s.prints("user ada is no administrator", "user", "admin", "ada", "-revoke")
	s.prints("admin no\n", "user", "show", "ada")
	s.prints("user carol is now grace", "user", "rename", "carol", "grace")
	s.fails(1, "There is no such thing", "user", "show", "carol")
	s.prints("user bob deleted\nuser grace deleted\n", "user", "delete", "bob", "grace")
	s.fails(1, "user nobody: There is no such thing", "user", "delete", "nobody")

	var users []struct{ Name string }
	if err := json.Unmarshal([]byte(s.run("user", "list", "-json")), &users); err != nil || len(users) != 2 || users[0].Name != "ada" {
		t.Errorf("as JSON: %v, %v", users, err)
	}
	var one map[string]any
	if err := json.Unmarshal([]byte(s.run("user", "show", "-json", "ada")), &one); err != nil || one["kind"] != "user" {
		t.Errorf("as JSON: %v, %v", one, err)
	}
	ada, err := s.Hub.UserByName(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	s.as(ada).fails(1, "It needs one of the scopes: list:users", "user", "list")
}

// A list of more than one page is printed whole.
func TestLongListsAreWhole(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{})
	names := []string{"user", "create"}
	for _, a := range "abcdefghijklmnopqrstuvwxyz" {
		for _, b := range "abcdefghi" {
			names = append(names, "u"+string(a)+string(b))
		}
	}
	s.run(names...)
	lines := strings.Split(strings.TrimSpace(s.run("user", "list", "-filter", "u")), "\n")
	if len(lines) != 1+26*9 || !slices.IsSorted(lines[1:]) {
		t.Errorf("%d lines for %d users", len(lines), 26*9)
	}
}

func TestGroupCommands(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{})
	s.run("user", "create", "ada", "bob", "--", "-x")
	s.prints("group /physics of 'all' created", "group", "create", "/physics of 'all'", "-user", "ada,bob", "-properties", `{"cost": 1}`)
	s.fails(1, "already", "group", "create", "/physics of 'all'")
	s.prints("group staff created", "group", "create", "staff")
	s.prints("GROUP MEMBERS ROLES\n/physics of 'all' 2 -\nstaff 0 -\n", "group", "list")
	s.prints("group staff has 2 members", "group", "add", "staff", "ada", "--", "-x")
	s.prints("members -x, ada\n", "group", "show", "staff")
	s.prints("group staff has 1 members", "group", "remove", "staff", "ada")
	s.fails(1, `There is no user named "nobody"`, "group", "add", "staff", "bob", "nobody")
	s.fails(1, "There is no such thing", "group", "add", "none", "bob")
	s.prints(`"cost": 1`, "group", "properties", "/physics of 'all'")
	file := filepath.Join(t.TempDir(), "properties.json")
	if err := os.WriteFile(file, []byte(" {\"cost\": 2}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.prints("properties of group staff replaced", "group", "properties", "staff", "-set", "@"+file)
	s.prints(`properties {"cost":2}`, "group", "show", "staff")
	s.fails(2, "takes a JSON object", "group", "properties", "staff", "-set", "[1]")
	s.fails(2, "no such file", "group", "properties", "staff", "-set", "@"+file+"x")
	s.prints("group staff deleted\n", "group", "delete", "staff", "/physics of 'all'")
	s.prints("GROUP MEMBERS ROLES\n", "group", "list")
	if got := s.run("group", "list", "-json"); got != "[]\n" {
		t.Errorf("no groups as JSON: %q", got)
	}
}

func TestTokenCommands(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{})
	ada := s.User("ada", false)
	secret := strings.TrimSpace(s.run("token", "create", "-user", "ada", "-note", "for \x1b[31mred\x1b[0m", "-scopes", "read:users!user, servers!user", "-expires", "24h"))
	hers := &shell{Bench: s.Bench, t: t, environ: []string{"JUPYTERHUB_API_URL=" + s.Servers.URL}}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hers.prints("user ada\n", "user", "show", "ada", "-token-file", file)
	hers.fails(1, "one of the scopes", "token", "list", "-token-file", file) // which this token may not

	own := s.as(ada)
	listed := own.run("token", "list")
	if !strings.Contains(listed, "for \uFFFD[31mred") || strings.ContainsRune(listed, '\x1b') || strings.Contains(listed, secret) {
		t.Errorf("the list is %q", listed)
	}
	var tokens []pass
	if err := json.Unmarshal([]byte(own.run("token", "list", "-json")), &tokens); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(tokens, func(p pass) bool { return strings.Contains(p.Note, "red") })
	if at < 0 || tokens[at].Expires == "" {
		t.Fatalf("the tokens are %+v", tokens)
	}
	own.prints("token "+tokens[at].ID+" revoked", "token", "revoke", strings.TrimPrefix(tokens[at].ID, "a"))
	hers.fails(1, "credentials", "user", "show", "ada", "-token-file", file)
	own.fails(1, "There is no such thing", "token", "revoke", "a999")
	own.fails(2, "a second at least", "token", "create", "-expires", "1ms")
	own.fails(1, "does not have the scopes", "token", "create", "-scopes", "admin:users")
}

func TestServerCommands(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{})
	s.User("ada", false)
	s.prints("server of ada is ready at /user/ada/", "server", "start", "ada")
	s.prints("server of ada is ready at /user/ada/my%20lab/", "server", "start", "ada", "my lab", "-options", `{"size": "small"}`)
	s.prints("state ready", "server", "show", "ada", "my lab")
	s.prints("ada (default) ready", "server", "list")
	s.prints("ada my lab ready", "server", "list", "-user", "ada")
	s.prints("server (default) ready", "user", "show", "ada")
	s.prints("server of ada is ready", "server", "progress", "ada")
	var servers []struct {
		Name    string         `json:"full_name"`
		Options map[string]any `json:"user_options"`
	}
	if err := json.Unmarshal([]byte(s.run("server", "list", "-json")), &servers); err != nil || len(servers) != 2 || servers[1].Name != "ada/my lab" || servers[1].Options["size"] != "small" {
		t.Errorf("as JSON: %+v, %v", servers, err)
	}
	s.prints("server of ada stopped", "server", "stop", "ada")
	s.prints("server of ada removed", "server", "stop", "ada", "my lab", "-remove")
	s.prints("USER SERVER STATE STARTED LAST ACTIVITY URL\n", "server", "list")
	s.prints("ada (default) stopped", "server", "list", "-all")
	s.fails(1, "There is no such thing", "server", "show", "ada", "my lab")
	s.fails(1, "There is no such thing", "server", "stop", "nobody")
	s.fails(2, "JSON object", "server", "start", "ada", "-options", "gpu")
}

func TestLogs(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{})
	ada := s.User("ada", false)
	s.run("server", "start", "ada")
	started, err := s.Hub.ServerOf(t.Context(), ada, "")
	if err != nil {
		t.Fatal(err)
	}
	s.Fake.Print(started.ID, "one", "two", "three")
	for want, options := range map[string][]string{
		"one\ntwo\nthree\n": nil, "three\n": {"-tail", "6"}, "two\nthree\n": {"-tail", "10", "-stdout"},
	} {
		if got := s.run(append([]string{"server", "logs", "ada"}, options...)...); got != want {
			t.Errorf("%v: %q, want %q", options, got, want)
		}
	}
	// What is followed is there at once, and ends with the server.
	from, to := io.Pipe()
	go func() {
		_ = to.CloseWithError(dispatch(t.Context(), []string{"server", "logs", "ada", "-follow"}, streams{out: to, err: io.Discard, environ: s.environ}))
	}()
	first := make([]byte, len("one\n"))
	if _, err := io.ReadFull(from, first); err != nil || string(first) != "one\n" {
		t.Fatalf("followed: %v, %q", err, first)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if got := call(t, s.environ, "server", "stop", "ada"); got.err != nil {
			t.Error(got.err)
		}
	}()
	if rest, err := io.ReadAll(from); err != nil || string(rest) != "two\nthree\n" {
		t.Errorf("followed on: %v, %q", err, rest)
	}
	<-stopped
	s.fails(1, "There is no such thing", "server", "logs", "nobody")
}

// starting is a hub whose servers come up when the test says, and whose API does not wait for them. The first call of what it returns waits for the start to
// reach the cluster; what that returns lets the server come up.
func starting(t *testing.T) (s *shell, begun func() (up func())) {
	t.Helper()
	s = newShell(t, api.Options{SlowSpawn: time.Millisecond, SlowStop: time.Millisecond, KeepAlive: 100 * time.Millisecond})
	s.User("ada", false)
	coming, at := make(chan scheduler.Spec, 1), s.Fake.OnStart
	s.Fake.OnStart = func(spec scheduler.Spec) { coming <- spec }
	return s, func() func() {
		select {
		case spec := <-coming:
			return func() { at(spec) }
		case <-time.After(hubtest.Patience):
			t.Error("nothing was started")
		}
		return func() {}
	}
}

// ends waits for a command that runs beside the test.
func ends(t *testing.T, done <-chan told) told {
	t.Helper()
	select {
	case got := <-done:
		return got
	case <-time.After(hubtest.Patience):
		t.Fatal("the command does not end")
	}
	return told{}
}

// A start that takes its time is followed: news on the stream for errors, and in the end where the server is.
func TestStartIsFollowedUntilItIsReady(t *testing.T) {
	t.Parallel()
	s, begun := starting(t)
	started, watched := make(chan told, 1), make(chan told, 1)
	go func() { started <- call(t, s.environ, "server", "start", "ada") }()
	up := begun()
	s.prints("ada (default) starting", "server", "list")
	s.prints("server of ada is starting", "server", "start", "ada", "-no-wait") // joins the start
	go func() { watched <- call(t, s.environ, "server", "progress", "ada") }()
	up()
	for _, done := range []chan told{started, watched} {
		if got := ends(t, done); got.err != nil || got.out != "server of ada is ready at /user/ada/\n" {
			t.Errorf("%v, printed %q and %q", got.err, got.out, got.errs)
		}
	}
	s.fails(1, "already running", "server", "start", "ada")
}

// A start that is called off ends the command with an error, and a stop that takes its time is waited for.
func TestStartIsCalledOff(t *testing.T) {
	t.Parallel()
	s, _ := starting(t)
	s.run("server", "start", "ada", "-no-wait")
	done := make(chan told, 1)
	go func() { done <- call(t, s.environ, "server", "progress", "ada") }()
	s.prints("server of ada stopped", "server", "stop", "ada")
	if got := ends(t, done); exitCode(got.err) != 1 || got.out != "" {
		t.Errorf("%v, printed %q", got.err, got.out)
	}
}

// Ctrl-C ends a wait at once.
func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s, _ := starting(t)
	s.run("server", "start", "ada", "-no-wait")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var out strings.Builder
	err := dispatch(ctx, []string{"server", "progress", "ada"}, streams{out: &out, err: &out, environ: s.environ})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
}

func TestRemoteUsage(t *testing.T) {
	t.Parallel()
	nowhere := &shell{t: t, environ: []string{"JUPYTERHUB_API_URL=http://127.0.0.1:1", "JUPYTERHUB_API_TOKEN=secret"}}
	for _, c := range []struct {
		reason string
		line   []string
	}{
		{"say what to do", []string{"user"}},
		{`cannot "paint"`, []string{"user", "paint"}},
		{"nomadhub user show USER [options]", []string{"user", "show"}},
		{"nomadhub user list [options]", []string{"user", "list", "ada"}},
		{"nomadhub server start USER [SERVER] [options]", []string{"server", "start", "a", "b", "c"}},
		{"a name is empty", []string{"user", "delete", ""}},
		{"flag provided but not defined", []string{"user", "list", "-token", "secret"}},
		{"must look like", []string{"user", "list", "-url", "hub.example.org"}},
		{"holds no token", []string{"user", "list", "-token-file", os.DevNull}},
		{"no such file", []string{"user", "list", "-token-file", "/does/not/exist"}},
	} {
		nowhere.fails(2, c.reason, c.line...)
	}
	nowhere.fails(1, "the hub at http://127.0.0.1:1/hub/api cannot be reached", "user", "list")
	(&shell{t: t}).fails(2, "set JUPYTERHUB_API_URL", "user", "list")
	(&shell{t: t, environ: nowhere.environ[:1]}).fails(2, "set JUPYTERHUB_API_TOKEN", "user", "list")
	for _, name := range []string{"user", "group", "server"} {
		got := call(t, nil, name, "-h")
		if !errors.Is(got.err, flag.ErrHelp) || exitCode(got.err) != 0 || !strings.Contains(got.errs, "JUPYTERHUB_API_URL") {
			t.Errorf("%s -h: %v, %q", name, got.err, got.errs)
		}
	}
	if got := call(t, nil, "server", "start", "-h"); !errors.Is(got.err, flag.ErrHelp) || !strings.Contains(got.errs, "-no-wait") || !strings.Contains(got.errs, "-token-file") {
		t.Errorf("server start -h: %v, %q", got.err, got.errs)
	}
	if code := exitCode(&restclient.Error{Status: http.StatusForbidden, Message: "No."}); code != 1 {
		t.Errorf("a refusal is exit %d", code)
	}
}

func TestServiceCommands(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{})
	s.prints("service watcher created", "service", "create", "watcher")
	file := filepath.Join(t.TempDir(), "service.json")
	if err := os.WriteFile(file, []byte(`{"url": "http://127.0.0.1:9", "admin": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.prints("service grader created", "service", "create", "grader", "-file", file)
	s.fails(1, "exists already", "service", "create", "grader")
	listed := squeeze(s.run("service", "list"))
	if !strings.Contains(listed, "\ngrader yes ") || !strings.Contains(listed, " http://127.0.0.1:9\nwatcher no ") {
		t.Errorf("the list is\n%s", listed)
	}
	s.prints("listens at http://127.0.0.1:9\n", "service", "show", "grader")
	var all []map[string]any
	if err := json.Unmarshal([]byte(s.run("service", "list", "-json")), &all); err != nil || len(all) != 2 || all[0]["name"] != "grader" {
		t.Errorf("as JSON: %v, %v", all, err)
	}
	s.prints("service grader deleted\n", "service", "delete", "grader")
	s.fails(1, "service grader: ", "service", "delete", "grader")
	s.fails(2, "no such file", "service", "create", "x", "-file", file+"x")
}

func TestShareCommands(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{})
	ada := s.User("ada", false)
	s.User("bob", false)
	s.run("group", "create", "staff")
	s.run("server", "start", "ada")
	s.run("server", "start", "ada", "lab")
	s.prints("server (default) of ada is shared with bob\n", "share", "add", "ada", "-with", "bob")
	s.prints("server lab of ada is shared with group staff\n", "share", "add", "ada", "lab", "-group", "staff")
	s.prints("ada (default) bob access:servers!server=ada/ ", "share", "list", "ada")
	s.prints("ada lab group staff access:servers!server=ada/lab ", "share", "list", "ada", "lab")
	s.prints("ada (default) bob ", "share", "with", "bob")
	s.fails(2, "say with whom", "share", "add", "ada")
	s.fails(2, "say with whom", "share", "add", "ada", "-with", "bob", "-group", "staff")
	s.fails(1, "", "share", "add", "ada", "-with", "nobody")
	s.prints("the server of ada is not shared with them", "share", "remove", "ada", "-with", "bob")
	s.prints("the server of ada is shared with nobody", "share", "remove", "ada", "lab", "-all")
	s.prints("USER SERVER WITH SCOPES SINCE\n", "share", "list", "ada")

	link := s.run("share", "code", "ada", "-expires", "1h")
	if !strings.Contains(link, "/hub/accept-share?code=") || strings.Count(link, "\n") != 1 {
		t.Errorf("the link is %q", link)
	}
	var codes []struct{ ID string }
	if err := json.Unmarshal([]byte(s.run("share", "codes", "ada", "-json")), &codes); err != nil || len(codes) != 1 {
		t.Fatalf("the codes are %v, %v", codes, err)
	}
	s.prints(codes[0].ID+" ada (default) 0 ", "share", "codes", "ada")
	s.prints("revoked\n", "share", "code", "ada", "-revoke", codes[0].ID)
	s.fails(1, "", "share", "code", "ada", "-revoke", codes[0].ID)
	s.as(ada).prints("ID USER SERVER USED EXPIRES\n", "share", "codes", "ada")
}

// The page of all commands is what the code says.
func TestCommandsAreWrittenDown(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "commands.md"))
	if err != nil {
		t.Fatal(err)
	}
	if got := call(t, nil, "help", "-markdown"); got.err != nil || got.out != string(page) {
		t.Error("docs/reference/commands.md is not what the code says; run: make generate")
	}
	for _, c := range remotes() { // each of them is a command
		if !slices.ContainsFunc(commands(), func(known command) bool { return known.name == c.name }) {
			t.Errorf("%s is no command", c.name)
		}
	}
}
