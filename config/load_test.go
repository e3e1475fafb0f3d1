package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// folder writes files and returns the folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, text string, environ ...string) (Config, error) {
	t.Helper()
	return Load(Default("/data"), []string{filepath.Join(folder(t, map[string]string{"hub.hcl": text}), "hub.hcl")}, environ)
}

func mustLoad(t *testing.T, text string, environ ...string) Config {
	t.Helper()
	c, err := load(t, text, environ...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsAreValidAndStayOnThisMachine(t *testing.T) {
	t.Parallel()
	c, err := Load(Default("/data"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	for _, addr := range []string{c.Listen.Public, c.Listen.Servers, c.Listen.Metrics} {
		if !Loopback(addr) {
			t.Errorf("%s can be reached from other machines", addr)
		}
	}
	if c.Nomad != nil || c.Consul != nil || c.Secrets.Vault != nil || c.Login.AllowAll || len(c.Authenticators) > 0 {
		t.Errorf("something is on by default: %+v", c)
	}
	if c.Database.DSN != "sqlite:///data/hub.db" || c.Secrets.File != "/data/secrets.json" {
		t.Errorf("files outside of the folder: %s, %s", c.Database.DSN, c.Secrets.File)
	}
}

func TestLaterFilesWinAndLeaveAloneWhatTheyDoNotMention(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"10-base.hcl":  `listen { public = "127.0.0.1:1" }` + "\n" + `limits { active_servers = 5 }`,
		"20-more.hcl":  "listen {\n  servers = \"127.0.0.1:2\"\n}\n",
		"ignored.txt":  `listen { public = "127.0.0.1:666" }`,
		"30-local.hcl": `limits { active_servers = 7 }`,
	})
	last := filepath.Join(folder(t, map[string]string{"last.hcl": `base_url = "/jupyter/"`}), "last.hcl")
	c, err := Load(Default("/data"), []string{dir, last}, []string{"NOMADHUB_LISTEN_METRICS=127.0.0.1:3"})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Listen.Public, c.Listen.Servers, c.Listen.Metrics, c.Limits.ActiveServers, c.Limits.ConcurrentStarts, c.BaseURL}
	want := []any{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", 7, 100, "/jupyter/"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAuthenticatorsAreReplacedByID(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"1.hcl": "authenticator \"github\" \"a\" {\n  label = \"old\"\n}\nauthenticator \"oidc\" \"b\" {}\n",
		"2.hcl": "authenticator \"dummy\" \"a\" {\n  label = \"new\"\n}\n",
	})
	c, err := Load(Default("/data"), []string{dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range c.Authenticators {
		got = append(got, a.Type+" "+a.ID)
	}
	if want := []string{"oidc b", "dummy a"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	var options struct {
		Label string `hcl:"label,optional"`
	}
	if err := c.Authenticators[1].DecodeBody(&options, nil); err != nil || options.Label != "new" {
		t.Errorf("label %q, %v", options.Label, err)
	}
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(folder(t, map[string]string{"dsn": "postgres://hub@db/hub\n"}), "dsn")
	c := mustLoad(t, `
public_url = "https://${env("HUB_HOST")}"
database {
  dsn = file("`+secret+`")
}
`, "HUB_HOST=hub.example.org", "EMPTY")
	if c.PublicURL != "https://hub.example.org" || c.Database.DSN != "postgres://hub@db/hub" {
		t.Errorf("got %q and %q", c.PublicURL, c.Database.DSN)
	}
}

func TestWhatCannotBeReadIsSaidWithItsPlace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text    string
		environ []string
		want    []string
	}{
		"unknown option":         {"\nbase_uri = \"/\"\n", nil, []string{"hub.hcl, line 2", `"base_uri"`}},
		"unknown option inside":  {"listen {\n  publik = \"x\"\n}\n", nil, []string{"hub.hcl, line 2", `"publik"`}},
		"unknown block":          {"listens {\n}\n", nil, []string{"hub.hcl, line 1", `"listens"`}},
		"a block twice":          {"listen {}\nlisten {}\n", nil, []string{"hub.hcl, line 2", "listen"}},
		"not HCL":                {"base_url = \n", nil, []string{"hub.hcl, line 1"}},
		"wrong type":             {"limits {\n  active_servers = \"many\"\n}\n", nil, []string{"hub.hcl, line 2", "number"}},
		"variable not set":       {`public_url = env("NOWHERE")`, nil, []string{"hub.hcl, line 1", "NOWHERE is not set"}},
		"file not there":         {`public_url = file("/does/not/exist")`, nil, []string{"hub.hcl, line 1", "/does/not/exist"}},
		"one ID twice":           {"authenticator \"dummy\" \"a\" {}\nauthenticator \"oidc\" \"a\" {}\n", nil, []string{"hub.hcl", `ID "a"`}},
		"no ID":                  {"authenticator \"dummy\" {}\n", nil, []string{"hub.hcl, line 1"}},
		"environment: no number": {"", []string{"NOMADHUB_LIMITS_ACTIVE_SERVERS=many"}, []string{"NOMADHUB_LIMITS_ACTIVE_SERVERS", "whole number"}},
		"environment: no bool":   {"", []string{"NOMADHUB_LOGIN_ALLOW_ALL=perhaps"}, []string{"NOMADHUB_LOGIN_ALLOW_ALL", "true nor false"}},
		"environment: a map":     {"", []string{"NOMADHUB_NOTEBOOK_ENV=A=b"}, []string{"NOMADHUB_NOTEBOOK_ENV", "in a file"}},
		"environment: no block":  {"", []string{"NOMADHUB_NOMAD_ADDRESS=http://n"}, []string{"NOMADHUB_NOMAD_ADDRESS", "no configuration file has"}},
		"environment: no Vault":  {"", []string{"NOMADHUB_SECRETS_VAULT_ADDRESS=http://v"}, []string{"NOMADHUB_SECRETS_VAULT_ADDRESS"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, test.text, test.environ...)
			if err == nil {
				t.Fatal("it was read")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
		})
	}
}

func TestPathsThatHoldNothing(t *testing.T) {
	t.Parallel()
	if _, err := Load(Default("/data"), []string{t.TempDir()}, nil); err == nil || !strings.Contains(err.Error(), "no *.hcl file") {
		t.Errorf("an empty folder: %v", err)
	}
	missing := filepath.Join(t.TempDir(), "none.hcl")
	if _, err := Load(Default("/data"), []string{missing}, nil); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestEnvironmentOverridesFiles(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "log {\n  level = \"warn\"\n}\nsecrets {\n  vault {}\n}\nlogin {\n  allowed_users = [\"eve\"]\n}\n",
		"NOMADHUB_LOG_LEVEL=debug",
		"NOMADHUB_BASE_URL=/hub/",
		"NOMADHUB_LOGIN_ALLOWED_USERS= ada, ,grace ",
		"NOMADHUB_LOGIN_ALLOW_ALL=true",
		"NOMADHUB_NOTEBOOK_MEMORY=2048",
		"NOMADHUB_NOTEBOOK_PLACE_TIMEOUT=5m",
		"NOMADHUB_SECRETS_VAULT_ADDRESS=https://vault:8200",
		"NOMADHUB_CACHE=/somebody/elses",
	)
	got := []any{
		c.Log.Level, c.BaseURL, strings.Join(c.Login.AllowedUsers, "+"), c.Login.AllowAll, c.Notebook.Memory, c.Notebook.PlaceTimeout.Value(),
		c.Secrets.Vault.Address, c.Secrets.Vault.Mount,
	}
	want := []any{"debug", "/hub/", "ada+grace", true, int64(2048), 5 * time.Minute, "https://vault:8200", "secret"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBlocksThatAreOffHaveDefaultsOnceTheyAreOn(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "nomad {\n  namespace = \"teaching\"\n}\nconsul {}\n")
	got := []string{c.Nomad.Namespace, c.Nomad.JobPrefix, c.Consul.Prefix, c.Consul.ServicePrefix}
	if want := []string{"teaching", "notebook-", "nomadhub", "notebook"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
