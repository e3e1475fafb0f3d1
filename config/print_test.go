package config

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func hclOf(t *testing.T, b Block) string {
	t.Helper()
	var out bytes.Buffer
	if err := b.WriteHCL(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestWhatIsWrittenIsReadBack holds for every option, also for values with quotes, templates and line breaks in them.
func TestWhatIsWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	want := Default("/data")
	want.Nomad, want.Consul, want.Secrets.Vault = &Nomad{Variables: map[string]string{"b": "2", "a": "${1}"}}, &Consul{}, &Vault{}
	want.fill()
	want.Login.AllowedUsers = []string{"ada", `o"brien`, "${x}", "%{ if }", "two\nlines", "Ärzte\t\\"}
	want.Login.AllowAll, want.Limits.ActiveServers, want.Notebook.Memory = true, 12, 1<<40
	got := mustLoad(t, hclOf(t, Describe(want)))
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("written and read back (-want +got):\n%s\nas it was written:\n%s", diff, hclOf(t, Describe(want)))
	}
}

// TestReferenceCommentsOutWhatIsOff reads the reference as it is, and with all of it put in force.
func TestReferenceCommentsOutWhatIsOff(t *testing.T) {
	t.Parallel()
	text := hclOf(t, DescribeAll(Default("/data")))
	plain := mustLoad(t, text)
	if plain.Nomad != nil || plain.Consul != nil || plain.Secrets.Vault != nil {
		t.Error("a block that is off by default is in force")
	}
	var on strings.Builder
	for line := range strings.Lines(text) {
		if sentence := strings.HasPrefix(line, "# ") && !strings.HasPrefix(line, "#  "); !sentence {
			line = strings.TrimPrefix(line, "#")
		}
		on.WriteString(line)
	}
	full := mustLoad(t, on.String())
	if full.Nomad == nil || full.Consul == nil || full.Secrets.Vault == nil {
		t.Error("not every block is in the reference")
	}
}

// TestEveryOptionIsTold finds every tag of every block in the reference.
func TestEveryOptionIsTold(t *testing.T) {
	t.Parallel()
	text := hclOf(t, DescribeAll(Default("/data")))
	seen := 0
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for field := range typ.Fields() {
			name, kind := tag(field)
			switch {
			case kind == "block" && field.Type.Kind() == reflect.Pointer:
				if !strings.Contains(text, name+" {\n") {
					t.Errorf("the block %s is missing", name)
				}
				walk(field.Type.Elem())
			case kind == "optional":
				seen++
				if !strings.Contains(text, " "+name+" = ") && !strings.Contains(text, "\n"+name+" = ") {
					t.Errorf("the option %s is missing", name)
				}
			}
			if (kind == "optional" || kind == "block" && field.Type.Kind() == reflect.Pointer) && field.Tag.Get("doc") == "" {
				t.Errorf("%s has no sentence", name)
			}
		}
	}
	walk(reflect.TypeFor[Config]())
	if seen < 40 {
		t.Errorf("only %d options were looked at", seen)
	}
}

type hiding string

func (hiding) String() string { return "(hidden)" }

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	c := Default("/data")
	c.Database.DSN = "postgres://hub:hunter2@db:5432/hub?sslmode=require&password=hunter2&sslpassword=hunter2"
	c.Notebook.Env = map[string]string{"GITHUB_TOKEN": "hunter2", "AWS_SECRET_ACCESS_KEY": "hunter2", "DB_PASSWORD": "hunter2", "GREETING": "hello"}
	text := hclOf(t, Describe(c)) + hclOf(t, DescribeAuthenticator("dummy", "d", struct {
		Password hiding `hcl:"password,optional"`
		Empty    hiding `hcl:"empty,optional"`
	}{Password: "hunter2"}))
	if strings.Contains(text, "hunter2") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	for _, part := range []string{"hub:redacted@db:5432/hub", "sslmode=require", `"GREETING" = "hello"`, `password = "(hidden)"`, `empty = ""`} {
		if !strings.Contains(text, part) {
			t.Errorf("lacks %q:\n%s", part, text)
		}
	}
	for _, dsn := range []string{"sqlite::memory:", "sqlite:hub.db", "sqlite:///var/lib/a%20b/hub.db", "postgres://hub@db/hub"} {
		if got := hidePassword(dsn); got != dsn {
			t.Errorf("%s became %s", dsn, got)
		}
	}
	if got := hidePassword("postgres://hub:hunter2@db:port/hub"); strings.Contains(got, "hunter2") {
		t.Errorf("an address that cannot be parsed is shown: %s", got)
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := DescribeAll(Default("/data")).WriteMarkdown(&out, 2); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"\n## Outside of all blocks\n",
		"\n| `base_url` | `\"/\"` | NOMADHUB_BASE_URL | Path below which everything is served. Begins and ends with a slash. |\n",
		"\n## `secrets.vault`\n", "Off unless a file has this block.\n",
		"| `address` | `\"\"` | NOMADHUB_SECRETS_VAULT_ADDRESS |",
		"| `env` | `{}` | - |",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("lacks %q", line)
		}
	}
	if cell("a|b") != `a\|b` {
		t.Error("a bar ends a cell")
	}
}
