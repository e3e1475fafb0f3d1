package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entrance lets one person in, so that the rest of a configuration can be checked.
const entrance = `
login {
  allowed_users = ["ada"]
}
authenticator "dummy" "trial" {
  password = "hunter2"
}
`

func check(t *testing.T, text string, environ ...string) told {
	t.Helper()
	return call(t, environ, "config", "check", write(t, "hub.hcl", text))
}

// withoutLogin takes the login block away, which a file may have once only.
func withoutLogin(text string) string {
	begin := strings.Index(text, "# Who may enter.")
	end := begin + strings.Index(text[begin:], "\n}\n") + 3
	return text[:begin] + text[end:]
}

func TestReferenceIsAConfiguration(t *testing.T) {
	t.Parallel()
	reference := call(t, nil, "config")
	if reference.err != nil {
		t.Fatal(reference.err)
	}
	checked := check(t, withoutLogin(reference.out)+entrance)
	if checked.err != nil {
		t.Fatal(checked.err)
	}
	again := check(t, checked.out)
	if again.err != nil {
		t.Fatalf("what a check prints is no configuration: %v", again.err)
	}
	if again.out != checked.out {
		t.Errorf("a check of what a check printed prints\n%s\nand not\n%s", again.out, checked.out)
	}
	if !strings.Contains(checked.errs, "The configuration is good.") {
		t.Errorf("said %q", checked.errs)
	}
}

// TestReferenceHasEveryAuthenticator puts the blocks of all types in force; only what has no default is missing then.
func TestReferenceHasEveryAuthenticator(t *testing.T) {
	t.Parallel()
	text := call(t, nil, "config").out
	begin := strings.Index(text, "#authenticator")
	if begin < 0 {
		t.Fatal("no authenticator in the reference")
	}
	var on strings.Builder
	for line := range strings.Lines(text[begin:]) {
		on.WriteString(strings.TrimPrefix(line, "#"))
	}
	blocks := strings.NewReplacer(
		`issuer = ""`, `issuer = "https://login.example.org"`, `client_id = ""`, `client_id = "hub"`,
	).Replace(on.String())
	got := check(t, "login {\n  allowed_users = [\"ada\"]\n}\n"+blocks)
	if got.err != nil {
		t.Fatal(got.err)
	}
	for _, name := range kindNames() {
		if !strings.Contains(got.out, `authenticator "`+name+`" "`+name+`" {`) {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestReferencePageIsUpToDate(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := call(t, nil, "config", "-format", "markdown").out; !bytes.Equal(page, []byte(want)) {
		t.Error("docs/reference/configuration.md is not what the code says; run: make generate")
	}
}

func TestCheckHidesSecrets(t *testing.T) {
	t.Parallel()
	got := check(t, "database {\n  dsn = \"postgres://hub:hunter2@db/hub\"\n}\n"+entrance)
	if got.err != nil {
		t.Fatal(got.err)
	}
	if strings.Contains(got.out+got.errs, "hunter2") {
		t.Errorf("shows a secret:\n%s", got.out)
	}
	if !strings.Contains(got.out, "postgres://hub:redacted@db/hub") || !strings.Contains(got.out, `password = "(redacted)"`) {
		t.Errorf("printed\n%s", got.out)
	}
}

func TestCheckTakesFilesFoldersAndTheEnvironment(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(write(t, "a.hcl", entrance))
	more := write(t, "more.hcl", `base_url = "/lab/"`)
	got := call(t, []string{"NOMADHUB_LISTEN_METRICS=127.0.0.1:9"}, "config", "check", "-config", dir, "-config", more)
	if got.err != nil {
		t.Fatal(got.err)
	}
	for _, line := range []string{`base_url = "/lab/"`, `allowed_users = ["ada"]`, `metrics = "127.0.0.1:9"`} {
		if !strings.Contains(got.out, line) {
			t.Errorf("lacks %s", line)
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	const (
		gitHub    = "authenticator \"github\" \"gh\" {\n  client_id = \"x\"\n%s}\n"
		provider  = "authenticator \"oidc\" \"corp\" {\n  client_id = \"x\"\n  issuer = \"ISSUER\"\n}\n"
		everybody = "login {\n  allow_all = true\n}\n"
		meant     = "login {\n  allow_all = true\n  public = true\n}\n"
		ada       = "login {\n  allowed_users = [\"ada\"]\n}\n"
		dummy     = "authenticator \"dummy\" \"d\" {}\n"
		cluster   = "nomad {\n  namespaces = [\"gpu\"]\n}\nconsul {}\n"
	)
	hub := func(options string) string { return strings.ReplaceAll(gitHub, "%s", options) }
	issuer := func(url string) string { return strings.ReplaceAll(provider, "ISSUER", url) }
	for name, test := range map[string]struct {
		text    string
		environ []string
		want    string // "": it is good
	}{
		"nothing":                              {"", nil, "no way to log in"},
		"an authenticator, and nobody":         {hub(""), nil, "nobody could enter"},
		"ada by GitHub":                        {ada + hub(""), nil, ""},
		"an administrator only":                {"login {\n  admin_users = [\"ada\"]\n}\n" + hub(""), nil, ""},
		"a group only":                         {"login {\n  allowed_groups = [\"g\"]\n}\n" + hub(""), nil, ""},
		"everybody at github.com":              {everybody + hub(""), nil, "anybody can get one"},
		"everybody at github.com, by its name": {everybody + hub("  url = \"https://GitHub.com\"\n"), nil, "anybody can get one"},
		"everybody by the environment":         {hub(""), []string{"NOMADHUB_LOGIN_ALLOW_ALL=true"}, "anybody can get one"},
		"everybody at github.com, and meant":   {meant + hub(""), nil, ""},
		"everybody at one's own GitHub":        {everybody + hub("  url = \"https://git.example.org\"\n"), nil, ""},
		"everybody at Google":                  {everybody + issuer("https://accounts.google.com"), nil, "anybody can get one"},
		"everybody at Google, and meant":       {meant + issuer("https://accounts.google.com"), nil, ""},
		"everybody at any tenant":              {everybody + issuer("https://login.microsoftonline.com/common/v2.0"), nil, "anybody can get one"},
		"everybody at one tenant":              {everybody + issuer("https://login.microsoftonline.com/b1a2c3d4/v2.0"), nil, ""},
		"everybody at one's own provider":      {everybody + issuer("https://login.example.org"), nil, ""},
		"one of two is for all":                {everybody + issuer("https://login.example.org") + hub(""), nil, `"gh"`},
		"the dummy, here":                      {ada + dummy, nil, ""},
		"the dummy, everybody here":            {everybody + dummy, nil, ""},
		"the dummy, on all addresses":          {ada + dummy + "listen {\n  public = \"0.0.0.0:8000\"\n}\n", nil, "the dummy believes every name"},
		"the dummy, by the environment":        {ada + dummy, []string{"NOMADHUB_LISTEN_PUBLIC=:8000"}, "the dummy believes every name"},
		"the dummy, behind a proxy":            {ada + dummy + "public_url = \"https://hub.example.org\"\n", nil, "public_url https://hub.example.org"},
		"the dummy, at a local address":        {ada + dummy + "public_url = \"http://localhost:8000\"\n", nil, ""},
		"a type that is none":                  {ada + "authenticator \"ldap\" \"l\" {}\n", nil, "there are dummy, github, oidc"},
		"an unknown option":                    {ada + "authenticator \"dummy\" \"d\" {\n  pasword = \"x\"\n}\n", nil, "hub.hcl, line 5"},
		"a required option":                    {ada + "authenticator \"oidc\" \"o\" {\n  client_id = \"x\"\n}\n", nil, `"issuer"`},
		"a profile's namespace":                {entrance + cluster + "profile \"p\" {\n  namespace = \"else\"\n}\n", nil, `profile "p" asks for the namespace "else"`},
		"a profile's region":                   {entrance + cluster + "profile \"p\" {\n  region = \"mars\"\n}\n", nil, `add the region to nomad.regions`},
		"a namespace of a choice": {
			entrance + cluster + "profile \"p\" {\n  option \"o\" {\n    choice \"a\" {}\n    choice \"b\" {\n      set { namespace = \"else\" }\n    }\n  }\n}\n",
			nil, `add the namespace to nomad.namespaces`,
		},
		"a log level": {entrance + "log {\n  level = \"loud\"\n}\n", nil, "log.level"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checked := check(t, test.text, test.environ...)
			if test.want == "" {
				if checked.err != nil {
					t.Errorf("refused: %v", checked.err)
				}
				return
			}
			if checked.err == nil || !strings.Contains(checked.err.Error(), test.want) {
				t.Errorf("config check: %v, want %q", checked.err, test.want)
			}
			// The hub itself refuses for the same reason, before it opens anything.
			served := call(t, test.environ, "serve", "-config", write(t, "hub.hcl", test.text))
			if served.err == nil || !strings.Contains(served.err.Error(), test.want) {
				t.Errorf("serve: %v, want %q", served.err, test.want)
			}
		})
	}
}

func TestDevStaysOnThisMachine(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"by an option":   {"-listen", "0.0.0.0:0"},
		"by a file":      {"-config", write(t, "a.hcl", "listen {\n  public = \":0\"\n}\n")},
		"the servers'":   {"-config", write(t, "b.hcl", "listen {\n  servers = \"0.0.0.0:0\"\n}\n")},
		"the operators'": {"-config", write(t, "c.hcl", "listen {\n  metrics = \"0.0.0.0:0\"\n}\n")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := call(t, nil, append([]string{"dev", "-notebook", "/bin/true", "-dir", t.TempDir()}, args...)...)
			if got.err == nil || !strings.Contains(got.err.Error(), "listens on this machine only") {
				t.Errorf("error %v", got.err)
			}
		})
	}
	got := call(t, nil, "dev", "-notebook", "no-such-program", "-dir", t.TempDir())
	if got.err == nil || !strings.Contains(got.err.Error(), "no-such-program was not found") {
		t.Errorf("without a notebook program: %v", got.err)
	}
}

func TestProfilesMayNameConfiguredPlaces(t *testing.T) {
	t.Parallel()
	const text = entrance + `
nomad {
  region     = "eu"
  regions    = ["us"]
  namespaces = ["gpu"]
}
consul {}
profile "near" {
  namespace = "default"
}
profile "far" {
  region    = "us"
  namespace = "gpu"
}
`
	checked := call(t, nil, "config", "check", "-offline", write(t, "hub.hcl", text))
	if checked.err != nil || !strings.Contains(checked.out, `["gpu"]`) {
		t.Errorf("%v; printed %s", checked.err, checked.out)
	}
}
