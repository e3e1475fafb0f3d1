package e2e

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/internal/stack/hubjob"
)

// cluster is the hub as a Nomad job, on a real stack of its own that may be damaged: what "make cluster" runs.
type cluster struct {
	*stack.Stack
	URL        string // of the public listener, without a trailing slash
	metrics    string
	serversURL string // at which notebooks reach the hub
	binary     string // the hub's program; no other process on this machine runs this file
}

// runsNotebooks says how a cluster runs notebooks.
type runsNotebooks struct {
	drivers    stack.Drivers
	jobspec    string                           // "" is the product's for programs of the machine
	variables  func(*cluster) map[string]string // of the jobspec
	config     string                           // what the hub's configuration says of them, such as profiles
	serversURL func(port int) string            // at which notebooks reach the hub; nil: at its port of the loopback address
	hosts      bool                             // users have hosts of their own, below hub.localhost, which browsers take for this machine
}

// newCluster starts all of it. Notebooks are stock Jupyter, their users those of the provider; ada is an administrator, ben may enter, eve may not.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	return newClusterWith(t, onThisMachine(t))
}

// onThisMachine runs notebooks as programs of this machine, as another account than the hub's.
func onThisMachine(t testing.TB) runsNotebooks {
	t.Helper()
	notebook := jupyter(t, "hub5")
	return runsNotebooks{variables: func(c *cluster) map[string]string {
		_, account := accounts(t)
		return map[string]string{
			"path": filepath.Dir(notebook) + ":/usr/local/bin:/usr/bin:/bin", "user": account.Username, "home_base": homes(t, c.Dir, account),
		}
	}}
}

func newClusterWith(t testing.TB, n runsNotebooks) *cluster {
	t.Helper()
	ports, err := stack.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{URL: loopbackURL(ports[0]), metrics: loopbackURL(ports[2])}
	if n.hosts {
		c.URL = fmt.Sprintf("http://hub.localhost:%d", ports[0])
		n.config += fmt.Sprintf("subdomain_host = %q\n", c.URL)
	}
	secret := rand.Text()
	c.Stack = stack.NewOwn(t, stack.Options{
		Postgres: true, Drivers: n.drivers,
		Dex: &stack.DexOptions{
			ClientID: "nomadhub", ClientSecret: secret, RedirectURIs: []string{c.URL + "/hub/oauth_callback/corp"},
		},
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the hub's log ends:\n%s", hubjob.LogTail(context.WithoutCancel(t.Context()), c.Stack, 60))
		}
	})
	c.binary = filepath.Join(c.Dir, "nomadhub")
	if err := os.Link(plain.binary(t), c.binary); err != nil {
		copyFile(t, plain.binary(t), c.binary)
	}
	if err := hubjob.Prepare(t.Context(), c.Stack, map[string]map[string]any{"oidc-corp": {"client_secret": secret}}); err != nil {
		t.Fatal(err)
	}
	hubAccount, _ := accounts(t)
	o := hubjob.Options{
		NomadCreds: hubjob.NomadCreds,
		Binary:     c.binary, User: hubAccount.Username, PublicURL: c.URL, PublicPort: ports[0], ServersPort: ports[1], MetricsPort: ports[2],
		Config: loginByDex(c.Dex.Issuer) + n.config, NotebookJobspec: n.jobspec, NotebookVariables: n.variables(c),
	}
	if n.serversURL != nil {
		o.ServersURL = n.serversURL(ports[1])
	}
	c.serversURL = cmp.Or(o.ServersURL, loopbackURL(ports[1]))
	err = hubjob.Submit(t.Context(), c.Stack, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func loopbackURL(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }

func loginByDex(issuer string) string {
	return fmt.Sprintf(`
login {
  allowed_groups = ["researchers"]
  admin_users    = ["ada"]
}

authenticator "oidc" "corp" {
  label        = "Example organisation"
  issuer       = %q
  client_id    = "nomadhub"
  secret       = "oidc-corp"
  scopes       = ["openid", "profile", "email", "groups"]
  groups_claim = "groups"
}
`, issuer)
}

// accounts are who the hub and notebooks run as: as root two that every Debian has, else ourselves.
func accounts(t testing.TB) (hub, notebooks *user.User) {
	t.Helper()
	var err1, err2 error
	if os.Geteuid() == 0 {
		hub, err1 = user.Lookup("daemon")
		notebooks, err2 = user.Lookup("nobody")
	} else {
		hub, err1 = user.Current()
		notebooks = hub
	}
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return hub, notebooks
}

// homes makes the folder for the homes of notebooks, below a folder that everybody may pass through.
func homes(t testing.TB, dir string, owner *user.User) string {
	t.Helper()
	home := filepath.Join(dir, "home")
	uid, err1 := strconv.Atoi(owner.Uid)
	gid, err2 := strconv.Atoi(owner.Gid)
	if err := errors.Join(err1, err2, os.Mkdir(home, 0o700), os.Chown(home, uid, gid)); err != nil {
		t.Fatal(err)
	}
	return home
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o755); err != nil { //nolint:gosec // other accounts run it
		t.Fatal(err)
	}
}

// trialUser is one of the provider's users.
func (c *cluster) trialUser(t testing.TB, name string) stack.DexUser {
	t.Helper()
	for _, u := range c.Dex.Users {
		if u.Name == name {
			return u
		}
	}
	t.Fatalf("the provider knows no %s", name)
	return stack.DexUser{}
}

// loginAtProvider goes from the hub's login page to the provider's, and types name and password there.
func (c *cluster) loginAtProvider(t testing.TB, p *browser.Page, name string) {
	t.Helper()
	u := c.trialUser(t, name)
	p.Open(c.URL + "/hub/login")
	p.ClickText("a", "Log in with Example organisation")
	p.WaitURL("the provider's page", func(at string) bool { return strings.HasPrefix(at, c.Dex.Issuer) })
	p.WaitTrue("the provider's page has loaded", `document.readyState === "complete"`)
	p.Fill("#login", u.Email())
	p.Fill("#password", u.Password)
	p.Press(kb.Enter)
}

// await asks again and again until check is nil, and fails the test with its last error when that takes too long.
func await(t testing.TB, what string, atMost time.Duration, check func() error) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(atMost)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("waited %s in vain until: %s (%v)", atMost, what, err)
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, t.Context().Err())
		}
	}
}

// status asks for a page and returns the status of the answer.
func status(t testing.TB, url string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	res, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}
