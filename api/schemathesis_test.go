package api_test

import (
	"cmp"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
	"github.com/nomadhub/nomadhub/internal/pyenv"
	"github.com/nomadhub/nomadhub/oauth"
)

// schemathesisVariable is how long Schemathesis may go on, such as "10m".
const schemathesisVariable = "NOMADHUB_TEST_SCHEMATHESIS"

// schemathesisConfig says where a description cannot say all. Which names, times and scopes there are, and what state a server is in, is more than a schema
// tells, so a write that fits its schema may be refused, and so may a period that ends before it begins. A browser with a bad question is sent away with an error, or to log in. A DELETE of a server stops it, and one of all shares leaves a list
// of none.
const schemathesisConfig = `
[[operations]]
include-method-regex = "POST|PUT|PATCH|DELETE"
checks.positive_data_acceptance.expected-statuses = ["2xx", "3xx", 400, 401, 403, 404, 405, 409, 424, 429, 503]

[[operations]]
include-path-regex = "/progress$|^/usage"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 403, 404]

[[operations]]
include-path = "/oauth2/authorize"
checks.negative_data_rejection.expected-statuses = [302, 400, 403, 405]

[[operations]]
include-path-regex = "/users/[^/]*/servers?(/|$)|^/shares/|^/share-codes/"
checks.use_after_free.enabled = false
checks.ensure_resource_availability.enabled = false
`

// requestsEach is how many requests are made up for each operation where no time is set.
const requestsEach = "15"

// streamSpan ends streams, which go on until their reader leaves: Schemathesis never does.
const streamSpan = time.Second

// newDescribedBench is an API with OAuth beside it and something to be found, all of whose streams end.
func newDescribedBench(t *testing.T, change ...func(*hub.Options)) *bench {
	t.Helper()
	var o hub.Options
	b := &bench{Bench: hubtest.New(t, append(change, func(used *hub.Options) { o = *used })...), t: t}
	b.Log = o.Logger // all parts write where the hub does
	a, err := api.New(api.Options{Hub: b.Hub, Sessions: b.Sessions, Logger: b.Log, SlowSpawn: soon, SlowStop: soon, KeepAlive: soon, Shutdown: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	provider, err := oauth.New(oauth.Options{Hub: b.Hub, Sessions: b.Sessions, Logger: b.Log})
	if err != nil {
		t.Fatal(err)
	}
	b.Serve(func(r chi.Router) {
		r.Use(endStreams, keepRoot)
		a.Mount(r)
	}, provider.Mount)
	b.root, b.alice = b.User("root", true), b.inGroup("alice", "physics")
	b.tokens = map[string]string{"root": b.Token(b.root), "alice": b.Token(b.alice)}
	b.Start("alice", "lab")
	return b
}

func endStreams(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := path.Base(r.URL.Path); r.Method == http.MethodGet && (name == "log" || name == "progress" || name == "usage") {
			ctx, cancel := context.WithTimeout(r.Context(), streamSpan)
			defer cancel()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// keepRoot keeps who asks from revoking the token it asks with, and from being no administrator any more: all that followed would be 403.
func keepRoot(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		about, isRoot := strings.CutPrefix(r.URL.Path, "/hub/api/users/root")
		if isRoot && (strings.HasPrefix(about, "/tokens/") || about == "" && r.Method == http.MethodPatch) {
			httpd.RenderJSON(w, r, httpd.Problem{Status: http.StatusNotFound, Message: "This test needs it."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// TestSchemathesis has Schemathesis make requests out of the description, right ones and wrong ones, and hold all answers to it: nothing fails inside the hub,
// no status, media type or field that is not described, nothing wrong is accepted and nothing right refused.
func TestSchemathesis(t *testing.T) {
	t.Parallel()
	b := newDescribedBench(t)
	schemathesisRun{description: b.Servers.URL + "/hub/api/openapi.json", config: schemathesisConfig, phases: "coverage,fuzzing"}.do(t, b)
}

// schemathesisRun is one run of it.
type schemathesisRun struct {
	description string // a file or an address
	config      string // its own configuration
	exclude     string // checks that are left out; "": none
	phases      string // what it does where nothing else is said: nothing that depends on how far it comes
}

// do fails the test for each answer that is not as described.
func (s schemathesisRun) do(t *testing.T, b *bench) {
	t.Helper()
	long := os.Getenv(schemathesisVariable)
	span, err := time.ParseDuration(cmp.Or(long, "0s"))
	if err != nil {
		t.Fatalf("%s: %v", schemathesisVariable, err)
	}
	env, err := pyenv.Find(t.Context(), pyenv.Options{Name: "schemathesis"})
	if err != nil {
		if os.Getenv("NOMADHUB_TEST_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "schemathesis.toml"), []byte(s.config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*span+10*time.Minute)
	defer cancel()
	args := []string{
		"run", s.description, "--url", b.Servers.URL + "/hub/api",
		"--header", "Authorization: Bearer " + b.tokens["root"], "--checks", "all",
		"--request-timeout", "120",
		"--exclude-path-regex", "//", // its client sends one slash for two
		"--suppress-health-check", "all", "--warnings", "off", "--no-color", "--continue-on-failure",
	}
	if s.exclude != "" {
		args = append(args, "--exclude-checks", s.exclude)
	}
	if long == "" { // the same requests each time, so that it does not depend on the machine what is found
		args = append(args, "--seed", "20261122", "--generation-deterministic", "--max-examples", requestsEach, "--phases", s.phases)
	} else {
		args = append(args, "--max-time", strconv.Itoa(int(span.Seconds())))
	}
	cmd := exec.CommandContext(ctx, env.Program("schemathesis"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "SCHEMATHESIS_HOOKS=", "PYTHONUNBUFFERED=1", "COLUMNS=200")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := os.Create(filepath.Join(dir, "out.txt")) //nolint:gosec // G304: a folder of the test's own
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	text, readErr := os.ReadFile(out.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !regexp.MustCompile(`Tested: +[1-9]`).Match(text) {
		t.Errorf("Schemathesis did nothing:\n%s", text)
	}
	b.as("root", http.MethodGet, "/user", "").want(http.StatusOK)
}
